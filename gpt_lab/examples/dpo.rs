//! DPO shifts the model in the box towards preferred answers, in seconds:
//!
//! ```sh
//! cargo run --release -p gpt_lab --example dpo
//! ```
//!
//! What one sees: before the first step the policy is the reference, so the loss is ln 2 and both implicit rewards are
//! 0; after it the preferred answers have the higher reward, with the loss lower and the accuracy higher.

use gpt_lab::align::{DpoModel, Preferences};
use gpt_lab::prelude::*;
use gpt_lab::train::TerminalProgress;

/// Trains on 128 comparisons and measures before and after.
pub fn main() -> Result<()> {
    let folder = assets::path("gpt2_box")?;
    let (gpt2, tokenizer) = (Gpt2::load(&folder)?, BpeTokenizer::load(&folder)?);
    let policy = Lora::new(&gpt2)?;
    policy.add("dpo", &LoraConfig { r: 16, lora_alpha: 32.0, ..Default::default() }, 1)?;
    let mut pairs = Comparisons::load(assets::path("comparisons/train.jsonl")?)?.encode(&tokenizer, 128)?;
    pairs.rows.truncate(128);
    let pairs = Preferences::new(pairs, &policy)?;
    let data = Split { train: pairs.clone(), validation: pairs };

    let model = DpoModel { policy, beta: 0.5, nll_weight: 0.0 };
    let before = model.measure(&data.validation, 16)?;
    let config =
        TrainConfig { length: Length::Steps(16), batch_size: 16, lr: 1e-3, eval_every: 0, ..Default::default() };
    train(&model, &data, &config, &mut TerminalProgress::new())?;
    let after = model.measure(&data.validation, 16)?;
    println!("before: {before}\nafter:  {after}");
    assert!((before.loss - 2f64.ln()).abs() < 1e-6 && after.loss < before.loss && after.margin() > 0.0);
    Ok(())
}
