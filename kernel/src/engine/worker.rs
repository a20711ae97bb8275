//! The thread that runs evcxr.

use super::clock::Clock;
use super::control::Control;
use super::output::gather::Record;
use super::output::panic::Panic;
use super::output::pump::SharedOutput;
use super::reply::Reply;
use super::report;
use crate::below::{home, loaded};
use crate::failure::Failure;
use crate::names::{file, var};
use crate::protocol::{Bundle, Cell, Completion, FromEngine, Stream, ToEngine};
use crate::session::Layout;
use crate::sys::lock;
use anyhow::Result;
use evcxr::{CommandContext, Error, EvalCallbacks, EvalOutputs};
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;

/// Runs once in every process of cells: Rust's standard output keeps an unfinished line back, which must not keep a
/// learner waiting for `print!(".")`.
const FLUSHER: &str = "std::thread::spawn(|| loop { std::thread::sleep(std::time::Duration::from_millis(40)); \
    let _ = std::io::Write::flush(&mut std::io::stdout()); });";

/// Runs evcxr.
pub struct Worker {
    pub layout: Layout,
    pub control: Arc<Control>,
    pub reply: Reply,
    pub output: SharedOutput,
    pub inputs: Receiver<String>,
    pub clock: Clock,
}

impl Worker {
    pub fn run(self, tasks: Receiver<ToEngine>) {
        let (mut context, problem) = match self.start() {
            Ok((context, problem)) => (Some(context), problem),
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        self.reply.send(&FromEngine::Ready { problem: problem.clone() });
        for task in tasks {
            match &mut context {
                Some(context) => self.handle(context, task),
                None => self.refuse(task, problem.as_deref().unwrap_or("evcxr did not start")),
            }
        }
    }

    /// Starts evcxr, loads `gpt_lab` and rust-analyzer.
    fn start(&self) -> Result<(CommandContext, Option<String>)> {
        lock(&self.output).begin(true);
        let (mut context, outputs) = self.start_evcxr()?;
        self.clock.lap("evcxr");
        *lock(&self.control.child) = Some(context.process_handle());
        // The pump takes the output before evcxr can see it; what still comes here must only not pile up.
        std::thread::spawn(move || outputs.stdout.iter().for_each(drop));
        std::thread::spawn(move || outputs.stderr.iter().for_each(drop));
        let problem = self.warm(&mut context);
        if problem.is_none() {
            if std::env::var_os(var::KEEP_DIR).is_some() {
                // What `cargo check` needs is built too; evcxr uses it to explain some errors.
                let _ = context.check("let x = 1;");
                self.clock.lap("check");
            } else {
                loaded::keep(&self.control.place.session.dir)?;
            }
        }
        Ok((context, problem))
    }

    /// evcxr begins with a cell of its own, `42`, for which rust-analyzer reads the whole standard library; the first
    /// cell with a dependency makes it read everything again. So the first time there is next to nothing to read.
    fn start_evcxr(&self) -> Result<(CommandContext, evcxr::EvalContextOutputs)> {
        let dir = &self.control.place.session.dir;
        let nothing = dir.join(file::NO_STD);
        std::fs::create_dir_all(nothing.join("core/src"))?;
        std::fs::write(nothing.join("core/src/lib.rs"), "")?;
        let mut meanwhile = vec![(var::RUST_SRC_PATH, nothing.into_os_string())];
        if let Some(rustc) = std::env::var_os(var::RUSTC) {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let tools = home::tools(dir, Path::new(&rustc))?;
            meanwhile.push(("PATH", std::env::join_paths(std::iter::once(tools).chain(std::env::split_paths(&path)))?));
        }
        let before: Vec<_> = meanwhile.iter().map(|(name, _)| (*name, std::env::var_os(name))).collect();
        // The other threads, all ours, do not look at the environment now.
        meanwhile.iter().for_each(|(name, value)| unsafe { std::env::set_var(name, value) });
        let started = CommandContext::new().map_err(|error| anyhow::anyhow!("{error}"));
        for (name, value) in before {
            match value {
                Some(value) => unsafe { std::env::set_var(name, value) },
                None => unsafe { std::env::remove_var(name) },
            }
        }
        started
    }

    /// Runs the hidden first cell: it loads `gpt_lab`, and because it binds a variable it makes evcxr load
    /// rust-analyzer, which would otherwise delay the learner's first variable. It ends like a panic, without a
    /// message, so that the variable is dropped.
    fn warm(&self, context: &mut CommandContext) -> Option<String> {
        let dep = dep_line(&self.layout.gpt_lab());
        // Everything has been downloaded when the template was built; asking the network would only cost time.
        let offline = i32::from(std::env::var_os(var::KEEP_DIR).is_none());
        let code = format!(
            ":offline {offline}\n{dep}\nlet warm = gpt_lab::candle_core::Device::Cpu;\n{FLUSHER}\n\
             std::panic::resume_unwind(Box::new(0));"
        );
        // evcxr has begun with a cell that uses no crates, for which cargo has forgotten the versions: say them again.
        let dir = &self.control.place.session.dir;
        if let Err(error) = std::fs::copy(dir.join(file::SEED_LOCK), dir.join(file::LOCK)) {
            return Some(format!("the session directory is not prepared ({error}); run `gpt_lab_kernel prepare`"));
        }
        lock(&self.output).begin(true);
        let result = self.eval(context, &code, false);
        lock(&self.output).take_record();
        self.clock.lap("gpt_lab and rust-analyzer");
        let online = context.execute(":offline 0");
        result.and(online).err().map(|error| format!("gpt_lab could not be loaded: {}", sentence(&error)))
    }

    fn refuse(&self, task: ToEngine, problem: &str) {
        let done = FromEngine::Done {
            failures: vec![Failure::new("KernelNotReady", problem)],
            lost: false,
            expressions: Map::new(),
        };
        match task {
            ToEngine::Execute(_) => self.reply.send(&done),
            ToEngine::Complete { .. } => self.reply.send(&no_completions()),
            ToEngine::Inspect { .. } => self.reply.send(&FromEngine::Inspected { data: None }),
            ToEngine::Check { .. } => self.reply.send(&FromEngine::Checked { problems: Vec::new() }),
            _ => {}
        }
    }

    fn handle(&self, context: &mut CommandContext, task: ToEngine) {
        match task {
            ToEngine::Execute(cell) => {
                if self.execute(context, &cell) {
                    // A new process of cells, without what the hidden cell has started.
                    lock(&self.output).begin(true);
                    let _ = self.eval(context, FLUSHER, false);
                    lock(&self.output).take_record();
                }
            }
            ToEngine::Complete { code, offset } => self.reply.send(&complete(context, &code, offset)),
            ToEngine::Inspect { code, offset } => {
                let found = catch_unwind(AssertUnwindSafe(|| context.hover_at(&code, word_end(&code, offset))));
                let data = match found {
                    Ok(Ok((plain, html))) if plain != "No documentation found" => {
                        Some(bundle([("text/plain", plain), ("text/html", html)]))
                    }
                    _ => None,
                };
                self.reply.send(&FromEngine::Inspected { data });
            }
            ToEngine::Check { code } => {
                let errors = catch_unwind(AssertUnwindSafe(|| context.check(&code).unwrap_or_default()));
                let problems = errors.unwrap_or_default().iter().filter_map(check_problem).collect();
                self.reply.send(&FromEngine::Checked { problems });
            }
            ToEngine::Adopt { cwd } => {
                let _ = std::env::set_current_dir(&cwd);
                if let Some(socket) = &mut *lock(&self.control.place.cell_socket) {
                    let _ = writeln!(socket, "cd {cwd}");
                }
            }
            ToEngine::Input { .. } | ToEngine::Interrupt { .. } | ToEngine::Kill => {}
        }
    }

    /// Runs a cell; whether the process that ran it is gone.
    fn execute(&self, context: &mut CommandContext, cell: &Cell) -> bool {
        let _ = std::fs::remove_file(&self.control.place.interrupt);
        while self.inputs.try_recv().is_ok() {}
        self.control.running.store(cell.id, Ordering::SeqCst);
        if cell.code.lines().any(|line| line.starts_with(":fmt") || line.starts_with(":types")) {
            let _ = File::create(self.control.place.session.dir.join(file::OWN_FORMAT));
        }
        let stopped = self.control.stopped.load(Ordering::SeqCst) == cell.id;
        let (failures, lost) = if stopped {
            (vec![Failure::new("Interrupted", "stopped before it began")], false)
        } else {
            self.run_cell(context, &same_gpt_lab(&cell.code, &self.layout.gpt_lab()), &cell.name, cell.allow_stdin)
        };
        let mut expressions = Map::new();
        if failures.is_empty() {
            for (key, expression) in &cell.expressions {
                let value = self.evaluate(context, expression.as_str().unwrap_or_default(), &cell.name);
                expressions.insert(key.clone(), value);
            }
        }
        self.control.running.store(0, Ordering::SeqCst);
        let _ = std::fs::remove_file(&self.control.place.interrupt);
        self.tell_change();
        self.reply.send(&FromEngine::Done { failures, lost, expressions });
        lost
    }

    /// Once for every change of `gpt_lab` that this session does not take part in.
    fn tell_change(&self) {
        if std::fs::remove_file(self.control.place.session.dir.join(file::CHANGED)).is_ok() {
            let text = "[gpt_lab has changed; this session keeps what it has loaded until the kernel is restarted]\n";
            self.reply.send(&FromEngine::Text { stream: Stream::Stderr, text: text.to_owned() });
        }
    }

    fn run_cell(
        &self,
        context: &mut CommandContext,
        code: &str,
        name: &str,
        allow_stdin: bool,
    ) -> (Vec<Failure>, bool) {
        lock(&self.output).begin(false);
        let result = self.eval(context, code, allow_stdin);
        let record = lock(&self.output).take_record();
        match result {
            Ok(outputs) => {
                if !outputs.content_by_mime_type.is_empty() {
                    self.reply.send(&FromEngine::Result { data: bundle(outputs.content_by_mime_type) });
                }
                (self.own_failure(&record, code, name).into_iter().collect(), false)
            }
            Err(Error::CompilationErrors(errors)) => {
                let mut failures = report::compile_errors(&errors, name, code);
                if failures.is_empty() {
                    failures.push(Failure::new("error", "the cell could not be compiled"));
                }
                (failures, false)
            }
            Err(Error::SubprocessTerminated(status)) => {
                (vec![Failure::new("ProcessEnded", ended(&status, record.panic.as_ref()))], true)
            }
            Err(error) => (vec![Failure::new("error", sentence(&error))], false),
        }
    }

    fn eval(&self, context: &mut CommandContext, code: &str, allow_stdin: bool) -> Result<EvalOutputs, Error> {
        let ask = |password: bool| {
            if !allow_stdin {
                return String::new();
            }
            let prompt = std::mem::take(&mut lock(&self.output).record().prompt);
            self.reply.send(&FromEngine::InputRequest { prompt, password });
            self.inputs.recv().unwrap_or_default()
        };
        // Evcxr runs lines such as `!cargo install …` in this process, with its environment.
        let analyzers_home = code.lines().any(|line| line.starts_with('!')).then(home::lend);
        let run = || {
            let mut callbacks = EvalCallbacks { input_reader: &|request| ask(request.is_password) };
            context.execute_with_callbacks(code, &mut callbacks)
        };
        let result = catch_unwind(AssertUnwindSafe(run));
        analyzers_home.flatten().into_iter().for_each(home::take_back);
        result.unwrap_or_else(|_| {
            Err(Error::Message("evcxr itself failed on this cell; nothing was run, all variables are kept".to_owned()))
        })
    }

    /// A panic or a `?` that evcxr reports as success.
    fn own_failure(&self, record: &Record, code: &str, name: &str) -> Option<Failure> {
        let generated = std::fs::read_to_string(self.control.place.session.dir.join(file::SOURCE)).unwrap_or_default();
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

    fn evaluate(&self, context: &mut CommandContext, expression: &str, name: &str) -> Value {
        lock(&self.output).begin(true);
        let result = self.eval(context, expression, false);
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
}

/// The line that loads `gpt_lab`, always spelt the same, so that evcxr sees at a glance that nothing is new.
fn dep_line(gpt_lab: &Path) -> String {
    format!(":dep gpt_lab = {{ path = {:?} }}", gpt_lab.display().to_string())
}

/// Notebooks name `gpt_lab` by a relative path, for the plain evcxr; where that is the crate which is loaded already,
/// the line becomes the one that costs nothing.
fn same_gpt_lab(code: &str, gpt_lab: &Path) -> String {
    let replace = |line: &str| -> Option<String> {
        let rest = line.trim().strip_prefix(":dep")?.trim_start().strip_prefix("gpt_lab")?.trim_start();
        let table = rest.strip_prefix('=')?.trim().strip_prefix('{')?.strip_suffix('}')?;
        let (key, value) = table.split_once('=')?;
        let path = value.trim().strip_prefix('"')?.strip_suffix('"')?;
        let same = key.trim() == "path" && Path::new(path).canonicalize().ok()? == gpt_lab;
        same.then(|| dep_line(gpt_lab))
    };
    let lines: Vec<String> = code.split('\n').map(|line| replace(line).unwrap_or_else(|| line.to_owned())).collect();
    lines.join("\n")
}

fn ended(status: &str, panic: Option<&Panic>) -> String {
    let how = status.rsplit("Subprocess terminated with status: ").next().unwrap_or(status).trim();
    let why = panic.map(|panic| format!(" ({})", panic.message)).unwrap_or_default();
    format!("the process that runs the cells ended: {how}{why}")
}

fn sentence(error: &Error) -> String {
    match error {
        Error::Message(text) if text.starts_with("Compilation failed, but no parsable errors") => {
            "the compiler ended without saying why; nothing was run, all variables are kept".to_owned()
        }
        Error::CompilationErrors(errors) => {
            errors.iter().map(evcxr::CompilationError::message).collect::<Vec<_>>().join("; ")
        }
        other => other.to_string().trim_end().to_owned(),
    }
}

fn bundle<K: Into<String>>(items: impl IntoIterator<Item = (K, String)>) -> Bundle {
    items.into_iter().map(|(mime, text)| (mime.into(), Value::String(text))).collect()
}

fn no_completions() -> FromEngine {
    FromEngine::Completions { items: Vec::new(), start: 0, end: 0 }
}

fn complete(context: &mut CommandContext, code: &str, offset: usize) -> FromEngine {
    let Ok(Ok(found)) = catch_unwind(AssertUnwindSafe(|| context.completions(code, offset))) else {
        return FromEngine::Completions { items: Vec::new(), start: offset, end: offset };
    };
    let items = found.completions.into_iter();
    FromEngine::Completions {
        items: items.map(|c| Completion { text: c.code, label: c.label, kind: c.kind.to_owned() }).collect(),
        start: found.start_offset,
        end: found.end_offset,
    }
}

/// evcxr looks at the text before the cursor: let it see the whole word.
fn word_end(code: &str, offset: usize) -> usize {
    let word = code[offset..].find(|c: char| !c.is_alphanumeric() && c != '_');
    offset + word.unwrap_or(code.len() - offset)
}

fn check_problem(error: &evcxr::CompilationError) -> Option<Value> {
    let primary = error.primary_spanned_message()?;
    let span = primary.span.as_ref()?;
    let parts = [primary.label.clone(), error.message()];
    let helps = error.help().into_iter().map(|help| format!("help: {help}"));
    let message = parts.into_iter().filter(|part| !part.is_empty()).chain(helps).collect::<Vec<_>>().join("\n");
    Some(json!({
        "message": message, "severity": error.level(), "start_line": span.start_line, "start_column": span.start_column,
        "end_column": span.end_column, "end_line": span.end_line,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_gpt_lab_is_rewritten() {
        let folder = std::env::temp_dir().canonicalize().unwrap();
        let line = dep_line(&folder);
        let code = format!("// one\n:dep gpt_lab={{path=\"{}/.\"}}\nlet x = 1;", folder.display());
        assert_eq!(same_gpt_lab(&code, &folder), format!("// one\n{line}\nlet x = 1;"));
        for other in [":dep gpt_lab = { path = \"/\" }", ":dep gpt_lab = \"1\"", ":dep serde = { path = \"/tmp\" }"] {
            assert_eq!(same_gpt_lab(other, &folder), other);
        }
    }

    #[test]
    fn the_status_of_a_dead_process_is_cut_to_the_point() {
        let status = "some text\nSubprocess terminated with status: signal: 9 (SIGKILL)";
        assert_eq!(ended(status, None), "the process that runs the cells ended: signal: 9 (SIGKILL)");
    }
}
