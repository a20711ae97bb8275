//! The relay: owns the sockets that Jupyter sees, answers what it can itself at once, and runs cells through an engine.

mod cells;
mod complete;
mod displays;
mod engine_link;
mod info;
mod outbox;
mod outputs;
mod queries;
mod sockets;
mod wire;

use crate::names::var;
use crate::protocol::FromEngine;
use crate::session::Layout;
use anyhow::Result;
use cells::Cells;
use engine_link::{Event, Link};
use outbox::Outbox;
use queries::Query;
use serde_json::json;
use sockets::{Outgoing, Via};
use std::collections::VecDeque;
use std::os::unix::process::parent_id;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use wire::Message;

/// How often we look whether Jupyter still lives.
const PARENT_CHECK: Duration = Duration::from_secs(1);
/// An engine that dies this often before it was ready is not started again.
const MAX_FAILED_STARTS: u32 = 3;

/// The kernel as Jupyter sees it.
pub struct Relay {
    out: Rc<Outbox>,
    layout: Layout,
    cells: Cells,
    link: Option<Link>,
    engines: u64,
    ready: bool,
    failed_starts: u32,
    events: UnboundedSender<Event>,
    queries: VecDeque<Query>,
    /// Why there will be no engine.
    broken: Option<String>,
    rust_version: String,
    ended: bool,
}

/// Serves the connection file until shut down.
pub async fn run(connection_file: &Path) -> Result<()> {
    let layout = Layout::find()?;
    let (inbox, mut requests) = unbounded_channel();
    let out = sockets::bind(connection_file, inbox).await?;
    let (events, mut engine_events) = unbounded_channel();
    let mut relay = Relay::new(out, layout, events);
    relay.out.status("starting", &json!({}));
    relay.start_engine();
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut terminations = signal(SignalKind::terminate())?;
    let mut hangups = signal(SignalKind::hangup())?;
    let parent = watched_parent();
    let mut parent_check = tokio::time::interval(PARENT_CHECK);
    while !relay.ended {
        let alarm = relay.cells.next_alarm().map(tokio::time::Instant::from_std);
        let sleep = tokio::time::sleep_until(alarm.unwrap_or_else(|| tokio::time::Instant::now() + PARENT_CHECK));
        tokio::select! {
            Some((via, message)) = requests.recv() => relay.request(via, message),
            Some((number, event)) = engine_events.recv() => relay.engine_event(number, event),
            () = sleep => relay.alarm(),
            _ = interrupts.recv() => relay.interrupt(),
            _ = terminations.recv() => relay.ended = true,
            _ = hangups.recv() => relay.ended = true,
            _ = parent_check.tick() => relay.ended |= parent.is_some_and(|pid| pid != parent_id()),
        }
    }
    if let Some(link) = relay.link.take() {
        let layout = relay.layout.clone();
        tokio::task::spawn_blocking(move || link.close(&layout)).await?;
    }
    // The last messages are with the socket tasks; give them the moment they need.
    tokio::time::sleep(Duration::from_millis(50)).await;
    Ok(())
}

/// Jupyter tells its kernels its process id; if it dies without a word, we follow.
fn watched_parent() -> Option<u32> {
    std::env::var_os(var::JUPYTERS_PID).map(|_| parent_id()).filter(|&pid| pid > 1)
}

impl Relay {
    fn new(out: Outgoing, layout: Layout, events: UnboundedSender<Event>) -> Relay {
        let session = uuid::Uuid::new_v4().to_string();
        let displays = session[..8].to_owned();
        let out = Rc::new(Outbox::new(out, session));
        Relay {
            cells: Cells::new(out.clone(), &displays),
            out,
            layout,
            link: None,
            engines: 0,
            ready: false,
            failed_starts: 0,
            events,
            queries: VecDeque::new(),
            broken: None,
            rust_version: info::rust_version(),
            ended: false,
        }
    }

    fn start_engine(&mut self) {
        self.engines += 1;
        self.ready = false;
        match Link::open(&self.layout, self.engines, self.events.clone()) {
            Ok(link) => self.link = Some(link),
            Err(error) => self.give_up(format!("{error:#}")),
        }
    }

    fn engine_event(&mut self, number: u64, event: Option<FromEngine>) {
        if number != self.engines {
            return;
        }
        match event {
            None => self.engine_died(),
            Some(FromEngine::Hello { .. }) => {}
            Some(FromEngine::Ready { problem }) => {
                self.ready = true;
                self.failed_starts = 0;
                self.cells.note(problem);
                self.run_next();
            }
            Some(
                found @ (FromEngine::Completions { .. } | FromEngine::Inspected { .. } | FromEngine::Checked { .. }),
            ) => {
                if let Some(query) = self.queries.pop_front() {
                    self.answer(query, Some(found));
                }
            }
            Some(event) => {
                if self.cells.event(event) {
                    self.run_next();
                }
            }
        }
    }

    /// The engine is gone without having been told: everything it knew is lost.
    fn engine_died(&mut self) {
        if let Some(link) = self.link.take() {
            link.kill(&self.layout);
        }
        while let Some(query) = self.queries.pop_front() {
            self.answer(query, None);
        }
        if !self.ready {
            self.failed_starts += 1;
        }
        self.ready = false;
        self.cells.engine_lost();
        if self.failed_starts < MAX_FAILED_STARTS {
            self.start_engine();
        } else {
            self.give_up("the engine does not start; the terminal in which Jupyter runs says why".to_owned());
        }
    }

    fn give_up(&mut self, reason: String) {
        self.broken = Some(reason);
        self.run_next();
    }

    fn run_next(&mut self) {
        if let Some(reason) = &self.broken {
            self.cells.fail_all(reason);
        }
        if let Some(link) = &self.link {
            self.cells.run_next(self.ready, link);
        }
    }

    fn alarm(&mut self) {
        if self.cells.alarm(self.link.as_ref())
            && let Some(link) = self.link.take()
        {
            // Not even killing the cells' process has helped.
            link.kill(&self.layout);
            self.engine_died();
        }
    }

    fn interrupt(&mut self) {
        if self.cells.interrupt(self.link.as_ref()) {
            self.run_next();
        }
    }

    fn request(&mut self, via: Via, request: Message) {
        match (via, request.kind()) {
            (Via::Stdin, "input_reply") => self.cells.input(self.link.as_ref(), request.text("value")),
            (Via::Stdin, _) => {}
            (_, "execute_request") => {
                self.cells.push(request);
                self.run_next();
            }
            (_, "complete_request" | "inspect_request") => self.ask(via, request),
            (_, "comm_open") if request.text("target_name") == "evcxr-cargo-check" => self.ask(via, request),
            _ => {
                self.out.status("busy", &request.header);
                self.answer_at_once(via, &request);
                self.idle(&request);
            }
        }
    }

    fn answer_at_once(&mut self, via: Via, request: &Message) {
        match request.kind() {
            "kernel_info_request" => self.out.reply(via, request, info::kernel_info(&self.rust_version)),
            "is_complete_request" => {
                let content = match complete::completeness(request.text("code")) {
                    complete::Completeness::Complete => json!({"status": "complete"}),
                    complete::Completeness::Incomplete(indent) => json!({"status": "incomplete", "indent": indent}),
                    complete::Completeness::Invalid => json!({"status": "invalid"}),
                };
                self.out.reply(via, request, content);
            }
            "history_request" => self.out.reply(via, request, json!({"status": "ok", "history": []})),
            "comm_info_request" => self.out.reply(via, request, json!({"status": "ok", "comms": {}})),
            "comm_open" => {
                let content = json!({"comm_id": request.content["comm_id"], "data": {}});
                self.out.publish("comm_close", &request.header, content);
            }
            "interrupt_request" => {
                self.interrupt();
                self.out.reply(via, request, json!({"status": "ok"}));
            }
            "shutdown_request" => {
                let restart = request.flag("restart", false);
                self.out.reply(via, request, json!({"status": "ok", "restart": restart}));
                self.ended = true;
            }
            // What we do not know gets no answer; the protocol asks for none.
            _ => {}
        }
    }

    /// Completion and the like: to the engine when it is free, else the answer is that there is none.
    fn ask(&mut self, via: Via, request: Message) {
        self.out.status("busy", &request.header);
        let order = queries::order(&request);
        match (&self.link, order) {
            (Some(link), Some(order)) if self.ready && !self.cells.is_running() => {
                link.send(order);
                self.queries.push_back(Query { via, request });
            }
            _ => self.answer(Query { via, request }, None),
        }
    }

    fn answer(&self, query: Query, found: Option<FromEngine>) {
        let Query { via, request } = query;
        let content = found.map_or_else(|| queries::empty(&request), |found| queries::answer(&request, found));
        if request.kind() == "comm_open" {
            let comm = &request.content["comm_id"];
            self.out.publish("comm_msg", &json!({}), json!({"comm_id": comm, "data": content}));
            self.out.publish("comm_close", &request.header, json!({"comm_id": comm, "data": {}}));
        } else {
            self.out.reply(via, &request, content);
        }
        self.idle(&request);
    }

    /// The end of a request; if a cell still runs, the kernel as a whole is not idle.
    fn idle(&self, request: &Message) {
        self.out.status("idle", &request.header);
        if let Some(running) = self.cells.running_header() {
            self.out.status("busy", running);
        }
    }
}
