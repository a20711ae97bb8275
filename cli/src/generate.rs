//! `gpt-lab generate`: let a model write.

use std::io::{self, Write};
use std::path::Path;

use clap::Args;
use gpt_lab::generate::{EarlyStopping, GenerateConfig, Generation, LanguageModel, generate_many, generate_with};
use gpt_lab::gpt2::Gpt2;
use gpt_lab::text::{AnyTokenizer, BpeTokenizer};
use gpt_lab::{Error, Result};

const NOTES: &str = "\
The model is a folder with config.json, model.safetensors and a tokenizer's files, as train-char and transformers
write them, or the name of one on the Hugging Face Hub, such as openai-community/gpt2.
The options have the names and meanings of Hugging Face's `generate`.
--temperature, --top-k and --top-p imply --do-sample.";

fn default() -> GenerateConfig {
    GenerateConfig::default()
}

/// Let a model write
#[derive(Args)]
#[command(after_help = NOTES)]
pub struct Options {
    /// Model to load
    #[arg(long, value_name = "FOLDER_OR_ID")]
    model: String,
    /// Beginning of the text; without it the model begins
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true, allow_hyphen_values = true)]
    prompt: String,
    /// Largest number of tokens after the prompt
    #[arg(long, value_name = "N", default_value_t = default().max_new_tokens)]
    max_new_tokens: usize,
    /// Largest number of tokens with the prompt
    #[arg(long, value_name = "N")]
    max_length: Option<usize>,
    /// Smallest number of tokens after the prompt
    #[arg(long, value_name = "N", default_value_t = default().min_new_tokens)]
    min_new_tokens: usize,
    /// Smallest number of tokens with the prompt
    #[arg(long, value_name = "N", default_value_t = default().min_length)]
    min_length: usize,
    /// Draw the next token; otherwise it is the likeliest
    #[arg(long)]
    do_sample: bool,
    /// Draw more predictably (below 1) or less (above 1)
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    temperature: Option<f64>,
    /// Draw among the N likeliest tokens only
    #[arg(long, value_name = "N")]
    top_k: Option<usize>,
    /// Draw among the likeliest tokens that together have probability X only
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    top_p: Option<f64>,
    /// Seed of the draws: the same seed draws the same text
    #[arg(long, value_name = "N", default_value_t = default().seed)]
    seed: u64,
    /// Above 1: tokens that are in the text already become less likely
    #[arg(long, value_name = "X", default_value_t = default().repetition_penalty, allow_negative_numbers = true)]
    repetition_penalty: f64,
    /// Length of the sequences of tokens that may not occur twice; 0 allows all
    #[arg(long, value_name = "N", default_value_t = default().no_repeat_ngram_size)]
    no_repeat_ngram_size: usize,
    /// Token that ends the text, instead of the model's own; may be given several times
    #[arg(long, value_name = "N")]
    eos_token_id: Option<Vec<u32>>,
    /// Number of texts that the search for the likeliest text follows at once
    #[arg(long, value_name = "N", default_value_t = default().num_beams)]
    num_beams: usize,
    /// In the search, above 0 favours long texts
    #[arg(long, value_name = "X", default_value_t = default().length_penalty, allow_negative_numbers = true)]
    length_penalty: f64,
    /// End of the search: true, false or never
    #[arg(long, value_name = "WHEN", default_value = "false")]
    early_stopping: EarlyStopping,
    /// Number of texts, drawn or found
    #[arg(long, value_name = "N", default_value_t = default().num_return_sequences)]
    num_return_sequences: usize,
    /// Round the weights to 8 bits: faster, a little less accurate
    #[arg(long)]
    int8: bool,
}

impl Options {
    fn config(&self) -> GenerateConfig {
        let draws = self.temperature.is_some() || self.top_k.is_some() || self.top_p.is_some();
        GenerateConfig {
            max_new_tokens: self.max_new_tokens,
            max_length: self.max_length,
            min_new_tokens: self.min_new_tokens,
            min_length: self.min_length,
            do_sample: self.do_sample || draws,
            temperature: self.temperature.unwrap_or(default().temperature),
            top_k: self.top_k,
            top_p: self.top_p,
            repetition_penalty: self.repetition_penalty,
            no_repeat_ngram_size: self.no_repeat_ngram_size,
            eos_token_id: self.eos_token_id.clone(),
            num_return_sequences: self.num_return_sequences,
            num_beams: self.num_beams,
            length_penalty: self.length_penalty,
            early_stopping: self.early_stopping,
            seed: self.seed,
            ..default()
        }
    }
}

/// Runs the command.
pub fn run(options: Options) -> Result<()> {
    let (config, prompt) = (options.config(), options.prompt);
    config.validate()?;
    let (model, tokenizer) = load(&options.model)?;
    let small = if options.int8 { Some(model.to_int8()?) } else { None };
    let model: &dyn LanguageModel = small.as_ref().map_or(&model, |small| small);
    if config.num_return_sequences == 1 {
        write_one(model, &tokenizer, &prompt, &config)?;
    } else {
        write_all(&generate_many(model, &tokenizer, &[&prompt], &config)?.concat());
    }
    Ok(())
}

/// The model of a folder, or else of the Hub; a name that looks like a path is never looked up there.
pub fn load(name: &str) -> Result<(Gpt2, AnyTokenizer)> {
    let folder = Path::new(name);
    if folder.is_dir() || folder.is_absolute() || name.starts_with('.') {
        return Ok((Gpt2::load(folder)?, AnyTokenizer::load(folder)?));
    }
    Ok((Gpt2::from_hub(name)?, AnyTokenizer::Bpe(Box::new(BpeTokenizer::from_hub(name)?))))
}

/// Writes one text to standard output while it is generated.
fn write_one(model: &dyn LanguageModel, tokenizer: &AnyTokenizer, prompt: &str, config: &GenerateConfig) -> Result<()> {
    let mut out = io::stdout().lock();
    let mut written = write!(out, "{prompt}").and_then(|()| out.flush());
    generate_with(model, tokenizer, prompt, config, |token| {
        if written.is_ok() {
            written = write!(out, "{}", token.text).and_then(|()| out.flush());
        }
    })?;
    written.and_then(|()| writeln!(out)).map_err(|e| Error::io("standard output", "writing", e))
}

/// Writes several texts with a line between them, and their scores if they have any.
fn write_all(generations: &[Generation]) {
    for (i, generation) in generations.iter().enumerate() {
        if i > 0 {
            println!("{}", "-".repeat(40));
        }
        println!("{generation}");
        if let Some(score) = generation.score {
            println!("(score {score:.4})");
        }
    }
}
