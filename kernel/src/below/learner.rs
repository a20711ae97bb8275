//! The learner's own environment, for everything that is neither evcxr nor rust-analyzer.
//!
//! The engine runs with other values of a few variables, so that evcxr and rust-analyzer find this binary in the place
//! of cargo, and a small standard library at first. The learner's values travel along under names of ours, and every
//! program that leaves the engine gets them back: cargo, the process of the cells, and shell commands in a cell
//! (`!cargo …`).

use crate::names::var;
use anyhow::{Context, Result};
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Variables that an engine changes, and the names under which the learner's values travel.
const CHANGED: [(&str, &str); 3] = [
    (var::PATH, var::LEARNERS_PATH),
    (var::CARGO_HOME, var::LEARNERS_CARGO_HOME),
    (var::RUST_SRC_PATH, var::LEARNERS_RUST_SRC_PATH),
];

/// The learner's values under the names of ours; an empty one stands for a variable that is not set.
pub fn kept() -> impl Iterator<Item = (&'static str, OsString)> {
    CHANGED.into_iter().map(|(name, kept)| (kept, std::env::var_os(name).unwrap_or_default()))
}

/// Gives a command the learner's values.
pub fn give_back(command: &mut Command) -> &mut Command {
    for (name, kept) in CHANGED {
        match std::env::var_os(kept) {
            Some(value) if value.is_empty() => command.env_remove(name),
            Some(value) => command.env(name, value),
            None => command,
        };
        command.env_remove(kept);
    }
    command
}

/// True if evcxr calls this binary as the shell of a `!` line.
pub fn is_shell() -> bool {
    is_named("sh") && std::env::var_os(var::LEARNERS_PATH).is_some()
}

/// True if this process was started under that name.
pub fn is_named(name: &str) -> bool {
    std::env::args_os().next().is_some_and(|own| Path::new(&own).file_name() == Some(OsStr::new(name)))
}

/// Becomes the shell that the learner has, with the learner's environment.
pub fn shell(args: &[OsString]) -> Result<()> {
    let mut command = Command::new("sh");
    give_back(&mut command).args(args);
    Err(command.exec()).context("cannot start the shell")
}
