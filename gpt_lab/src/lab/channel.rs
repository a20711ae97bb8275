//! Messages to the kernel.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::Picture;

/// Where this process runs, and so what a display can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A cell of our kernel: displays appear at once and update in place.
    Kernel,
    /// A cell of the plain `evcxr_jupyter`: displays appear when the cell ends.
    PlainEvcxr,
    /// A test or a program: displays are text.
    Terminal,
}

/// Finds out where this process runs.
pub fn place() -> Place {
    if std::env::var_os("GPT_LAB_CHANNEL").is_some() {
        Place::Kernel
    } else if std::env::var_os("EVCXR_IS_RUNTIME").is_some() {
        Place::PlainEvcxr
    } else {
        Place::Terminal
    }
}

/// The open pipe, with the path that it was opened by. The lock also keeps messages of several threads apart.
static PIPE: Mutex<Option<(std::ffi::OsString, File)>> = Mutex::new(None);

/// Shows a picture now: in a cell below what it has shown so far, elsewhere as text.
pub fn display(picture: &Picture) {
    match place() {
        Place::Kernel => send_or_print(None, picture),
        Place::PlainEvcxr => print_content_blocks(picture),
        Place::Terminal => println!("{}", picture.text),
    }
}

/// Tells the kernel where the newest checkpoint is, so that it can say so if the process has to be killed.
pub fn checkpoint_saved(path: &Path, step: usize) {
    if place() == Place::Kernel {
        // If the kernel cannot be told, it will name an older checkpoint or none; the checkpoint is there all the same.
        let _ = send(&json!({ "type": "checkpoint", "path": path.display().to_string(), "step": step }));
    }
}

/// Shows a picture, or updates the one with this id; prints its text if the line is broken.
pub(super) fn send_or_print(id: Option<&str>, picture: &Picture) {
    let mut message = json!({ "type": "display", "data": picture.bundle(), "metadata": {} });
    if let Some(id) = id {
        message["id"] = Value::from(id);
    }
    if send(&message).is_err() {
        println!("{}", picture.text);
    }
}

/// evcxr's own way to show things: blocks on standard output, collected until the cell ends.
pub(super) fn print_content_blocks(picture: &Picture) {
    let blocks: BTreeMap<&str, &str> = picture.forms();
    let mut out = String::new();
    for (mime, content) in blocks {
        out.push_str(&format!("EVCXR_BEGIN_CONTENT {mime}\n{content}\nEVCXR_END_CONTENT\n"));
    }
    print!("{out}");
}

/// Says on standard output where in the text the message before it belongs (docs/channel.md).
const SENT: &[u8] = b"EVCXR_GPT_LAB_SENT\n";

/// Writes one message. What was printed before is shown before it, and what is printed after it after it.
fn send(message: &Value) -> io::Result<()> {
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
    out.write_all(SENT).and_then(|()| out.flush())
}
