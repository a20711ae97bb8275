//! Processes that outlive or leave the one that starts them: an engine, and the last process of an engine.

use super::Layout;
use crate::names::var;
use anyhow::{Context, Result};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// Starts an engine in a process group of its own; its standard input is the far end of the returned socket.
pub fn engine(stderr: Stdio) -> Result<(UnixStream, Child)> {
    let (near, far) = UnixStream::pair()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("engine");
    command.stdin(Stdio::from(OwnedFd::from(far))).stdout(Stdio::null()).stderr(stderr);
    let child = apart(&mut command).context("cannot start the engine")?;
    Ok((near, child))
}

/// Starts `gpt_lab_kernel clean --after PID`, in a session of its own so that killing the caller's group spares it.
pub fn clean_after(pid: i32, layout: &Layout) -> io::Result<Child> {
    // By this name even a binary that was replaced since can be started.
    let mut command = Command::new("/proc/self/exe");
    command.args(["clean", "--after", &pid.to_string()]).current_dir("/");
    command.env(var::ROOT, &layout.root).env(var::STATE, &layout.state);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    apart(&mut command)
}

/// Starts a program in a session of its own: it leaves the process group and the terminal.
fn apart(command: &mut Command) -> io::Result<Child> {
    // SAFETY: between fork and exec only what is async-signal-safe may be called. setsid(2) is, and rustix makes the
    // system call directly; neither the id that it returns nor an error number turned into an `io::Error` allocates or
    // locks.
    unsafe {
        command.pre_exec(|| Ok(rustix::process::setsid().map(drop)?));
    }
    command.spawn()
}
