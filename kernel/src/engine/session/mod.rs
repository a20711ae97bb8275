//! A session at work: cells are compiled, run, and what they leave behind is taken over.

mod ending;
mod obey;
mod progress;
mod questions;
mod rust;
mod shell;

pub use questions::expressions;

use crate::cells::{End, ToCells};
use crate::code::split::Part;
use crate::code::{Range, split, types};
use crate::compile::report::Place;
use crate::compile::rustc::Compiler;
use crate::engine::control::{Control, Input};
use crate::engine::dependencies::Dependencies;
use crate::engine::notebook::Notebook;
use crate::engine::output::pump::SharedOutput;
use crate::engine::process::CellsProcess;
use crate::engine::reply::Reply;
use crate::engine::running::{Finished, Run};
use crate::failure::Failure;
use crate::protocol::{Bundle, Cell, FromEngine, Stream};
use crate::session::base::Base;
use crate::session::{Layout, base, kept_cells};
use crate::sys::lock;
use anyhow::{Context, Result};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

/// The first cell of a process: it prepares the process, and loads `gpt_lab`.
const BEGIN: &str = "#[unsafe(no_mangle)]\n\
    pub extern \"C\" fn __gpt_lab_run(host: &'static gpt_lab_cell::Host) -> u32 {\n\
    gpt_lab_cell::begin(host);\n    std::hint::black_box(gpt_lab::lab::frontend());\n    0\n}\n";

/// A variable that is lost, and why.
type Loss = (String, String);

/// The errors of a cell; none if all went well.
type Outcome = Result<(), Vec<Failure>>;

/// A session.
pub struct Session {
    layout: Layout,
    control: Arc<Control>,
    reply: Reply,
    output: SharedOutput,
    inputs: Receiver<Input>,
    process: CellsProcess,
    compiler: Compiler,
    base: Base,
    notebook: Arc<std::sync::Mutex<Notebook>>,
    dependencies: Dependencies,
    timing: bool,
    /// The value of the latest quiet cell.
    last_value: Option<Bundle>,
    last_errors: Vec<Failure>,
}

/// What a cell brings with it.
pub struct Parts {
    /// The project.
    pub layout: Layout,
    /// Stop, and the session's place.
    pub control: Arc<Control>,
    /// The way to the relay.
    pub reply: Reply,
    /// The output of cells.
    pub output: SharedOutput,
    /// Answers of the learner.
    pub inputs: Receiver<Input>,
    /// What is known of the session; shared with what makes places readable.
    pub notebook: Arc<std::sync::Mutex<Notebook>>,
}

/// The end of a cell.
pub struct Ending {
    /// Its errors.
    pub failures: Vec<Failure>,
    /// True if the process that ran it is gone.
    pub lost: bool,
}

impl Session {
    /// Starts a session: what it compiles against, the compiler, the process of the cells.
    pub fn start(parts: Parts) -> Result<Session> {
        let Parts { layout, control, reply, output, inputs, notebook } = parts;
        let process = CellsProcess::start(&control.place, &output, control.child.clone())?;
        let mut tell = |line: &str| {
            let text = format!("building gpt_lab for the cells: {line}\n");
            reply.send(&FromEngine::Text { stream: Stream::Stderr, text });
        };
        let base = base::ready(&layout, &mut tell)?;
        let compiler = Compiler {
            kit: base.kit.clone(),
            folder: control.place.dir.clone(),
            kept: kept_cells(&layout),
            opt_level: "1".to_owned(),
            variables: Vec::new(),
        };
        {
            let mut notebook = lock(&notebook);
            notebook.type_names = crate::code::names::Names::new(compiler.kit.called());
            notebook.type_names.read(&std::fs::read_to_string(base.folder.join(base::NAMES)).unwrap_or_default());
        }
        let dependencies = Dependencies::default();
        let last_errors = Vec::new();
        let session = Session {
            layout,
            control,
            reply,
            output,
            inputs,
            process,
            compiler,
            base,
            notebook,
            dependencies,
            timing: false,
            last_value: None,
            last_errors,
        };
        session.begin_process()?;
        Ok(session)
    }

    /// Runs the hidden first cell in a new process.
    pub(super) fn begin_process(&self) -> Result<()> {
        for library in self.compiler.kit.shared() {
            self.process.send(&ToCells::Load { library: library.display().to_string() }, None);
        }
        let compiled = self.compiler.compile(BEGIN, 0)?;
        let errors = compiled.messages.iter().find(|message| message.is_error());
        let library = compiled.library.with_context(|| {
            let why = errors.map_or(compiled.other.clone(), |error| error.message.clone());
            format!("gpt_lab cannot be used in cells: {why}")
        })?;
        lock(&self.output).begin(true, true);
        let ended = self.run(&library, false);
        lock(&self.output).take_record();
        match ended {
            Finished::Ended { end: End::Well, .. } => Ok(()),
            Finished::Ended { end: End::NotLoaded(why), .. } => anyhow::bail!("gpt_lab cannot be loaded: {why}"),
            Finished::Ended { .. } => anyhow::bail!("the process of the cells cannot be prepared"),
            Finished::Gone => anyhow::bail!("the process of the cells ended at once"),
        }
    }

    pub(super) fn run(&self, library: &Path, allow_stdin: bool) -> Finished {
        Run { process: &self.process, output: &self.output, reply: &self.reply, inputs: &self.inputs, allow_stdin }
            .run(library)
    }

    /// Forgets answers that came after the cell that asked for them had ended.
    pub fn forget_inputs(&self) {
        while self.inputs.try_recv().is_ok() {}
    }

    /// Runs the learner's cell.
    pub fn execute(&mut self, cell: &Cell) -> Ending {
        self.control.note_programs();
        let number = lock(&self.notebook).add(&cell.code, &cell.name);
        let parts = split::parts(&cell.code);
        let last = parts.len().saturating_sub(1);
        let mut failures = Vec::new();
        let mut lost = false;
        for (place, part) in parts.into_iter().enumerate() {
            let outcome = match part {
                Part::Rust(range) => self.rust(number, range, cell.allow_stdin, place == last, false),
                Part::Command(range) => self.command(number, range, place == last),
                Part::Shell(range) => self.shell(&cell.code[range]),
                Part::Magic(range) => Err(vec![self.magic(number, range)]),
            };
            if let Err(found) = outcome {
                failures = found;
                break;
            }
        }
        if self.process.id() == 0 {
            lost = true;
            if let Err(error) = self.restart_process() {
                failures.push(Failure::new("KernelNotReady", format!("{error:#}")));
            }
        }
        self.last_errors = failures.clone();
        Ending { failures, lost }
    }

    /// After a cell has been answered: what can be learnt in peace.
    pub fn settle(&mut self) {
        let mut notebook = lock(&self.notebook);
        let before = notebook.type_names.text();
        let variables: Vec<String> = notebook.variables.values().map(|variable| variable.type_name.clone()).collect();
        // The arguments of a type are asked for once it is known itself.
        let mut known = Ok(());
        let mut after = String::new();
        while known.is_ok() && after != notebook.type_names.text() {
            after = notebook.type_names.text();
            for type_name in &variables {
                let _ = types::written(type_name, &mut notebook.type_names);
            }
            known = base::look_up(&self.compiler, &mut notebook.type_names);
        }
        if known.is_ok() && after != before && self.dependencies.lines().is_empty() {
            let path = self.base.folder.join(base::NAMES);
            // Other sessions may learn at the same time: what is lost is learnt again.
            let _ = gpt_lab_prepare::files::replace_file(&path, after.as_bytes());
        }
    }

    pub(super) fn say(&self, stream: Stream, text: String) {
        self.reply.send(&FromEngine::Text { stream, text });
    }

    pub(super) fn failure_at(&self, ename: &str, words: &str, cell: usize, range: Range) -> Failure {
        let mut failure = Failure::new(ename, words);
        let place = Place { cell, range };
        failure.traceback.extend(lock(&self.notebook).cells().excerpt(&place, ""));
        failure
    }

    pub(super) fn restart_process(&mut self) -> Result<()> {
        self.process = CellsProcess::start(&self.control.place, &self.output, self.control.child.clone())?;
        self.begin_process()
    }
}

/// The cell with blanks in the place of all that is not in a range, so that places keep their numbers.
fn masked(text: &str, range: &Range) -> String {
    let blank = |part: &str| part.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect::<String>();
    format!("{}{}{}", blank(&text[..range.start]), &text[range.clone()], blank(&text[range.end..]))
}
