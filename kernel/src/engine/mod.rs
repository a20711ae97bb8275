//! The engine: evcxr in a process of its own, told what to do by the relay over one socket.
//!
//! Threads: the main one runs evcxr, one listens to the relay (so that stop is heard while a cell runs), one is
//! the pump of the cells' output. A fourth waits for the relay's socket to close: then everything below us and we
//! ourselves are killed, and a last process removes the session directory.

mod clock;
mod control;
mod output;
mod place;
mod reply;
mod report;
mod tuning;
mod worker;

use crate::names::var;
use crate::protocol::FromEngine;
use crate::session::{Layout, Session, start};
use crate::sys::{fds, procs};
use anyhow::{Context, Result};
use clock::Clock;
use control::{Control, Listener};
use place::Place;
use reply::Reply;
use std::fs::File;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::channel;
use worker::Worker;

/// Runs until the relay goes away; standard input is the relay's socket.
pub fn run() -> Result<()> {
    let relay = UnixStream::from(fds::duplicate(0).context("standard input is not the relay's socket")?);
    fds::redirect(&File::open("/dev/null")?, 0)?;
    let layout = Layout::find()?;
    end_with(relay.try_clone()?, layout.clone());
    let clock = Clock::new();
    let session = match std::env::var_os(var::KEEP_DIR) {
        Some(dir) => Session::keep(PathBuf::from(dir)),
        None => Session::create(&layout)?,
    };
    clock.lap("session directory");
    let place = Place::prepare(&layout, session)?;
    let reply = Reply::new(relay.try_clone()?);
    reply.send(&FromEngine::Hello { pid: std::process::id() as i32 });
    let output = place.start_pump(&reply)?;
    let control = Arc::new(Control::new(place));
    let (tasks, task_receiver) = channel();
    let (inputs, input_receiver) = channel();
    let listener = Listener { control: control.clone(), tasks, inputs };
    std::thread::spawn(move || listener.run(relay));
    Worker { layout, control, reply, output, inputs: input_receiver, clock }.run(task_receiver);
    Ok(())
}

/// Ends this process and all below it as soon as the relay is gone, however it died and whatever we are doing then.
fn end_with(relay: UnixStream, layout: Layout) {
    std::thread::spawn(move || {
        fds::wait_closed(&relay);
        end(&layout)
    });
}

/// The end of the cells' process, of the compilers and of this process. The session directory is removed by a process of
/// its own once we are gone: as long as we live, evcxr may write there.
fn end(layout: &Layout) -> ! {
    let own = std::process::id() as i32;
    procs::kill_descendants(own, None);
    if let Err(error) = start::clean_after(own, layout) {
        eprintln!("gpt_lab_kernel: the session directory stays until the next kernel starts: {error}");
    }
    if unsafe { libc::getpgrp() } == own {
        procs::kill_group(own);
    }
    unsafe { libc::_exit(0) }
}
