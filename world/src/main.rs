//! `gpt-lab-world`: makes what `assets/` holds.

mod commands;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, ValueEnum};
use commands::Options;
use gpt_lab::Result;

/// Makes the model in the box and the small data sets, from nothing
#[derive(Parser)]
#[command(name = "gpt-lab-world", version, args_override_self = true)]
struct CommandLine {
    /// What to do; the first six are the steps of the work, in order
    #[arg(value_enum)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

#[derive(Clone, Copy, ValueEnum)]
enum Command {
    /// Write the training text and the validation text
    Corpus,
    /// Learn the byte-level BPE from the training text
    Tokenizer,
    /// Train the model, from its checkpoint if there is one
    Train,
    /// Measure the model and print samples
    Evaluate,
    /// Evaluate and write the finished model into the assets
    Box,
    /// Write the instructions and the comparisons into the assets
    Sets,
    /// Do all of these
    All,
    /// Print documents to look at
    Show,
    /// Train DPO, PPO and GRPO as the lessons do with the seeds 1 to --count, and print what came of each (20 minutes a
    /// seed)
    Ladder,
}

/// Exit codes: 0 for success, 1 for a failure, 2 for a wrong command line.
fn main() -> ExitCode {
    gpt_lab::process::tune();
    match run(CommandLine::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("gpt-lab-world: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(line: CommandLine) -> Result<()> {
    let options = &line.options;
    match line.command {
        None => print!("{}", CommandLine::command().render_long_help()),
        Some(Command::Corpus) => commands::corpus(options)?,
        Some(Command::Tokenizer) => commands::tokenizer(options)?,
        Some(Command::Train) => commands::train(options)?,
        Some(Command::Evaluate) => commands::evaluate(options)?,
        Some(Command::Box) => commands::package(options)?,
        Some(Command::Sets) => commands::sets(options)?,
        Some(Command::All) => commands::all(options)?,
        Some(Command::Show) => commands::show(options)?,
        Some(Command::Ladder) => commands::ladder(options)?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_well_formed() {
        CommandLine::command().debug_assert();
    }
}
