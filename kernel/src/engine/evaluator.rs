//! Evcxr, and how what it says about a cell becomes what the learner sees.

use super::output::panic::Panic;
use super::output::pump::SharedOutput;
use super::output::record::Record;
use super::reply::Reply;
use super::{report, tuning};
use crate::below::{learner, tools};
use crate::failure::Failure;
use crate::names::file;
use crate::protocol::{Bundle, FromEngine};
use crate::sys::lock;
use anyhow::Result;
use evcxr::{CommandContext, Error, EvalCallbacks, EvalContext, EvalOutputs};
use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};

/// The beginning of evcxr's message about a compiler that has ended without one.
const SILENT_COMPILER: &str = "Compilation failed, but no parsable errors";
/// The words before the status in evcxr's message about a process of cells that has ended.
const ENDED: &str = "Subprocess terminated with status: ";

/// A running evcxr with its way to the learner.
pub struct Evaluator {
    /// Evcxr.
    pub context: CommandContext,
    dir: PathBuf,
    reply: Reply,
    output: SharedOutput,
    inputs: Receiver<String>,
}

/// The end of a cell.
pub struct Outcome {
    /// Its errors; none if all went well.
    pub failures: Vec<Failure>,
    /// True if the process that ran the cell is gone.
    pub lost: bool,
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Outcome {
        Outcome { failures: vec![failure], lost: false }
    }
}

impl Evaluator {
    /// Starts evcxr in a session directory.
    pub fn start(dir: &Path, reply: Reply, output: SharedOutput, inputs: Receiver<String>) -> Result<Evaluator> {
        lock(&output).begin(true);
        let started = EvalContext::with_subprocess_command(cells_process()?);
        let (context, outputs) = started.map_err(|error| anyhow::anyhow!("{error}"))?;
        tools::started(dir);
        tools::real_std(dir)?;
        // The pump takes the output before evcxr can see it; what still comes here must only not pile up.
        std::thread::spawn(move || outputs.stdout.iter().for_each(drop));
        std::thread::spawn(move || outputs.stderr.iter().for_each(drop));
        let context = CommandContext::with_eval_context(context);
        Ok(Evaluator { context, dir: dir.to_owned(), reply, output, inputs })
    }

    /// The process that runs the cells; the handle is good for those that follow it, too.
    pub fn process(&self) -> Arc<Mutex<Child>> {
        self.context.process_handle()
    }

    /// Forgets lines of input that came after the cell that asked for them had ended.
    pub fn forget_inputs(&self) {
        while self.inputs.try_recv().is_ok() {}
    }

    /// Runs code of ours of which nothing shows.
    pub fn run_hidden(&mut self, code: &str) -> Result<EvalOutputs, Error> {
        lock(&self.output).begin(true);
        let result = self.eval(code, false);
        lock(&self.output).take_record();
        result
    }

    /// Runs the learner's code.
    pub fn run_cell(&mut self, code: &str, name: &str, allow_stdin: bool) -> Outcome {
        lock(&self.output).begin(false);
        let result = self.eval(code, allow_stdin);
        let record = lock(&self.output).take_record();
        match result {
            Ok(outputs) => {
                if !outputs.content_by_mime_type.is_empty() {
                    self.reply.send(&FromEngine::Result { data: bundle(outputs) });
                }
                Outcome { failures: self.own_failure(&record, code, name).into_iter().collect(), lost: false }
            }
            Err(Error::CompilationErrors(errors)) => {
                let mut failures = report::compile_errors(&errors, name, code);
                if failures.is_empty() {
                    failures.push(Failure::new("error", "the cell could not be compiled"));
                }
                Outcome { failures, lost: false }
            }
            Err(Error::SubprocessTerminated(status)) => {
                let failure = Failure::new("ProcessEnded", ended(&status, record.panic.as_ref()));
                Outcome { failures: vec![failure], lost: true }
            }
            Err(error) => Failure::new("error", sentence(&error)).into(),
        }
    }

    /// The value of an expression, as a Jupyter client wants it in its `user_expressions`.
    pub fn evaluate(&mut self, expression: &str, name: &str) -> Value {
        lock(&self.output).begin(true);
        let result = self.eval(expression, false);
        let record = lock(&self.output).take_record();
        let failure = match result {
            Ok(_) => self.own_failure(&record, expression, name),
            Err(error) => Some(Failure::new("error", sentence(&error))),
        };
        match failure {
            None => json!({"status": "ok", "data": record.value.unwrap_or_default(), "metadata": {}}),
            Some(Failure { ename, evalue, traceback }) => {
                json!({"status": "error", "ename": ename, "evalue": evalue, "traceback": traceback})
            }
        }
    }

    fn eval(&mut self, code: &str, allow_stdin: bool) -> Result<EvalOutputs, Error> {
        let Evaluator { context, reply, output, inputs, .. } = self;
        let ask = |password: bool| {
            if !allow_stdin {
                return String::new();
            }
            let prompt = std::mem::take(&mut lock(output).record().prompt);
            reply.send(&FromEngine::InputRequest { prompt, password });
            inputs.recv().unwrap_or_default()
        };
        let run = || {
            let mut callbacks = EvalCallbacks { input_reader: &|request| ask(request.is_password) };
            context.execute_with_callbacks(code, &mut callbacks)
        };
        catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
            Err(Error::Message("evcxr itself failed on this cell; nothing was run, all variables are kept".to_owned()))
        })
    }

    /// A panic or a `?` that evcxr reports as success.
    fn own_failure(&self, record: &Record, code: &str, name: &str) -> Option<Failure> {
        let generated = std::fs::read_to_string(self.dir.join(file::SOURCE)).unwrap_or_default();
        if record.panicked {
            return Some(match &record.panic {
                Some(panic) => report::panic(panic, name, code, &generated),
                None => Failure::new("panic", "the cell panicked"),
            });
        }
        if !record.question {
            return None;
        }
        Some(match &record.error {
            Some((line, type_name, message)) => {
                let place = report::locate(code, &generated, *line, None).or_else(|| report::only_question_mark(code));
                report::question(type_name, message, name, place.as_ref())
            }
            None => report::question("Error", "a `?` ended the cell", name, report::only_question_mark(code).as_ref()),
        })
    }
}

/// This binary once more, as the process that runs the cells (`below/cell.rs`), in the learner's environment.
fn cells_process() -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    learner::give_back(&mut command).envs(tuning::cells());
    Ok(command)
}

fn ended(status: &str, panic: Option<&Panic>) -> String {
    let how = status.rsplit(ENDED).next().unwrap_or(status).trim();
    let why = panic.map(|panic| format!(" ({})", panic.message)).unwrap_or_default();
    format!("the process that runs the cells ended: {how}{why}")
}

/// An error of evcxr's in one sentence.
pub fn sentence(error: &Error) -> String {
    match error {
        Error::Message(text) if text.starts_with(SILENT_COMPILER) => {
            "the compiler ended without saying why; nothing was run, all variables are kept".to_owned()
        }
        Error::CompilationErrors(errors) => {
            errors.iter().map(evcxr::CompilationError::message).collect::<Vec<_>>().join("; ")
        }
        other => other.to_string().trim_end().to_owned(),
    }
}

fn bundle(outputs: EvalOutputs) -> Bundle {
    outputs.content_by_mime_type.into_iter().map(|(mime, text)| (mime, Value::String(text))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_a_dead_process_is_cut_to_the_point() {
        let status = format!("some text\n{ENDED}signal: 9 (SIGKILL)");
        assert_eq!(ended(&status, None), "the process that runs the cells ended: signal: 9 (SIGKILL)");
    }
}
