//! A tiny GPT learns a rhyme by heart, in seconds:
//!
//! ```sh
//! cargo run --release -p gpt_lab --example train_a_tiny_gpt
//! ```
//!
//! What one sees: letters at random; a loss that falls from about 3 (all letters are equally likely) to nearly 0; the
//! rhyme.

use gpt_lab::prelude::*;
use gpt_lab::train::TerminalProgress;

const RHYME: &str = "\
A model reads a little rhyme,
it reads it many, many a time,
and when at last the loss is small
it knows the rhyme, the words and all.
";

/// Trains and writes.
pub fn main() -> Result<()> {
    let tokenizer = CharTokenizer::from_text(RHYME);
    let windows = Windows::from_tokens(tokenizer.encode(&RHYME.repeat(50))?, 64)?;
    let data = Split { train: windows.clone(), validation: windows };
    let shape = Gpt2Config { n_layer: 2, n_head: 4, n_embd: 64, ..Gpt2Config::small(tokenizer.vocab_size()) };
    let model = Gpt2::new(&shape, 1)?;
    let write = GenerateConfig { max_new_tokens: 120, ..Default::default() };
    println!("{}\n", generate(&model, &tokenizer, "A model", &write)?);

    let schedule = Schedule::warmup_cosine(3e-3, 400);
    let config = TrainConfig { length: Length::Steps(400), batch_size: 8, lr: 3e-3, schedule, ..Default::default() };
    let history = train(&model, &data, &config, &mut TerminalProgress::new())?;
    let written = generate(&model, &tokenizer, "A model", &write)?;
    println!("{history}\n\n{written}");
    assert!(RHYME.starts_with(&written), "it knows the rhyme");
    Ok(())
}
