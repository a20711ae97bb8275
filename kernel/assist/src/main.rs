//! Completion and documentation for the cells of a notebook: evcxr, with rust-analyzer in it, as a program of its own.
//!
//! The kernel starts it at the first press of Tab and ends it when nobody asks any more, so that a gigabyte of
//! rust-analyzer is not in the way of cells. It holds no state of the session: each question brings along all the code
//! that it is about. Questions and answers are JSON objects, one a line, on standard input and output.
//!
//! The program plays three roles: it answers; evcxr starts it once more as the process in which it would run code; and
//! rust-analyzer finds it in the place of cargo, so that it reads only the crates whose types a cell can meet.

mod answer;
mod cargo;
mod crates;

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::var_os("EVCXR_IS_RUNTIME").is_some() {
        evcxr::runtime_hook();
    }
    let done = if cargo::is_called() { cargo::run() } else { answer::serve() };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("gpt_lab_assist: {error:#}");
            ExitCode::FAILURE
        }
    }
}
