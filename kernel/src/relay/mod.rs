//! The relay: owns the sockets that Jupyter sees, answers what it can itself at once, and runs cells through an engine.
//!
//! A message comes in by `sockets`, is taken apart by `wire`, becomes a `request`, and meets the one `match` of
//! [`Relay::request`]. From there a cell goes to `cells` and a question for the engine to `queries`; both are `busy`
//! until they are answered. Outputs of a cell go out by `outputs` and `displays`, everything by the `outbox`.

mod busy;
mod cells;
mod complete;
mod displays;
mod engine_link;
mod info;
mod outbox;
mod outputs;
mod queries;
mod request;
mod sockets;
#[cfg(test)]
mod tests;
mod wire;

use crate::names::var;
use crate::protocol::FromEngine;
use crate::session::Layout;
use anyhow::Result;
use busy::Busy;
use cells::Cells;
use complete::completeness;
use engine_link::{Event, Link};
use outbox::Outbox;
use queries::{Query, Question};
use request::{Incoming, Origin, Request};
use serde_json::json;
use sockets::Outgoing;
use std::collections::HashMap;
use std::os::unix::process::parent_id;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use wire::Via;

/// Time between two looks at whether Jupyter still lives.
const PARENT_CHECK: Duration = Duration::from_secs(1);
/// Number of starts in a row without success after which no engine is started any more.
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
    queries: HashMap<u64, Query>,
    asked: u64,
    /// The reason why there will be no engine.
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
            Some(incoming) = requests.recv() => relay.request(incoming),
            Some((number, event)) = engine_events.recv() => relay.engine_event(number, event),
            () = sleep => relay.alarm(),
            _ = interrupts.recv() => relay.interrupt(),
            _ = terminations.recv() => relay.ended = true,
            _ = hangups.recv() => relay.ended = true,
            _ = parent_check.tick() => relay.ended |= parent.is_some_and(|pid| pid != parent_id()),
        }
    }
    relay.out.close();
    if let Some(link) = relay.link.take() {
        let layout = relay.layout.clone();
        tokio::task::spawn_blocking(move || link.close(&layout)).await?;
    }
    // The last messages are with the socket tasks; give them the moment they need.
    tokio::time::sleep(Duration::from_millis(50)).await;
    Ok(())
}

/// The process of Jupyter, which tells its kernels its id: if it dies without a word, the kernel ends too.
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
            queries: HashMap::new(),
            asked: 0,
            broken: None,
            rust_version: info::rust_version(),
            ended: false,
        }
    }

    fn start_engine(&mut self) {
        self.engines += 1;
        self.ready = false;
        match Link::open(self.engines, self.events.clone()) {
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
                found @ (FromEngine::Completions { id, .. }
                | FromEngine::Inspected { id, .. }
                | FromEngine::Checked { id, .. }),
            ) => {
                if let Some(query) = self.queries.remove(&id) {
                    query.answer(Some(found));
                }
            }
            Some(event) => {
                if self.cells.event(event) {
                    self.run_next();
                }
            }
        }
    }

    /// Starts anew after an engine that is gone without having been told: everything it knew is lost.
    fn engine_died(&mut self) {
        if let Some(link) = self.link.take() {
            link.kill(&self.layout);
        }
        for (_, query) in std::mem::take(&mut self.queries) {
            query.answer(None);
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

    /// Answers a request or puts it in work: all that there are.
    fn request(&mut self, Incoming { origin, request }: Incoming) {
        match (origin.via, request) {
            (Via::Stdin, Request::InputReply { value }) => self.cells.input(self.link.as_ref(), value),
            (Via::Stdin, _) => {}
            (_, Request::Execute(cell)) => {
                self.cells.push(origin, cell);
                self.run_next();
            }
            (_, Request::Complete(at)) => self.ask(origin, Question::Complete(at)),
            (_, Request::Inspect(at)) => self.ask(origin, Question::Inspect(at)),
            (_, Request::CommOpen(comm)) if comm.target_name == queries::CHECK => {
                self.ask(origin, Question::Check(comm));
            }
            (_, Request::CommOpen(comm)) => {
                self.busy(origin).publish("comm_close", json!({"comm_id": comm.comm_id, "data": {}}));
            }
            (_, Request::IsComplete { code }) => self.busy(origin).reply(completeness(&code).reply()),
            (_, Request::KernelInfo {}) => self.busy(origin).reply(info::kernel_info(&self.rust_version)),
            (_, Request::History {}) => self.busy(origin).reply(json!({"status": "ok", "history": []})),
            (_, Request::CommInfo {}) => self.busy(origin).reply(json!({"status": "ok", "comms": {}})),
            (_, Request::Interrupt {}) => {
                let busy = self.busy(origin);
                self.interrupt();
                busy.reply(json!({"status": "ok"}));
            }
            (_, Request::Shutdown { restart }) => {
                self.busy(origin).reply(json!({"status": "ok", "restart": restart}));
                self.ended = true;
            }
            // No answer to what is not known: the protocol asks for none.
            (_, Request::InputReply { .. } | Request::Unknown) => drop(self.busy(origin)),
        }
    }

    fn busy(&self, origin: Origin) -> Busy {
        Busy::with(&self.out, origin)
    }

    /// Hands a question to the engine if it is free; else the answer is that there is none.
    fn ask(&mut self, origin: Origin, question: Question) {
        let query = Query { busy: self.busy(origin), question };
        self.asked += 1;
        match (&self.link, query.question.order(self.asked)) {
            (Some(link), Some(order)) if self.ready && !self.cells.is_running() => {
                link.send(order);
                self.queries.insert(self.asked, query);
            }
            _ => query.answer(None),
        }
    }
}
