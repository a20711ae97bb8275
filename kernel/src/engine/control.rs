//! Stop, heard while a cell runs.

use super::place::Place;
use super::process::SharedChild;
use crate::protocol::ToEngine;
use crate::sys::{lock, procs};
use rustix::process::Signal;
use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Time for a program that a cell has started to end by itself after it was asked to.
const PROGRAMS_TIME: Duration = Duration::from_secs(1);
/// The same, once the cell itself has ended.
const GRACE: Duration = Duration::from_millis(200);

/// The running cell as the listener can influence it.
pub struct Control {
    /// The session directory in use.
    pub place: Place,
    /// The number of the running cell, or 0.
    pub running: AtomicU64,
    /// The number of the latest cell that is to stop; it may not have begun yet.
    pub stopped: AtomicU64,
    /// The process that runs the cells.
    pub child: SharedChild,
    /// Programs that earlier cells have started: stop is not meant for them.
    pub programs: Mutex<HashSet<i32>>,
}

impl Control {
    /// Control of an engine in which nothing runs yet.
    pub fn new(place: Place) -> Control {
        let [running, stopped] = [(); 2].map(|()| AtomicU64::new(0));
        Control { place, running, stopped, child: SharedChild::default(), programs: Mutex::default() }
    }

    fn child_pid(&self) -> Option<i32> {
        lock(&self.child).as_ref().map(|child| child.id() as i32)
    }

    /// Remembers the programs that are running before a cell begins.
    pub fn note_programs(&self) {
        let found = self.child_pid().map(procs::descendants).unwrap_or_default();
        *lock(&self.programs) = found.into_iter().collect();
    }

    /// True if the running cell is to stop.
    pub fn is_stopped(&self) -> bool {
        let running = self.running.load(Ordering::SeqCst);
        running != 0 && self.stopped.load(Ordering::SeqCst) == running
    }

    /// Raises the flag, and ends compilers and programs until the cell has ended: as Ctrl-C does in a terminal, then by
    /// force.
    pub fn interrupt(self: &Arc<Self>, cell: u64) {
        self.stopped.store(cell, Ordering::SeqCst);
        if self.running.load(Ordering::SeqCst) != cell {
            return;
        }
        let _ = File::create(&self.place.interrupt);
        let control = self.clone();
        std::thread::spawn(move || {
            let (begin, mut asked) = (Instant::now(), HashSet::new());
            while control.running.load(Ordering::SeqCst) == cell && begin.elapsed() < PROGRAMS_TIME {
                procs::kill_descendants(std::process::id() as i32, control.child_pid());
                for pid in control.own_programs().into_iter().filter(|pid| asked.insert(*pid)) {
                    procs::signal(pid, Signal::INT);
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            std::thread::sleep(PROGRAMS_TIME.saturating_sub(begin.elapsed()).min(GRACE));
            // Also those whose parents have ended meanwhile.
            asked.into_iter().for_each(procs::kill);
            while control.running.load(Ordering::SeqCst) == cell {
                procs::kill_descendants(std::process::id() as i32, control.child_pid());
                control.own_programs().into_iter().for_each(procs::kill);
                std::thread::sleep(Duration::from_millis(50));
            }
        });
    }

    /// The programs that the running cell has started.
    fn own_programs(&self) -> Vec<i32> {
        let earlier = lock(&self.programs).clone();
        let all = self.child_pid().map(procs::descendants).unwrap_or_default();
        all.into_iter().filter(|pid| !earlier.contains(pid)).collect()
    }

    /// Kills the process that runs the cells, if one of them runs, and what it has started.
    pub fn kill(&self) {
        if self.running.load(Ordering::SeqCst) == 0 {
            return;
        }
        self.own_programs().into_iter().for_each(procs::kill);
        if let Some(child) = &mut *lock(&self.child) {
            let _ = child.kill();
        }
    }
}

/// What comes to a cell that waits for the learner.
#[derive(Debug)]
pub enum Input {
    /// An answer.
    Answer(String),
    /// Stop was pressed.
    Stop,
}

/// The thread that listens to the relay.
pub struct Listener {
    /// The running cell.
    pub control: Arc<Control>,
    /// The way of tasks to the worker.
    pub tasks: Sender<ToEngine>,
    /// The way of input to a cell that waits for it.
    pub inputs: Sender<Input>,
}

impl Listener {
    /// Listens until the relay is gone.
    pub fn run(self, relay: UnixStream) {
        for line in BufReader::new(relay).lines() {
            let Ok(line) = line else { break };
            match serde_json::from_str(&line) {
                Ok(ToEngine::Interrupt { cell }) => {
                    self.control.interrupt(cell);
                    let _ = self.inputs.send(Input::Stop);
                }
                Ok(ToEngine::Kill) => self.control.kill(),
                Ok(ToEngine::Input { value }) => drop(self.inputs.send(Input::Answer(value))),
                Ok(task) => drop(self.tasks.send(task)),
                Err(error) => eprintln!("gpt_lab_kernel: the relay sent what cannot be read: {error}"),
            }
        }
    }
}
