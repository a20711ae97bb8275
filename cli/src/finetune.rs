//! `gpt-lab finetune`: teach a model to answer instructions, by a configuration file.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use gpt_lab::data::{Batch, Completions, Examples, Instruction, Split, Windows};
use gpt_lab::eval::answer_rate;
use gpt_lab::gpt2::Gpt2;
use gpt_lab::lora::{Lora, LoraConfig, Targets};
use gpt_lab::text::AnyTokenizer;
use gpt_lab::train::{History, Length, Schedule, TerminalProgress, TrainConfig, train};
use gpt_lab::{Error, write_atomically};
use lexopt::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{Failure, Outcome};

const HELP: &str = "\
gpt-lab finetune: teach a model to answer instructions

Usage: gpt-lab finetune --config FILE [--resume]

Trains a LoRA adapter and writes it in PEFT's layout (adapter_config.json, adapter_model.safetensors) with history.json and
provenance.json; keeps a checkpoint meanwhile.

The file is JSON; paths are relative to where the command runs. Needed:
  model         A model folder, or a name on the Hugging Face Hub
  train         Instructions to learn from, in Alpaca's schema: a JSON object a line, or one list
  validation    Instructions to judge by
  out           The folder for the adapter
With these defaults:
  packing       \"rows\": one instruction a row, or \"windows\": one long text, cut
  length        128: tokens a window, or the most that a row may have (longer ones are dropped)
  mask_prompt   true: learn from the responses only (rows)
  lora          {\"r\": 16, \"alpha\": 32, \"dropout\": 0, \"targets\": \"all-linear\"}; targets: also a list of names
  steps 250, batch_size 32, accumulate 1, lr 3e-3, schedule \"cosine\" (or \"constant\"), clip 1 (null: never),
  weight_decay 0.1, eval_every 50, eval_batches 5, checkpoint_every 50, seed 0
  patience      none: end after so many evaluations that are no better
  answers       200: measure the answer rate on so many validation rows, before and after; 0: do not

Options:
  --config FILE    The configuration
  --resume         Go on from the checkpoint in OUT/checkpoint
";

/// The configuration file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    model: String,
    train: PathBuf,
    validation: PathBuf,
    out: PathBuf,
    #[serde(default)]
    packing: Packing,
    #[serde(default = "length")]
    length: usize,
    #[serde(default = "mask_prompt")]
    mask_prompt: bool,
    #[serde(default)]
    lora: Adapter,
    #[serde(default = "steps")]
    steps: usize,
    #[serde(default = "batch_size")]
    batch_size: usize,
    #[serde(default = "accumulate")]
    accumulate: usize,
    #[serde(default = "lr")]
    lr: f64,
    #[serde(default)]
    schedule: Shape,
    #[serde(default = "clip")]
    clip: Option<f64>,
    #[serde(default = "weight_decay")]
    weight_decay: f64,
    #[serde(default = "every")]
    eval_every: usize,
    #[serde(default = "eval_batches")]
    eval_batches: usize,
    #[serde(default)]
    patience: Option<usize>,
    #[serde(default = "every")]
    checkpoint_every: usize,
    #[serde(default)]
    seed: u64,
    #[serde(default = "answers")]
    answers: usize,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Packing {
    #[default]
    Rows,
    Windows,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Shape {
    #[default]
    Cosine,
    Constant,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Adapter {
    r: usize,
    alpha: f64,
    dropout: f64,
    targets: Targets,
}

impl Default for Adapter {
    fn default() -> Self {
        Adapter { r: 16, alpha: 32.0, dropout: 0.0, targets: Targets::pattern("all-linear") }
    }
}

fn length() -> usize {
    128
}

fn mask_prompt() -> bool {
    true
}

fn steps() -> usize {
    250
}

fn batch_size() -> usize {
    32
}

fn accumulate() -> usize {
    1
}

fn lr() -> f64 {
    3e-3
}

fn clip() -> Option<f64> {
    Some(1.0)
}

fn weight_decay() -> f64 {
    0.1
}

fn every() -> usize {
    50
}

fn eval_batches() -> usize {
    5
}

fn answers() -> usize {
    200
}

/// Runs the command.
pub fn run(mut parser: lexopt::Parser) -> Outcome {
    let (mut path, mut resume) = (None, false);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(ExitCode::SUCCESS);
            }
            Long("config") => path = Some(PathBuf::from(parser.value()?)),
            Long("resume") => resume = true,
            other => return Err(other.unexpected().into()),
        }
    }
    let path = path.ok_or_else(|| Failure::Usage("finetune needs --config FILE".into()))?;
    let config = read(&path)?;
    let (train_rows, validation_rows) = (Instruction::read(&config.train)?, Instruction::read(&config.validation)?);
    let (model, tokenizer) = crate::generate::load(&config.model)?;
    let lora = Lora::new(&model)?;
    let Adapter { r, alpha, dropout, targets } = config.lora.clone();
    let base = Some(config.model.clone());
    let adapter = LoraConfig {
        r,
        lora_alpha: alpha,
        lora_dropout: dropout,
        target_modules: targets,
        base_model_name_or_path: base,
        ..Default::default()
    };
    lora.add("default", &adapter, config.seed)?;
    eprintln!("{}", lora.report());
    let asked = &validation_rows[..config.answers.min(validation_rows.len())];
    let before = lora.disabled(|base| rate(base, &tokenizer, asked, "before"))??;
    let history = match config.packing {
        Packing::Windows => {
            let pack = |rows: &[Instruction]| Windows::of_instructions(rows, &tokenizer, config.length);
            let data = Split { train: pack(&train_rows)?, validation: pack(&validation_rows)? };
            eprintln!("{} windows of {} tokens", data.train.len(), config.length);
            tune(&lora, &data, &config, resume)?
        }
        Packing::Rows => {
            let pack = |rows: &[Instruction]| {
                let rows = Completions::of_instructions(rows, &tokenizer, config.length)?;
                Ok::<_, Error>(if config.mask_prompt { rows } else { rows.learning_prompts() })
            };
            let data = Split { train: pack(&train_rows)?, validation: pack(&validation_rows)? };
            eprintln!("{}", data.train);
            tune(&lora, &data, &config, resume)?
        }
    };
    lora.save("default", &config.out)?;
    let after = rate(&model, &tokenizer, asked, "after")?;
    let provenance = json!({
        "made_by": format!("gpt-lab {}", env!("CARGO_PKG_VERSION")),
        "config": config,
        "steps": history.steps.len(),
        "tokens": history.tokens,
        "seconds": history.seconds.round(),
        "last_evaluation": history.evals.last(),
        "answered_percent": {"rows": asked.len(), "before": before, "after": after},
    });
    for (name, value) in [("history.json", json!(history)), ("provenance.json", provenance)] {
        write_atomically(&config.out.join(name), format!("{value:#}\n").as_bytes())?;
    }
    eprintln!("{}", config.out.display());
    Ok(ExitCode::SUCCESS)
}

/// The configuration of a file; errors name the file, the line and the field.
fn read(path: &Path) -> Result<Config, Error> {
    let text = std::fs::read_to_string(path).map_err(|error| Error::io(path, "reading", error))?;
    serde_json::from_str(&text).map_err(|error| Error::InvalidConfig {
        context: path.display().to_string(),
        detail: format!("not a configuration for finetune: {error}"),
    })
}

/// The answer rate in percent; none where it is not wanted.
fn rate(model: &Gpt2, tokenizer: &AnyTokenizer, asked: &[Instruction], when: &str) -> Result<Option<f64>, Error> {
    if asked.is_empty() {
        return Ok(None);
    }
    let rate = answer_rate(model, tokenizer, asked)?;
    eprintln!("answer rate {when}: {rate}");
    Ok(Some(rate.percent()))
}

fn tune<E>(lora: &Lora<Gpt2>, data: &Split<E>, config: &Config, resume: bool) -> Result<History, Error>
where
    E: Examples<Batch = Batch>,
{
    let schedule = match config.schedule {
        Shape::Constant => Schedule::Constant,
        Shape::Cosine => Schedule::warmup_cosine(config.lr, config.steps),
    };
    let config = TrainConfig {
        length: Length::Steps(config.steps),
        batch_size: config.batch_size,
        accumulate: config.accumulate,
        lr: config.lr,
        schedule,
        betas: (0.9, 0.95),
        weight_decay: config.weight_decay,
        clip: config.clip,
        eval_every: config.eval_every,
        eval_batches: config.eval_batches,
        patience: config.patience,
        seed: config.seed,
        checkpoint: Some(config.out.join("checkpoint")),
        checkpoint_every: config.checkpoint_every,
        resume,
        ..Default::default()
    };
    train(lora, data, &config, &mut TerminalProgress::new())
}
