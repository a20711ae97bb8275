//! Files and environment of an engine.

use super::output::gather::Output;
use super::output::pump::{self, CellSocket, SharedOutput};
use super::reply::Reply;
use super::tuning;
use crate::below::home;
use crate::names::{file, var};
use crate::protocol::FromEngine;
use crate::session::{Layout, Session};
use crate::sys::{fds, lock};
use anyhow::{Context, Result};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

/// Files of a session.
pub struct Place {
    /// The session directory.
    pub session: Session,
    listener: Mutex<Option<std::os::unix::net::UnixListener>>,
    channel: File,
    /// The file that exists while a cell is to stop.
    pub interrupt: PathBuf,
    /// Commands to the process that runs the cells.
    pub cell_socket: CellSocket,
}

impl Place {
    /// Makes the files and sets the environment; no other thread may run yet.
    pub fn prepare(layout: &Layout, session: Session) -> Result<Place> {
        home::restore(); // a cell of another kernel may have started this one
        let dir = session.dir.clone();
        let socket = dir.join(file::PUMP);
        let fifo = dir.join(file::CHANNEL);
        let interrupt = dir.join(file::INTERRUPT);
        for stale in [&socket, &fifo, &interrupt] {
            let _ = std::fs::remove_file(stale);
        }
        let listener = fds::listen(&socket).with_context(|| format!("cannot listen at {}", socket.display()))?;
        make_fifo(&fifo)?;
        // Open for both directions: so opening does not wait, and the pipe never reads as closed.
        let channel = File::options().read(true).write(true).open(&fifo)?;
        fds::set_nonblocking(&channel)?;
        let own = std::env::current_exe()?;
        let variables = [
            (var::EVCXR_DIR, dir.clone()),
            (var::EVCXR_CONFIG, dir.join(file::NO_CONFIG)),
            (var::CHANNEL, fifo),
            (var::INTERRUPT, interrupt.clone()),
            (var::PUMP, socket),
            (var::RUSTC_WRAPPER, own),
            (var::CARGO_TERM_COLOR, "never".into()),
            (var::IS_WRAPPER, PathBuf::from("1")),
            (var::ROOT, layout.root.clone()),
        ];
        for (name, value) in variables {
            unsafe { std::env::set_var(name, value) };
        }
        if let Some(rustc) = real_rustc() {
            let real = rustc.with_file_name("cargo");
            if real.is_file() {
                let learners = std::env::var_os(var::CARGO_HOME).unwrap_or_default();
                let home = home::cargo_home(&dir, &rustc)?;
                unsafe {
                    std::env::set_var(var::REAL_CARGO, real);
                    std::env::set_var(var::LEARNERS_CARGO_HOME, learners);
                    std::env::set_var(var::CARGO_HOME, home);
                }
            }
            unsafe { std::env::set_var(var::RUSTC, rustc) };
        }
        for (name, value) in tuning::cells() {
            if std::env::var_os(name).is_none() {
                unsafe { std::env::set_var(name, value) };
            }
        }
        let listener = Mutex::new(Some(listener));
        Ok(Place { session, listener, channel, interrupt, cell_socket: CellSocket::default() })
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

/// The compiler itself. What is called `rustc` on the PATH is usually rustup's proxy, which takes 20 ms to find it, and
/// rust-analyzer calls it some twenty times.
fn real_rustc() -> Option<PathBuf> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().ok()?;
    let rustc = Path::new(std::str::from_utf8(&output.stdout).ok()?.trim()).join("bin/rustc");
    rustc.is_file().then_some(rustc)
}

fn make_fifo(path: &Path) -> Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let name = std::ffi::CString::new(path.as_os_str().as_bytes())?;
    if unsafe { libc::mkfifo(name.as_ptr(), 0o600) } != 0 {
        return Err(std::io::Error::last_os_error()).with_context(|| format!("cannot make {}", path.display()));
    }
    Ok(())
}
