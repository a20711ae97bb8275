//! The process that runs the cells, as the engine sees it.

use super::output::pump::{self, Ends, Event, SharedOutput};
use super::place::Place;
use super::tuning;
use crate::cells::ToCells;
use crate::names::var;
use crate::sys::{fds, lock};
use anyhow::{Context, Result};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

/// The process, so that others can kill it.
pub type SharedChild = Arc<Mutex<Option<Child>>>;

/// A running process of cells.
pub struct CellsProcess {
    socket: UnixStream,
    child: SharedChild,
    events: Receiver<Event>,
}

impl CellsProcess {
    /// Starts one; `child` is where it can be killed.
    pub fn start(place: &Place, output: &SharedOutput, child: SharedChild) -> Result<CellsProcess> {
        let (near, far) = UnixStream::pair()?;
        let mut command = Command::new("/proc/self/exe");
        if !std::path::Path::new("/proc/self/exe").exists() {
            command = Command::new(std::env::current_exe()?);
        }
        for name in [var::RUST_BACKTRACE, "RUST_LIB_BACKTRACE"] {
            // Errors of crates would carry pages of it.
            command.env_remove(name);
        }
        command.arg("cells").envs(tuning::cells()).env(var::EVCXR_IS_RUNTIME, "1").env(var::MARK, &place.mark);
        command.env(var::CHANNEL, place.channel_path()).env(var::INTERRUPT, &place.interrupt);
        command.stdin(Stdio::from(OwnedFd::from(far))).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut started = command.spawn().context("cannot start the process of the cells")?;
        let stdout = OwnedFd::from(started.stdout.take().context("no standard output")?);
        let stderr = OwnedFd::from(started.stderr.take().context("no standard error")?);
        *lock(&child) = Some(started);
        let (sender, events) = channel();
        let ends = Ends { socket: near.try_clone()?, stdout, stderr, channel: place.channel()? };
        let (mark, output) = (place.mark.clone(), output.clone());
        std::thread::spawn(move || {
            if let Err(error) = pump::serve(ends, &mark, output, sender) {
                eprintln!("gpt_lab_kernel: no output from the cells' process: {error:#}");
            }
        });
        Ok(CellsProcess { socket: near, child, events })
    }

    /// Tells the process to do something; a descriptor may go with it.
    pub fn send(&self, order: &ToCells, handed: Option<BorrowedFd>) {
        let Ok(mut line) = serde_json::to_vec(order) else { return };
        line.push(b'\n');
        let handed: Vec<BorrowedFd> = handed.into_iter().collect();
        // If the process is gone, its event says so.
        let _ = fds::send_fds(&self.socket, &line, &handed);
    }

    /// What happens in the process.
    pub fn events(&self) -> &Receiver<Event> {
        &self.events
    }

    /// The id of the process.
    pub fn id(&self) -> i32 {
        lock(&self.child).as_ref().map_or(0, |child| child.id() as i32)
    }

    /// How it ended; waits for that.
    pub fn wait(&self) -> Option<ExitStatus> {
        lock(&self.child).take().and_then(|mut child| child.wait().ok())
    }

    /// Ends it.
    pub fn kill(&self) {
        if let Some(child) = &mut *lock(&self.child) {
            let _ = child.kill();
        }
    }
}

/// A pipe for the standard input of a cell: the cell's end and ours.
pub fn input_pipe() -> Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = std::io::pipe()?;
    Ok((reader.into(), writer.into()))
}

/// The number by which the system tells one pipe from another.
pub fn pipe_number(pipe: &OwnedFd) -> Option<u64> {
    Some(rustix::fs::fstat(pipe.as_fd()).ok()?.st_ino)
}
