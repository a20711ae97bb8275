//! `gpt-lab generate`: let a model write.

use std::io::{self, Write};
use std::process::ExitCode;

use gpt_lab::generate::{GenerateConfig, Generation, LanguageModel, generate_many, generate_with};
use gpt_lab::gpt2::Gpt2;
use gpt_lab::text::{AnyTokenizer, BpeTokenizer};
use lexopt::prelude::*;

use crate::{Failure, Outcome};

const HELP: &str = "\
gpt-lab generate: let a model write

Usage: gpt-lab generate --model FOLDER_OR_ID [--prompt TEXT] [OPTIONS]

The model is a folder with config.json, model.safetensors and a tokenizer's files, as train-char and transformers
write them, or the name of one on the Hugging Face Hub, such as openai-community/gpt2.
The options have the names and meanings of Hugging Face's `generate`.

Options:
  --prompt TEXT               How the text begins; without it the model begins
  --max-new-tokens N          At most so many tokens after the prompt (default: 200)
  --max-length N              At most so many tokens with the prompt
  --min-new-tokens N          No end of text before so many tokens after the prompt
  --min-length N              No end of text before so many tokens with the prompt
  --do-sample                 Draw the next token; otherwise it is the likeliest
  --temperature X             Draw surer (below 1) or wilder (above 1)
  --top-k N                   Draw among the N likeliest tokens only
  --top-p X                   Draw among the likeliest tokens that together have probability X only
  --seed N                    The same seed draws the same text (default: 0)
  --repetition-penalty X      Above 1: tokens that are in the text already become less likely
  --no-repeat-ngram-size N    No N tokens in a row may occur twice
  --eos-token-id N            What ends the text, instead of what the model says; may be given several times
  --num-beams N               Search for the likeliest text, following N at once
  --length-penalty X          In the search, above 0 favours long texts (default: 1)
  --early-stopping WHEN       When the search ends: true, false or never (default: false)
  --num-return-sequences N    So many texts, drawn or found (default: 1)
  --int8                      With weights in 8 bits: faster, a little less accurate

--temperature, --top-k and --top-p imply --do-sample.
";

/// Runs the command.
pub fn run(mut parser: lexopt::Parser) -> Outcome {
    let mut model = None;
    let mut prompt = String::new();
    let mut int8 = false;
    let mut config = GenerateConfig::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(ExitCode::SUCCESS);
            }
            Long("model") => model = Some(parser.value()?.string()?),
            Long("prompt") => prompt = parser.value()?.string()?,
            Long("int8") => int8 = true,
            Long(name) => {
                let name = name.to_string();
                if !set(&mut config, &name, &mut parser)? {
                    return Err(Long(&name).unexpected().into());
                }
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let model = model.ok_or_else(|| Failure::Usage("generate needs --model".into()))?;
    config.validate()?;
    let (model, tokenizer) = load(&model)?;
    let small = if int8 { Some(model.to_int8()?) } else { None };
    let model: &dyn LanguageModel = small.as_ref().map_or(&model, |small| small);
    if config.num_return_sequences == 1 {
        write_one(model, &tokenizer, &prompt, &config)?;
    } else {
        write_all(&generate_many(model, &tokenizer, &[&prompt], &config)?.concat());
    }
    Ok(ExitCode::SUCCESS)
}

/// What is in a folder of this name, or else on the Hub; what looks like a path is never asked for there.
pub fn load(name: &str) -> Result<(Gpt2, AnyTokenizer), Failure> {
    let folder = std::path::Path::new(name);
    if folder.is_dir() || folder.is_absolute() || name.starts_with('.') {
        return Ok((Gpt2::load(folder)?, AnyTokenizer::load(folder)?));
    }
    Ok((Gpt2::from_hub(name)?, AnyTokenizer::Bpe(Box::new(BpeTokenizer::from_hub(name)?))))
}

/// Takes one setting from the command line; `false` if there is none of this name.
fn set(config: &mut GenerateConfig, name: &str, parser: &mut lexopt::Parser) -> Result<bool, Failure> {
    match name {
        "max-new-tokens" => config.max_new_tokens = parser.value()?.parse()?,
        "max-length" => config.max_length = Some(parser.value()?.parse()?),
        "min-new-tokens" => config.min_new_tokens = parser.value()?.parse()?,
        "min-length" => config.min_length = parser.value()?.parse()?,
        "do-sample" => config.do_sample = true,
        "temperature" => (config.temperature, config.do_sample) = (parser.value()?.parse()?, true),
        "top-k" => (config.top_k, config.do_sample) = (Some(parser.value()?.parse()?), true),
        "top-p" => (config.top_p, config.do_sample) = (Some(parser.value()?.parse()?), true),
        "seed" => config.seed = parser.value()?.parse()?,
        "repetition-penalty" => config.repetition_penalty = parser.value()?.parse()?,
        "no-repeat-ngram-size" => config.no_repeat_ngram_size = parser.value()?.parse()?,
        "eos-token-id" => config.eos_token_id.get_or_insert_default().push(parser.value()?.parse()?),
        "num-beams" => config.num_beams = parser.value()?.parse()?,
        "length-penalty" => config.length_penalty = parser.value()?.parse()?,
        "early-stopping" => config.early_stopping = parser.value()?.parse()?,
        "num-return-sequences" => config.num_return_sequences = parser.value()?.parse()?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// Writes one text to standard output as it is made.
fn write_one(
    model: &dyn LanguageModel,
    tokenizer: &AnyTokenizer,
    prompt: &str,
    config: &GenerateConfig,
) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let failed = |e| gpt_lab::Error::io("standard output", "writing", e);
    let mut written = write!(out, "{prompt}").and_then(|()| out.flush());
    generate_with(model, tokenizer, prompt, config, |token| {
        if written.is_ok() {
            written = write!(out, "{}", token.text).and_then(|()| out.flush());
        }
    })?;
    written.and_then(|()| writeln!(out)).map_err(failed)?;
    Ok(())
}

/// Several texts, with a line between them and their scores if they have any.
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
