//! Training steps: our side of `bench/cases/train_step.py`, `growth.py` and `cell_vs_binary.py`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Subcommand;
use gpt_lab::candle_core::{Device, Tensor, Var, safetensors};
use gpt_lab::data::{Batch, Corpus};
use gpt_lab::gpt2::{Gpt2, Gpt2Config};
use gpt_lab::text::{CharTokenizer, Tokenizer};
use gpt_lab::train::{AdamW, AdamWOptions, Gradients};
use gpt_lab::{Error, Pass, Result, Rng, ops};

use crate::memory::peak_mib;
use crate::train_loop::train_loop;

#[derive(Subcommand)]
pub enum Command {
    /// Write the chapter's model and batches: config.json, *.safetensors
    Init {
        folder: PathBuf,
        /// Windows a batch
        #[arg(long)]
        batch: usize,
        /// Number of batches
        #[arg(long)]
        batches: usize,
    },
    /// Train on them and print {"losses": …, "seconds": …, "peak_mib": …}
    Run {
        folder: String,
        #[arg(long)]
        steps: usize,
    },
    /// Train a new model on noise and print {"seconds": …, "attention": …, "peak_mib": …}
    Size {
        context: usize,
        batch: usize,
        width: usize,
        layers: usize,
        #[arg(long)]
        steps: usize,
    },
}

pub fn run(command: Command) -> Result<()> {
    match command {
        Command::Init { folder, batch, batches } => init(&folder, batch, batches),
        Command::Run { folder, steps } => train(&folder, steps),
        Command::Size { context, batch, width, layers, steps } => size([context, batch, width, layers], steps),
    }
}

/// This model without dropout.
fn without_dropout(config: Gpt2Config) -> Gpt2Config {
    Gpt2Config { resid_pdrop: 0.0, embd_pdrop: 0.0, attn_pdrop: 0.0, ..config }
}

fn init(folder: &Path, batch: usize, batches: usize) -> Result<()> {
    let tokenizer = CharTokenizer::ascii();
    let config = without_dropout(Gpt2Config::chapter(tokenizer.vocab_size()));
    Gpt2::new(&config, 1)?.save(folder)?;
    let split = Corpus::of_this_build()?.split(0.1, 1)?;
    let windows = split.windows(&tokenizer, config.n_positions)?.train;
    let drawn = (0..batches as u64).map(|seed| windows.random_batch(batch, seed)).collect::<Result<Vec<_>>>()?;
    let stack = |part: fn(&Batch) -> &Tensor| {
        Tensor::stack(&drawn.iter().map(part).collect::<Vec<_>>(), 0).map_err(Error::from)
    };
    let tensors = HashMap::from([("inputs", stack(|b| &b.inputs)?), ("targets", stack(|b| &b.targets)?)]);
    Ok(safetensors::save(&tensors, folder.join("batches.safetensors"))?)
}

fn train(folder: &str, steps: usize) -> Result<()> {
    let (losses, seconds) = train_loop(folder, steps)?;
    println!("{}", serde_json::json!({ "losses": losses, "seconds": seconds, "peak_mib": peak_mib() }));
    Ok(())
}

/// Times whole steps, and beside each of them the attention alone (forward and backward pass of all layers), the one
/// part whose work grows with the square of the context.
fn size([t, b, c, l]: [usize; 4], steps: usize) -> Result<()> {
    let config = Gpt2Config { n_positions: t, n_embd: c, n_layer: l, n_head: c / 32, ..Gpt2Config::chapter(98) };
    let (config, mut rng) = (without_dropout(config), Rng::new(1));
    let model = Gpt2::new(&config, 1)?;
    let ids = Tensor::from_vec((0..t * b).map(|_| rng.below(98) as u32).collect(), (b, t), &Device::Cpu)?;
    let qkv = Var::from_tensor(&rng.normal_tensor(0.0, 1.0, &[b, t, 3 * c])?)?;
    let (params, scale) = (model.params(), config.attention_scale(0));
    let mut optimizer = AdamW::new(&params, AdamWOptions::default())?;
    let (mut seconds, mut attention) = (Vec::new(), Vec::new());
    for _ in 0..steps {
        let start = Instant::now();
        let loss = model.loss(&ids, &ids, &mut Pass::eval())?;
        optimizer.step(&Gradients::of(&loss, &params)?, 1e-3, 1.0)?;
        drop(loss);
        seconds.push(start.elapsed().as_secs_f64());
    }
    let peak_mib = peak_mib();
    for _ in 0..steps {
        let start = Instant::now();
        for _ in 0..l {
            ops::causal_attention(qkv.as_tensor(), config.n_head, scale, None)?.backward()?;
        }
        attention.push(start.elapsed().as_secs_f64());
    }
    println!("{}", serde_json::json!({ "seconds": seconds, "attention": attention, "peak_mib": peak_mib }));
    Ok(())
}
