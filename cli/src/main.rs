//! `gpt-lab`: the work that needs no notebook.

mod chat;
mod doctor;
mod finetune;
mod generate;
mod lines;
mod train_char;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use gpt_lab::Result;

/// The command line of the GPT laboratory
#[derive(Parser)]
#[command(name = "gpt-lab", version, args_override_self = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    Doctor(doctor::Options),
    TrainChar(train_char::Options),
    Finetune(finetune::Options),
    Generate(generate::Options),
    Chat(chat::Options),
}

/// Exit codes: 0 for success, 1 for a failure or a problem that `doctor` found, 2 for a wrong command line.
fn main() -> ExitCode {
    gpt_lab::process::tune();
    run(CommandLine::parse()).unwrap_or_else(|error| {
        eprintln!("gpt-lab: {error}");
        ExitCode::FAILURE
    })
}

fn run(line: CommandLine) -> Result<ExitCode> {
    match line.command {
        None => print!("{}", CommandLine::command().render_help()),
        Some(Command::Doctor(options)) => return doctor::run(options),
        Some(Command::TrainChar(options)) => train_char::run(options)?,
        Some(Command::Finetune(options)) => finetune::run(options)?,
        Some(Command::Generate(options)) => generate::run(options)?,
        Some(Command::Chat(options)) => chat::run(options)?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_well_formed() {
        CommandLine::command().debug_assert();
    }
}
