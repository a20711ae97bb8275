//! In the place of cargo: what cargo would do for a cell is known after the first one.
//!
//! evcxr calls `cargo build` for every cell. Cargo then reads the manifests of some two hundred crates, finds that nothing has
//! changed but the cell, and calls rustc as it did the time before: a fifth of a second for nothing. So the wrapper writes down
//! how cargo called rustc for a cell ([`super::call::record`]), and as long as nothing that cargo looks at has changed, the next call is
//! answered here: same compiler, same arguments, same environment, and cargo's own messages about it.
//!
//! Whatever is not certain goes to the real cargo: another subcommand, other options, a changed manifest or environment, a crate
//! of the learner's own (its sources would have to be watched), a change in `gpt_lab` itself.

use super::call::Call;
use super::{crates, home};
use crate::names::{file, var};
use crate::sys::files::collect_files;
use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// Whether this process was started under the name of cargo.
pub fn is_called() -> bool {
    let name = std::env::args_os().next().map(PathBuf::from);
    std::env::var_os(var::REAL_CARGO).is_some()
        && name.is_some_and(|name| name.file_name() == Some(OsStr::new("cargo")))
}

/// What evcxr wants of cargo.
pub fn run(args: Vec<OsString>) -> Result<ExitCode> {
    home::restore();
    // Whatever evcxr puts between cargo and rustc (`:sccache`, `:cache`): all cells of a session must have our store of variables.
    // SAFETY: this process has one thread.
    unsafe {
        std::env::remove_var(var::EVCXR_IS_WRAPPER);
        std::env::set_var(var::RUSTC_WRAPPER, std::env::current_exe()?);
    }
    let real = std::env::var_os(var::REAL_CARGO).context("the real cargo is not known")?;
    if crates::is_analyzers(&args) {
        return tell_of_crates(&real, &args);
    }
    let session = std::env::current_dir()?;
    if !is_plain_build(&args) {
        return Err(Command::new(&real).args(&args).exec()).context(format!("cannot start {}", real.display()));
    }
    let stamp = stamp(&session);
    if let Some(stamp) = &stamp
        && fs::read_to_string(session.join(file::STAMP)).is_ok_and(|old| old == *stamp)
        && let Some(call) = Call::read(&session.join(file::CALL))
    {
        return call.repeat();
    }
    let _ = fs::remove_file(session.join(file::STAMP));
    let _ = fs::remove_file(session.join(file::CALL));
    let status = Command::new(&real).args(&args).status();
    let status = status.with_context(|| format!("cannot start {}", real.display()))?;
    if let Some(stamp) = stamp.filter(|_| status.success()) {
        fs::write(session.join(file::STAMP), stamp)?;
    }
    Ok(exit_code(status))
}

/// Cargo's metadata, of the crates that a cell can meet.
fn tell_of_crates(real: &OsStr, args: &[OsString]) -> Result<ExitCode> {
    let output = Command::new(real).args(args).stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot start {}", real.display()))?;
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

/// Everything that cargo would look at before it calls rustc; `None` if that cannot be said.
fn stamp(session: &Path) -> Option<String> {
    let manifest = fs::read_to_string(session.join(file::MANIFEST)).ok()?;
    let gpt_lab = PathBuf::from(std::env::var_os(var::ROOT)?).join("gpt_lab");
    if local_crates(&manifest).iter().any(|path| fs::canonicalize(path).ok() != fs::canonicalize(&gpt_lab).ok()) {
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
    let mut files = vec![gpt_lab.join("Cargo.toml")];
    collect_files(&gpt_lab.join("src"), &mut files).ok()?;
    files.sort();
    for file in files {
        let about = fs::metadata(&file).ok()?;
        hash.update(file.as_os_str().as_bytes());
        hash.update(format!(" {} {} {}\n", about.len(), about.mtime(), about.mtime_nsec()));
    }
    Some(hex::encode(hash.finalize()))
}

/// The values of `path = "…"` in the dependencies of a manifest that evcxr wrote.
fn local_crates(manifest: &str) -> Vec<&str> {
    let dependencies = manifest.split_once("[dependencies]").map_or("", |(_, rest)| rest);
    let mut found = Vec::new();
    for (at, _) in dependencies.match_indices("path") {
        let rest = dependencies[at + 4..].trim_start();
        if let Some(value) = rest.strip_prefix('=').map(str::trim_start) {
            // What is not understood is no path of ours.
            found.push(value.strip_prefix('"').and_then(|value| value.split_once('"')).map_or("", |(path, _)| path));
        }
    }
    found
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

    #[test]
    fn local_crates_are_found() {
        let manifest =
            "[lib]\npath = \"src/lib.rs\"\n[dependencies]\ngpt_lab = { path = \"/x/gpt_lab\" }\nrand = \"0.9\"\n";
        assert_eq!(local_crates(manifest), ["/x/gpt_lab"]);
        assert_eq!(local_crates(&format!("{manifest}mine = {{path=\"../mine\"}}")), ["/x/gpt_lab", "../mine"]);
        assert_eq!(local_crates(&format!("{manifest}mine = {{ path = '../mine' }}")), ["/x/gpt_lab", ""]);
    }
}
