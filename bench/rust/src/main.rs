//! Our side of the benches in `bench/cases`. Each command either writes what both sides work on (`init`) or does the
//! work and prints what it measured as one JSON object.

mod generate;
mod load;
mod lora;
mod memory;
mod train;
mod train_loop;

use clap::Parser;
use gpt_lab::Result;

/// Our side of the benches
#[derive(Parser)]
#[command(version)]
enum Command {
    /// Training steps of the chapter's model, or of one of any size
    #[command(subcommand)]
    Train(train::Command),
    /// LoRA steps on GPT-2 of the 124M shape
    #[command(subcommand)]
    Lora(lora::Command),
    /// Generation with GPT-2 of the 124M shape
    #[command(subcommand)]
    Generate(generate::Command),
    /// Loading a model and a tokenizer
    #[command(subcommand)]
    Load(load::Command),
}

fn main() -> Result<()> {
    gpt_lab::process::tune();
    match Command::parse() {
        Command::Train(command) => train::run(command),
        Command::Lora(command) => lora::run(command),
        Command::Generate(command) => generate::run(command),
        Command::Load(command) => load::run(command),
    }
}
