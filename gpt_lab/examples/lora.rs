//! LoRA teaches the model in the box to answer instructions, in seconds:
//!
//! ```sh
//! cargo run --release -p gpt_lab --example lora
//! ```
//!
//! What one sees: a twelfth of the parameters trains; the base model does not answer; with the adapter it does; with
//! the adapter off it is the base model again.

use gpt_lab::prelude::*;
use gpt_lab::train::TerminalProgress;

/// Trains an adapter and asks the same question before, after and without it.
pub fn main() -> Result<()> {
    let folder = assets::path("gpt2_box")?;
    let (gpt2, tokenizer) = (Gpt2::load(&folder)?, BpeTokenizer::load(&folder)?);
    let question = Instruction::ask("What is the capital of France?").prompt();
    let write = GenerateConfig { max_new_tokens: 12, ..Default::default() };
    let before = generate(&gpt2, &tokenizer, &question, &write)?;

    let lora = Lora::new(&gpt2)?;
    let target_modules = Targets::pattern("all-linear");
    lora.add("answers", &LoraConfig { r: 16, lora_alpha: 32.0, target_modules, ..Default::default() }, 1)?;
    println!("{}", lora.report());
    let rows = Instruction::read(assets::path("instructions/train.jsonl")?)?;
    let rows = Completions::of_instructions(&rows, &tokenizer, 128)?;
    let data = Split { train: rows.clone(), validation: rows };
    let config =
        TrainConfig { length: Length::Steps(40), batch_size: 16, lr: 3e-3, eval_every: 0, ..Default::default() };
    train(&lora, &data, &config, &mut TerminalProgress::new())?;

    let after = generate(lora.model(), &tokenizer, &question, &write)?;
    let off = lora.disabled(|base| generate(base, &tokenizer, &question, &write))??;
    println!("--- before\n{before}\n--- after\n{after}\n--- adapter off\n{off}");
    assert!(after != before && off == before, "the adapter changes the answer, and only the adapter");
    Ok(())
}
