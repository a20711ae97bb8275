//! Messages to the kernel.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::frontend::{Frontend, frontend};

/// The open pipe, with the path that it was opened by. The lock also keeps messages of several threads apart.
static PIPE: Mutex<Option<(std::ffi::OsString, File)>> = Mutex::new(None);

/// Tells the kernel where the newest checkpoint is, so that it can say so if the process has to be killed.
pub fn checkpoint_saved(path: &Path, step: usize) {
    if frontend() == Frontend::Kernel {
        // If the kernel cannot be told, it will name an older checkpoint or none; the checkpoint is there all the same.
        let _ = send(&json!({ "type": "checkpoint", "path": path.display().to_string(), "step": step }));
    }
}

/// The word that begins the lines on standard output that are meant for the kernel (docs/channel.md).
pub(super) fn mark() -> io::Result<String> {
    std::env::var("GPT_LAB_MARK").map_err(|_| io::ErrorKind::NotFound.into())
}

/// Writes one message. Earlier output is shown before it, later output after it.
pub(super) fn send(message: &Value) -> io::Result<()> {
    let mut message = message.clone();
    message["marked"] = Value::from(true);
    // Nothing else gets between the text before, the message and its mark.
    let mut out = io::stdout().lock();
    out.flush()?;
    let path = std::env::var_os("GPT_LAB_CHANNEL").ok_or(io::ErrorKind::NotFound)?;
    let mut line = message.to_string();
    line.push('\n');
    let mut pipe = PIPE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if pipe.as_ref().is_none_or(|(open, _)| *open != path) {
        *pipe = Some((path.clone(), OpenOptions::new().append(true).open(&path)?));
    }
    let (_, file) = pipe.as_mut().expect("opened above");
    let written = file.write_all(line.as_bytes());
    if written.is_err() {
        *pipe = None;
        return written;
    }
    writeln!(out, "{}", mark()?).and_then(|()| out.flush())
}
