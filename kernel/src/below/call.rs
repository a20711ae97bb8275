//! Cargo's call of rustc for a cell: written down, and repeated.

use super::{patch, variables};
use crate::names::{file, var};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// The name of the crate that evcxr makes of a cell.
const CRATE: &str = "ctx";

/// Writes down how cargo calls rustc for a cell, in the current directory, which is that of the session.
pub fn record(call: &[String], variables: &[(OsString, OsString)]) -> Result<()> {
    if std::env::var_os(var::REAL_CARGO).is_none() {
        return Ok(());
    }
    let parts = call.iter().map(OsString::from).collect();
    Call { parts, variables: variables.to_vec() }.write(Path::new(file::CALL))
}

/// A call of the compiler.
pub struct Call {
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

    /// A call as [`record`] wrote it, or nothing if it cannot be read.
    pub fn read(path: &Path) -> Option<Call> {
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

    /// Compiles the cell that is there now, and prints the messages that cargo would print about it.
    pub fn repeat(&self) -> Result<ExitCode> {
        let (compiler, args) = self.parts.split_first().context("the call is empty")?;
        let source = Path::new(file::SOURCE);
        patch::patch_file(source)?;
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

    /// The path at which rustc writes the cell's library.
    fn library(&self) -> Option<PathBuf> {
        let at = self.parts.iter().position(|part| part == "--out-dir")?;
        Some(Path::new(self.parts.get(at + 1)?).join(format!("lib{CRATE}.so")))
    }
}

/// The outcome of a run of the compiler.
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

/// True for error E0425: a name is not found in this scope.
fn is_about_a_name(message: &Value) -> bool {
    message["code"]["code"] == "E0425"
}

/// The path at which cargo offers the library to others: one folder higher.
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
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("call");
        // An empty argument would end the list: such a call is not kept whole, so it must not be repeated as another.
        call.write(&path).unwrap();
        assert_ne!(Call::read(&path).map(|call| call.parts), Some(call.parts.clone()));
        let call = Call { parts: call.parts.into_iter().filter(|part| !part.is_empty()).collect(), ..call };
        call.write(&path).unwrap();
        let read = Call::read(&path).unwrap();
        assert_eq!((&read.parts, &read.variables), (&call.parts, &call.variables));
        assert_eq!(read.library().unwrap(), Path::new("/a/deps/libctx.so"));
        assert_eq!(uplifted(&read.library().unwrap()).unwrap(), Path::new("/a/libctx.so"));
    }
}
