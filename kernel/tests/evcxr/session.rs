//! One session of the engine, with a small crate in the place of `gpt_lab` and a toolchain that writes down its calls.

use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The time after which a silent engine counts as hanging.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a cell did.
#[derive(Default)]
pub struct Run {
    /// All messages of the engine about it, the last one `done`.
    pub messages: Vec<Value>,
    /// Its generated code as the compiler got it.
    pub source: String,
    /// The calls of the real cargo and rustc that it led to, one a line.
    pub calls: String,
}

impl Run {
    /// The messages of one type.
    pub fn of(&self, kind: &str) -> Vec<&Value> {
        self.messages.iter().filter(|message| message["type"] == kind).collect()
    }

    /// The first error, as JSON of its parts; null if all went well.
    pub fn failure(&self) -> &Value {
        &self.messages.last().expect("the engine has ended")["failures"][0]
    }

    /// The plain text of the cell's value.
    pub fn value(&self) -> Option<&str> {
        self.of("result").first()?["data"]["text/plain"].as_str()
    }
}

/// A running engine.
pub struct Session {
    folder: tempfile::TempDir,
    child: Child,
    to_engine: UnixStream,
    from_engine: BufReader<UnixStream>,
    cells: u64,
    /// The start, up to the hidden first cell.
    pub start: Run,
}

impl Session {
    /// Starts an engine and waits until it is ready.
    pub fn start() -> Session {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        write_project(root);
        write_toolchain(root);
        let path = std::env::var_os("PATH").unwrap();
        let path = std::iter::once(root.join("toolchain/bin")).chain(std::env::split_paths(&path));
        let (near, far) = UnixStream::pair().unwrap();
        near.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_gpt_lab_kernel"));
        command.arg("engine").stdin(Stdio::from(OwnedFd::from(far))).stdout(Stdio::null());
        command.env("PATH", std::env::join_paths(path).unwrap());
        command.env("GPT_LAB_ROOT", root).env("GPT_LAB_STATE", root.join(".lab"));
        for name in
            ["RUSTC", "RUSTC_WRAPPER", "RUSTUP_TOOLCHAIN", "RUST_SRC_PATH", "CARGO_TARGET_DIR", "MALLOC_ARENA_MAX"]
        {
            command.env_remove(name);
        }
        let child = command.spawn().unwrap();
        let from_engine = BufReader::new(near.try_clone().unwrap());
        let start = Run::default();
        let mut session = Session { folder, child, to_engine: near, from_engine, cells: 0, start };
        session.start = session.until("ready", None);
        session
    }

    /// Runs a cell; `input` answers its question.
    pub fn cell(&mut self, code: &str, input: Option<&str>) -> Run {
        self.cells += 1;
        let _ = fs::remove_file(self.log());
        self.send(&json!({
            "type": "execute", "id": self.cells, "code": code, "name": format!("cell {}", self.cells),
            "allow_stdin": true, "expressions": {},
        }));
        self.until("done", input)
    }

    /// Makes the compiler fail without a word, or work again.
    pub fn break_compiler(&self, broken: bool) {
        let flag = self.folder.path().join("toolchain/broken");
        if broken { drop(File::create(flag).unwrap()) } else { fs::remove_file(flag).unwrap() }
    }

    /// The project's folder.
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// The session directory.
    pub fn dir(&self) -> PathBuf {
        let sessions = fs::read_dir(self.folder.path().join(".lab/sessions")).unwrap().flatten();
        sessions.map(|entry| entry.path()).find(|path| path.is_dir()).unwrap()
    }

    fn send(&mut self, message: &Value) {
        writeln!(self.to_engine, "{message}").unwrap();
    }

    fn until(&mut self, last: &str, input: Option<&str>) -> Run {
        let mut messages: Vec<Value> = Vec::new();
        while messages.last().is_none_or(|message| message["type"] != last) {
            let mut line = String::new();
            if self.from_engine.read_line(&mut line).unwrap_or(0) == 0 {
                panic!("the engine has ended or hangs, after {messages:?}");
            }
            let message: Value = serde_json::from_str(&line).unwrap();
            if let (true, Some(value)) = (message["type"] == "input_request", input) {
                self.send(&json!({"type": "input", "value": value}));
            }
            messages.push(message);
        }
        let read = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
        Run { messages, source: read(self.dir().join("src/lib.rs")), calls: read(self.log()) }
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("toolchain/log")
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.to_engine.shutdown(std::net::Shutdown::Both);
        let _ = self.child.wait();
    }
}

/// A crate with the one name that the hidden first cell uses, and a template that holds nothing but the versions.
fn write_project(root: &Path) {
    let (gpt_lab, template) = (root.join("gpt_lab"), root.join(".lab/template"));
    fs::create_dir_all(gpt_lab.join("src")).unwrap();
    fs::create_dir_all(&template).unwrap();
    let manifest = "[package]\nname = \"gpt_lab\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n\
        [lib]\ncrate-type = [\"rlib\", \"dylib\"]\n\n[dependencies]\n";
    fs::write(gpt_lab.join("Cargo.toml"), manifest).unwrap();
    fs::write(gpt_lab.join("src/lib.rs"), "pub mod candle_core { pub enum Device { Cpu } }\n").unwrap();
    fs::write(template.join("seed.lock"), "version = 4\n").unwrap();
}

/// The installed toolchain behind scripts that write down their arguments.
fn write_toolchain(root: &Path) {
    let folder = root.join("toolchain");
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().unwrap();
    let installed = PathBuf::from(String::from_utf8(output.stdout).unwrap().trim());
    fs::create_dir_all(folder.join("bin")).unwrap();
    symlink(installed.join("lib"), folder.join("lib")).unwrap();
    let (here, there) = (folder.display(), installed.display());
    let own_sysroot = format!("if [ \"$*\" = \"--print sysroot\" ]; then echo {here}; exit; fi\n");
    let broken = format!("if [ -e {here}/broken ]; then exit 1; fi\n");
    for (name, first) in [("cargo", String::new()), ("rustc", own_sysroot + &broken)] {
        let script = format!("#!/bin/sh\n{first}echo \"{name} $*\" >> {here}/log\nexec {there}/bin/{name} \"$@\"\n");
        let path = folder.join("bin").join(name);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}
