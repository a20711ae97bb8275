//! In the place of cargo for rust-analyzer, which looks for it in `CARGO_HOME/bin`.

use crate::crates;
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// The real cargo; set for all that is started from here.
const REAL: &str = "GPT_LAB_ASSIST_CARGO";
/// The learner's own `CARGO_HOME`, empty if there is none.
const LEARNERS_HOME: &str = "GPT_LAB_ASSIST_CARGO_HOME";

/// True if this process was started under the name of cargo.
pub fn is_called() -> bool {
    let name = std::env::args_os().next().map(PathBuf::from);
    std::env::var_os(REAL).is_some() && name.is_some_and(|path| path.file_name().is_some_and(|name| name == "cargo"))
}

/// Hands over to the real cargo; of its metadata rust-analyzer gets what a cell can meet.
pub fn run() -> Result<ExitCode> {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let mut real = Command::new(std::env::var_os(REAL).context("the real cargo is not known")?);
    real.args(&args).env_remove(REAL);
    match std::env::var_os(LEARNERS_HOME).filter(|home| !home.is_empty()) {
        Some(home) => real.env("CARGO_HOME", home),
        None => real.env_remove("CARGO_HOME"),
    };
    if !crates::is_analyzers(&args) {
        let status = real.status().context("cargo cannot be started")?;
        return Ok(ExitCode::from(status.code().map_or(101, |code| code as u8)));
    }
    let output = real.stderr(Stdio::inherit()).output().context("cargo cannot be started")?;
    std::io::stdout().write_all(&crates::shown(&output.stdout))?;
    Ok(ExitCode::from(output.status.code().map_or(101, |code| code as u8)))
}

/// The environment in which rust-analyzer finds us: a home for cargo in this folder. It must not lie in the folder of
/// the code, where rust-analyzer would read the whole registry through it.
pub fn environment(folder: &Path, sysroot: &Path) -> Result<Vec<(&'static str, OsString)>> {
    let home = folder.join("home");
    let own = std::env::var_os("CARGO_HOME");
    let learners =
        own.clone().map(PathBuf::from).or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    for entry in learners.iter().flat_map(fs::read_dir).flatten().flatten().filter(|entry| entry.file_name() != "bin") {
        link(&home, entry.file_name(), &entry.path())?;
    }
    link(&home.join("bin"), "cargo", &std::env::current_exe()?)?;
    link(&home.join("bin"), "rustc", &sysroot.join("bin/rustc"))?;
    Ok(vec![
        (REAL, sysroot.join("bin/cargo").into()),
        (LEARNERS_HOME, own.unwrap_or_default()),
        ("CARGO_HOME", home.into()),
        ("RUSTC", sysroot.join("bin/rustc").into()),
    ])
}

fn link(folder: &Path, name: impl AsRef<Path>, program: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    let link = folder.join(name);
    let _ = fs::remove_file(&link);
    symlink(program, &link).with_context(|| format!("cannot make {}", link.display()))
}
