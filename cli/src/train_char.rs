//! `gpt-lab train-char`: train a character model and write down how it was made.

use std::env;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use gpt_lab::data::{Corpus, Language, Split, corpus_crates};
use gpt_lab::gpt2::{Gpt2, Gpt2Config};
use gpt_lab::text::{CharTokenizer, Tokenizer};
use gpt_lab::train::{History, Length, Schedule, TerminalProgress, TrainConfig, train};
use gpt_lab::{Result, write_atomically};
use serde_json::json;

const NOTES: &str = "\
Writes config.json and model.safetensors (which `generate` and notebooks load), tokenizer.json, history.json and
provenance.json, and keeps a checkpoint in OUT/checkpoint meanwhile.";

const LICENCES: &str =
    "each crate's own: MIT, Apache-2.0 or Unlicense, by choice of the user where several are offered";

/// Train a character model on source code
#[derive(Args)]
#[command(after_help = NOTES)]
pub struct Options {
    /// Folder for the model
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Size of the model
    #[arg(long, value_enum, value_name = "NAME", default_value = "small")]
    config: Size,
    /// Optimizer steps
    #[arg(long, value_name = "N", default_value_t = 1000)]
    steps: usize,
    /// Passes through the training windows, instead of steps
    #[arg(long, value_name = "N", conflicts_with = "steps")]
    epochs: Option<usize>,
    /// Windows a step
    #[arg(long, value_name = "N", default_value_t = 32)]
    batch: usize,
    /// Peak learning rate, reached after a warm-up of 5 % of the steps, then a cosine down to a tenth
    #[arg(long, value_name = "X", default_value_t = 2e-3, allow_negative_numbers = true)]
    lr: f64,
    /// One learning rate all the time, instead of --lr
    #[arg(long, value_name = "X", conflicts_with = "lr", allow_negative_numbers = true)]
    constant_lr: Option<f64>,
    /// Dropout, instead of the configuration's
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    dropout: Option<f64>,
    /// Weight decay of matrices
    #[arg(long, value_name = "X", default_value_t = 0.1, allow_negative_numbers = true)]
    weight_decay: f64,
    /// Learn from the functions of the .rs and .py files in this folder, instead of the crates of this build
    #[arg(long, value_name = "FOLDER")]
    source: Option<PathBuf>,
    /// Approximate number of characters to learn from, instead of all
    #[arg(long, value_name = "N")]
    characters: Option<usize>,
    /// Steps from one evaluation to the next
    #[arg(long, value_name = "N", default_value_t = 200)]
    eval_every: usize,
    /// Batches of each side in an evaluation; 0 means all
    #[arg(long, value_name = "N", default_value_t = 20)]
    eval_batches: usize,
    /// Steps from one checkpoint to the next
    #[arg(long, value_name = "N", default_value_t = 500)]
    save_every: usize,
    /// Continue from the checkpoint
    #[arg(long)]
    resume: bool,
    /// Seed of weights, split, order and dropout
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Size {
    Small,
    Chapter,
}

impl Options {
    fn model(&self, vocab_size: usize) -> Gpt2Config {
        let config = match self.config {
            Size::Small => Gpt2Config::small(vocab_size),
            Size::Chapter => Gpt2Config::chapter(vocab_size),
        };
        match self.dropout {
            Some(p) => Gpt2Config { resid_pdrop: p, embd_pdrop: p, attn_pdrop: p, ..config },
            None => config,
        }
    }

    /// The settings of the run over this many windows, which decide the number of steps if epochs are asked for.
    fn training(&self, windows: usize) -> TrainConfig {
        let mut config = TrainConfig {
            length: self.epochs.map_or(Length::Steps(self.steps), Length::Epochs),
            batch_size: self.batch,
            lr: self.constant_lr.unwrap_or(self.lr),
            weight_decay: self.weight_decay,
            eval_every: self.eval_every,
            eval_batches: self.eval_batches,
            seed: self.seed,
            checkpoint: Some(self.out.join("checkpoint")),
            checkpoint_every: self.save_every,
            resume: self.resume,
            ..Default::default()
        };
        if self.constant_lr.is_none() {
            config.schedule = Schedule::warmup_cosine(config.lr, config.total_steps(windows));
        }
        config
    }
}

/// Runs the command.
pub fn run(options: Options) -> Result<()> {
    let (corpus, tokenizer) = corpus(&options)?;
    let config = options.model(tokenizer.vocab_size());
    let split = corpus.split(0.1, options.seed)?;
    let data = split.windows(&tokenizer, config.n_positions)?;
    let model = Gpt2::new(&config, options.seed)?;
    eprintln!("{corpus}");
    eprintln!("{} windows to learn from, {} to judge by", data.train.len(), data.validation.len());
    let history = train(&model, &data, &options.training(data.train.len()), &mut TerminalProgress::new())?;
    model.save(&options.out)?;
    tokenizer.save(options.out.join("tokenizer.json"))?;
    write_json(&options, "history.json", &json!(history))?;
    write_json(&options, "provenance.json", &provenance(&options, &model, &split, &history))?;
    eprintln!("{}", options.out.display());
    Ok(())
}

/// The text to learn from, and a tokenizer that knows all of it.
fn corpus(options: &Options) -> Result<(Corpus, CharTokenizer)> {
    let (mut corpus, tokenizer) = match &options.source {
        None => (Corpus::of_this_build()?, CharTokenizer::ascii()),
        Some(folder) => {
            let corpus = Corpus::from_folder(folder, Language::ByExtension)?;
            let tokenizer = corpus.tokenizer();
            (corpus, tokenizer)
        }
    };
    if let Some(characters) = options.characters {
        corpus = corpus.sample(characters, options.seed);
    }
    Ok((corpus, tokenizer))
}

/// The origin of the model: enough to make it again, and to know what may be done with it.
fn provenance(options: &Options, model: &Gpt2, split: &Split<Corpus>, history: &History) -> serde_json::Value {
    let data = match &options.source {
        Some(folder) => json!({"folder": folder.display().to_string()}),
        None => json!({
            "crates": corpus_crates().iter().map(|one| format!("{}-{}", one.name, one.version)).collect::<Vec<_>>(),
            "licences": LICENCES,
        }),
    };
    let side = |corpus: &Corpus| {
        let fingerprint = format!("{:016x}", corpus.fingerprint());
        json!({"functions": corpus.len(), "characters": corpus.characters(), "fingerprint": fingerprint})
    };
    json!({
        "made_by": format!("gpt-lab {}", env!("CARGO_PKG_VERSION")),
        "command": env::args().skip(1).collect::<Vec<_>>(),
        "seed": options.seed,
        "data": {"source": data, "train": side(&split.train), "validation": side(&split.validation)},
        "parameters": model.num_params(),
        "steps": history.steps.len(),
        "tokens": history.tokens,
        "seconds": history.seconds.round(),
        "threads": std::thread::available_parallelism().map_or(1, usize::from),
        "last_evaluation": history.evals.last(),
        "best_evaluation": history.best(),
    })
}

fn write_json(options: &Options, name: &str, value: &serde_json::Value) -> Result<()> {
    write_atomically(&options.out.join(name), format!("{value:#}\n").as_bytes())
}
