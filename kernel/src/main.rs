//! The Jupyter kernel of gpt_lab. `README.md` beside this crate shows the processes; `cli.rs` the commands.

mod cells;
mod cli;
mod code;
mod compile;
mod engine;
mod failure;
mod install;
mod names;
mod protocol;
mod relay;
mod session;
mod sys;

use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match cli::run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gpt_lab_kernel: {error:#}");
            ExitCode::FAILURE
        }
    }
}
