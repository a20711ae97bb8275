//! Our side of the benches that train: `bench/cases/train_step.py`, `growth.py` and `cell_vs_binary.py`.
//!
//! ```text
//! bench_train init FOLDER --batch B --batches N    the chapter's model and batches: config.json, *.safetensors
//! bench_train run FOLDER --steps N                 trains on them: {"losses": …, "seconds": …, "peak_mib": …}
//! bench_train size T B C L --steps N               a new model on noise, context T, batch B, width C, L layers:
//!                                                  {"seconds": …, "attention": …, "peak_mib": …}
//! ```

use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

use gpt_lab::candle_core::{Device, Tensor, Var, safetensors};
use gpt_lab::data::Corpus;
use gpt_lab::gpt2::{Gpt2, Gpt2Config};
use gpt_lab::text::{CharTokenizer, Tokenizer};
use gpt_lab::train::{AdamW, AdamWOptions, Gradients};
use gpt_lab::{Error, Pass, Result, Rng, ops};

include!("../../bench/train_loop.rs");

const USAGE: &str = "usage: bench_train init FOLDER --batch B --batches N | bench_train run FOLDER --steps N | \
                     bench_train size T B C L --steps N";

fn main() -> Result<()> {
    gpt_lab::process::tune();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["init", folder, "--batch", batch, "--batches", batches] => {
            init(folder.as_ref(), number(batch), number(batches))
        }
        ["run", folder, "--steps", steps] => run(folder, number(steps)),
        ["size", t, b, c, l, "--steps", steps] => size([t, b, c, l].map(number), number(steps)),
        _ => {
            eprintln!("{USAGE}");
            std::process::exit(2)
        }
    }
}

fn number(text: &str) -> usize {
    text.parse().unwrap_or_else(|_| {
        eprintln!("bench_train: `{text}` is not a number");
        std::process::exit(2)
    })
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
    let stack = |part: fn(&gpt_lab::data::Batch) -> &Tensor| {
        Tensor::stack(&drawn.iter().map(part).collect::<Vec<_>>(), 0).map_err(Error::from)
    };
    let tensors = HashMap::from([("inputs", stack(|b| &b.inputs)?), ("targets", stack(|b| &b.targets)?)]);
    Ok(safetensors::save(&tensors, folder.join("batches.safetensors"))?)
}

fn run(folder: &str, steps: usize) -> Result<()> {
    let (losses, seconds) = train_loop(folder, steps)?;
    println!("{}", serde_json::json!({ "losses": losses, "seconds": seconds, "peak_mib": peak_mib() }));
    Ok(())
}

/// Times whole steps, and beside each of them the attention alone (forward and backward pass of all layers), the one part
/// whose work grows with the square of the context.
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

/// The most memory that this process has held, as Linux counts it; 0 elsewhere.
fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}
