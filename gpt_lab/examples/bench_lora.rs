//! One side of `bench/cases/lora_step.py`: GPT-2 of the 124M shape with random weights, LoRA on `c_attn`, trained on batches from a
//! file.
//!
//! ```text
//! bench_lora init FOLDER --batch B --context T --batches N    writes a model, an adapter and batches.safetensors
//! bench_lora run FOLDER --steps N                             prints {"losses": …, "seconds": …, "peak_mib": …}
//! ```

use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

use gpt_lab::candle_core::{Device, IndexOp, Tensor, safetensors};
use gpt_lab::gpt2::{Gpt2, Gpt2Config};
use gpt_lab::lora::{Init, Lora, LoraConfig};
use gpt_lab::train::{AdamW, AdamWOptions, Gradients};
use gpt_lab::{Result, Rng};

const LEARNING_RATE: f64 = 6e-4;

fn main() -> Result<()> {
    gpt_lab::process::tune();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["init", folder, "--batch", batch, "--context", context, "--batches", batches] => {
            init(folder.as_ref(), [batches, batch, context].map(number))
        }
        ["run", folder, "--steps", steps] => run(folder.as_ref(), number(steps)),
        _ => {
            eprintln!(
                "usage: bench_lora init FOLDER --batch B --context T --batches N | bench_lora run FOLDER --steps N"
            );
            std::process::exit(2)
        }
    }
}

fn number(text: &str) -> usize {
    text.parse().unwrap_or_else(|_| {
        eprintln!("bench_lora: `{text}` is not a number");
        std::process::exit(2)
    })
}

fn init(folder: &Path, shape: [usize; 3]) -> Result<()> {
    let config = Gpt2Config { resid_pdrop: 0.0, embd_pdrop: 0.0, attn_pdrop: 0.0, ..Gpt2Config::default() };
    let model = Gpt2::new(&config, 1)?;
    model.save(folder.join("model"))?;
    let lora = Lora::new(&model)?;
    // B is not zero, so that every gradient is worth comparing.
    let adapter = LoraConfig { r: 4, lora_alpha: 32.0, init_lora_weights: Init::Random, ..Default::default() };
    lora.add("default", &adapter, 2)?;
    lora.save("default", folder.join("adapter"))?;
    let mut rng = Rng::new(3);
    let ids: Vec<i64> = (0..shape.iter().product()).map(|_| rng.below(config.vocab_size) as i64).collect();
    let tensors = HashMap::from([("input_ids", Tensor::from_vec(ids, &shape[..], &Device::Cpu)?)]);
    Ok(safetensors::save(&tensors, folder.join("batches.safetensors"))?)
}

fn run(folder: &Path, steps: usize) -> Result<()> {
    let model = Gpt2::load(folder.join("model"))?;
    let lora = Lora::new(&model)?;
    lora.load("default", folder.join("adapter"))?;
    let batches = safetensors::load(folder.join("batches.safetensors"), &Device::Cpu)?;
    let batches = &batches["input_ids"];
    let params = lora.params();
    let mut optimizer = AdamW::new(&params, AdamWOptions::default())?;
    let (mut losses, mut seconds) = (Vec::new(), Vec::new());
    for step in 0..steps {
        let start = Instant::now();
        let batch = batches.i(step % batches.dim(0)?)?;
        let loss = model.loss_hf(&batch, &batch)?;
        optimizer.step(&Gradients::of(&loss, &params)?, LEARNING_RATE, 1.0)?;
        losses.push(loss.to_scalar::<f32>()?);
        seconds.push(start.elapsed().as_secs_f64());
    }
    println!("{}", serde_json::json!({ "losses": losses, "seconds": seconds, "peak_mib": peak_mib() }));
    Ok(())
}

/// The most memory that this process has held, as Linux counts it; 0 elsewhere.
fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}
