//! How long a model and a tokenizer take to load, and in how much memory. For use by hand: no case runs it.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Subcommand;
use gpt_lab::prelude::*;

use crate::memory::peak_mib;

#[derive(Subcommand)]
pub enum Command {
    /// Write a GPT-2 of the 124M shape with random weights
    Init { folder: PathBuf },
    /// Load it and print {"seconds": …, "peak_mib": …, "before_mib": …, "file_mib": …}
    Run { folder: PathBuf },
    /// Encode a text and print {"load_seconds": …, "encode_seconds": …, "megabytes": …, "tokens": …, "peak_mib": …}
    Tokenizer { file: PathBuf },
}

pub fn run(command: Command) -> Result<()> {
    match command {
        Command::Init { folder } => Gpt2::new(&Gpt2Config::default(), 1)?.save(folder),
        Command::Run { folder } => load(&folder),
        Command::Tokenizer { file } => tokenizer(&file),
    }
}

fn load(folder: &Path) -> Result<()> {
    let (before, began) = (peak_mib(), Instant::now());
    let model = Gpt2::load(folder)?;
    let (seconds, peak) = (began.elapsed().as_secs_f64(), peak_mib());
    let file = std::fs::metadata(folder.join("model.safetensors")).map_or(0, |file| file.len()) as f64 / 1048576.0;
    assert_eq!(model.num_params(), 124_439_808);
    println!("{}", serde_json::json!({ "seconds": seconds, "peak_mib": peak, "before_mib": before, "file_mib": file }));
    Ok(())
}

fn tokenizer(file: &Path) -> Result<()> {
    let text = std::fs::read_to_string(file).map_err(|e| Error::io(file, "reading", e))?;
    let began = Instant::now();
    let tokenizer = BpeTokenizer::gpt2()?;
    let load = began.elapsed().as_secs_f64();
    let began = Instant::now();
    let tokens = tokenizer.encode(&text)?.len();
    let (encode, megabytes) = (began.elapsed().as_secs_f64(), text.len() as f64 / 1e6);
    let measured = serde_json::json!({
        "load_seconds": load, "encode_seconds": encode, "megabytes": megabytes, "tokens": tokens,
        "peak_mib": peak_mib(),
    });
    println!("{measured}");
    Ok(())
}
