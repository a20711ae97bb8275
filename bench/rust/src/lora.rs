//! LoRA steps: our side of `bench/cases/lora_step.py`. GPT-2 of the 124M shape with random weights, LoRA on `c_attn`,
//! trained on batches from a file.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Subcommand;
use gpt_lab::candle_core::{Device, IndexOp, Tensor, safetensors};
use gpt_lab::gpt2::{Gpt2, Gpt2Config};
use gpt_lab::lora::{Init, Lora, LoraConfig};
use gpt_lab::train::{AdamW, AdamWOptions, Gradients};
use gpt_lab::{Result, Rng};

use crate::memory::peak_mib;

const LEARNING_RATE: f64 = 6e-4;

#[derive(Subcommand)]
pub enum Command {
    /// Write a model, an adapter and batches.safetensors
    Init {
        folder: PathBuf,
        /// Rows a batch
        #[arg(long)]
        batch: usize,
        /// Tokens a row
        #[arg(long)]
        context: usize,
        /// Number of batches
        #[arg(long)]
        batches: usize,
    },
    /// Train on them and print {"losses": …, "seconds": …, "peak_mib": …}
    Run {
        folder: PathBuf,
        #[arg(long)]
        steps: usize,
    },
}

pub fn run(command: Command) -> Result<()> {
    match command {
        Command::Init { folder, batch, context, batches } => init(&folder, [batches, batch, context]),
        Command::Run { folder, steps } => train(&folder, steps),
    }
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

fn train(folder: &Path, steps: usize) -> Result<()> {
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
