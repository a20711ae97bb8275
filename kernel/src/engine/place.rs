//! Files of a session that the engine holds open.

use super::output::gather::Output;
use super::output::pump::{self, CellSocket, SharedOutput};
use super::reply::Reply;
use crate::names::file;
use crate::protocol::FromEngine;
use crate::sys::{fds, lock};
use anyhow::{Context, Result};
use rustix::fs::{CWD, Mode, mkfifoat};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// A session directory that is in use.
pub struct Place {
    /// The session directory.
    pub dir: PathBuf,
    /// The file that exists while a cell is to stop.
    pub interrupt: PathBuf,
    /// The socket of the process that runs the cells.
    pub cell_socket: CellSocket,
    listener: Mutex<Option<UnixListener>>,
    channel: File,
    _lock: OwnedFd,
}

impl Place {
    /// Makes the socket and the pipe of the cells' process in a session directory that is locked by `lock`.
    pub fn open(dir: &Path, lock: OwnedFd) -> Result<Place> {
        let [socket, fifo, interrupt] = [file::PUMP, file::CHANNEL, file::INTERRUPT].map(|name| dir.join(name));
        for stale in [&socket, &fifo, &interrupt] {
            let _ = std::fs::remove_file(stale);
        }
        let listener = fds::listen(&socket).with_context(|| format!("cannot listen at {}", socket.display()))?;
        let owner_only = Mode::RUSR | Mode::WUSR;
        mkfifoat(CWD, &fifo, owner_only).with_context(|| format!("cannot make {}", fifo.display()))?;
        // Open for both directions: so opening does not wait, and the pipe never reads as closed.
        let channel = File::options().read(true).write(true).open(&fifo)?;
        fds::set_nonblocking(&channel)?;
        let listener = Mutex::new(Some(listener));
        let cell_socket = CellSocket::default();
        Ok(Place { dir: dir.to_owned(), interrupt, cell_socket, listener, channel, _lock: lock })
    }

    /// Starts the pump; its output goes to the relay.
    pub fn start_pump(&self, reply: &Reply) -> Result<SharedOutput> {
        let reply = reply.clone();
        let send: Box<dyn FnMut(FromEngine) + Send> = Box::new(move |message| reply.send(&message));
        let output: SharedOutput = Arc::new(Mutex::new(Output::new(send)));
        let listener = lock(&self.listener).take().context("the pump runs already")?;
        let (channel, shared, current) = (self.channel.try_clone()?, output.clone(), self.cell_socket.clone());
        std::thread::spawn(move || pump::serve(listener, channel, shared, current));
        Ok(output)
    }
}
