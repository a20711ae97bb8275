//! The process that runs the cells: our own binary once more, started by evcxr.
//!
//! Before evcxr's loop takes over, standard output and error become pipes whose reading ends go to the engine. So text
//! arrives at once, nothing that a dying process wrote is lost, and evcxr's own lines on standard output are told from
//! the learner's text by the engine ([`crate::engine::output::pump`]).

use crate::names::var;
use crate::sys::fds;
use anyhow::{Context, Result};
use std::io::{BufRead, BufReader};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;

/// Hands our output to the engine and ends with it.
pub fn prepare() -> Result<()> {
    let Some(path) = std::env::var_os(var::PUMP) else {
        return Ok(());
    };
    let socket = fds::connect(path.as_ref()).context("cannot reach the engine")?;
    let to_evcxr = fds::duplicate(1)?;
    let (stdout, new_stdout) = fds::pipe()?;
    let (stderr, new_stderr) = fds::pipe()?;
    let handed = [to_evcxr.as_raw_fd(), stdout.as_raw_fd(), stderr.as_raw_fd()];
    fds::send_fds(&socket, std::process::id().to_string().as_bytes(), &handed)?;
    fds::redirect(&new_stdout, 1)?;
    fds::redirect(&new_stderr, 2)?;
    // Not for programs that a cell starts. Still one thread here, so the environment may change.
    for name in [var::RUST_BACKTRACE, var::RUSTC_WRAPPER, var::PUMP, var::IS_WRAPPER] {
        unsafe { std::env::remove_var(name) };
    }
    super::home::restore();
    std::thread::spawn(move || obey(socket));
    Ok(())
}

/// Follows the engine to another directory, and out of life.
fn obey(socket: UnixStream) {
    for line in BufReader::new(socket).lines() {
        let Ok(line) = line else { break };
        if let Some(directory) = line.strip_prefix("cd ") {
            let _ = std::env::set_current_dir(directory);
        }
    }
    // The engine is gone: nobody could use what this process still does.
    unsafe { libc::_exit(0) };
}
