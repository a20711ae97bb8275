//! The process that runs the cells: loads one shared object after the other and calls the function in it.
//!
//! The main thread listens to the engine; a second one runs the cells, so that an order is always heard. Standard input
//! is the learner's: empty, unless the engine hands over a pipe with a cell.

mod host;
mod protocol;
mod store;

pub use protocol::{End, FromCells, ToCells};

use crate::sys::{fds, procs};
use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, channel};

/// The stack of the thread that runs the cells; what is not used takes no memory.
const STACK: usize = 256 << 20;

/// Runs cells until the engine goes away; standard input is the engine's socket.
pub fn run() -> Result<()> {
    let engine = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    empty_stdin()?;
    host::connect(engine.try_clone()?);
    let (orders, queue) = channel();
    let runner = std::thread::Builder::new().name("main".to_owned()).stack_size(STACK);
    runner.spawn(move || work(&queue)).context("cannot start the thread of the cells")?;
    let mut text = Vec::new();
    while let Ok((bytes, mut handed)) = fds::receive_fds(&engine) {
        if bytes.is_empty() {
            break;
        }
        text.extend(bytes);
        while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = text.drain(..=end).collect();
            match serde_json::from_slice::<ToCells>(&line) {
                Ok(order) => {
                    let input = if matches!(order, ToCells::Run { .. }) { handed.pop() } else { None };
                    drop(orders.send((order, input)));
                }
                Err(error) => eprintln!("gpt_lab_kernel: the engine sent what cannot be read: {error}"),
            }
        }
    }
    // The engine is gone: nobody could use what this process still does.
    procs::kill_self()
}

fn work(queue: &Receiver<(ToCells, Option<OwnedFd>)>) {
    for (order, handed) in queue {
        match order {
            ToCells::Run { library } => {
                if let Some(input) = handed {
                    // Without it the cell finds an empty input.
                    let _ = rustix::stdio::dup2_stdin(&input);
                }
                host::run(library.as_ref());
                let _ = empty_stdin();
            }
            ToCells::Load { library } => host::load(library.as_ref()),
            ToCells::Forget { names } => names.iter().for_each(|name| store::forget(name)),
        }
    }
}

fn empty_stdin() -> Result<()> {
    let nothing = rustix::fs::open("/dev/null", OFlags::RDONLY, Mode::empty())?;
    Ok(rustix::stdio::dup2_stdin(&nothing)?)
}
