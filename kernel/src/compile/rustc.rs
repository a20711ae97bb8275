//! Calling the compiler for a cell.

use super::diagnostic::Diagnostic;
use super::kit::Kit;
use crate::code::items::CRATE;
use crate::names::var;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

/// How cells are compiled: quick to compile, and as strict as a learner's own program. Four fifths of the time go into
/// machine code; made in several units, it is spread over the cores.
const FLAGS: [&str; 19] = [
    "--crate-name",
    CRATE,
    "--edition=2024",
    "--crate-type=cdylib",
    "--error-format=json",
    "--color=never",
    "-Cprefer-dynamic",
    "-Ccodegen-units=16",
    "-Coverflow-checks=on",
    "-Cdebug-assertions=on",
    "-Cdebuginfo=line-tables-only",
    "-Csplit-debuginfo=off",
    "-Cembed-bitcode=no",
    "-Cincremental=",
    "-Aunused_crate_dependencies",
    "-Anon_snake_case",
    "-Anon_camel_case_types",
    "-Anon_upper_case_globals",
    "-Adead_code",
];

/// The compiler for the cells of a session.
pub struct Compiler {
    /// What it works with.
    pub kit: Kit,
    /// The folder of sources and libraries.
    pub folder: PathBuf,
    /// The folder in which compiled cells are kept for others, if there is one.
    pub kept: Option<PathBuf>,
    /// The level of optimisation.
    pub opt_level: String,
    /// Variables for build time, `:build_env`.
    pub variables: Vec<(String, String)>,
}

/// The outcome of a run of the compiler.
pub struct Compiled {
    /// Its messages.
    pub messages: Vec<Diagnostic>,
    /// The shared object, if there were no errors.
    pub library: Option<PathBuf>,
    /// The name of the source file, in messages and in panics.
    pub file: String,
    /// What it said that is no message.
    pub other: String,
}

impl Compiler {
    /// Compiles a cell; `generation` tells the types of its crate from those of other cells.
    pub fn compile(&self, source: &str, generation: u64) -> Result<Compiled> {
        let arguments = self.arguments(generation);
        let hash = self.hash(source, &arguments);
        let file = format!("cell-{}.rs", &hash[..16]);
        if let Some(compiled) = self.kept_result(&hash, &file) {
            return Ok(compiled);
        }
        fs::write(self.folder.join(&file), source).context("cannot write the code of a cell")?;
        let library = self.new_library(&file);
        let mut command = self.command();
        command
            .args(FLAGS)
            .args(&arguments)
            .arg("--emit=link")
            .arg("-o")
            .arg(library.file_name().unwrap_or_default())
            .arg(&file);
        let output = command.output().with_context(|| format!("cannot start {}", self.kit.rustc.display()))?;
        let (messages, other) = read(&output.stderr);
        let library = output.status.success().then_some(library);
        if output.status.code().is_none() {
            bail!("the compiler was ended ({}); nothing was run, all variables are kept", output.status);
        }
        if !depends_on_more(source) {
            self.keep(&hash, &output.stderr, library.as_deref());
        }
        Ok(Compiled { messages, library, file, other })
    }

    /// What the compiler says about code that is not run.
    pub fn check(&self, source: &str) -> Result<Compiled> {
        let file = "check.rs".to_owned();
        fs::write(self.folder.join(&file), source).context("cannot write the code of a cell")?;
        let mut command = self.command();
        let arguments = self.arguments(0);
        command.args(FLAGS).args(&arguments).args(["--emit=metadata", "-o", "check.rmeta"]).arg(&file);
        let output = command.output().with_context(|| format!("cannot start {}", self.kit.rustc.display()))?;
        let (messages, other) = read(&output.stderr);
        let library = output.status.success().then(|| self.folder.join("check.rmeta"));
        Ok(Compiled { messages, library, file, other })
    }

    /// A name that no library has had: a process loads one of a name only once.
    fn new_library(&self, file: &str) -> PathBuf {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        self.folder.join(format!("{file}.{}.so", COUNT.fetch_add(1, Ordering::Relaxed)))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.kit.rustc);
        command.current_dir(&self.folder).stdin(Stdio::null()).stdout(Stdio::null());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        // What the learner has set for programs is not for the compiler.
        for name in [var::RUST_BACKTRACE, "RUSTFLAGS", "RUSTC_LOG"] {
            command.env_remove(name);
        }
        command
    }

    fn arguments(&self, generation: u64) -> Vec<String> {
        let mut arguments = vec![format!("-Copt-level={}", self.opt_level), format!("-Cmetadata=gpt_lab_{generation}")];
        arguments.extend(self.kit.arguments());
        arguments
    }

    fn hash(&self, source: &str, arguments: &[String]) -> String {
        let mut hash = Sha256::new();
        for part in [self.kit.version.as_str(), self.kit.revision.as_str(), env!("CARGO_PKG_VERSION"), source]
            .into_iter()
            .chain(FLAGS)
        {
            hash.update(part);
            hash.update([0]);
        }
        for argument in arguments {
            hash.update(argument);
            hash.update([0]);
        }
        for (name, value) in &self.variables {
            hash.update(format!("{name}={value}\0"));
        }
        hex::encode(hash.finalize())
    }

    /// What an earlier compilation of the same source gave. The library is copied: a process loads a file once, and a
    /// cell that runs again wants its own statics.
    fn kept_result(&self, hash: &str, file: &str) -> Option<Compiled> {
        let kept = self.kept.as_ref()?;
        let stderr = fs::read(kept.join(format!("{hash}.json"))).ok()?;
        let (messages, other) = read(&stderr);
        let is_error = messages.iter().any(Diagnostic::is_error);
        let library = if is_error {
            None
        } else {
            let copy = self.new_library(file);
            fs::copy(kept.join(format!("{hash}.so")), &copy).ok()?;
            Some(copy)
        };
        let now = std::time::SystemTime::now();
        let _ = fs::File::open(kept.join(format!("{hash}.json"))).and_then(|file| file.set_modified(now));
        Some(Compiled { messages, library, file: file.to_owned(), other })
    }

    /// Keeps a result for later; that there is no room for it is no error.
    fn keep(&self, hash: &str, stderr: &[u8], library: Option<&Path>) {
        let Some(kept) = &self.kept else { return };
        let own = format!("{hash}.{}", std::process::id());
        let store = |bytes: &[u8], end: &str| -> std::io::Result<()> {
            let temporary = kept.join(&own);
            fs::write(&temporary, bytes)?;
            fs::rename(temporary, kept.join(format!("{hash}.{end}")))
        };
        let stored = match library {
            Some(library) => fs::read(library).and_then(|bytes| store(&bytes, "so")),
            None => Ok(()),
        };
        let _ = stored.and_then(|()| store(stderr, "json"));
    }
}

/// True if the result may depend on more than the source and the crates.
fn depends_on_more(source: &str) -> bool {
    ["include!", "include_str!", "include_bytes!", "env!", "#[path"].iter().any(|word| source.contains(word))
}

/// The messages among the lines that the compiler has printed, and the other lines.
fn read(stderr: &[u8]) -> (Vec<Diagnostic>, String) {
    let (mut messages, mut other) = (Vec::new(), String::new());
    for line in stderr.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match serde_json::from_slice::<Value>(line) {
            Ok(value) if value["$message_type"] == "artifact" => {}
            Ok(value) => messages.extend(serde_json::from_value::<Diagnostic>(value)),
            Err(_) => {
                other += &String::from_utf8_lossy(line);
                other.push('\n');
            }
        }
    }
    (messages, other)
}
