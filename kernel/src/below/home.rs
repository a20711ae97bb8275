//! The folders through which evcxr and rust-analyzer find this binary where they look for cargo.

use crate::names::{file, var};
use anyhow::{Context, Result};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

/// A folder with tools under the names that evcxr looks for: this binary as `cargo`, the compiler itself, and a `rustup` that
/// knows nothing. Evcxr asks `rustup which cargo`, then the PATH.
pub fn tools(session: &Path, rustc: &Path) -> Result<PathBuf> {
    let folder = session.join(file::TOOLS);
    let own = std::env::current_exe()?;
    link(&folder, "cargo", &own)?;
    link(&folder, "rustup", Path::new("/bin/false"))?;
    link(&folder, "rustc", rustc)?;
    Ok(folder)
}

/// The learner's cargo home once more, but with this binary as `cargo` in `bin`: there rust-analyzer looks first. The learner's
/// own is kept in the environment for [`restore`].
pub fn cargo_home(session: &Path, rustc: &Path) -> Result<PathBuf> {
    let home = session.join(file::HOME);
    let users = std::env::var_os("HOME").map(|users| Path::new(&users).join(".cargo"));
    let learners = std::env::var_os(var::CARGO_HOME).filter(|path| !path.is_empty()).map(PathBuf::from).or(users);
    if let Some(learners) = learners {
        // What cargo makes there must not be made in a directory that goes with the session.
        for needed in ["registry", "git"] {
            let _ = fs::create_dir_all(learners.join(needed));
        }
        for entry in fs::read_dir(&learners).into_iter().flatten().flatten().filter(|entry| entry.file_name() != "bin")
        {
            link(&home, entry.file_name(), &entry.path())?;
        }
    }
    link(&home.join("bin"), "cargo", &std::env::current_exe()?)?;
    link(&home.join("bin"), "rustc", rustc)?;
    Ok(home)
}

fn link(folder: &Path, name: impl AsRef<Path>, program: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let link = folder.join(name);
    let _ = fs::remove_file(&link);
    std::os::unix::fs::symlink(program, &link).with_context(|| format!("cannot make {}", link.display()))
}

/// Back to the learner's cargo home, for whatever this process does or starts. No other thread may run yet.
pub fn restore() {
    let Some(own) = std::env::var_os(var::LEARNERS_CARGO_HOME) else { return };
    set(&own);
    // SAFETY: this process has one thread.
    unsafe { std::env::remove_var(var::LEARNERS_CARGO_HOME) }
}

/// The learner's cargo home for a while, in the engine; what was there comes back with [`take_back`]. No other thread may look
/// at the environment meanwhile; ours do not.
pub fn lend() -> Option<OsString> {
    let analyzers = std::env::var_os(var::CARGO_HOME).filter(|_| std::env::var_os(var::LEARNERS_CARGO_HOME).is_some());
    let learners = std::env::var_os(var::LEARNERS_CARGO_HOME).filter(|_| analyzers.is_some());
    set(&learners?);
    analyzers
}

/// See [`lend`].
pub fn take_back(analyzers: OsString) {
    set(&analyzers);
}

fn set(home: &OsStr) {
    // SAFETY: the callers say that no other thread looks at the environment.
    unsafe {
        if home.is_empty() { std::env::remove_var(var::CARGO_HOME) } else { std::env::set_var(var::CARGO_HOME, home) }
    }
}
