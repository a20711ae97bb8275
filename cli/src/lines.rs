//! Lines that somebody types, or that come out of a pipe.

use std::io::{self, BufRead, IsTerminal};
use std::path::PathBuf;

use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

use crate::Failure;

/// So many lines of earlier talks can be brought back.
const REMEMBERED: usize = 1000;

/// Where lines come from.
pub enum Lines {
    /// A terminal: lines can be edited, and earlier ones brought back.
    Terminal(Box<DefaultEditor>, Option<PathBuf>),
    /// Anything else, which is read as it is.
    Pipe,
}

impl Lines {
    /// Those of the standard input. Lines typed in earlier runs of the same command are remembered in a file.
    pub fn of_standard_input(command: &str) -> Result<Self, Failure> {
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
    pub fn next(&mut self) -> Result<Option<String>, Failure> {
        let (editor, file) = match self {
            Lines::Terminal(editor, file) => (editor, file),
            Lines::Pipe => {
                let mut line = String::new();
                let read = io::stdin().lock().read_line(&mut line);
                let read = read.map_err(|e| gpt_lab::Error::io("standard input", "reading", e))?;
                return Ok((read > 0).then_some(line));
            }
        };
        println!();
        match editor.readline("> ") {
            Ok(line) => {
                // A memory that cannot be written is no reason to end a talk.
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

/// Where programs keep such things (XDG Base Directory Specification): `~/.local/state/gpt_lab/chat_history`.
fn history_file(command: &str) -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    let folder = state.join("gpt_lab");
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join(format!("{command}_history")))
}

fn failure(error: ReadlineError) -> Failure {
    gpt_lab::Error::io("standard input", "reading", io::Error::other(error)).into()
}
