//! Stop, heard while a cell runs.

use super::place::Place;
use crate::protocol::ToEngine;
use crate::sys::{lock, procs};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The running cell as the listener can influence it.
pub struct Control {
    /// The session directory in use.
    pub place: Place,
    /// The number of the running cell, or 0.
    pub running: AtomicU64,
    /// The number of the latest cell that is to stop; it may not have begun yet.
    pub stopped: AtomicU64,
    /// The process that runs the cells, once evcxr has started.
    pub child: Mutex<Option<Arc<Mutex<Child>>>>,
}

impl Control {
    /// Control of an engine in which nothing runs yet.
    pub fn new(place: Place) -> Control {
        Control { place, running: AtomicU64::new(0), stopped: AtomicU64::new(0), child: Mutex::new(None) }
    }

    fn child_pid(&self) -> Option<i32> {
        let child = lock(&self.child).clone()?;
        let pid = lock(&child).id() as i32;
        Some(pid)
    }

    /// Raises the flag and keeps killing compilers until the cell has ended.
    pub fn interrupt(self: &Arc<Self>, cell: u64) {
        self.stopped.store(cell, Ordering::SeqCst);
        if self.running.load(Ordering::SeqCst) != cell {
            return;
        }
        let _ = File::create(&self.place.interrupt);
        let control = self.clone();
        std::thread::spawn(move || {
            while control.running.load(Ordering::SeqCst) == cell {
                procs::kill_descendants(std::process::id() as i32, control.child_pid());
                std::thread::sleep(Duration::from_millis(50));
            }
        });
    }

    /// Kills the process that runs the cells, if one of them runs.
    pub fn kill(&self) {
        if self.running.load(Ordering::SeqCst) != 0
            && let Some(child) = lock(&self.child).clone()
        {
            let _ = lock(&child).kill();
        }
    }
}

/// The thread that listens to the relay.
pub struct Listener {
    /// The running cell.
    pub control: Arc<Control>,
    /// The way of tasks to the worker.
    pub tasks: Sender<ToEngine>,
    /// The way of input to a cell that waits for it.
    pub inputs: Sender<String>,
}

impl Listener {
    /// Listens until the relay is gone.
    pub fn run(self, relay: UnixStream) {
        for line in BufReader::new(relay).lines() {
            let Ok(line) = line else { break };
            match serde_json::from_str(&line) {
                Ok(ToEngine::Interrupt { cell }) => {
                    self.control.interrupt(cell);
                    // A cell that waits for input gets an empty line.
                    let _ = self.inputs.send(String::new());
                }
                Ok(ToEngine::Kill) => self.control.kill(),
                Ok(ToEngine::Input { value }) => drop(self.inputs.send(value)),
                Ok(task) => drop(self.tasks.send(task)),
                Err(error) => eprintln!("gpt_lab_kernel: the relay sent what cannot be read: {error}"),
            }
        }
    }
}
