//! The environment of an engine: what evcxr, rust-analyzer, cargo and the cells below it read. `names.rs` says what
//! each variable means.

use crate::below::{learner, tools};
use crate::names::{file, var};
use crate::session::Layout;
use anyhow::Result;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The variables that an engine in this session directory needs, beside those that it has inherited.
pub fn of_engine(layout: &Layout, dir: &Path) -> Result<Vec<(&'static str, OsString)>> {
    let mut variables = vec![
        (var::EVCXR_DIR, dir.into()),
        (var::EVCXR_CONFIG, dir.join(file::NO_CONFIG).into()),
        (var::CHANNEL, dir.join(file::CHANNEL).into()),
        (var::INTERRUPT, dir.join(file::INTERRUPT).into()),
        (var::PUMP, dir.join(file::PUMP).into()),
        (var::CARGO_TERM_COLOR, "never".into()),
        (var::ROOT, layout.root.clone().into()),
        (var::RUST_SRC_PATH, tools::small_std(dir)?.into()),
    ];
    variables.extend(learner::kept());
    if let Some(rustc) = real_rustc() {
        variables.extend(in_place_of_cargo(dir, &rustc)?);
        variables.push((var::RUSTC, rustc.into()));
    }
    Ok(variables)
}

/// The variables through which this binary is found in the place of cargo; none if there is no cargo beside the
/// compiler.
fn in_place_of_cargo(dir: &Path, rustc: &Path) -> Result<Vec<(&'static str, OsString)>> {
    let real = rustc.with_file_name("cargo");
    if !real.is_file() {
        return Ok(Vec::new());
    }
    let path = std::env::var_os(var::PATH).unwrap_or_default();
    let path = std::iter::once(tools::path(dir, rustc)?).chain(std::env::split_paths(&path));
    Ok(vec![
        (var::REAL_CARGO, real.into()),
        (var::CARGO_HOME, tools::cargo_home(dir, rustc)?.into()),
        (var::PATH, std::env::join_paths(path)?),
    ])
}

/// The compiler itself. What is called `rustc` on the PATH is usually rustup's proxy, which takes 20 ms to find it, and
/// rust-analyzer calls it some twenty times.
fn real_rustc() -> Option<PathBuf> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().ok()?;
    let rustc = Path::new(std::str::from_utf8(&output.stdout).ok()?.trim()).join("bin/rustc");
    rustc.is_file().then_some(rustc)
}
