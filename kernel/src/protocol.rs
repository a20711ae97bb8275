//! Messages between relay and engine: one JSON object a line over a socket pair.
//!
//! The socket is also the lifeline: when the relay's end closes, the engine takes everything down with it.

use crate::failure::Failure;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A bundle of one output in several formats, by MIME type.
pub type Bundle = Map<String, Value>;

/// Relay → engine.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToEngine {
    /// Run a cell.
    Execute(Cell),
    /// Completions at a byte offset.
    Complete { id: u64, code: String, offset: usize },
    /// Documentation at a byte offset.
    Inspect { id: u64, code: String, offset: usize },
    /// The compiler's messages about code that is not run.
    Check { id: u64, code: String },
    /// The answer to [`FromEngine::InputRequest`].
    Input { value: String },
    /// First press of stop: raise the flag, stop the compiler.
    Interrupt { cell: u64 },
    /// Second press or time-out: kill the process that runs the cells.
    Kill,
}

/// Code to run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cell {
    /// Counts up, from 1; [`ToEngine::Interrupt`] names the cell it means.
    pub id: u64,
    pub code: String,
    /// Name of the cell in errors (`cell 3`).
    pub name: String,
    pub allow_stdin: bool,
    /// Expressions whose values the client wants afterwards, by name.
    pub expressions: Map<String, Value>,
}

/// Engine → relay.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromEngine {
    /// The engine lives; said at once.
    Hello { pid: i32 },
    /// The session is warm; `problem` is a note for the learner.
    Ready { problem: Option<String> },
    /// Text on `stdout` or `stderr`.
    Text { stream: Stream, text: String },
    /// A message of `GPT_LAB_CHANNEL` as it came.
    Channel { message: Value },
    /// Output in evcxr's own format.
    Display { data: Bundle },
    /// The value of the cell's last expression.
    Result { data: Bundle },
    /// The cell asks for a line of text.
    InputRequest { prompt: String, password: bool },
    /// The cell has ended; everything it printed has been sent before.
    Done {
        failures: Vec<Failure>,
        /// True if the process of the cells is gone, and all variables with it.
        lost: bool,
        expressions: Map<String, Value>,
    },
    /// Answer to [`ToEngine::Complete`]; byte offsets.
    Completions { id: u64, items: Vec<Completion>, start: usize, end: usize },
    /// Answer to [`ToEngine::Inspect`].
    Inspected { id: u64, data: Option<Bundle> },
    /// Answer to [`ToEngine::Check`].
    Checked { id: u64, problems: Vec<Value> },
}

/// One of the two text streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    /// The name that the Jupyter protocol uses.
    pub fn name(self) -> &'static str {
        match self {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        }
    }
}

/// One proposal of a completion.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Completion {
    pub text: String,
    pub label: String,
    pub kind: String,
}
