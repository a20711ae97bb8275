//! Questions to the learner.

use std::io::{self, BufRead, Write};

use serde_json::json;

use super::channel::mark;
use super::frontend::{Frontend, frontend};
use crate::core::stop::interrupted;

/// Asks for a line of text and waits for it. In a notebook an input box opens below the cell, and the stop button ends
/// the cell, as an exception does in Python. `None` at the end of the input.
pub fn input(prompt: &str) -> Option<String> {
    ask(prompt, false)
}

/// As [`input`], without showing what is typed (in a notebook; a terminal shows it).
pub fn password(prompt: &str) -> Option<String> {
    ask(prompt, true)
}

fn ask(prompt: &str, password: bool) -> Option<String> {
    match frontend() {
        Frontend::Kernel => ask_kernel(prompt, password),
        Frontend::PlainEvcxr => {
            // The convention of the crate `evcxr_input`. A colon would end the prompt and a newline the command.
            let command = if password { "EVCXR_INPUT_REQUEST_PASSWORD" } else { "EVCXR_INPUT_REQUEST" };
            read_after(&format!("{command}:{}\n", prompt.replace(['\n', ':'], " ")))
        }
        Frontend::Terminal => read_after(prompt),
    }
}

fn ask_kernel(prompt: &str, password: bool) -> Option<String> {
    let question = json!({ "prompt": prompt, "password": password });
    let answer = if interrupted() { None } else { read_after(&format!("{} input {question}\n", mark().ok()?)) };
    if interrupted() {
        // Without a message: the kernel says that the cell was stopped. What asks again and again would never end.
        std::panic::resume_unwind(Box::new("stopped at a question"));
    }
    // An answer of several lines comes in one, as JSON.
    serde_json::from_str(&answer?).ok()
}

/// The next line of standard input, after a text on standard output.
fn read_after(text: &str) -> Option<String> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).ok()?;
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line).ok()?;
    (read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_string())
}
