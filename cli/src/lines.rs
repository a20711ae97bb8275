//! Lines that somebody types, or that come from a pipe.

use std::io::{self, BufRead, IsTerminal};
use std::path::PathBuf;

use gpt_lab::{Error, Result};
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

/// Number of lines of earlier talks that can be recalled.
const REMEMBERED: usize = 1000;

/// A source of lines.
pub enum Lines {
    /// A terminal, with an editor and the file of earlier lines.
    Terminal(Box<DefaultEditor>, Option<PathBuf>),
    /// Anything else, read as it is.
    Pipe,
}

impl Lines {
    /// The lines of the standard input. Lines typed in earlier runs of the same command are kept in a file.
    pub fn of_standard_input(command: &str) -> Result<Self> {
        if !io::stdin().is_terminal() {
            return Ok(Lines::Pipe);
        }
        let config =
            rustyline::Config::builder().auto_add_history(true).max_history_size(REMEMBERED).map_err(failure)?;
        let mut editor = DefaultEditor::with_config(config.build()).map_err(failure)?;
        let file = history_file(command);
        if let Some(file) = file.as_ref().filter(|file| file.exists())
            && let Err(error) = editor.load_history(file)
        {
            eprintln!("gpt-lab: earlier lines cannot be read from {}: {error}", file.display());
        }
        Ok(Lines::Terminal(Box::new(editor), file))
    }

    /// The next line, or none at the end.
    pub fn next(&mut self) -> Result<Option<String>> {
        let (editor, file) = match self {
            Lines::Terminal(editor, file) => (editor, file),
            Lines::Pipe => {
                let mut line = String::new();
                let read = io::stdin().lock().read_line(&mut line);
                let read = read.map_err(|e| Error::io("standard input", "reading", e))?;
                return Ok((read > 0).then_some(line));
            }
        };
        println!();
        match editor.readline("> ") {
            Ok(line) => {
                // A history file that cannot be written is no reason to end a talk.
                let _ = file.as_ref().map(|file| editor.append_history(file));
                Ok(Some(line))
            }
            Err(ReadlineError::Interrupted) => {
                println!("(Ctrl+D ends)");
                Ok(Some(String::new()))
            }
            Err(ReadlineError::Eof) => Ok(None),
            Err(error) => Err(failure(error)),
        }
    }
}

/// `~/.local/state/gpt_lab/chat_history`, or its place by the XDG Base Directory Specification.
fn history_file(command: &str) -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    let folder = state.join("gpt_lab");
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join(format!("{command}_history")))
}

fn failure(error: ReadlineError) -> Error {
    Error::io("standard input", "reading", io::Error::other(error))
}
