//! An error as the learner sees it.

use serde::{Deserialize, Serialize};

/// Terminal colours, which JupyterLab shows.
pub mod colour {
    pub const RED: &str = "\x1b[1;31m";
    pub const BLUE: &str = "\x1b[1;34m";
    pub const BOLD: &str = "\x1b[1m";
    pub const PLAIN: &str = "\x1b[0m";
    pub const YELLOW: &str = "\x1b[1;33m";
}

/// One error of a cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// Short name: `error[E0308]`, `panic`, `gpt_lab::Error` …
    pub ename: String,
    /// The message.
    pub evalue: String,
    /// The lines that are shown, with colours; the first is the headline.
    pub traceback: Vec<String>,
}

impl Failure {
    /// A failure that is shown as its headline alone.
    pub fn new(ename: impl Into<String>, message: impl Into<String>) -> Failure {
        let (ename, evalue) = (ename.into(), message.into());
        let headline = format!("{}{ename}{}{}: {evalue}{}", colour::RED, colour::PLAIN, colour::BOLD, colour::PLAIN);
        Failure { ename, evalue, traceback: vec![headline] }
    }
}
