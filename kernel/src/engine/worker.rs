//! The thread that works: the start of the session, then one task of the relay after the other.

use super::assist::Assist;
use super::clock::Clock;
use super::control::Control;
use super::reply::Reply;
use super::session::{Ending, Parts, Session, expressions};
use crate::failure::Failure;
use crate::protocol::{Cell, FromEngine, ToEngine};
use serde_json::Map;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;

/// The engine's main thread.
pub struct Worker {
    /// The running cell as others see it.
    pub control: Arc<Control>,
    /// The way to the relay.
    pub reply: Reply,
    /// The durations of the start.
    pub clock: Clock,
    /// The way to completion and documentation.
    pub assist: Assist,
}

impl Worker {
    /// Starts the session, then handles tasks until there are no more.
    pub fn run(self, tasks: Receiver<ToEngine>, parts: Parts) {
        let (mut session, problem) = match Session::start(parts) {
            Ok(session) => (Some(session), None),
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        self.clock.lap("gpt_lab");
        self.reply.send(&FromEngine::Ready { problem: problem.clone() });
        for task in tasks {
            match &mut session {
                Some(session) => self.handle(session, task),
                None => self.refuse(task, problem.as_deref().unwrap_or("the session did not start")),
            }
        }
    }

    /// Answers a task without a session.
    fn refuse(&self, task: ToEngine, problem: &str) {
        let answer = match task {
            ToEngine::Execute(_) => FromEngine::Done {
                failures: vec![Failure::new("KernelNotReady", problem)],
                lost: false,
                expressions: Map::new(),
            },
            ToEngine::Complete { id, .. } => FromEngine::Completions { id, items: Vec::new(), start: 0, end: 0 },
            ToEngine::Inspect { id, .. } => FromEngine::Inspected { id, data: None },
            ToEngine::Check { id, .. } => FromEngine::Checked { id, problems: Vec::new() },
            ToEngine::Input { .. } | ToEngine::Interrupt { .. } | ToEngine::Kill => return,
        };
        self.reply.send(&answer);
    }

    fn handle(&self, session: &mut Session, task: ToEngine) {
        match task {
            ToEngine::Execute(cell) => self.execute(session, &cell),
            ToEngine::Complete { id, code, offset } => session.ask(&self.assist, id, false, &code, offset),
            ToEngine::Inspect { id, code, offset } => session.ask(&self.assist, id, true, &code, offset),
            ToEngine::Check { id, code } => {
                self.reply.send(&FromEngine::Checked { id, problems: session.check(&code) })
            }
            // The listener has dealt with these.
            ToEngine::Input { .. } | ToEngine::Interrupt { .. } | ToEngine::Kill => {}
        }
    }

    fn execute(&self, session: &mut Session, cell: &Cell) {
        let interrupt = &self.control.place.interrupt;
        let _ = std::fs::remove_file(interrupt);
        session.forget_inputs();
        self.control.running.store(cell.id, Ordering::SeqCst);
        let Ending { failures, lost } = if self.control.stopped.load(Ordering::SeqCst) == cell.id {
            Ending { failures: vec![Failure::new("Interrupted", "stopped before it began")], lost: false }
        } else {
            session.execute(cell)
        };
        let expressions = if failures.is_empty() { expressions(session, cell) } else { Map::new() };
        self.control.running.store(0, Ordering::SeqCst);
        let _ = std::fs::remove_file(interrupt);
        self.reply.send(&FromEngine::Done { failures, lost, expressions });
        session.settle();
    }
}
