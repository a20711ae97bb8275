//! One side of `bench/cases/generate.py`: GPT-2 of the 124M shape with random weights writes after a prompt from a file.
//!
//! ```text
//! bench_generate init FOLDER --prompt N                       writes config.json, model.safetensors, prompt.json
//! bench_generate run FOLDER --tokens N [--beams N | --int8]   prints {"ids": …, "first_seconds": …, "seconds": …, "peak_mib": …}
//! ```

use std::path::Path;
use std::time::Instant;

use gpt_lab::generate::{GenerateConfig, LanguageModel, generate_ids};
use gpt_lab::gpt2::{Gpt2, Gpt2Config};
use gpt_lab::{Error, Result, Rng};

fn main() -> Result<()> {
    gpt_lab::process::tune();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["init", folder, "--prompt", n] => init(folder.as_ref(), number(n)),
        ["run", folder, "--tokens", n] => run(folder.as_ref(), number(n), 1, false),
        ["run", folder, "--tokens", n, "--int8"] => run(folder.as_ref(), number(n), 1, true),
        ["run", folder, "--tokens", n, "--beams", beams] => run(folder.as_ref(), number(n), number(beams), false),
        _ => {
            eprintln!(
                "usage: bench_generate init FOLDER --prompt N | bench_generate run FOLDER --tokens N [--beams N | --int8]"
            );
            std::process::exit(2)
        }
    }
}

fn number(text: &str) -> usize {
    text.parse().unwrap_or_else(|_| {
        eprintln!("bench_generate: `{text}` is not a number");
        std::process::exit(2)
    })
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
fn run(folder: &Path, tokens: usize, num_beams: usize, int8: bool) -> Result<()> {
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

/// The most memory that this process has held, as Linux counts it; 0 elsewhere.
fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}
