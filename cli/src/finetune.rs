//! `gpt-lab finetune`: teach a model to answer instructions, by a configuration file.

use std::path::PathBuf;

use clap::Args;
use gpt_lab::data::{Batch, Completions, Examples, Instruction, Split, Windows};
use gpt_lab::eval::answer_rate;
use gpt_lab::gpt2::Gpt2;
use gpt_lab::lora::{Lora, LoraConfig, Targets};
use gpt_lab::text::AnyTokenizer;
use gpt_lab::train::{History, Length, Schedule, TerminalProgress, TrainConfig, train};
use gpt_lab::{Error, Result, write_atomically};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Teach a model to answer instructions
#[derive(Args)]
#[command(after_help = file_format())]
pub struct Options {
    /// Configuration
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Continue from the checkpoint in OUT/checkpoint
    #[arg(long)]
    resume: bool,
}

/// The configuration file. Fields that it leaves out are as in [`defaults`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    model: String,
    train: PathBuf,
    validation: PathBuf,
    out: PathBuf,
    packing: Packing,
    length: usize,
    mask_prompt: bool,
    answers: usize,
    warmup_cosine: bool,
    lora: LoraConfig,
    training: TrainConfig,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Packing {
    Rows,
    Windows,
}

/// Every field that a file may leave out.
fn defaults() -> Value {
    let target_modules = Targets::pattern("all-linear");
    let lora = LoraConfig { r: 16, lora_alpha: 32.0, target_modules, ..Default::default() };
    let training = TrainConfig {
        length: Length::Steps(250),
        lr: 3e-3,
        betas: (0.9, 0.95),
        weight_decay: 0.1,
        eval_every: 50,
        eval_batches: 5,
        checkpoint_every: 50,
        ..Default::default()
    };
    json!({
        "packing": Packing::Rows, "length": 128, "mask_prompt": true, "answers": 200, "warmup_cosine": true,
        "lora": lora, "training": training,
    })
}

fn file_format() -> String {
    format!(
        "\
Trains a LoRA adapter and writes it in PEFT's layout (adapter_config.json, adapter_model.safetensors) with history.json
and provenance.json; keeps a checkpoint meanwhile.

The file is JSON; paths are relative to where the command runs. Needed:
  model          A model folder, or a name on the Hugging Face Hub
  train          Instructions to learn from, in Alpaca's schema: a JSON object a line, or one list
  validation     Instructions for the evaluation
  out            The folder for the adapter
Optional:
  packing        \"rows\": one instruction a row, or \"windows\": one long text, cut
  length         Tokens of a window, or the most that a row may have (longer ones are dropped)
  mask_prompt    Learn from the responses only (rows)
  answers        Number of validation rows on which the answer rate is measured, before and after; 0: none
  warmup_cosine  Let the learning rate rise for 5 % of the steps and fall along a cosine to a tenth; if false,
                 training.schedule decides
  lora           The adapter, with the fields of PEFT's LoraConfig
  training       The run, with the fields of gpt_lab's TrainConfig; its checkpoint is in OUT/checkpoint
The defaults:
{:#}",
        defaults()
    )
}

/// Runs the command.
pub fn run(options: Options) -> Result<()> {
    let config = read(&options)?;
    let (train_rows, validation_rows) = (Instruction::read(&config.train)?, Instruction::read(&config.validation)?);
    let (model, tokenizer) = crate::generate::load(&config.model)?;
    let lora = Lora::new(&model)?;
    lora.add("default", &config.lora, config.training.seed)?;
    eprintln!("{}", lora.report());
    let asked = &validation_rows[..config.answers.min(validation_rows.len())];
    let before = lora.disabled(|base| rate(base, &tokenizer, asked, "before"))??;
    let history = match config.packing {
        Packing::Windows => {
            let pack = |rows: &[Instruction]| Windows::of_instructions(rows, &tokenizer, config.length);
            let data = Split { train: pack(&train_rows)?, validation: pack(&validation_rows)? };
            eprintln!("{} windows of {} tokens", data.train.len(), config.length);
            tune(&lora, &data, &config)?
        }
        Packing::Rows => {
            let pack = |rows: &[Instruction]| {
                let rows = Completions::of_instructions(rows, &tokenizer, config.length)?;
                Ok::<_, Error>(if config.mask_prompt { rows } else { rows.learning_prompts() })
            };
            let data = Split { train: pack(&train_rows)?, validation: pack(&validation_rows)? };
            eprintln!("{}", data.train);
            tune(&lora, &data, &config)?
        }
    };
    lora.save("default", &config.out)?;
    let after = rate(&model, &tokenizer, asked, "after")?;
    let answered = json!({"rows": asked.len(), "before": before, "after": after});
    write_reports(&config, &history, answered)
}

/// The configuration of a file; errors name the file and the field.
fn read(options: &Options) -> Result<Config> {
    let path = &options.config;
    let text = std::fs::read_to_string(path).map_err(|error| Error::io(path, "reading", error))?;
    let mut config = parse(&text).map_err(|detail| Error::InvalidConfig {
        context: path.display().to_string(),
        detail: format!("not a configuration for finetune: {detail}"),
    })?;
    config.lora.base_model_name_or_path.get_or_insert_with(|| config.model.clone());
    config.training.checkpoint = Some(config.out.join("checkpoint"));
    config.training.resume |= options.resume;
    Ok(config)
}

/// The defaults with the fields of a file put over them; `lora` and `training` are merged field by field.
fn parse(text: &str) -> std::result::Result<Config, String> {
    let file: Map<String, Value> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let mut fields = defaults();
    for (name, value) in file {
        match (&mut fields[&name], value) {
            (Value::Object(defaults), Value::Object(changes)) => defaults.extend(changes),
            (field, value) => *field = value,
        }
    }
    serde_path_to_error::deserialize(fields).map_err(|error| error.to_string())
}

/// The answer rate in percent, if any rows are asked.
fn rate(model: &Gpt2, tokenizer: &AnyTokenizer, asked: &[Instruction], when: &str) -> Result<Option<f64>> {
    if asked.is_empty() {
        return Ok(None);
    }
    let rate = answer_rate(model, tokenizer, asked)?;
    eprintln!("answer rate {when}: {rate}");
    Ok(Some(rate.percent()))
}

fn tune<E>(lora: &Lora<Gpt2>, data: &Split<E>, config: &Config) -> Result<History>
where
    E: Examples<Batch = Batch>,
{
    let mut training = config.training.clone();
    if config.warmup_cosine {
        training.schedule = Schedule::warmup_cosine(training.lr, training.total_steps(data.train.count()));
    }
    train(lora, data, &training, &mut TerminalProgress::new())
}

fn write_reports(config: &Config, history: &History, answered_percent: Value) -> Result<()> {
    let provenance = json!({
        "made_by": format!("gpt-lab {}", env!("CARGO_PKG_VERSION")),
        "config": config,
        "steps": history.steps.len(),
        "tokens": history.tokens,
        "seconds": history.seconds.round(),
        "last_evaluation": history.evals.last(),
        "answered_percent": answered_percent,
    });
    for (name, value) in [("history.json", json!(history)), ("provenance.json", provenance)] {
        write_atomically(&config.out.join(name), format!("{value:#}\n").as_bytes())?;
    }
    eprintln!("{}", config.out.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDED: &str = r#""model": "m", "train": "t", "validation": "v", "out": "o""#;

    fn parsed(more: &str) -> std::result::Result<Config, String> {
        parse(&format!("{{{NEEDED}{more}}}"))
    }

    #[test]
    fn a_file_changes_what_it_names() {
        let plain = parsed("").unwrap();
        assert_eq!((plain.training.length, plain.training.lr, plain.lora.r), (Length::Steps(250), 3e-3, 16));
        let file = r#", "packing": "windows", "lora": {"r": 4}, "training": {"length": {"epochs": 2}, "clip": null}"#;
        let changed = parsed(file).unwrap();
        assert_eq!((changed.packing, changed.lora.r, changed.lora.lora_alpha), (Packing::Windows, 4, 32.0));
        assert_eq!((changed.training.length, changed.training.clip), (Length::Epochs(2), None));
        assert_eq!(changed.training.weight_decay, plain.training.weight_decay);
    }

    #[test]
    fn a_mistake_is_named_with_its_place() {
        for (more, words) in [
            (r#", "steps": 3"#, "unknown field `steps`"),
            (r#", "training": {"steps": 3}"#, "training.steps: unknown field `steps`"),
            (r#", "training": {"lr": "much"}"#, "training.lr: invalid type: string \"much\""),
            (r#", "lora": 3"#, "lora: invalid type: integer `3`"),
            (r#", "packing": "cards""#, "packing: unknown variant `cards`"),
            (",", "line 1 column"),
        ] {
            let error = parsed(more).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        assert!(parse("{}").unwrap_err().contains("missing field `model`"));
    }

    #[test]
    fn the_example_is_a_configuration() {
        parse(include_str!("../finetune.json")).unwrap();
    }
}
