//! The end of a cell, as its own process tells it.

use crate::protocol::Bundle;

/// What is known about a cell beside what it shows.
#[derive(Debug, Default)]
pub struct Record {
    /// The panic that ended it, if one did.
    pub panic: Option<Panic>,
    /// What the panic said, as far as the code around the cell knows.
    pub caught: Option<String>,
    /// The place of the latest panic that Rust's own hook has printed.
    pub printed_place: Option<String>,
    /// The error that ended it: number of the `?`, type, text.
    pub error: Option<(u32, String, String)>,
    /// The variables that it has kept, with the names of their types.
    pub put: Vec<(String, String)>,
    /// Value of the last expression, if the cell is quiet.
    pub value: Option<Bundle>,
    /// The question that the cell has announced; it may still turn out to be text.
    pub prompt: Option<Prompt>,
}

/// A panic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Panic {
    /// What it says.
    pub message: String,
    /// `file:line:column`
    pub place: String,
    /// The calls on the way to it that lie in cells, innermost first.
    pub trace: Vec<String>,
    /// True if it came in the thread that runs the cells.
    pub in_cell: bool,
}

/// A question to the learner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// The words.
    pub words: String,
    /// True if what is typed is not to be seen.
    pub is_password: bool,
    /// True if the answer is wanted as JSON, in one line whatever it holds.
    pub as_json: bool,
    /// What the cell has printed, if it was no question after all.
    pub text: String,
}
