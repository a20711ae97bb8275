//! In the place of cargo: what cargo would do for a cell is known after the first one.
//!
//! evcxr calls `cargo build` for every cell. Cargo then reads the manifests of some two hundred crates, finds that nothing has
//! changed but the cell, and calls rustc as it did the time before: a fifth of a second for nothing. So the wrapper writes down
//! how cargo called rustc for a cell ([`record`]), and as long as nothing that cargo looks at has changed, the next call is
//! answered here: same compiler, same arguments, same environment, and cargo's own messages about it.
//!
//! Whatever is not certain goes to the real cargo: another subcommand, other options, a changed manifest or environment, a crate
//! of the learner's own (its sources would have to be watched), a change in `gpt_lab` itself.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use super::{crates, variables, wrapper};
use crate::names::{file, var};

/// The name of the crate that evcxr makes of a cell.
const CRATE: &str = "ctx";

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
/// own is kept in the environment for [`restore_home`].
pub fn home(session: &Path, rustc: &Path) -> Result<PathBuf> {
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
pub fn restore_home() {
    let Some(own) = std::env::var_os(var::LEARNERS_CARGO_HOME) else { return };
    set_home(&own);
    // SAFETY: this process has one thread.
    unsafe { std::env::remove_var(var::LEARNERS_CARGO_HOME) }
}

/// The learner's cargo home for a while, in the engine; what was there comes back with [`take_home_back`]. No other thread may look
/// at the environment meanwhile; ours do not.
pub fn lend_home() -> Option<OsString> {
    let analyzers = std::env::var_os(var::CARGO_HOME).filter(|_| std::env::var_os(var::LEARNERS_CARGO_HOME).is_some());
    let learners = std::env::var_os(var::LEARNERS_CARGO_HOME).filter(|_| analyzers.is_some());
    set_home(&learners?);
    analyzers
}

/// See [`lend_home`].
pub fn take_home_back(analyzers: OsString) {
    set_home(&analyzers);
}

fn set_home(home: &OsStr) {
    // SAFETY: the callers say that no other thread looks at the environment.
    unsafe {
        if home.is_empty() { std::env::remove_var(var::CARGO_HOME) } else { std::env::set_var(var::CARGO_HOME, home) }
    }
}

/// Whether this process was started under the name of cargo.
pub fn is_called() -> bool {
    let name = std::env::args_os().next().map(PathBuf::from);
    std::env::var_os(var::REAL_CARGO).is_some()
        && name.is_some_and(|name| name.file_name() == Some(OsStr::new("cargo")))
}

/// What evcxr wants of cargo.
pub fn run(args: Vec<OsString>) -> Result<ExitCode> {
    restore_home();
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
    crate::session::template::collect_files(&gpt_lab.join("src"), &mut files).ok()?;
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

/// Writes down how cargo calls rustc for a cell. Called by the wrapper, in the session directory.
pub fn record(compiler: &str, args: &[String]) -> Result<()> {
    if std::env::var_os(var::REAL_CARGO).is_none() {
        return Ok(());
    }
    let parts = std::iter::once(compiler).chain(args.iter().map(String::as_str)).map(OsStr::new);
    let call = Call { parts: parts.map(OsStr::to_owned).collect(), variables: std::env::vars_os().collect() };
    call.write(Path::new(file::CALL))
}

/// A call of the compiler.
struct Call {
    /// The compiler and its arguments.
    parts: Vec<OsString>,
    /// Its environment.
    variables: Vec<(OsString, OsString)>,
}

impl Call {
    fn write(&self, path: &Path) -> Result<()> {
        let mut bytes = Vec::new();
        for part in &self.parts {
            bytes.extend_from_slice(part.as_bytes());
            bytes.push(0);
        }
        bytes.push(0);
        for (name, value) in &self.variables {
            bytes.extend([name.as_bytes(), b"=", value.as_bytes(), &[0]].concat());
        }
        Ok(fs::write(path, bytes)?)
    }

    fn read(path: &Path) -> Option<Call> {
        let bytes = fs::read(path).ok()?;
        let end = bytes.windows(2).position(|two| two == [0, 0])?;
        let owned = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        let variables = bytes[end + 2..].split(|byte| *byte == 0).filter(|pair| !pair.is_empty()).map(|pair| {
            let equals = pair.iter().position(|byte| *byte == b'=')?;
            Some((owned(&pair[..equals]), owned(&pair[equals + 1..])))
        });
        Some(Call {
            parts: bytes[..end].split(|byte| *byte == 0).map(owned).collect(),
            variables: variables.collect::<Option<_>>()?,
        })
    }

    /// Compiles the cell that is there now, and says about it what cargo would say.
    fn repeat(&self) -> Result<ExitCode> {
        let (compiler, args) = self.parts.split_first().context("the call is empty")?;
        let source = Path::new(file::SOURCE);
        wrapper::patch_file(source)?;
        let library = self.library().context("the call names no folder for the library")?;
        // It may be another name of the last cell's code, which is in use.
        let _ = fs::remove_file(&library);
        let whole = fs::read_to_string(source).context("cannot read the cell")?;
        let small = variables::only_mentioned(&whole);
        if let Some(small) = &small {
            fs::write(source, small).context("cannot write the cell")?;
        }
        let mut compiled = compile(compiler, args, &self.variables)?;
        if small.is_some() && !compiled.success && compiled.messages.iter().any(is_about_a_name) {
            // The compiler proposes the right name only among those that it sees.
            fs::write(source, whole).context("cannot write the cell")?;
            compiled = compile(compiler, args, &self.variables)?;
        }
        let Compiled { messages, success } = compiled;
        let mut out = std::io::stdout().lock();
        for message in messages.into_iter().filter(|message| message.get("artifact").is_none()) {
            writeln!(out, "{}", json!({ "reason": "compiler-message", "message": message }))?;
        }
        if success {
            let place = uplifted(&library).context("the library's folder has no parent")?;
            let _ = fs::remove_file(&place);
            fs::hard_link(&library, &place).with_context(|| format!("cannot link {}", place.display()))?;
            let artifact = json!({ "reason": "compiler-artifact", "target": { "name": CRATE }, "filenames": [place] });
            writeln!(out, "{artifact}")?;
        }
        writeln!(out, "{}", json!({ "reason": "build-finished", "success": success }))?;
        Ok(ExitCode::from(if success { 0 } else { 101 }))
    }

    /// Where rustc puts the cell's library.
    fn library(&self) -> Option<PathBuf> {
        let at = self.parts.iter().position(|part| part == "--out-dir")?;
        Some(Path::new(self.parts.get(at + 1)?).join(format!("lib{CRATE}.so")))
    }
}

/// What a run of the compiler gave.
struct Compiled {
    messages: Vec<Value>,
    success: bool,
}

fn compile(compiler: &OsStr, args: &[OsString], variables: &[(OsString, OsString)]) -> Result<Compiled> {
    let mut command = Command::new(compiler);
    command.args(args).env_clear().envs(variables.iter().map(|(name, value)| (name, value)));
    let mut child = command.stderr(Stdio::piped()).spawn().context("cannot start the compiler")?;
    let mut messages = Vec::new();
    for line in BufReader::new(child.stderr.take().context("no messages from the compiler")?).split(b'\n') {
        let line = line?;
        match serde_json::from_slice::<Value>(&line) {
            Ok(message) => messages.push(message),
            Err(_) => eprintln!("{}", String::from_utf8_lossy(&line)),
        }
    }
    Ok(Compiled { messages, success: child.wait()?.success() })
}

/// Error E0425: something is not found in the scope.
fn is_about_a_name(message: &Value) -> bool {
    message["code"]["code"] == "E0425"
}

/// Where cargo puts it for others: one folder higher.
fn uplifted(library: &Path) -> Option<PathBuf> {
    Some(library.parent()?.parent()?.join(library.file_name()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_read_as_it_was_written() {
        let owned = |text: &str| OsString::from(text);
        let call = Call {
            parts: ["rustc", "--crate-name", "ctx", "", "--out-dir", "/a/deps"].map(owned).into(),
            variables: vec![(owned("A"), owned("b=c")), (owned("EMPTY"), owned(""))],
        };
        let path = std::env::temp_dir().join(format!("gpt_lab-call-{}", std::process::id()));
        // An empty argument would end the list: such a call is not kept whole, so it must not be repeated as another.
        call.write(&path).unwrap();
        assert_ne!(Call::read(&path).map(|call| call.parts), Some(call.parts.clone()));
        let call = Call { parts: call.parts.into_iter().filter(|part| !part.is_empty()).collect(), ..call };
        call.write(&path).unwrap();
        let read = Call::read(&path).unwrap();
        fs::remove_file(path).unwrap();
        assert_eq!((&read.parts, &read.variables), (&call.parts, &call.variables));
        assert_eq!(read.library().unwrap(), Path::new("/a/deps/libctx.so"));
        assert_eq!(uplifted(&read.library().unwrap()).unwrap(), Path::new("/a/libctx.so"));
    }

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
