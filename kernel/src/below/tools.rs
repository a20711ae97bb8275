//! The folders through which evcxr and rust-analyzer find this binary where they look for cargo.

use crate::names::{file, var};
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A folder for the front of the PATH, with this binary as `cargo` and as `sh`, the compiler itself, and a `rustup`
/// that always fails. Evcxr asks `rustup which cargo`, then the PATH.
pub fn path(session: &Path, rustc: &Path) -> Result<PathBuf> {
    let folder = session.join(file::TOOLS);
    let own = std::env::current_exe()?;
    link(&folder, "cargo", &own)?;
    link(&folder, "sh", &own)?;
    link(&folder, "rustup", Path::new("/bin/false"))?;
    link(&folder, "rustc", rustc)?;
    Ok(folder)
}

/// Takes the `rustup` that always fails out of the folder [`path`]: once evcxr has started, its `:toolchain` is to find
/// the learner's.
pub fn started(session: &Path) {
    let _ = fs::remove_file(session.join(file::TOOLS).join("rustup"));
}

/// The learner's cargo home once more, but with this binary as `cargo` in `bin`: rust-analyzer looks there first.
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

/// The folder in which rust-analyzer looks for the standard library's source: at first one with next to nothing to
/// read.
///
/// Evcxr begins with a cell of its own, `42`, for which rust-analyzer reads the whole standard library; the first cell
/// with a dependency makes it read everything again. [`real_std`] is for that second time.
pub fn small_std(session: &Path) -> Result<PathBuf> {
    let folder = session.join(file::RUST_SRC);
    let _ = fs::remove_file(&folder);
    fs::create_dir_all(folder.join("core/src"))?;
    fs::write(folder.join("core/src/lib.rs"), "")?;
    Ok(folder)
}

/// Makes the folder [`small_std`] a link to the learner's choice; without one it is gone, and rust-analyzer takes the
/// source that belongs to the compiler.
pub fn real_std(session: &Path) -> Result<()> {
    let folder = session.join(file::RUST_SRC);
    fs::remove_dir_all(&folder)?;
    match std::env::var_os(var::LEARNERS_RUST_SRC_PATH).filter(|path| !path.is_empty()) {
        Some(learners) => Ok(symlink(learners, folder)?),
        None => Ok(()),
    }
}

fn link(folder: &Path, name: impl AsRef<Path>, program: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let link = folder.join(name);
    let _ = fs::remove_file(&link);
    symlink(program, &link).with_context(|| format!("cannot make {}", link.display()))
}
