//! A spare engine: one that is warm before a kernel asks for it.
//!
//! `gpt_lab_kernel spare --watch PID` keeps it while the process PID lives (JupyterLab). A relay that connects to
//! `.lab/spare.sock` gets the engine's process id and its socket; from then on the engine is the relay's alone. The
//! keeper starts the next one a little later, so that the learner's first cells have the processor to themselves.

use super::directory::collect_garbage;
use super::layout::Layout;
use super::start;
use crate::sys::files::try_lock;
use crate::sys::{fds, procs};
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Time after a hand-over, or after a failure, at which the next engine is started.
const DELAY: Duration = Duration::from_secs(25);
/// Time between two looks of the keeper whether it is still needed.
const LOOK: Duration = Duration::from_millis(500);
/// Time for which a relay waits for the keeper.
const PATIENCE: Duration = Duration::from_millis(500);

/// Asks the keeper for its engine: the engine's socket and process id.
pub fn ask(layout: &Layout) -> Option<(UnixStream, i32)> {
    let keeper = fds::connect(&layout.spare_socket()).ok()?;
    keeper.set_read_timeout(Some(PATIENCE)).ok()?;
    let (payload, mut handed) = fds::receive_fds(&keeper).ok()?;
    let pid = std::str::from_utf8(&payload).ok()?.parse().ok()?;
    Some((UnixStream::from(handed.pop()?), pid))
}

/// An engine that nobody uses yet.
struct Spare {
    socket: UnixStream,
    child: Child,
}

/// Keeps a spare engine while process `watched` lives.
pub fn keep(layout: &Layout, watched: i32) -> Result<()> {
    let lock_path = layout.state.join("spare.lock");
    let lock = File::create(&lock_path).with_context(|| format!("cannot make {}", lock_path.display()))?;
    if !try_lock(&lock) {
        bail!("another keeper of a spare engine is at work in {}", layout.state.display());
    }
    let path = layout.spare_socket();
    let _ = std::fs::remove_file(&path);
    let listener = fds::listen(&path).with_context(|| format!("cannot listen at {}", path.display()))?;
    listener.set_nonblocking(true)?;
    let spare = keep_while(|| procs::is_alive(watched), &listener)?;
    let _ = std::fs::remove_file(&path);
    if let Some(Spare { socket, mut child }) = spare {
        drop(socket);
        child.wait()?;
    }
    collect_garbage(layout);
    Ok(())
}

/// Hands spare engines to the relays that connect, as long as they are needed; returns the last one.
fn keep_while(needed: impl Fn() -> bool, listener: &UnixListener) -> Result<Option<Spare>> {
    let mut spare: Option<Spare> = None;
    let mut adopted: Vec<Child> = Vec::new();
    let mut next_start = Instant::now();
    while needed() {
        adopted.retain_mut(|child| matches!(child.try_wait(), Ok(None)));
        if spare.as_mut().is_some_and(|spare| !matches!(spare.child.try_wait(), Ok(None))) {
            spare = None;
            next_start = Instant::now() + DELAY;
        }
        if spare.is_none() && Instant::now() >= next_start {
            let (socket, child) = start::engine(&[], Stdio::inherit())?;
            spare = Some(Spare { socket, child });
        }
        fds::wait_readable(&[listener.as_fd()], Some(LOOK));
        let Ok((relay, _)) = listener.accept() else { continue };
        if let Some(Spare { socket, child }) = spare.take() {
            // If the relay is gone already, dropping the socket ends the engine.
            let _ = fds::send_fds(&relay, child.id().to_string().as_bytes(), &[socket.as_fd()]);
            adopted.push(child);
            next_start = Instant::now() + DELAY;
        }
    }
    Ok(spare)
}
