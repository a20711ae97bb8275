//! `gpt-lab-world`: makes what `assets/` holds.

mod commands;

use std::process::ExitCode;

use lexopt::prelude::*;

const HELP: &str = "\
gpt-lab-world: makes the model in the box and the small data sets, from nothing

Usage: gpt-lab-world COMMAND [OPTIONS]

Commands, in the order of the work:
  corpus       Write the training text and the validation text
  tokenizer    Learn the byte-level BPE from the training text
  train        Train the model; goes on from its checkpoint if there is one
  evaluate     Measure the model and print samples
  box          Evaluate and write the finished model into the assets
  sets         Write the instructions and the comparisons into the assets
  all          All of these
  show         Print documents to look at

Options:
  --work FOLDER       Where text, tokens and checkpoints go (default: target/world)
  --out FOLDER        The assets (default: assets)
  --seed N            Decides everything (default: 1)
  --documents N       Generated documents of the corpus (default: 200000)
  --steps N           Optimizer steps of the training (default: 8000)
  --batch N           Windows of 256 tokens a step (default: 16)
  --lr X              Peak learning rate, after a warm-up of 5 % of the steps, then a cosine down to a tenth
                      (default: 3e-3)
  --probes N          Facts of each relation that the evaluation asks for (default: 5)
  --fresh             Do not go on from an earlier checkpoint
  --kind NAME         For show: the kind of document, such as Story (default: the mix)
  --count N           For show: how many (default: 10)
  -h, --help          This help
";

fn main() -> ExitCode {
    gpt_lab::process::tune();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(message)) => {
            eprintln!("gpt-lab-world: {message}\nTry: gpt-lab-world --help");
            ExitCode::from(2)
        }
        Err(Failure::Lab(error)) => {
            eprintln!("gpt-lab-world: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Why a command could not do its work.
enum Failure {
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

fn run() -> Result<(), Failure> {
    let mut parser = lexopt::Parser::from_env();
    let mut command = None;
    let mut options = commands::Options::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(());
            }
            Long("work") => options.work = parser.value()?.into(),
            Long("out") => options.out = parser.value()?.into(),
            Long("seed") => options.seed = parser.value()?.parse()?,
            Long("documents") => options.documents = parser.value()?.parse()?,
            Long("steps") => options.steps = parser.value()?.parse()?,
            Long("batch") => options.batch = parser.value()?.parse()?,
            Long("lr") => options.lr = parser.value()?.parse()?,
            Long("probes") => options.probes = parser.value()?.parse()?,
            Long("fresh") => options.fresh = true,
            Long("kind") => options.kind = Some(parser.value()?.string()?),
            Long("count") => options.count = parser.value()?.parse()?,
            Value(value) if command.is_none() => command = Some(value.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    match command.as_deref() {
        None => print!("{HELP}"),
        Some("corpus") => commands::corpus(&options)?,
        Some("tokenizer") => commands::tokenizer(&options)?,
        Some("train") => commands::train(&options)?,
        Some("evaluate") => commands::evaluate(&options)?,
        Some("box") => commands::package(&options)?,
        Some("sets") => commands::sets(&options)?,
        Some("all") => commands::all(&options)?,
        Some("show") => commands::show(&options)?,
        Some(other) => return Err(Failure::Usage(format!("there is no command {other:?}"))),
    }
    Ok(())
}
