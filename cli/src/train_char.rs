//! `gpt-lab train-char`: train a character model and write down how it was made.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use gpt_lab::data::{Corpus, Language, Split, TextData, corpus_crates};
use gpt_lab::gpt2::{Gpt2, Gpt2Config};
use gpt_lab::text::{CharTokenizer, Tokenizer};
use gpt_lab::train::{History, Length, Schedule, TerminalProgress, TrainConfig, train};
use gpt_lab::{Error, write_atomically};
use lexopt::prelude::*;
use serde_json::json;

use crate::{Failure, Outcome};

const HELP: &str = "\
gpt-lab train-char: train a character model on source code

Usage: gpt-lab train-char --out FOLDER [OPTIONS]

Writes config.json and model.safetensors (which `generate` and notebooks load), tokenizer.json,
history.json and provenance.json, and keeps a checkpoint in FOLDER/checkpoint meanwhile.

Options:
  --out FOLDER         Where the model goes
  --config NAME        small or chapter (default: small)
  --steps N            Optimizer steps (default: 1000)
  --epochs N           Or so many times through the training windows
  --batch N            Windows a step (default: 32)
  --lr X               Peak learning rate, reached after a warm-up of 5 % of the steps, then a cosine
                       down to a tenth (default: 2e-3)
  --constant-lr X      Or one learning rate all the time
  --dropout X          Dropout (default: the configuration's)
  --weight-decay X     Of matrices (default: 0.1)
  --source FOLDER      Functions of the .rs and .py files in this folder (default: the crates of this build)
  --characters N       Only about so many characters of it
  --eval-every N       Evaluate every N steps (default: 200)
  --eval-batches N     On so many batches of each side (default: 20; 0 means all)
  --save-every N       Save a checkpoint every N steps (default: 500)
  --resume             Go on from the checkpoint
  --seed N             Decides weights, split, order and dropout (default: 0)
";

/// Everything that the command line can say.
struct Options {
    out: PathBuf,
    config: String,
    dropout: Option<f64>,
    source: Option<PathBuf>,
    characters: Option<usize>,
    lr: f64,
    constant: bool,
    train: TrainConfig,
}

/// Runs the command.
pub fn run(parser: lexopt::Parser) -> Outcome {
    let Some(mut options) = parse(parser)? else {
        print!("{HELP}");
        return Ok(ExitCode::SUCCESS);
    };
    let (corpus, tokenizer) = corpus(&options)?;
    let mut model_config = match options.config.as_str() {
        "small" => Gpt2Config::small(tokenizer.vocab_size()),
        "chapter" => Gpt2Config::chapter(tokenizer.vocab_size()),
        other => return Err(Failure::Usage(format!("--config {other}: small or chapter"))),
    };
    if let Some(p) = options.dropout {
        (model_config.resid_pdrop, model_config.embd_pdrop, model_config.attn_pdrop) = (p, p, p);
    }
    let split = corpus.split(0.1, options.train.seed)?;
    let data = split.windows(&tokenizer, model_config.n_positions)?;
    let model = Gpt2::new(&model_config, options.train.seed)?;
    set_schedule(&mut options, &data);
    eprintln!("{corpus}");
    eprintln!("{} windows to learn from, {} to judge by", data.train.len(), data.validation.len());
    let history = train(&model, &data, &options.train, &mut TerminalProgress::new())?;
    model.save(&options.out)?;
    tokenizer.save(options.out.join("tokenizer.json"))?;
    write_json(&options, "history.json", &json!(history))?;
    write_json(&options, "provenance.json", &provenance(&options, &model, &split, &history))?;
    eprintln!("{}", options.out.display());
    Ok(ExitCode::SUCCESS)
}

/// The options, or `None` if help was asked for.
fn parse(mut parser: lexopt::Parser) -> Result<Option<Options>, Failure> {
    let mut out = None;
    let mut options = Options {
        out: PathBuf::new(),
        config: "small".into(),
        dropout: None,
        source: None,
        characters: None,
        lr: 2e-3,
        constant: false,
        train: TrainConfig {
            weight_decay: 0.1,
            eval_every: 200,
            eval_batches: 20,
            checkpoint_every: 500,
            ..Default::default()
        },
    };
    while let Some(argument) = parser.next()? {
        let train = &mut options.train;
        match argument {
            Short('h') | Long("help") => return Ok(None),
            Long("out") => out = Some(PathBuf::from(parser.value()?)),
            Long("config") => options.config = parser.value()?.string()?,
            Long("steps") => train.length = Length::Steps(parser.value()?.parse()?),
            Long("epochs") => train.length = Length::Epochs(parser.value()?.parse()?),
            Long("batch") => train.batch_size = parser.value()?.parse()?,
            Long("lr") => options.lr = parser.value()?.parse()?,
            Long("constant-lr") => (options.lr, options.constant) = (parser.value()?.parse()?, true),
            Long("dropout") => options.dropout = Some(parser.value()?.parse()?),
            Long("weight-decay") => train.weight_decay = parser.value()?.parse()?,
            Long("source") => options.source = Some(PathBuf::from(parser.value()?)),
            Long("characters") => options.characters = Some(parser.value()?.parse()?),
            Long("eval-every") => train.eval_every = parser.value()?.parse()?,
            Long("eval-batches") => train.eval_batches = parser.value()?.parse()?,
            Long("save-every") => train.checkpoint_every = parser.value()?.parse()?,
            Long("resume") => train.resume = true,
            Long("seed") => train.seed = parser.value()?.parse()?,
            other => return Err(other.unexpected().into()),
        }
    }
    options.out = out.ok_or_else(|| Failure::Usage("train-char needs --out FOLDER".into()))?;
    options.train.checkpoint = Some(options.out.join("checkpoint"));
    Ok(Some(options))
}

/// The text to learn from, and a tokenizer that knows all of it.
fn corpus(options: &Options) -> Result<(Corpus, CharTokenizer), Error> {
    let (mut corpus, tokenizer) = match &options.source {
        None => (Corpus::of_this_build()?, CharTokenizer::ascii()),
        Some(folder) => {
            let corpus = Corpus::from_folder(folder, Language::ByExtension)?;
            let tokenizer = corpus.tokenizer();
            (corpus, tokenizer)
        }
    };
    if let Some(characters) = options.characters {
        corpus = corpus.sample(characters, options.train.seed);
    }
    Ok((corpus, tokenizer))
}

/// Warm-up, cosine and floor from the number of steps, which the data decides if epochs are asked for.
fn set_schedule(options: &mut Options, data: &TextData) {
    let train = &mut options.train;
    train.lr = options.lr;
    let steps = train.total_steps(data.train.len());
    if !options.constant {
        train.schedule = Schedule::warmup_cosine(train.lr, steps);
    }
}

/// How the model came about: enough to make it again, and to know what may be done with it.
fn provenance(options: &Options, model: &Gpt2, split: &Split<Corpus>, history: &History) -> serde_json::Value {
    let data = match &options.source {
        Some(folder) => json!({"folder": folder.display().to_string()}),
        None => json!({
            "crates": corpus_crates().iter().map(|one| format!("{}-{}", one.name, one.version)).collect::<Vec<_>>(),
            "licences": "each crate's own: MIT, Apache-2.0 or Unlicense, by choice of the user where several are offered",
        }),
    };
    let side = |corpus: &Corpus| {
        let fingerprint = format!("{:016x}", corpus.fingerprint());
        json!({"functions": corpus.len(), "characters": corpus.characters(), "fingerprint": fingerprint})
    };
    json!({
        "made_by": format!("gpt-lab {}", env!("CARGO_PKG_VERSION")),
        "command": env::args().skip(1).collect::<Vec<_>>(),
        "seed": options.train.seed,
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

fn write_json(options: &Options, name: &str, value: &serde_json::Value) -> Result<(), Error> {
    let mut text = format!("{value:#}");
    text.push('\n');
    write_atomically(&options.out.join(name), text.as_bytes())
}
