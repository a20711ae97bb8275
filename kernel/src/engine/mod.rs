//! The engine: evcxr in a process of its own, told what to do by the relay over one socket.
//!
//! The process starts twice. The first time it makes the session directory, computes its environment and becomes itself
//! once more with it: so the environment never changes while there are threads that might read it. The second time it
//! works. Threads: the main one runs evcxr, one listens to the relay (so that stop is heard while a cell runs), one is
//! the pump of the cells' output. A fourth waits for the relay's socket to close: then everything below us and we
//! ourselves are killed, and a last process removes the session directory.

mod clock;
mod control;
mod dependency;
mod environment;
mod evaluator;
mod output;
mod place;
mod questions;
mod reply;
mod report;
mod tuning;
mod worker;

use crate::names::var;
use crate::protocol::FromEngine;
use crate::session::{Layout, Session, start};
use crate::sys::{fds, procs};
use anyhow::{Context, Result, bail};
use clock::Clock;
use control::{Control, Listener};
use place::Place;
use reply::Reply;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::channel;
use worker::Worker;

/// The argument before the session directory, the second time.
const IN: &str = "--in";

/// Runs until the relay goes away; standard input is the relay's socket.
pub fn run(args: &[String]) -> Result<()> {
    match args {
        [] => enter(),
        [flag, dir] if flag == IN => serve(Path::new(dir)),
        _ => bail!("usage: gpt_lab_kernel engine"),
    }
}

/// Makes the session directory and starts this program again in the same process, with the environment of an engine.
fn enter() -> Result<()> {
    let layout = Layout::find()?;
    let clock = Clock::new();
    // The lock of the session directory lives as long as a process holds it: it travels as standard output.
    let (dir, lock) = match std::env::var_os(var::KEEP_DIR) {
        Some(dir) => (PathBuf::from(dir), Stdio::null()),
        None => Session::create(&layout).map(|session| (session.dir, Stdio::from(session.lock)))?,
    };
    clock.lap("session directory");
    let environment = environment::of_engine(&layout, &dir)?;
    clock.lap("environment");
    let mut again = Command::new(std::env::current_exe()?);
    again.args(["engine", IN]).arg(dir).envs(environment).stdout(lock);
    Err(again.exec()).context("cannot start the engine a second time")
}

/// Works in a session directory, in the environment made for it.
fn serve(dir: &Path) -> Result<()> {
    let relay = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let lock = io::stdout().as_fd().try_clone_to_owned()?;
    let nothing = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    rustix::stdio::dup2_stdout(&nothing)?;
    let layout = Layout::find()?;
    end_with(relay.try_clone()?, layout.clone());
    let clock = Clock::new();
    let place = Place::open(dir, lock)?;
    let reply = Reply::new(relay.try_clone()?);
    reply.send(&FromEngine::Hello { pid: std::process::id() as i32 });
    let output = place.start_pump(&reply)?;
    let control = Arc::new(Control::new(place));
    let (tasks, task_receiver) = channel();
    let (inputs, input_receiver) = channel();
    let listener = Listener { control: control.clone(), tasks, inputs };
    std::thread::spawn(move || listener.run(relay));
    Worker { layout, control, reply, clock }.run(task_receiver, output, input_receiver);
    Ok(())
}

/// Ends this process and all below it as soon as the relay is gone, however it died and whatever we are doing then.
fn end_with(relay: UnixStream, layout: Layout) {
    std::thread::spawn(move || {
        fds::wait_closed(&relay);
        end(&layout)
    });
}

/// Ends the cells' process, the compilers and this process. The session directory is removed by a process
/// of its own once we are gone: as long as we live, evcxr may write there.
fn end(layout: &Layout) -> ! {
    let own = std::process::id() as i32;
    procs::kill_descendants(own, None);
    if let Err(error) = start::clean_after(own, layout) {
        eprintln!("gpt_lab_kernel: the session directory stays until the next kernel starts: {error}");
    }
    if rustix::process::getpgrp() == rustix::process::getpid() {
        procs::kill_group(own);
    }
    procs::kill_self()
}
