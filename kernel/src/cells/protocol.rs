//! Messages between the engine and the process of the cells: one JSON object a line.

use serde::{Deserialize, Serialize};

/// Engine → cells.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToCells {
    /// Load this shared object and run the cell in it; a descriptor that comes along is its standard input.
    Run { library: String },
    /// Load this shared object, which cells need.
    Load { library: String },
    /// Drop these variables.
    Forget { names: Vec<String> },
}

/// Cells → engine.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromCells {
    /// A variable is kept; the name of its type as `std::any::type_name` gives it.
    Put { name: String, type_name: String },
    /// The value of the cell.
    Value { mime: String, text: String },
    /// A panic, with the places of its trace that lie in cells if it is in their thread.
    Panicked { message: String, place: String, trace: Vec<String>, in_cell: bool },
    /// What the panic said that has ended the cell.
    Caught { message: String },
    /// An error left the cell: number of the `?`, type, message.
    Failed { place: u32, type_name: String, message: String },
    /// The cell has ended.
    Done { end: End, variables: Vec<String> },
}

/// The ways in which a cell ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// By itself.
    Well,
    /// By a `?`.
    Error,
    /// By a panic.
    Panic,
    /// It has not begun: a variable is not of the type that the engine took it for.
    Misfit,
    /// It has not begun: the shared object could not be loaded.
    NotLoaded(String),
}
