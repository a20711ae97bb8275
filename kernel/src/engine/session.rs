//! A session at work: cells are compiled, run, and what they leave behind is taken over.

use super::assist::{self, Assist};
use super::commands::{self, Command};
use super::control::{Control, Input};
use super::dependencies::{Added, Context as DepContext, Dependencies};
use super::notebook::Notebook;
use super::output::pump::SharedOutput;
use super::output::record::Panic;
use super::process::CellsProcess;
use super::reply::Reply;
use super::running::{Finished, Run};
use super::told;
use crate::cells::{End, ToCells};
use crate::code::Range;
use crate::code::generate::{Cell as Generated, Known};
use crate::code::items;
use crate::code::parse::{self, Code};
use crate::code::source::Source;
use crate::code::split::{self, Part};
use crate::compile::attempt::{Attempt, Ready};
use crate::compile::report::Reporter;
use crate::compile::rustc::Compiler;
use crate::failure::Failure;
use crate::protocol::{Bundle, Cell, FromEngine, Stream};
use crate::session::base::{self, Base};
use crate::session::{Layout, kept_cells};
use crate::sys::lock;
use anyhow::{Context, Result};
use ra_ap_syntax::ast::{self, HasName};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::{Command as Program, Stdio};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

/// The first cell of a process: it prepares the process, and loads `gpt_lab`.
const BEGIN: &str = "#[unsafe(no_mangle)] pub extern \"C\" fn __gpt_lab_run(host: &'static gpt_lab_cell::Host) -> u32 {\n\
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
    fn begin_process(&self) -> Result<()> {
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

    fn run(&self, library: &Path, allow_stdin: bool) -> Finished {
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
        for type_name in variables {
            let _ = crate::code::types::written(&type_name, &mut notebook.type_names);
        }
        let known = base::look_up(&self.compiler, &mut notebook.type_names);
        let after = notebook.type_names.text();
        if known.is_ok() && after != before && self.dependencies.lines().is_empty() {
            let path = self.base.folder.join(base::NAMES);
            // Other sessions may learn at the same time: what is lost is learnt again.
            let _ = crate::sys::files::replace_file(&path, after.as_bytes());
        }
    }

    /// The value of an expression, as a Jupyter client wants it in its `user_expressions`.
    pub fn evaluate(&mut self, expression: &str, name: &str) -> Value {
        let number = lock(&self.notebook).add(expression, name);
        match self.rust(number, 0..expression.len(), false, true, true) {
            Ok(()) => {
                let value = self.last_value.take();
                json!({"status": "ok", "data": value.unwrap_or_default(), "metadata": {}})
            }
            Err(failures) => {
                let failure = failures.into_iter().next().unwrap_or_else(|| Failure::new("error", "it failed"));
                let Failure { ename, evalue, traceback } = failure;
                json!({"status": "error", "ename": ename, "evalue": evalue, "traceback": traceback})
            }
        }
    }

    /// Asks for completion or documentation; the answer comes from elsewhere.
    pub fn ask(&mut self, assist: &Assist, id: u64, is_documentation: bool, code: &str, offset: usize) {
        let own = format!("gpt_lab = {{ path = {:?} }}", self.layout.gpt_lab().display().to_string());
        let lines = [vec![own], self.dependencies.lines()].concat();
        let question = assist::question(&mut lock(&self.notebook), &lines, id, is_documentation, code, offset);
        assist.ask(question);
    }

    /// What the compiler says about code that is not run.
    pub fn check(&mut self, code: &str) -> Vec<Value> {
        let mut notebook = lock(&self.notebook);
        let number = notebook.add(code, "cell");
        let mut problems = Vec::new();
        for part in split::parts(code) {
            let Part::Rust(range) = part else { continue };
            let masked = masked(code, &range);
            let Some(parsed) = parse::parse(&masked) else { continue };
            let items = notebook.items.with(items::of(&parsed, code, number));
            let generation = notebook.generation + u64::from(notebook.items.changes_a_type(&items));
            let variables = notebook.known(generation);
            let Notebook { texts, settings, .. } = &*notebook;
            let generated = Generated {
                number,
                texts,
                code: &parsed,
                items: &items,
                variables: &variables,
                settings,
                whole: range,
            };
            let choices = crate::code::generate::Choices { plain: true, ..Default::default() };
            let made = generated.make(&choices);
            let Ok(compiled) = self.compiler.check(made.source.text()) else { continue };
            let missing = |name: &str| notebook.missing(name);
            let reporter =
                Reporter { cells: notebook.cells(), source: &made.source, file: &compiled.file, missing: &missing };
            for message in compiled.messages.iter().filter(|message| message.is_error()) {
                problems.extend(problem(&reporter, &notebook, number, message));
            }
        }
        notebook.texts.pop();
        notebook.names.pop();
        problems
    }

    fn say(&self, stream: Stream, text: String) {
        self.reply.send(&FromEngine::Text { stream, text });
    }

    // -- Rust

    fn rust(&mut self, number: usize, range: Range, allow_stdin: bool, is_last: bool, quiet: bool) -> Outcome {
        let begin = Instant::now();
        let text = lock(&self.notebook).texts[number].clone();
        let masked = masked(&text, &range);
        let Some(code) = self.understood(number, &text, &masked, &range)? else { return Ok(()) };
        self.extern_crates(&code)?;
        let rebuilt = self.refresh()?;
        let (ready, outdated) = self.compile(number, &text, &code, range)?;
        let compile_time = begin.elapsed();
        let mut lost = rebuilt;
        lost.extend(self.commit(number, &ready, &outdated));
        for note in &ready.notes {
            self.say(Stream::Stderr, note.clone());
        }
        self.hints(&code);
        lock(&self.output).begin(quiet, is_last);
        lock(&self.notebook).remember(&ready.file, ready.made.source.clone());
        let began = Instant::now();
        let finished = self.run(&ready.library, allow_stdin);
        if self.timing {
            self.tell_time(compile_time, began.elapsed());
        }
        self.finish(number, &code, &ready, finished, lost)
    }

    /// The code taken apart, or what is wrong with it.
    fn understood(&self, number: usize, text: &str, masked: &str, range: &Range) -> Result<Option<Code>, Vec<Failure>> {
        if split::unbalanced(masked).is_some() {
            // As a file of its own, so that the compiler speaks of the learner's brackets only.
            return Err(self.syntax_errors(number, range, ["", ""]));
        }
        if split::is_blank(masked) {
            return Ok(None);
        }
        if masked.trim_start().starts_with('?') {
            let words = "this is how IPython is asked; here Shift-Tab behind a name shows its documentation";
            return Err(vec![self.failure_at("error", words, number, range.clone())]);
        }
        let Some(code) = parse::parse(masked) else {
            return Err(self.syntax_errors(number, range, ["fn cell() {\n", "\n}"]));
        };
        if let Some(ending) = code.returns.iter().find(|ending| ending.has_value) {
            let words = "a cell has nobody to return a value to; write the value as the last line, without `return`";
            return Err(vec![self.failure_at("error", words, number, ending.range.clone())]);
        }
        if code.awaits && !lock(&self.notebook).settings.tokio {
            let place = text[range.clone()]
                .find(".await")
                .map_or(range.clone(), |at| range.start + at + 1..range.start + at + 6);
            let words = "a cell that waits with `.await` needs a runtime: `:dep tokio = { version = \"1\", features = [\"full\"] }`";
            return Err(vec![self.failure_at("error[E0728]", words, number, place)]);
        }
        Ok(Some(code))
    }

    fn failure_at(&self, ename: &str, words: &str, cell: usize, range: Range) -> Failure {
        let mut failure = Failure::new(ename, words);
        let place = crate::compile::report::Place { cell, range };
        failure.traceback.extend(lock(&self.notebook).cells().excerpt(&place, ""));
        failure
    }

    /// What the compiler says about code that is no Rust.
    fn syntax_errors(&self, number: usize, range: &Range, [before, after]: [&str; 2]) -> Vec<Failure> {
        let notebook = lock(&self.notebook);
        let text = &notebook.texts[number];
        let mut source = Source::default();
        source.kernel(before);
        source.cell(number, text, range.clone());
        source.kernel(after);
        let no_match = || vec![Failure::new("error", "this cell is no Rust, and the compiler does not say why")];
        let Ok(compiled) = self.compiler.check(source.text()) else { return no_match() };
        let missing = |_: &str| None;
        let reporter = Reporter { cells: notebook.cells(), source: &source, file: &compiled.file, missing: &missing };
        let errors =
            compiled.messages.iter().filter(|message| message.is_error() && !message.message.starts_with("aborting"));
        let mut reports: Vec<Failure> = errors.map(|message| reporter.report(message)).take(2).collect();
        if reports.is_empty() {
            reports = no_match();
        }
        if let Some(hint) = foreign(&text[range.clone()])
            && let Some(first) = reports.first_mut()
        {
            first.traceback.push(format!(
                "  {}note:{} {hint}",
                crate::failure::colour::BOLD,
                crate::failure::colour::PLAIN
            ));
        }
        reports
    }

    /// `extern crate x;` of a crate that is not there yet is a `:dep`.
    fn extern_crates(&mut self, code: &Code) -> Result<(), Vec<Failure>> {
        let wanted = code.items.iter().filter_map(|item| match item {
            ast::Item::ExternCrate(item) => item.name_ref().map(|name| name.text().to_string()),
            _ => None,
        });
        let known = ["std", "core", "alloc", "proc_macro", "test", "self"];
        for name in wanted.filter(|name| !known.contains(&name.as_str())) {
            if !self.compiler.kit.named.contains_key(&name) {
                self.depend(&name)?;
            }
        }
        Ok(())
    }

    fn compile(
        &self,
        number: usize,
        text: &str,
        code: &Code,
        whole: Range,
    ) -> Result<(Ready, HashMap<String, String>), Vec<Failure>> {
        let mut notebook = lock(&self.notebook);
        let new = items::of(code, text, number);
        let names: HashSet<String> =
            new.iter().flat_map(|item| item.declared().map(str::to_owned).collect::<Vec<_>>()).collect();
        let mut items = notebook.items.with(new);
        items.take_up(&names);
        let outdated: HashMap<String, String> = notebook.outdated(&items).into_iter().collect();
        let generation = notebook.generation + u64::from(notebook.items.changes_a_type(&items));
        let mut variables: BTreeMap<String, Known> = notebook.known(generation);
        variables.retain(|name, _| !outdated.contains_key(name));
        let notebook = &*notebook;
        let missing = |name: &str| {
            let reason = outdated.get(name).map(|reason| format!("`{name}` would be lost: {reason} in this cell"));
            reason.or_else(|| notebook.missing(name))
        };
        let control = &self.control;
        let attempt = Attempt {
            compiler: &self.compiler,
            generation,
            cells: notebook.cells(),
            missing: &missing,
            is_stopped: &|| control.is_stopped(),
        };
        let cell = Generated {
            number,
            texts: &notebook.texts,
            code,
            items: &items,
            variables: &variables,
            settings: &notebook.settings,
            whole,
        };
        match attempt.run(&cell) {
            Ok(Ok(ready)) => Ok((ready, outdated)),
            Ok(Err(refused)) => Err(refused),
            Err(error) => Err(vec![Failure::new("error", format!("{error:#}"))]),
        }
    }

    /// Takes over the items of a cell; returns the lines about variables that are lost by it.
    fn commit(&self, number: usize, ready: &Ready, outdated: &HashMap<String, String>) -> Vec<Loss> {
        let mut notebook = lock(&self.notebook);
        let name = notebook.names[number].clone();
        let lost = notebook.commit(ready.items.clone(), &name);
        let names: Vec<String> = outdated.keys().cloned().collect();
        if !names.is_empty() {
            self.process.send(&ToCells::Forget { names }, None);
        }
        lost.into_iter().map(|(name, reason)| (name, format!("{reason} in this cell"))).collect()
    }

    /// What a learner may not expect of some items.
    fn hints(&self, code: &Code) {
        let is_test_module = |item: &ast::Item| {
            let mut attributes = ast::HasAttrs::attrs(item);
            attributes.any(|attribute| ra_ap_syntax::AstNode::syntax(&attribute).text() == "#[cfg(test)]")
        };
        if code.items.iter().any(is_test_module) {
            self.say(
                Stream::Stderr,
                "note: what is for tests only (`#[cfg(test)]`) is left out in a notebook\n".to_owned(),
            );
        }
        let functions =
            code.items.iter().filter_map(|item| if let ast::Item::Fn(item) = item { Some(item) } else { None });
        for function in functions {
            let Some(name) = function.name().map(|name| name.text().to_string()) else { continue };
            let is_test = ast::HasAttrs::attrs(function)
                .any(|attribute| ra_ap_syntax::AstNode::syntax(&attribute).text() == "#[test]");
            if is_test {
                self.say(
                    Stream::Stderr,
                    format!("note: tests are not run by themselves in a notebook: call `{name}()`\n"),
                );
            } else if name == "main" && !code.words.contains("main") {
                self.say(Stream::Stderr, "note: a notebook does not run `main` by itself: call `main()`\n".to_owned());
            }
        }
    }

    fn finish(
        &mut self,
        number: usize,
        code: &Code,
        ready: &Ready,
        finished: Finished,
        losses: Vec<Loss>,
    ) -> Outcome {
        let mut record = lock(&self.output).take_record();
        self.last_value = record.value.take();
        let notebook = self.notebook.clone();
        let mut notebook = lock(&notebook);
        let name = notebook.names[number].clone();
        let (end, variables) = match finished {
            Finished::Ended { end, variables } => (end, variables),
            Finished::Gone => {
                drop(notebook);
                return Err(vec![self.gone(record.panic.as_ref().map(|panic| panic.message.clone()))]);
            }
        };
        notebook.keep(record.put, &code.lets);
        let failed = end != End::Well;
        let variables = if failed { variables } else { self.without_hidden(code, ready, variables) };
        // What the cell has made anew is no loss.
        let losses = losses.iter().filter(|(name, _)| !variables.contains(name));
        let mut lost: Vec<String> = losses.map(|(name, reason)| told::lost(name, reason)).collect();
        for gone in notebook.forget_all_but(&variables) {
            let reason = if failed { "moved by this cell before it failed" } else { "" };
            notebook.gone.insert(gone.clone(), format!("was moved by {name}"));
            if failed {
                lost.push(told::lost(&gone, reason));
            }
        }
        let missing: Vec<String> = notebook.not_kept(code, &variables);
        for gone in &missing {
            let reason =
                if failed { format!("was made by {name}, which failed") } else { not_kept(ready, gone, &name) };
            notebook.gone.insert(gone.clone(), reason);
        }
        if failed && !missing.is_empty() {
            lost.push(format!("not kept: {} (this cell failed before its end)", told::names(&missing)));
        }
        let mut failure = match end {
            End::Well => {
                lost.extend(missing.iter().filter_map(|gone| Some(told::not_kept(gone, borrowed(ready, gone)?))));
                let nameless = notebook.nameless(code);
                lost.extend(nameless.iter().map(|gone| told::not_kept(gone, NAMELESS)));
                drop(notebook);
                if !lost.is_empty() {
                    self.say(Stream::Stderr, lost.join("\n") + "\n");
                }
                return Ok(());
            }
            End::Error => {
                let error = record.error.unwrap_or((0, "error".to_owned(), "a `?` ended the cell".to_owned()));
                told::question(&notebook, number, code, &ready.file, &error)
            }
            End::Panic => {
                let known = record.panic.unwrap_or_else(|| Panic {
                    message: record.caught.unwrap_or_else(|| "the cell panicked".to_owned()),
                    place: record.printed_place.unwrap_or_default(),
                    ..Panic::default()
                });
                told::panic(&notebook, number, &known)
            }
            End::Misfit => {
                Failure::new("error", "a variable is not of the type that the kernel took it for; nothing was run")
            }
            End::NotLoaded(why) => Failure::new("error", format!("the compiled cell cannot be loaded: {why}")),
        };
        failure.traceback.extend(lost);
        Err(vec![failure])
    }

    /// The variables that are there after a cell that went well: an old one whose name the cell has given to another is
    /// not, even if that other is not kept.
    fn without_hidden(&self, code: &Code, ready: &Ready, mut variables: Vec<String>) -> Vec<String> {
        let is_hidden = |name: &String| {
            ready.choices.not_kept.contains(&(name.clone(), None)) && code.lets.iter().any(|binding| binding.name == *name)
        };
        let names: Vec<String> = variables.iter().filter(|name| is_hidden(name)).cloned().collect();
        if !names.is_empty() {
            variables.retain(|name| !names.contains(name));
            self.process.send(&ToCells::Forget { names }, None);
        }
        variables
    }

    /// The report of the end of the process.
    fn gone(&self, panic: Option<String>) -> Failure {
        let status = self.process.wait();
        let how = status.map_or_else(|| "for an unknown reason".to_owned(), |status| status.to_string());
        let why = panic.map(|message| format!(" ({message})")).unwrap_or_default();
        lock(&self.notebook).lose_variables("was lost when the process of the cells ended");
        Failure::new("ProcessEnded", format!("the process that runs the cells ended: {how}{why}"))
    }

    fn restart_process(&mut self) -> Result<()> {
        self.process = CellsProcess::start(&self.control.place, &self.output, self.control.child.clone())?;
        self.begin_process()
    }

    // -- Commands

    fn command(&mut self, number: usize, range: Range, is_last: bool) -> Outcome {
        let line = lock(&self.notebook).texts[number][range.clone()].to_owned();
        let understood = commands::command(&line, &mut lock(&self.notebook));
        let command = understood.map_err(|words| vec![self.failure_at("error", &words, number, range.clone())])?;
        match command {
            Command::Say(text, html) => self.show(text, html, is_last),
            Command::Dep(line) => {
                return self.depend(&line).map_err(|mut failures| {
                    let place = crate::compile::report::Place { cell: number, range };
                    let lines = lock(&self.notebook).cells().excerpt(&place, "");
                    failures
                        .iter_mut()
                        .take(1)
                        .for_each(|failure| failure.traceback.splice(1..1, lines.clone()).for_each(drop));
                    failures
                });
            }
            Command::Restart => self.restart(false)?,
            Command::Clear => self.restart(true)?,
            Command::Env(name, value) => self.set_variable(&name, &value)?,
            Command::BuildEnv(name, value) => {
                self.compiler.variables.push((name.clone(), value.clone()));
                self.dependencies.variables.push((name, value));
            }
            Command::Offline(offline) => {
                self.dependencies.offline = offline;
                self.show(format!("Offline mode: {offline}"), None, is_last);
            }
            Command::Optimise(level) => {
                let default = if self.compiler.opt_level == "1" { "3" } else { "1" };
                self.compiler.opt_level = if level.is_empty() { default.to_owned() } else { level };
                self.show(format!("Optimization: {}", self.compiler.opt_level), None, is_last);
            }
            Command::Timing => {
                self.timing = !self.timing;
                self.show(format!("Timing: {}", self.timing), None, is_last);
            }
            Command::Explain => self.explain(is_last)?,
            Command::LastErrors => {
                let text = serde_json::to_string_pretty(&self.last_errors).unwrap_or_default();
                self.show(text, None, is_last);
            }
            Command::CompileDir => self.show(self.compiler.folder.display().to_string(), None, is_last),
            Command::ShowDeps => {
                let lines = self.dependencies.lines();
                let own = format!("gpt_lab = {{ path = {:?} }}", self.layout.gpt_lab().display().to_string());
                self.show([vec![own], lines].concat().join("\n"), None, is_last);
            }
            Command::Doc(name) => {
                let words = format!("the documentation of {name:?} is shown by Shift-Tab behind the name");
                self.show(words, None, is_last);
            }
            Command::Quit => std::process::exit(0),
        }
        Ok(())
    }

    fn show(&self, text: String, html: Option<String>, is_result: bool) {
        let mut data = Bundle::from_iter([("text/plain".to_owned(), Value::String(text))]);
        data.extend(html.map(|html| ("text/html".to_owned(), Value::String(html))));
        self.reply.send(&if is_result { FromEngine::Result { data } } else { FromEngine::Display { data } });
    }

    /// Adds a crate.
    fn depend(&mut self, line: &str) -> Outcome {
        let directory = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        let context = DepContext {
            layout: &self.layout,
            base: &self.base,
            kit: &self.compiler.kit,
            session: &self.control.place.dir,
            directory: &directory,
        };
        let mut bar = Progress::new(&self.reply);
        let added = self.dependencies.add(line, &context, &mut |line| bar.line(line));
        bar.end();
        match added {
            Ok(Added::Known) => Ok(()),
            Ok(Added::Kit(kit)) => {
                let mut notebook = lock(&self.notebook);
                let before = self.compiler.kit.called();
                for (name, called) in kit.called() {
                    if before.get(&name) != Some(&called) {
                        notebook.type_names.add_crate(&name, &called);
                    }
                }
                self.compiler.kit = *kit;
                notebook.settings.tokio = self.compiler.kit.named.contains_key("tokio");
                Ok(())
            }
            Err(_) if self.control.is_stopped() => {
                Err(vec![Failure::new("Interrupted", "stopped; the session is as it was before")])
            }
            Err(words) => Err(vec![Failure::new("error", words)]),
        }
    }

    /// Builds the learner's own crates again if they have changed; returns the lines about variables that are lost by it.
    fn refresh(&mut self) -> Result<Vec<Loss>, Vec<Failure>> {
        let directory = PathBuf::from("/");
        let context = DepContext {
            layout: &self.layout,
            base: &self.base,
            kit: &self.compiler.kit,
            session: &self.control.place.dir,
            directory: &directory,
        };
        let mut bar = Progress::new(&self.reply);
        let built = self.dependencies.refresh(&context, &mut |line| bar.line(line));
        let built = built.map_err(|words| vec![Failure::new("error", words)])?;
        let Some((kit, names)) = built else { return Ok(Vec::new()) };
        bar.end();
        self.compiler.kit = kit;
        let lost = lock(&self.notebook).lose_crates(&names);
        self.process.send(&ToCells::Forget { names: lost.iter().map(|(name, _)| name.clone()).collect() }, None);
        Ok(lost)
    }

    fn restart(&mut self, with_items: bool) -> Outcome {
        self.process.kill();
        self.process.wait();
        let started = self.restart_process();
        let mut notebook = lock(&self.notebook);
        if with_items {
            notebook.clear();
        } else {
            notebook.variables.clear();
            notebook.gone.clear();
        }
        started.map_err(|error| vec![Failure::new("KernelNotReady", format!("{error:#}"))])
    }

    /// Sets an environment variable for the cells, from within: the process has threads of its own.
    fn set_variable(&mut self, name: &str, value: &str) -> Outcome {
        let code = format!("unsafe {{ ::std::env::set_var({name:?}, {value:?}) }};");
        let number = lock(&self.notebook).add(&code, "the kernel's own code");
        self.rust(number, 0..code.len(), false, true, true)
    }

    fn explain(&self, is_last: bool) -> Outcome {
        let number = self
            .last_errors
            .first()
            .and_then(|failure| Some(failure.ename.split_once('[')?.1.trim_end_matches(']').to_owned()));
        let number = number.filter(|number| number.starts_with('E'));
        let Some(number) = number else {
            self.show("the latest error has no number to explain".to_owned(), None, is_last);
            return Ok(());
        };
        let output = Program::new(&self.compiler.kit.rustc).args(["--explain", &number]).output();
        let text = output
            .map_or_else(|error| error.to_string(), |output| String::from_utf8_lossy(&output.stdout).into_owned());
        self.show(text.trim().to_owned(), None, is_last);
        Ok(())
    }

    /// Runs a line of the shell; what it prints is the cell's output.
    fn shell(&self, line: &str) -> Outcome {
        let command = line.trim_start_matches('!').trim();
        let mut shell = Program::new("sh");
        shell.args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let failed = |words: String| Err(vec![Failure::new("error", words)]);
        let mut child = match shell.spawn() {
            Ok(child) => child,
            Err(error) => return failed(format!("the shell cannot be started: {error}")),
        };
        let stderr = child.stderr.take();
        let reply = self.reply.clone();
        let errors =
            std::thread::spawn(move || stderr.into_iter().for_each(|pipe| forward(pipe, Stream::Stderr, &reply)));
        if let Some(stdout) = child.stdout.take() {
            forward(stdout, Stream::Stdout, &self.reply);
        }
        let _ = errors.join();
        match child.wait() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => failed(format!("`{command}` ended with {status}")),
            Err(error) => failed(error.to_string()),
        }
    }

    fn magic(&self, number: usize, range: Range) -> Failure {
        let line = lock(&self.notebook).texts[number][range.clone()].to_owned();
        let hint = if line.contains("time") {
            "`:timing` shows how long cells take"
        } else if line.contains("pip") || line.contains("conda") {
            "crates come with `:dep NAME = \"VERSION\"`"
        } else {
            "`:help` lists the commands of this kernel"
        };
        self.failure_at("error", &format!("lines with % are commands of IPython; {hint}"), number, range)
    }

    fn tell_time(&self, compile: Duration, run: Duration) {
        let text = format!("compiled in {:.2} s, ran for {:.2} s\n", compile.as_secs_f64(), run.as_secs_f64());
        self.say(Stream::Stderr, text);
    }
}

/// The cell with blanks in the place of all that is not in a range, so that places keep their numbers.
fn masked(text: &str, range: &Range) -> String {
    let blank = |part: &str| part.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect::<String>();
    format!("{}{}{}", blank(&text[..range.start]), &text[range.clone()], blank(&text[range.end..]))
}

/// Why a variable of a cell that went well is not there afterwards.
fn not_kept(ready: &Ready, name: &str, cell: &str) -> String {
    match ready.choices.reasons.get(name).map(String::as_str) {
        Some("E0382" | "E0505") => format!("was moved by {cell}"),
        Some("E0381") => format!("was not given a value in {cell}"),
        Some(_) => format!("was of {cell} only: it refers to something that ended with the cell"),
        None => format!("was of {cell} only"),
    }
}

/// Why a variable is of its cell only, if it refers to something of the cell.
fn borrowed(ready: &Ready, name: &str) -> Option<&'static str> {
    let number = ready.choices.reasons.get(name)?;
    let is_other = ["E0382", "E0381"].contains(&number.as_str());
    (!is_other).then_some(
        "it refers to something that ends with this cell; keep a copy, such as `.clone()` or `.collect()` makes",
    )
}

/// Why a variable is of no use in other cells.
const NAMELESS: &str = "its type has no name that another cell could write; `.collect()` or a type annotation may help";

/// A word on habits of other languages.
fn foreign(code: &str) -> Option<&'static str> {
    let first = code.trim_start();
    let has = |word: &str| code.lines().any(|line| line.trim_start().starts_with(word));
    if first.starts_with('?') || first.trim_end().ends_with('?') && !first.contains(';') && !first.contains('(') {
        return Some("Shift-Tab behind a name shows its documentation");
    }
    if has("import ") || has("from ") {
        return Some("in Rust it is `use`, and `:dep NAME` for a crate that is not there yet");
    }
    if has("def ") {
        return Some("in Rust a function is `fn name(x: i32) -> i32 { … }`");
    }
    if has("# ") {
        return Some("comments begin with // in Rust");
    }
    None
}

/// Hands on what a program prints.
fn forward(mut pipe: impl std::io::Read, stream: Stream, reply: &Reply) {
    let mut text = crate::engine::output::Assembler::default();
    let mut buffer = [0; 1 << 14];
    while let Ok(count @ 1..) = pipe.read(&mut buffer) {
        let text = text.push(&buffer[..count]);
        reply.send(&FromEngine::Text { stream, text });
    }
}

/// A problem as the client of a check wants it.
fn problem(
    reporter: &Reporter,
    notebook: &Notebook,
    cell: usize,
    message: &crate::compile::diagnostic::Diagnostic,
) -> Option<Value> {
    let span = message.spans.iter().find(|span| span.is_primary)?;
    let place = reporter.place(span).filter(|place| place.cell == cell)?;
    let (start_line, start_column) = notebook.cells().position(cell, place.range.start);
    let (end_line, end_column) = notebook.cells().position(cell, place.range.end);
    let helps =
        message.children.iter().filter(|child| child.level == "help").map(|child| format!("help: {}", child.message));
    let parts = [span.label.clone().unwrap_or_default(), message.message.clone()].into_iter().chain(helps);
    let text = parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n");
    Some(json!({
        "message": text, "severity": message.level, "start_line": start_line, "start_column": start_column,
        "end_line": end_line, "end_column": end_column,
    }))
}

/// A bar for what cargo does.
struct Progress<'a> {
    reply: &'a Reply,
    id: String,
    begin: Instant,
    count: usize,
    last: String,
}

impl Progress<'_> {
    fn new(reply: &Reply) -> Progress<'_> {
        let id = format!("dep-{}", uuid::Uuid::new_v4().simple());
        Progress { reply, id, begin: Instant::now(), count: 0, last: String::new() }
    }

    fn line(&mut self, line: &str) {
        let line = line.trim();
        let shown = ["Compiling", "Downloading", "Downloaded", "Updating", "Locking", "Adding", "Blocking"];
        if !shown.iter().any(|word| line.starts_with(word)) {
            return;
        }
        self.count += usize::from(line.starts_with("Compiling"));
        self.last = line.to_owned();
        self.show();
    }

    fn show(&self) {
        let seconds = self.begin.elapsed().as_secs();
        let text = format!("{} · {} crates · {seconds} s", self.last, self.count);
        let bar = "<div style=\"height:8px;max-width:640px;border-radius:4px;background:repeating-linear-gradient(90deg,rgb(66,133,214) 0 24px,\
                   rgba(66,133,214,0.5) 24px 48px)\"></div>";
        let html =
            format!("{bar}<div style=\"padding-top:3px\">{}</div>", text.replace('&', "&amp;").replace('<', "&lt;"));
        let message =
            json!({"type": "display", "id": self.id, "data": {"text/plain": text, "text/html": html}, "metadata": {}});
        self.reply.send(&FromEngine::Channel { message });
    }

    fn end(mut self) {
        if self.count > 0 {
            self.last = "built".to_owned();
            self.show();
        }
    }
}

/// Expressions that a client wants, evaluated.
pub fn expressions(session: &mut Session, cell: &Cell) -> Map<String, Value> {
    let mut values = Map::new();
    for (key, expression) in &cell.expressions {
        let value = session.evaluate(expression.as_str().unwrap_or_default(), &cell.name);
        values.insert(key.clone(), value);
    }
    values
}
