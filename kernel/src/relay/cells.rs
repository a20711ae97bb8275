//! The queue of cells: one runs, the others wait; what the running one shows; how it ends.

use super::displays::{Displays, Show};
use super::engine_link::Link;
use super::outbox::Outbox;
use super::sockets::Via;
use super::wire::Message;
use crate::failure::Failure;
use crate::protocol::{Cell, FromEngine, ToEngine};
use serde_json::{Map, Value, json};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long a cell may take to come back after the first press of stop.
const GRACE: Duration = Duration::from_secs(5);

/// A cell that has begun.
struct Running {
    request: Message,
    id: u64,
    count: u64,
    sent: bool,
    silent: bool,
    stop: Option<Stop>,
}

/// How far stopping has come.
struct Stop {
    killed: bool,
    deadline: Instant,
}

/// The cells of a kernel.
pub struct Cells {
    queue: VecDeque<Message>,
    running: Option<Running>,
    count: u64,
    ids: u64,
    displays: Displays,
    checkpoint: Option<(String, Option<u64>)>,
    latest: Value,
    note: Option<String>,
}

impl Cells {
    /// No cells yet; display ids start with `prefix`.
    pub fn new(prefix: &str) -> Cells {
        Cells {
            queue: VecDeque::new(),
            running: None,
            count: 0,
            ids: 0,
            displays: Displays::new(prefix),
            checkpoint: None,
            latest: json!({}),
            note: None,
        }
    }

    /// A cell to run when its turn comes.
    pub fn push(&mut self, request: Message) {
        self.queue.push_back(request);
    }

    /// Something that the next cell shall tell the learner.
    pub fn note(&mut self, note: Option<String>) {
        self.note = note.or(self.note.take());
    }

    /// Whether a cell runs.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Header of the request of the running cell.
    pub fn running_header(&self) -> Option<&Value> {
        self.running.as_ref().map(|running| &running.request.header)
    }

    /// Begins the next cell; hands it over when the engine is ready.
    pub fn run_next(&mut self, out: &Outbox, ready: bool, link: &Link) {
        if self.running.is_none()
            && let Some(request) = self.queue.pop_front()
        {
            self.begin(out, request);
        }
        if !ready {
            return;
        }
        let Some(running) = self.running.as_mut().filter(|running| !running.sent) else { return };
        running.sent = true;
        if let Some(note) = self.note.take() {
            out.publish("stream", &running.request.header, json!({"name": "stderr", "text": format!("{note}\n")}));
        }
        let request = &running.request;
        link.send(ToEngine::Execute(Cell {
            id: running.id,
            code: request.text("code").to_owned(),
            name: format!("cell {}", running.count),
            allow_stdin: request.flag("allow_stdin", true),
            expressions: request.content["user_expressions"].as_object().cloned().unwrap_or_default(),
        }));
    }

    fn begin(&mut self, out: &Outbox, request: Message) {
        let silent = request.flag("silent", false);
        self.count += u64::from(!silent && request.flag("store_history", true));
        self.ids += 1;
        out.status("busy", &request.header);
        if !silent {
            let content = json!({"code": request.text("code"), "execution_count": self.count});
            out.publish("execute_input", &request.header, content);
        }
        self.displays.begin();
        self.latest = request.header.clone();
        self.running = Some(Running { request, id: self.ids, count: self.count, sent: false, silent, stop: None });
    }

    /// Takes what the engine says about the running cell; whether the next may begin.
    pub fn event(&mut self, out: &Outbox, event: FromEngine) -> bool {
        match event {
            FromEngine::Text { stream, text } => {
                out.publish("stream", &self.latest, json!({"name": stream.name(), "text": text}));
            }
            FromEngine::Channel { message } => self.channel(out, &message),
            FromEngine::Display { data } => {
                out.publish("display_data", &self.latest, json!({"data": data, "metadata": {}, "transient": {}}));
            }
            FromEngine::Result { data } => {
                self.flush_displays(out);
                if let Some(running) = self.running.as_ref().filter(|running| !running.silent) {
                    let content = json!({"execution_count": running.count, "data": data, "metadata": {}});
                    out.publish("execute_result", &running.request.header, content);
                }
            }
            FromEngine::InputRequest { prompt, password } => {
                if let Some(running) = &self.running {
                    let content = json!({"prompt": prompt, "password": password});
                    out.send(Via::Stdin, "input_request", &running.request, content);
                }
            }
            FromEngine::Done { failures, lost, expressions } => {
                self.finish(out, failures, lost, expressions);
                return true;
            }
            _ => {}
        }
        false
    }

    fn channel(&mut self, out: &Outbox, message: &Value) {
        let problem = match message["type"].as_str() {
            Some("display") if message["data"].is_object() => {
                if let Some(show) = self.displays.show(message, Instant::now()) {
                    self.publish(out, show);
                }
                return;
            }
            Some("checkpoint") if message["path"].is_string() => {
                let path = message["path"].as_str().unwrap_or_default().to_owned();
                self.checkpoint = Some((path, message["step"].as_u64()));
                return;
            }
            Some("display") => "it has no data",
            Some("checkpoint") => "it has no path",
            _ => "its type is not known",
        };
        let text = format!("[a message of the display channel was dropped: {problem}]\n");
        out.publish("stream", &self.latest, json!({"name": "stderr", "text": text}));
    }

    fn flush_displays(&mut self, out: &Outbox) {
        for show in self.displays.flush() {
            self.publish(out, show);
        }
    }

    fn publish(&self, out: &Outbox, show: Show) {
        let transient = show.id.map_or_else(|| json!({}), |id| json!({"display_id": id}));
        let content = json!({"data": show.data, "metadata": show.metadata, "transient": transient});
        out.publish(show.kind, &self.latest, content);
    }

    fn finish(&mut self, out: &Outbox, mut failures: Vec<Failure>, lost: bool, expressions: Map<String, Value>) {
        let Some(running) = self.running.take() else { return };
        self.flush_displays(out);
        if let Some(stop) = &running.stop {
            failures = vec![self.interrupted(stop, lost)];
        } else if lost {
            let loss = self.loss();
            if let Some(first) = failures.first_mut() {
                first.traceback.push(loss);
            }
        }
        let request = &running.request;
        for Failure { ename, evalue, traceback } in &failures {
            let content = json!({"ename": ename, "evalue": evalue, "traceback": traceback});
            out.publish("error", &request.header, content);
        }
        let reply = match failures.first() {
            None => json!({
                "status": "ok", "execution_count": running.count, "payload": [], "user_expressions": expressions,
            }),
            Some(Failure { ename, evalue, traceback }) => json!({
                "status": "error", "execution_count": running.count, "ename": ename, "evalue": evalue,
                "traceback": traceback, "payload": [], "user_expressions": {},
            }),
        };
        out.reply(Via::Shell, request, reply);
        out.status("idle", &request.header);
        if !failures.is_empty() && request.flag("stop_on_error", true) {
            self.abort_queue(out);
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

    /// What the end of the cells' process means.
    fn loss(&self) -> String {
        let checkpoint = match &self.checkpoint {
            Some((path, Some(step))) => format!(" The latest checkpoint is {path} (step {step})."),
            Some((path, None)) => format!(" The latest checkpoint is {path}."),
            None => String::new(),
        };
        format!("All variables are lost; functions, types and imports are kept.{checkpoint}")
    }

    fn abort_queue(&mut self, out: &Outbox) {
        for request in std::mem::take(&mut self.queue) {
            out.status("busy", &request.header);
            // Without a count, as IPython does: JupyterLab would show it as if the cell had run.
            out.reply(Via::Shell, &request, json!({"status": "aborted"}));
            out.status("idle", &request.header);
        }
    }

    /// Stop was pressed; whether the next cell may begin.
    pub fn interrupt(&mut self, out: &Outbox, link: Option<&Link>) -> bool {
        let Some(running) = &mut self.running else { return false };
        let now = Instant::now();
        match (&mut running.stop, link) {
            (None, Some(link)) if running.sent => {
                link.send(ToEngine::Interrupt { cell: running.id });
                running.stop = Some(Stop { killed: false, deadline: now + GRACE });
            }
            (Some(stop), Some(link)) => {
                link.send(ToEngine::Kill);
                *stop = Stop { killed: true, deadline: now + GRACE };
            }
            _ => {
                running.stop = Some(Stop { killed: false, deadline: now + GRACE });
                self.finish(out, Vec::new(), false, Map::new());
                return true;
            }
        }
        false
    }

    /// Something is due; whether the engine must be given up because it does not even end a cell.
    pub fn alarm(&mut self, out: &Outbox, link: Option<&Link>) -> bool {
        let now = Instant::now();
        for show in self.displays.due(now) {
            self.publish(out, show);
        }
        let Some(stop) = self.running.as_mut().and_then(|running| running.stop.as_mut()) else { return false };
        if now < stop.deadline {
            return false;
        }
        if stop.killed {
            return true;
        }
        *stop = Stop { killed: true, deadline: now + 2 * GRACE };
        link.iter().for_each(|link| link.send(ToEngine::Kill));
        false
    }

    /// When [`Cells::alarm`] wants to be called.
    pub fn next_alarm(&self) -> Option<Instant> {
        let stop = self.running.as_ref().and_then(|running| running.stop.as_ref()).map(|stop| stop.deadline);
        [self.displays.next(), stop].into_iter().flatten().min()
    }

    /// An answer for the cell that asked.
    pub fn input(&self, link: Option<&Link>, value: &str) {
        link.iter().for_each(|link| link.send(ToEngine::Input { value: value.to_owned() }));
    }

    /// The engine has died: the running cell ends, and the learner is told what is lost.
    pub fn engine_lost(&mut self, out: &Outbox) {
        let checkpoint =
            self.checkpoint.as_ref().map_or_else(String::new, |(path, _)| format!(" The latest checkpoint is {path}."));
        let text = format!(
            "the engine of the kernel ended; variables, functions and imports are lost, a new session starts.{checkpoint}"
        );
        let begun = self.running.as_mut().filter(|running| running.sent);
        if let Some(running) = begun {
            running.stop = None;
            self.finish(out, vec![Failure::new("EngineEnded", text)], false, Map::new());
        } else {
            self.note = Some(text);
        }
    }

    /// No engine: every cell fails with the reason.
    pub fn fail_all(&mut self, out: &Outbox, reason: &str) {
        loop {
            if self.running.is_none() {
                let Some(request) = self.queue.pop_front() else { return };
                self.begin(out, request);
            }
            self.finish(out, vec![Failure::new("KernelNotReady", reason)], false, Map::new());
        }
    }
}
