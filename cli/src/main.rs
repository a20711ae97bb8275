//! `gpt-lab`: what does not need a notebook.

mod chat;
mod doctor;
mod finetune;
mod generate;
mod lines;
mod train_char;

use std::process::ExitCode;

use lexopt::prelude::*;

const HELP: &str = "\
gpt-lab: the command line of the GPT laboratory

Usage: gpt-lab COMMAND [OPTIONS]

Commands:
  doctor          Check this set-up: toolchain, Python, JupyterLab, kernel, corpus, disk
  train-char      Train a character model on source code
  finetune        Teach a model to answer instructions
  generate        Let a model write
  chat            Talk to a model in several voices

Options:
  -h, --help      Help, also for each command: gpt-lab train-char --help
  -V, --version   The version
";

/// What a command answers: an exit code, or a message for standard error (and exit code 2 for a wrong command line, 1 for
/// everything else).
pub type Outcome = Result<ExitCode, Failure>;

/// Why a command could not do its work.
pub enum Failure {
    /// The command line is wrong.
    Usage(String),
    /// Something else went wrong.
    Lab(gpt_lab::Error),
}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        Failure::Usage(error.to_string())
    }
}

impl From<gpt_lab::Error> for Failure {
    fn from(error: gpt_lab::Error) -> Self {
        Failure::Lab(error)
    }
}

fn main() -> ExitCode {
    gpt_lab::process::tune();
    match run() {
        Ok(code) => code,
        Err(Failure::Usage(message)) => {
            eprintln!("gpt-lab: {message}\nTry: gpt-lab --help");
            ExitCode::from(2)
        }
        Err(Failure::Lab(error)) => {
            eprintln!("gpt-lab: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome {
    let mut parser = lexopt::Parser::from_env();
    match parser.next()? {
        None | Some(Short('h') | Long("help")) => print!("{HELP}"),
        Some(Short('V') | Long("version")) => println!("gpt-lab {}", env!("CARGO_PKG_VERSION")),
        Some(Value(command)) => {
            return match command.to_str() {
                Some("doctor") => doctor::run(parser),
                Some("train-char") => train_char::run(parser),
                Some("finetune") => finetune::run(parser),
                Some("generate") => generate::run(parser),
                Some("chat") => chat::run(parser),
                _ => Err(Failure::Usage(format!("there is no command {command:?}"))),
            };
        }
        Some(other) => return Err(other.unexpected().into()),
    }
    Ok(ExitCode::SUCCESS)
}
