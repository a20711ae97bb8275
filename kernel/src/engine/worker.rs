//! The thread that runs evcxr: the start, then one task of the relay after the other.

use super::clock::Clock;
use super::control::Control;
use super::evaluator::{Evaluator, Outcome, sentence};
use super::output::pump::SharedOutput;
use super::reply::Reply;
use super::{dependency, questions};
use crate::below::loaded;
use crate::failure::Failure;
use crate::names::{file, var};
use crate::protocol::{Cell, FromEngine, Stream, ToEngine};
use crate::session::Layout;
use crate::sys::lock;
use anyhow::Result;
use serde_json::Map;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;

/// Runs once in every process of cells: Rust's standard output keeps an unfinished line back, which must not keep a
/// learner waiting for `print!(".")`.
const FLUSHER: &str = "std::thread::spawn(|| loop { std::thread::sleep(std::time::Duration::from_millis(40)); \
    let _ = std::io::Write::flush(&mut std::io::stdout()); });";

/// The engine's main thread.
pub struct Worker {
    /// The project.
    pub layout: Layout,
    /// The running cell as others see it.
    pub control: Arc<Control>,
    /// The way to the relay.
    pub reply: Reply,
    /// The durations of the start.
    pub clock: Clock,
}

impl Worker {
    /// Starts evcxr, then handles tasks until there are no more.
    pub fn run(self, tasks: Receiver<ToEngine>, output: SharedOutput, inputs: Receiver<String>) {
        let (mut evaluator, problem) = match self.start(output, inputs) {
            Ok((evaluator, problem)) => (Some(evaluator), problem),
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        self.reply.send(&FromEngine::Ready { problem: problem.clone() });
        for task in tasks {
            match &mut evaluator {
                Some(evaluator) => self.handle(evaluator, task),
                None => self.refuse(task, problem.as_deref().unwrap_or("evcxr did not start")),
            }
        }
    }

    /// Starts evcxr, loads `gpt_lab` and rust-analyzer; a problem that comes with an evaluator leaves it usable.
    fn start(&self, output: SharedOutput, inputs: Receiver<String>) -> Result<(Evaluator, Option<String>)> {
        let mut evaluator = Evaluator::start(self.dir(), self.reply.clone(), output, inputs)?;
        self.clock.lap("evcxr");
        *lock(&self.control.child) = Some(evaluator.process());
        let problem = self.warm(&mut evaluator);
        if problem.is_none() {
            if std::env::var_os(var::KEEP_DIR).is_some() {
                // What `cargo check` needs is built too; evcxr uses it to explain some errors.
                let _ = evaluator.context.check("let x = 1;");
                self.clock.lap("check");
            } else {
                loaded::keep(self.dir())?;
            }
        }
        Ok((evaluator, problem))
    }

    /// Runs the hidden first cell: it loads `gpt_lab`, and because it binds a variable it makes evcxr load
    /// rust-analyzer, which would otherwise delay the learner's first variable. It ends like a panic, without a
    /// message, so that the variable is dropped.
    fn warm(&self, evaluator: &mut Evaluator) -> Option<String> {
        let dependency = dependency::line(&self.layout.gpt_lab());
        // Everything has been downloaded when the template was built; asking the network would only cost time.
        let offline = i32::from(std::env::var_os(var::KEEP_DIR).is_none());
        let code = format!(
            ":offline {offline}\n{dependency}\nlet warm = gpt_lab::candle_core::Device::Cpu;\n{FLUSHER}\n\
             std::panic::resume_unwind(Box::new(0));"
        );
        // evcxr has begun with a cell that uses no crates, for which cargo has forgotten the versions: say them again.
        if let Err(error) = std::fs::copy(self.dir().join(file::SEED_LOCK), self.dir().join(file::LOCK)) {
            return Some(format!("the session directory is not prepared ({error}); run `gpt_lab_kernel prepare`"));
        }
        let result = evaluator.run_hidden(&code);
        self.clock.lap("gpt_lab and rust-analyzer");
        let online = evaluator.context.execute(":offline 0");
        result.and(online).err().map(|error| format!("gpt_lab could not be loaded: {}", sentence(&error)))
    }

    /// Answers a task without evcxr.
    fn refuse(&self, task: ToEngine, problem: &str) {
        let answer = match task {
            ToEngine::Execute(_) => FromEngine::Done {
                failures: vec![Failure::new("KernelNotReady", problem)],
                lost: false,
                expressions: Map::new(),
            },
            ToEngine::Complete { .. } => FromEngine::Completions { items: Vec::new(), start: 0, end: 0 },
            ToEngine::Inspect { .. } => FromEngine::Inspected { data: None },
            ToEngine::Check { .. } => FromEngine::Checked { problems: Vec::new() },
            ToEngine::Adopt { .. } | ToEngine::Input { .. } | ToEngine::Interrupt { .. } | ToEngine::Kill => return,
        };
        self.reply.send(&answer);
    }

    fn handle(&self, evaluator: &mut Evaluator, task: ToEngine) {
        let context = &mut evaluator.context;
        match task {
            ToEngine::Execute(cell) => self.execute(evaluator, &cell),
            ToEngine::Complete { code, offset } => self.reply.send(&questions::completions(context, &code, offset)),
            ToEngine::Inspect { code, offset } => self.reply.send(&questions::documentation(context, &code, offset)),
            ToEngine::Check { code } => self.reply.send(&questions::check(context, &code)),
            ToEngine::Adopt { cwd } => self.adopt(&cwd),
            // The listener has dealt with these.
            ToEngine::Input { .. } | ToEngine::Interrupt { .. } | ToEngine::Kill => {}
        }
    }

    /// Moves to the relay's working directory, and the cells' process with us.
    fn adopt(&self, cwd: &str) {
        let _ = std::env::set_current_dir(cwd);
        if let Some(socket) = &mut *lock(&self.control.place.cell_socket) {
            let _ = writeln!(socket, "cd {cwd}");
        }
    }

    fn execute(&self, evaluator: &mut Evaluator, cell: &Cell) {
        let _ = std::fs::remove_file(&self.control.place.interrupt);
        // Before the cell can be stopped: stop sends an empty line to a cell that may be waiting for one.
        evaluator.forget_inputs();
        self.control.running.store(cell.id, Ordering::SeqCst);
        let Outcome { failures, lost } = self.run_unless_stopped(evaluator, cell);
        let mut expressions = Map::new();
        if failures.is_empty() {
            for (key, expression) in &cell.expressions {
                let value = evaluator.evaluate(expression.as_str().unwrap_or_default(), &cell.name);
                expressions.insert(key.clone(), value);
            }
        }
        self.control.running.store(0, Ordering::SeqCst);
        let _ = std::fs::remove_file(&self.control.place.interrupt);
        self.tell_change();
        self.reply.send(&FromEngine::Done { failures, lost, expressions });
        if lost {
            // A new process of cells, without what the hidden cell has started.
            let _ = evaluator.run_hidden(FLUSHER);
        }
    }

    fn run_unless_stopped(&self, evaluator: &mut Evaluator, cell: &Cell) -> Outcome {
        if self.control.stopped.load(Ordering::SeqCst) == cell.id {
            return Failure::new("Interrupted", "stopped before it began").into();
        }
        if cell.code.lines().any(|line| line.starts_with(":fmt") || line.starts_with(":types")) {
            let _ = File::create(self.dir().join(file::OWN_FORMAT));
        }
        let code = dependency::in_one_spelling(&cell.code, &self.layout.gpt_lab());
        evaluator.run_cell(&code, &cell.name, cell.allow_stdin)
    }

    /// Tells the learner, once for every change, that this session does not take part in a change of `gpt_lab`.
    fn tell_change(&self) {
        if std::fs::remove_file(self.dir().join(file::CHANGED)).is_ok() {
            let text = "[gpt_lab has changed; this session keeps what it has loaded until the kernel is restarted]\n";
            self.reply.send(&FromEngine::Text { stream: Stream::Stderr, text: text.to_owned() });
        }
    }

    fn dir(&self) -> &Path {
        &self.control.place.dir
    }
}
