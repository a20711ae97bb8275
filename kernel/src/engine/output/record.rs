//! The end of a cell, as its output tells it.

use super::panic::Panic;
use crate::protocol::Bundle;

/// The end of a cell, as far as its own process tells.
#[derive(Default)]
pub struct Record {
    /// The cell's code panicked and evcxr caught it.
    pub panicked: bool,
    /// The panic's message and place.
    pub panic: Option<Panic>,
    /// A `?` left the cell.
    pub question: bool,
    /// Error of that `?`: line in the generated source, type, text.
    pub error: Option<(usize, String, String)>,
    /// Value of the last expression, if the cell is quiet.
    pub value: Option<Bundle>,
    /// Prompt of the latest request for input.
    pub prompt: String,
}
