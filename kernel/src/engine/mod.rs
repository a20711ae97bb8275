//! The engine: understands cells, has them compiled, and has them run by a process of their own.
//!
//! Threads: the main one works on one task after the other, one listens to the relay (so that stop is heard while a
//! cell runs), one is the pump of the cells' output. A fourth waits for the relay's socket to close: then everything
//! below us and we ourselves are killed, and a last process removes the session directory.

mod assist;
mod clock;
mod commands;
mod control;
mod dependencies;
mod notebook;
mod output;
mod place;
mod process;
mod reply;
mod running;
mod session;
mod told;
mod tuning;
mod worker;

use crate::protocol::FromEngine;
use crate::session::{Layout, Session, start};
use crate::sys::{fds, lock, procs};
use anyhow::{Result, bail};
use clock::Clock;
use control::{Control, Listener};
use notebook::Notebook;
use output::gather::Output;
use output::pump::SharedOutput;
use place::Place;
use reply::Reply;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use worker::Worker;

/// Runs until the relay goes away; standard input is the relay's socket.
pub fn run(args: &[String]) -> Result<()> {
    if !args.is_empty() {
        bail!("usage: gpt_lab_kernel engine");
    }
    let relay = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let nothing = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    let layout = Layout::find()?;
    let clock = Clock::new();
    let Session { dir, lock: held } = Session::create(&layout)?;
    end_with(relay.try_clone()?, layout.clone());
    let place = Place::open(&dir, OwnedFd::from(held))?;
    let reply = Reply::new(relay.try_clone()?);
    reply.send(&FromEngine::Hello { pid: std::process::id() as i32 });
    clock.lap("session directory");
    let notebook: Arc<Mutex<Notebook>> = Arc::default();
    let output = output_of(&reply, &notebook);
    let control = Arc::new(Control::new(place));
    let (tasks, task_receiver) = channel();
    let (inputs, input_receiver) = channel();
    let listener = Listener { control: control.clone(), tasks, inputs };
    std::thread::spawn(move || listener.run(relay));
    let parts = session::Parts {
        layout,
        control: control.clone(),
        reply: reply.clone(),
        output,
        inputs: input_receiver,
        notebook,
    };
    let assist = assist::Assist::new(dir.join("assist"), reply.clone());
    Worker { control, reply, clock, assist }.run(task_receiver, parts);
    // The relay is gone: what waits for that ends this process, after all that is below it.
    loop {
        std::thread::park();
    }
}

/// The way of the cells' output to the relay.
fn output_of(reply: &Reply, notebook: &Arc<Mutex<Notebook>>) -> SharedOutput {
    let (reply, notebook) = (reply.clone(), notebook.clone());
    let send: Box<dyn FnMut(FromEngine) + Send> = Box::new(move |message| reply.send(&message));
    let places = move |text: &str| {
        if text.contains("cell-") { lock(&notebook).in_learners_places(text) } else { text.to_owned() }
    };
    Arc::new(Mutex::new(Output::new(send, Box::new(places))))
}

/// Ends this process and all below it as soon as the relay is gone, however it died and whatever we are doing then.
fn end_with(relay: UnixStream, layout: Layout) {
    std::thread::spawn(move || {
        fds::wait_closed(&relay);
        end(&layout)
    });
}

/// Ends the cells' process, the compilers and this process. The session directory is removed by a process
/// of its own once we are gone: as long as we live, a compiler may write there.
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
