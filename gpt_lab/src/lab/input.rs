//! Questions to the learner.

use std::io::{self, BufRead, Write};

use super::frontend::{Frontend, frontend};

/// Asks for a line of text and waits for it. In a notebook an input box opens below the cell. `None` at the end of the
/// input.
pub fn input(prompt: &str) -> Option<String> {
    ask("EVCXR_INPUT_REQUEST", prompt)
}

/// As [`input`], without showing what is typed (in a notebook; a terminal shows it).
pub fn password(prompt: &str) -> Option<String> {
    ask("EVCXR_INPUT_REQUEST_PASSWORD", prompt)
}

/// The convention of the crate `evcxr_input`: a line on standard output, the answer on standard input.
fn ask(command: &str, prompt: &str) -> Option<String> {
    let mut out = io::stdout().lock();
    let asked = match frontend() {
        // A colon would end the prompt and a newline the command.
        Frontend::Kernel | Frontend::PlainEvcxr => writeln!(out, "{command}:{}", prompt.replace(['\n', ':'], " ")),
        Frontend::Terminal => write!(out, "{prompt}"),
    };
    asked.and_then(|()| out.flush()).ok()?;
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line).ok()?;
    (read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_string())
}
