//! The queue of cells: one runs, the others wait; stop, and the end of a cell.

use super::busy::Busy;
use super::engine_link::Link;
use super::outbox::Outbox;
use super::outputs::{Checkpoint, Outputs};
use super::request::{Execute, Origin};
use crate::failure::Failure;
use crate::protocol::{Cell, FromEngine, ToEngine};
use serde_json::{Map, Value, json};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Time for a cell to come back after the first press of stop.
const GRACE: Duration = Duration::from_secs(5);
/// Time within which a second press is part of a double click.
const DOUBLE_CLICK: Duration = Duration::from_millis(700);

/// A cell that has begun.
struct Running {
    busy: Busy,
    cell: Execute,
    id: u64,
    count: u64,
    /// True once the engine has it.
    sent: bool,
    stop: Option<Stop>,
}

/// A stop that was asked for.
struct Stop {
    killed: bool,
    pressed: Instant,
    deadline: Instant,
}

impl Stop {
    fn new(killed: bool) -> Stop {
        let pressed = Instant::now();
        Stop { killed, pressed, deadline: pressed + GRACE }
    }
}

/// The cells of a kernel.
pub struct Cells {
    out: Rc<Outbox>,
    queue: VecDeque<(Origin, Execute)>,
    running: Option<Running>,
    count: u64,
    ids: u64,
    outputs: Outputs,
    /// Told to the learner by the next cell.
    note: Option<String>,
}

impl Cells {
    /// A kernel without cells; the ids of their displays will begin with `prefix`.
    pub fn new(out: Rc<Outbox>, prefix: &str) -> Cells {
        let outputs = Outputs::new(out.clone(), prefix);
        Cells { out, queue: VecDeque::new(), running: None, count: 0, ids: 0, outputs, note: None }
    }

    /// Adds a cell, to be run when its turn comes.
    pub fn push(&mut self, origin: Origin, cell: Execute) {
        self.queue.push_back((origin, cell));
    }

    /// Keeps a note for the learner, which the next cell shows.
    pub fn note(&mut self, note: Option<String>) {
        self.note = note.or(self.note.take());
    }

    /// True while a cell runs.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Begins the next cell; hands it over when the engine is ready.
    pub fn run_next(&mut self, ready: bool, link: &Link) {
        if self.running.is_none()
            && let Some((origin, cell)) = self.queue.pop_front()
        {
            self.begin(origin, cell);
        }
        if !ready {
            return;
        }
        let Some(running) = self.running.as_mut().filter(|running| !running.sent) else { return };
        running.sent = true;
        if let Some(note) = self.note.take() {
            running.busy.publish("stream", json!({"name": "stderr", "text": format!("{note}\n")}));
        }
        let cell = &running.cell;
        link.send(ToEngine::Execute(Cell {
            id: running.id,
            code: cell.code.clone(),
            name: format!("cell {}", running.count),
            allow_stdin: cell.allow_stdin,
            expressions: cell.user_expressions.clone(),
        }));
    }

    fn begin(&mut self, origin: Origin, cell: Execute) {
        self.count += u64::from(!cell.silent && cell.store_history);
        self.ids += 1;
        self.outputs.begin(origin.header.clone());
        let busy = Busy::with_cell(&self.out, origin);
        if !cell.silent {
            busy.publish("execute_input", json!({"code": cell.code, "execution_count": self.count}));
        }
        self.running = Some(Running { busy, cell, id: self.ids, count: self.count, sent: false, stop: None });
    }

    /// Shows what the engine says about the running cell; true if the next may begin.
    pub fn event(&mut self, event: FromEngine) -> bool {
        match event {
            FromEngine::Text { stream, text } => self.outputs.text(stream, &text),
            FromEngine::Channel { message } => self.outputs.channel(&message),
            FromEngine::Display { data } => self.outputs.display(data),
            FromEngine::Result { data } => {
                self.outputs.flush();
                if let Some(running) = self.running.as_ref().filter(|running| !running.cell.silent) {
                    let content = json!({"execution_count": running.count, "data": data, "metadata": {}});
                    running.busy.publish("execute_result", content);
                }
            }
            FromEngine::InputRequest { prompt, password } => {
                if let Some(running) = &self.running {
                    running.busy.ask(json!({"prompt": prompt, "password": password}));
                }
            }
            FromEngine::Done { failures, lost, expressions } => {
                self.finish(failures, lost, expressions);
                return true;
            }
            _ => {}
        }
        false
    }

    fn finish(&mut self, mut failures: Vec<Failure>, lost: bool, expressions: Map<String, Value>) {
        let Some(running) = self.running.take() else { return };
        self.outputs.flush();
        if let Some(stop) = &running.stop {
            failures = vec![self.interrupted(stop, lost)];
        } else if lost {
            let loss = self.loss();
            if let Some(first) = failures.first_mut() {
                first.traceback.push(loss);
            }
        }
        for Failure { ename, evalue, traceback } in &failures {
            running.busy.publish("error", json!({"ename": ename, "evalue": evalue, "traceback": traceback}));
        }
        running.busy.reply(reply(running.count, failures.first(), expressions));
        let abort = !failures.is_empty() && running.cell.stop_on_error;
        // This cell is idle before others are aborted.
        drop(running);
        if abort {
            self.abort_queue();
        }
    }

    fn interrupted(&self, stop: &Stop, lost: bool) -> Failure {
        let text = match (lost, stop.killed) {
            (false, _) => "stopped; all variables are kept".to_owned(),
            (true, true) => format!("the cell did not stop and its process was ended. {}", self.loss()),
            (true, false) => format!("the process that runs the cells ended. {}", self.loss()),
        };
        Failure::new("Interrupted", text)
    }

    /// The consequences of the end of the cells' process.
    fn loss(&self) -> String {
        let checkpoint = match self.outputs.checkpoint() {
            Some(Checkpoint { path, step: Some(step) }) => format!(" The latest checkpoint is {path} (step {step})."),
            Some(Checkpoint { path, step: None }) => format!(" The latest checkpoint is {path}."),
            None => String::new(),
        };
        format!("All variables are lost; functions, types and imports are kept.{checkpoint}")
    }

    fn abort_queue(&mut self) {
        for (origin, _) in std::mem::take(&mut self.queue) {
            // Without a count, as IPython does: JupyterLab would show it as if the cell had run.
            Busy::with(&self.out, origin).reply(json!({"status": "aborted"}));
        }
    }

    /// Stops the running cell, at the second press by force; true if the next may begin.
    pub fn interrupt(&mut self, link: Option<&Link>) -> bool {
        let Some(running) = &mut self.running else { return false };
        match (&mut running.stop, link) {
            (None, Some(link)) if running.sent => {
                link.send(ToEngine::Interrupt { cell: running.id });
                running.stop = Some(Stop::new(false));
            }
            (Some(stop), Some(_)) if stop.pressed.elapsed() < DOUBLE_CLICK => {}
            (Some(stop), Some(link)) => {
                link.send(ToEngine::Kill);
                *stop = Stop::new(true);
            }
            _ => {
                running.stop = Some(Stop::new(false));
                self.finish(Vec::new(), false, Map::new());
                return true;
            }
        }
        false
    }

    /// Does what is due; true if the engine must be given up, because it does not even end a cell.
    pub fn alarm(&mut self, link: Option<&Link>) -> bool {
        let now = Instant::now();
        self.outputs.show_due(now);
        let Some(stop) = self.running.as_mut().and_then(|running| running.stop.as_mut()) else { return false };
        if now < stop.deadline {
            return false;
        }
        if stop.killed {
            return true;
        }
        *stop = Stop { deadline: now + 2 * GRACE, ..Stop::new(true) };
        link.iter().for_each(|link| link.send(ToEngine::Kill));
        false
    }

    /// Time of the next call of [`Cells::alarm`].
    pub fn next_alarm(&self) -> Option<Instant> {
        let stop = self.running.as_ref().and_then(|running| running.stop.as_ref()).map(|stop| stop.deadline);
        [self.outputs.next(), stop].into_iter().flatten().min()
    }

    /// Hands an answer to the cell that asked.
    pub fn input(&self, link: Option<&Link>, value: String) {
        if let Some(link) = link {
            link.send(ToEngine::Input { value });
        }
    }

    /// Ends the running cell because the engine has died, and tells the learner what is lost.
    pub fn engine_lost(&mut self) {
        let checkpoint = self.outputs.checkpoint();
        let checkpoint =
            checkpoint.map_or_else(String::new, |found| format!(" The latest checkpoint is {}.", found.path));
        let text = format!(
            "the engine of the kernel ended; variables, functions and imports are lost, a new session \
             starts.{checkpoint}"
        );
        let begun = self.running.as_mut().filter(|running| running.sent);
        if let Some(running) = begun {
            running.stop = None;
            self.finish(vec![Failure::new("EngineEnded", text)], false, Map::new());
        } else {
            self.note = Some(text);
        }
    }

    /// Fails every cell with the reason why there is no engine.
    pub fn fail_all(&mut self, reason: &str) {
        loop {
            if self.running.is_none() {
                let Some((origin, cell)) = self.queue.pop_front() else { return };
                self.begin(origin, cell);
            }
            self.finish(vec![Failure::new("KernelNotReady", reason)], false, Map::new());
        }
    }
}

/// The content of an `execute_reply`.
fn reply(count: u64, failure: Option<&Failure>, expressions: Map<String, Value>) -> Value {
    match failure {
        None => json!({"status": "ok", "execution_count": count, "payload": [], "user_expressions": expressions}),
        Some(Failure { ename, evalue, traceback }) => json!({
            "status": "error", "execution_count": count, "ename": ename, "evalue": evalue, "traceback": traceback,
            "payload": [], "user_expressions": {},
        }),
    }
}
