//! In the place of cargo: what cargo would do for a cell is known after the first one.
//!
//! evcxr calls `cargo build` for every cell. Cargo then reads the manifests of some two hundred crates, finds that
//! nothing has changed but the cell, and calls rustc as it did the time before: a fifth of a second for nothing. So the
//! wrapper writes down how cargo called rustc for a cell (`call.rs`), and as long as nothing that cargo looks at has
//! changed, the next call is answered here: same compiler, same arguments, same environment, and cargo's own messages
//! about it.
//!
//! Whatever is not certain goes to the real cargo: another subcommand, other options, a changed manifest or
//! environment, a crate of the learner's own (its sources would have to be watched), a change in `gpt_lab` itself.

use super::call::Call;
use super::{crates, learner};
use crate::names::{file, var};
use crate::sources;
use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// True if this process was started under the name of cargo.
pub fn is_called() -> bool {
    std::env::var_os(var::REAL_CARGO).is_some() && learner::is_named("cargo")
}

/// Answers evcxr or rust-analyzer, with the real cargo's help where it is needed.
pub fn run(args: &[OsString]) -> Result<ExitCode> {
    let mut real = real(args)?;
    if crates::is_analyzers(args) {
        return tell_of_crates(&mut real);
    }
    if !is_plain_build(args) {
        return Err(real.exec()).with_context(|| cannot_start(&real));
    }
    let session = std::env::current_dir()?;
    let stamp = stamp(&session);
    if let Some(stamp) = &stamp
        && fs::read_to_string(session.join(file::STAMP)).is_ok_and(|old| old == *stamp)
        && let Some(call) = Call::read(&session.join(file::CALL))
    {
        return call.repeat();
    }
    let _ = fs::remove_file(session.join(file::STAMP));
    let _ = fs::remove_file(session.join(file::CALL));
    let status = real.status().with_context(|| cannot_start(&real))?;
    if let Some(stamp) = stamp.filter(|_| status.success()) {
        fs::write(session.join(file::STAMP), stamp)?;
    }
    Ok(exit_code(status))
}

/// The real cargo with these arguments, in the learner's environment, with this binary as the compiler's wrapper.
fn real(args: &[OsString]) -> Result<Command> {
    let mut command = Command::new(std::env::var_os(var::REAL_CARGO).context("the real cargo is not known")?);
    learner::give_back(&mut command).args(args);
    // Whatever evcxr puts between cargo and rustc (`:sccache`, `:cache`): all cells of a session must have our store.
    command.env_remove(var::EVCXR_IS_WRAPPER);
    command.env(var::RUSTC_WRAPPER, std::env::current_exe()?).env(var::IS_WRAPPER, "1");
    Ok(command)
}

fn cannot_start(command: &Command) -> String {
    format!("cannot start {}", command.get_program().display())
}

/// Cargo's metadata, of the crates that a cell can meet.
fn tell_of_crates(real: &mut Command) -> Result<ExitCode> {
    let output = real.stderr(Stdio::inherit()).output().with_context(|| cannot_start(real))?;
    std::io::stdout().write_all(&crates::shown(&output.stdout))?;
    Ok(exit_code(output.status))
}

fn exit_code(status: std::process::ExitStatus) -> ExitCode {
    ExitCode::from(status.code().map_or(101, |code| code as u8))
}

/// `[--offline] build --target TRIPLE --message-format=json`
fn is_plain_build(args: &[OsString]) -> bool {
    let args: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).collect();
    let args: Vec<&str> = args.iter().map(AsRef::as_ref).filter(|arg| *arg != "--offline").collect();
    matches!(args[..], ["build", "--target", _, "--message-format=json"])
}

/// The hash of everything that cargo would look at before it calls rustc; `None` if not all of that is known.
fn stamp(session: &Path) -> Option<String> {
    let manifest = fs::read_to_string(session.join(file::MANIFEST)).ok()?;
    let gpt_lab = PathBuf::from(std::env::var_os(var::ROOT)?).join("gpt_lab");
    if sources::local_crates(&manifest)
        .iter()
        .any(|path| fs::canonicalize(path).ok() != fs::canonicalize(&gpt_lab).ok())
    {
        return None;
    }
    let mut hash = Sha256::new();
    hash.update(manifest);
    hash.update(fs::read(session.join(".cargo/config.toml")).unwrap_or_default());
    let mut variables: Vec<_> = std::env::vars_os().collect();
    variables.sort();
    for (name, value) in variables {
        hash.update(name.as_bytes());
        hash.update([0]);
        hash.update(value.as_bytes());
        hash.update([0]);
    }
    let mut files = sources::of_cells(&gpt_lab).ok()?;
    files.sort();
    for file in files {
        let about = fs::metadata(&file).ok()?;
        hash.update(file.as_os_str().as_bytes());
        hash.update(format!(" {} {} {}\n", about.len(), about.mtime(), about.mtime_nsec()));
    }
    Some(hex::encode(hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_evcxrs_own_build_is_answered() {
        let plain = |args: &[&str]| is_plain_build(&args.iter().map(OsString::from).collect::<Vec<_>>());
        assert!(plain(&["build", "--target", "x86_64-unknown-linux-gnu", "--message-format=json"]));
        assert!(plain(&["--offline", "build", "--target", "x", "--message-format=json"]));
        assert!(!plain(&["check", "--target", "x", "--message-format=json"]));
        assert!(!plain(&["build", "--release", "--target", "x", "--message-format=json"]));
        assert!(!plain(&["clean"]));
    }
}
