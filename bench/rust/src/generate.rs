//! Generation: our side of `bench/cases/generate.py`. GPT-2 of the 124M shape with random weights writes after a prompt
//! from a file.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Subcommand;
use gpt_lab::generate::{GenerateConfig, LanguageModel, generate_ids};
use gpt_lab::gpt2::{Gpt2, Gpt2Config};
use gpt_lab::{Error, Result, Rng};

use crate::memory::peak_mib;

#[derive(Subcommand)]
pub enum Command {
    /// Write config.json, model.safetensors and prompt.json
    Init {
        folder: PathBuf,
        /// Tokens of the prompt
        #[arg(long)]
        prompt: usize,
    },
    /// Generate and print {"ids": …, "first_seconds": …, "seconds": …, "peak_mib": …}
    Run {
        folder: PathBuf,
        #[arg(long)]
        tokens: usize,
        #[arg(long, default_value_t = 1)]
        beams: usize,
        /// Weights in 8 bits
        #[arg(long)]
        int8: bool,
    },
}

pub fn run(command: Command) -> Result<()> {
    match command {
        Command::Init { folder, prompt } => init(&folder, prompt),
        Command::Run { folder, tokens, beams, int8 } => generate(&folder, tokens, beams, int8),
    }
}

/// Weights five times as large as GPT-2's initial ones, so that the likeliest token is clearly the likeliest.
fn init(folder: &Path, prompt: usize) -> Result<()> {
    let config = Gpt2Config { initializer_range: 0.1, ..Gpt2Config::default() };
    Gpt2::new(&config, 1)?.save(folder)?;
    let mut rng = Rng::new(2);
    let ids: Vec<usize> = (0..prompt).map(|_| rng.below(config.vocab_size)).collect();
    let path = folder.join("prompt.json");
    std::fs::write(&path, serde_json::json!(ids).to_string()).map_err(|e| Error::io(&path, "writing", e))
}

/// First one token, then all: what the two take beyond each other is the speed with the prompt already read.
fn generate(folder: &Path, tokens: usize, num_beams: usize, int8: bool) -> Result<()> {
    let model = Gpt2::load(folder)?;
    let small = if int8 { Some(model.to_int8()?) } else { None };
    let model: &dyn LanguageModel = small.as_ref().map_or(&model, |small| small);
    let path = folder.join("prompt.json");
    let text = std::fs::read_to_string(&path).map_err(|e| Error::io(&path, "reading", e))?;
    let prompt: Vec<u32> = serde_json::from_str(&text).expect("a list of ids, as init wrote it");
    let config = |max_new_tokens| GenerateConfig {
        max_new_tokens,
        num_beams,
        eos_token_id: Some(Vec::new()),
        ..Default::default()
    };
    let timed = |max_new_tokens| {
        let start = Instant::now();
        let ids = generate_ids(model, std::slice::from_ref(&prompt), &config(max_new_tokens))?.remove(0).remove(0).ids;
        Ok::<_, Error>((ids, start.elapsed().as_secs_f64()))
    };
    let (_, first) = timed(1)?;
    let (ids, all) = timed(tokens)?;
    let made = &ids[prompt.len()..];
    println!(
        "{}",
        serde_json::json!({ "ids": made, "first_seconds": first, "seconds": all - first, "peak_mib": peak_mib() })
    );
    Ok(())
}
