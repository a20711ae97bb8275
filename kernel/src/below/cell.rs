//! The process that runs the cells: our own binary once more, started by evcxr.
//!
//! Before evcxr's loop takes over, standard output and error become pipes whose reading ends go to the engine. So text
//! arrives at once, nothing that a dying process wrote is lost, and evcxr's own lines on standard output are told from
//! the learner's text by the engine (`engine/output/pump.rs`).

use crate::names::var;
use crate::sys::{fds, procs};
use anyhow::{Context, Result};
use std::io::{self, BufRead, BufReader};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

/// Hands the output of this process to the engine. Nothing may have started a thread before.
pub fn prepare() -> Result<()> {
    let Some(path) = std::env::var_os(var::PUMP) else {
        return Ok(());
    };
    let socket = fds::connect(path.as_ref()).context("cannot reach the engine")?;
    let to_evcxr = io::stdout().as_fd().try_clone_to_owned()?;
    let (stdout, new_stdout) = io::pipe()?;
    let (stderr, new_stderr) = io::pipe()?;
    let handed = [to_evcxr.as_fd(), stdout.as_fd(), stderr.as_fd()];
    fds::send_fds(&socket, std::process::id().to_string().as_bytes(), &handed)?;
    rustix::stdio::dup2_stdout(new_stdout)?;
    rustix::stdio::dup2_stderr(new_stderr)?;
    // Not for programs that a cell starts. Evcxr sets the first itself, so the engine cannot leave it out.
    for name in [var::RUST_BACKTRACE, var::PUMP] {
        // SAFETY: no other thread can read the environment meanwhile, since there is none: `main` has come here first.
        unsafe { std::env::remove_var(name) };
    }
    std::thread::spawn(move || obey(socket));
    Ok(())
}

/// Obeys the engine: changes to the directory that it names, and ends this process when the engine is gone.
fn obey(socket: UnixStream) {
    for line in BufReader::new(socket).lines() {
        let Ok(line) = line else { break };
        if let Some(directory) = line.strip_prefix("cd ") {
            let _ = std::env::set_current_dir(directory);
        }
    }
    // The engine is gone: nobody could use what this process still does.
    procs::kill_self();
}
