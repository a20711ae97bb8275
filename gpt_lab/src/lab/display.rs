//! Showing a picture, in whatever way the frontend can.

use serde_json::{Value, json};

use super::channel::send;
use super::frontend::{Frontend, frontend};
use super::picture::Picture;

/// Shows a picture now: in a cell below what it has shown so far, elsewhere as text.
pub fn display(picture: &Picture) {
    match frontend() {
        Frontend::Kernel => send_or_print(None, picture),
        Frontend::PlainEvcxr => show_when_the_cell_ends(picture),
        Frontend::Terminal => println!("{}", picture.text),
    }
}

impl Picture {
    /// Shows it now, below what the cell has shown so far.
    pub fn show(&self) {
        display(self);
    }

    /// Called by the kernel, under evcxr's name, when a picture is the last expression of a cell.
    pub fn evcxr_display(&self) {
        display(self);
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

/// evcxr's own way: blocks on standard output, collected until the cell ends.
pub(super) fn show_when_the_cell_ends(picture: &Picture) {
    for (mime, content) in picture.forms() {
        evcxr_runtime::mime_type(mime).text(content);
    }
}
