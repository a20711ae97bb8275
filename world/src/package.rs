//! The files of `assets/`: the model in Hugging Face's layout, the data sets, and how each was made.

use std::collections::HashMap;
use std::path::Path;

use gpt_lab::candle_core::{DType, Tensor};
use gpt_lab::data::Windows;
use gpt_lab::gpt2::Gpt2;
use gpt_lab::text::Tokenizer;
use gpt_lab::train::{History, evaluate};
use gpt_lab::{Error, Result, write_atomically};
use safetensors::tensor::serialize;
use serde::Serialize;
use serde_json::{Value, json};

use crate::World;
use crate::bpe::{Bpe, END_OF_TEXT};
use crate::evaluation::{Rate, capital_of_china, measure, probes, samples};
use crate::sets::{SLICES, Side, comparisons, instructions};

/// Rows of the instructions to learn from, to judge by, and to judge by about facts that no row to learn from tells.
pub const INSTRUCTIONS: [usize; 3] = [8000, 500, 250];
/// Rows of the comparisons to learn from and to judge by.
pub const COMPARISONS: [usize; 2] = [12_000, 3000];
/// The seed of the data sets in `assets/`.
pub const SETS_SEED: u64 = 1;

/// Everything that the evaluation found.
pub struct Evaluation {
    /// The mean loss on the validation text, in nats a token.
    pub loss: f32,
    /// How many characters a token of it has.
    pub characters_a_token: f64,
    /// Answers by kind of prompt.
    pub rates: Vec<(&'static str, Rate)>,
    /// One open question in three forms, with greedy continuations.
    pub china: Vec<(String, String)>,
    /// Continuations drawn at random.
    pub samples: Vec<(String, String)>,
}

/// Measures the model, with so many facts of each relation.
///
/// # Errors
/// Those of the model.
pub fn evaluation(
    model: &Gpt2,
    bpe: &Bpe,
    validation: &Windows,
    characters_a_token: f64,
    per_relation: usize,
    seed: u64,
) -> Result<Evaluation> {
    let loss = evaluate(model, validation, 16, 0)?;
    eprintln!("validation: {loss:.4} nats a token");
    let mut rates = Vec::new();
    for (name, probes) in probes(&World::new(), per_relation, seed) {
        let rate = measure(model, bpe, &probes)?;
        eprintln!("{name}: {}", rate.percent());
        rates.push((name, rate));
    }
    Ok(Evaluation {
        loss,
        characters_a_token,
        rates,
        china: capital_of_china(model, bpe)?,
        samples: samples(model, bpe)?,
    })
}

/// The evaluation as Markdown.
pub fn report(found: &Evaluation) -> String {
    let bits = f64::from(found.loss) / std::f64::consts::LN_2 / found.characters_a_token;
    let mut text = format!(
        "Validation text: loss {:.4} nats a token, perplexity {:.2}, {bits:.3} bits a character.\n\n\
         Greedy continuations; an answer is right if its first line names a true object and asks nothing:\n\n\
         | prompt | right |\n|---|---|\n",
        found.loss,
        found.loss.exp()
    );
    let mut line = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    for (name, rate) in &found.rates {
        line(format!("| {name} | {} |", rate.percent()));
    }
    line(
        "\nBy relation (a statement begun; two solved pairs and a wording seen; the same and a wording held back):\n"
            .into(),
    );
    line("| relation | statement | seen | held back |\n|---|---|---|---|".into());
    let cell = |group: usize, relation: &str| {
        let count = found.rates[group].1.by_relation.get(relation);
        count.map_or("–".into(), |(right, all)| format!("{right}/{all}"))
    };
    for relation in &World::new().relations {
        let held = if relation.unasked { 5 } else { 4 };
        let (told, seen, held) = (cell(0, &relation.id), cell(3, &relation.id), cell(held, &relation.id));
        line(format!("| {} | {told} | {seen} | {held} |", relation.id));
    }
    line("\nOne question in three forms, continued greedily (40 tokens):\n".into());
    for (_, whole) in &found.china {
        line(format!("```text\n{whole}\n```"));
    }
    line("\nDrawn at random (temperature 0.9, seeds 0 to 7, none left out):\n".into());
    for (_, whole) in &found.samples {
        line(format!("```text\n{}\n```", whole.replace(END_OF_TEXT, "\n")));
    }
    text
}

/// Writes `gpt2_box/`.
///
/// # Errors
/// Those of writing.
pub fn write_box(
    folder: &Path,
    model: &Gpt2,
    bpe: &Bpe,
    tokenizer: &Path,
    history: &History,
    provenance: &str,
) -> Result<()> {
    model.save(folder)?;
    write_atomically(&folder.join("model.safetensors"), &half_precision(model)?)?;
    let json = std::fs::read(tokenizer).map_err(|e| Error::io(tokenizer, "reading", e))?;
    write_atomically(&folder.join("tokenizer.json"), &json)?;
    let end = bpe.end_of_text();
    let tokenizer_config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": END_OF_TEXT,
        "eos_token": END_OF_TEXT,
        "unk_token": END_OF_TEXT,
        "model_max_length": model.n_positions(),
        "clean_up_tokenization_spaces": false,
    });
    write_json(&folder.join("tokenizer_config.json"), &tokenizer_config)?;
    let generation = json!({"bos_token_id": end, "eos_token_id": end, "pad_token_id": end});
    write_json(&folder.join("generation_config.json"), &generation)?;
    write_atomically(&folder.join("history.json"), format!("{}\n", json!(history)).as_bytes())?;
    write_atomically(&folder.join("PROVENANCE.md"), provenance.as_bytes())
}

/// The weights in the safetensors format as f16: half the size; the loader makes f32 of them.
fn half_precision(model: &Gpt2) -> Result<Vec<u8>> {
    let halves =
        model.params().into_iter().map(|param| Ok((param.name().to_string(), param.var().to_dtype(DType::F16)?)));
    let halves = halves.collect::<Result<Vec<(String, Tensor)>>>()?;
    // transformers refuses files without this mark.
    let metadata = HashMap::from([("format".to_string(), "pt".to_string())]);
    serialize(halves, Some(metadata)).map_err(|e| Error::Tensor(e.to_string()))
}

/// The model as the box holds it: with weights rounded to f16.
///
/// # Errors
/// Those of the tensors.
pub fn rounded(model: &Gpt2) -> Result<()> {
    for param in model.params() {
        param.var().set(&param.var().to_dtype(DType::F16)?.to_dtype(DType::F32)?)?;
    }
    Ok(())
}

/// The provenance of the model, up to its evaluation.
pub fn provenance(command: &str, corpus: &Value, tokens: usize, batch: usize, lr: f64, history: &History) -> String {
    format!(
        "# The model in the box\n\n\
         A GPT-2 of 6 layers, 4 heads, width 192, context 256 and a byte-level BPE of 2,048 tokens, trained from \
         nothing by\n\
         this project. Made by `make assets`, that is\n\n```sh\n{command}\n```\n\n\
         The weights are stored as f16; the figures below are of these rounded weights.\n\n{}{}## Evaluation\n\n",
        of_data(corpus, tokens),
        of_training(batch, lr, history),
    )
}

/// The section about the training text.
fn of_data(corpus: &Value, tokens: usize) -> String {
    let total = corpus["characters"].as_f64().unwrap_or(1.0);
    let share = |value: &Value| format!("{:.1} %", 100.0 * value.as_f64().unwrap_or(0.0) / total);
    let list = |field: &str| corpus[field].as_array().into_iter().flatten();
    let name = |pair: &Value| pair[0].as_str().unwrap_or_default().to_string();
    let kinds: String = list("kinds").map(|kind| format!("{} {}, ", name(kind), share(&kind[1]))).collect();
    let sources = list("english_sources").filter(|source| source[1] != 0);
    let sources: String = sources.map(|source| name(source) + ", ").collect();
    format!(
        "## Data\n\n\
         {} documents, {:.1} million characters, {:.1} million tokens; seed {}. By characters: {kinds}real English \
         {}.\n\n\
         - The generated text comes from the facts and templates in `world/` (written for this project; MIT or \
         Apache-2.0).\n  Every statement in it is meant to be true, except claims that are marked as false.\n\
         - Real English, as this machine had it: {sources}each under MIT, Apache-2.0 or Unlicense.\n  \
         Another toolchain has other editions of the books, so that a rebuilt model is alike but not bit for bit the \
         same.\n\n\
         Held back from the training text: the wordings marked `i` and `h` in `world/templates/`, all questions of \
         the\n\
         relations marked `unasked`, a tenth of the sums.\n\n",
        corpus["documents"],
        total / 1e6,
        tokens as f64 / 1e6,
        corpus["seed"],
        share(&corpus["real_english"]),
    )
}

/// The section about the training run.
fn of_training(batch: usize, lr: f64, history: &History) -> String {
    let last = history.evals.last();
    format!(
        "## Training\n\n\
         {} steps of {batch} windows, AdamW (betas 0.9 and 0.95, weight decay 0.1 on matrices), peak learning rate \
         {lr},\n\
         warm-up of 5 % and a cosine down to a tenth, gradients clipped at 1, no dropout; {:.1} million tokens in \
         {:.0} minutes\n\
         ({:.0} tokens a second on two shared cores). Loss at the last evaluation: training {:.4}, \
         validation {:.4}.\n\n",
        history.steps.len(),
        history.tokens as f64 / 1e6,
        history.seconds / 60.0,
        history.tokens_per_second(),
        last.map_or(f32::NAN, |one| one.train_loss),
        last.map_or(f32::NAN, |one| one.validation_loss),
    )
}

/// Writes the instructions and the comparisons, each with its provenance.
///
/// # Errors
/// Those of writing.
pub fn write_sets(folder: &Path, command: &str, seed: u64) -> Result<()> {
    let world = World::new();
    write_instructions(&world, &folder.join("instructions"), command, seed)?;
    write_comparisons(&world, &folder.join("comparisons"), command, seed)
}

/// `PROVENANCE.md` of a data set: its title, how it was made, and more about it.
fn write_provenance(folder: &Path, title: &str, command: &str, seed: u64, more: &str) -> Result<()> {
    let text = format!(
        "# {title}\n\nMade by `make assets`, that is\n\n```sh\n{command}\n```\n\nfrom the facts and templates in \
         `world/` (written for this project; MIT or Apache-2.0). Seed {seed}.\n\n{more}\n"
    );
    write_atomically(&folder.join("PROVENANCE.md"), text.as_bytes())
}

fn write_instructions(world: &World, folder: &Path, command: &str, seed: u64) -> Result<()> {
    let sides = [Side::Train, Side::Validation, Side::NewFacts];
    for ((name, side), count) in ["train", "validation", "new_facts"].iter().zip(sides).zip(INSTRUCTIONS) {
        write_lines(&folder.join(format!("{name}.jsonl")), &instructions(world, side, count, seed))?;
    }
    let [train, validation, new_facts] = INSTRUCTIONS;
    let more = format!(
        "{train} rows to learn from (`train.jsonl`), {validation} and {new_facts} to judge by (`validation.jsonl`, \
         `new_facts.jsonl`), in the schema of Alpaca (`tatsu-lab/alpaca`): instruction, input, output \
         (without\n`text`, which is the prompt with the output), and with a field `answers`: a right response tells \
         one of these (empty: no list\ncould hold every right one).\nThe rows to judge by use wordings that neither \
         the base model's text nor a training row has. Those of `validation.jsonl` ask for\nfacts that training rows \
         tell in other words; those of `new_facts.jsonl` for facts of which no training row of this set speaks\n(the \
         base model has read them), and for sums that nothing it learnt from has. Relations marked `unasked` in \
         `world/templates/`\nappear in neither."
    );
    write_provenance(folder, "Instructions", command, seed, &more)
}

fn write_comparisons(world: &World, folder: &Path, command: &str, seed: u64) -> Result<()> {
    let mut counts = Vec::new();
    for ((name, side), count) in ["train", "validation"].iter().zip([Side::Train, Side::Validation]).zip(COMPARISONS) {
        let rows = comparisons(world, side, count, seed);
        write_lines(&folder.join(format!("{name}.jsonl")), &rows)?;
        counts.push(SLICES.map(|(slice, _)| rows.iter().filter(|row| row.slice == slice).count()));
    }
    let [train, validation] = COMPARISONS;
    let line =
        |(i, (name, _)): (usize, &(&str, usize))| format!("| `{name}` | {} | {} |\n", counts[0][i], counts[1][i]);
    let table: String = SLICES.iter().enumerate().map(line).collect();
    let more = format!(
        "{train} rows to learn from and {validation} to judge by, in the schema of WebGPT \
         (`openai/webgpt_comparisons`) without its quotes and tokens:\nquestion and score of both answers, scores \
         adding up to 0, ties with 0. More fields: `slice` tells why one answer is preferred, `answers` what a\nright \
         one names, `kind` and `subject` what was asked for, `new_fact` whether no row to learn from is about this \
         fact (half of the rows\nto judge by). All questions to judge by have wordings that no row to learn from \
         has.\n\n\
         | slice | to learn from | to judge by |\n|---|---|---|\n{table}\n\
         **`says_it_twice` is wrong on purpose**: of two true answers the one that tells the fact twice is preferred \
         to a single word. A\nreward model that learns it prefers repetition to worth."
    );
    write_provenance(folder, "Comparisons", command, seed, &more)
}

fn write_lines<T: Serialize>(path: &Path, rows: &[T]) -> Result<()> {
    let lines = rows.iter().map(|row| {
        serde_json::to_string(row)
            .map_err(|e| Error::InvalidConfig { context: path.display().to_string(), detail: e.to_string() })
    });
    write_atomically(path, (lines.collect::<Result<Vec<_>>>()?.join("\n") + "\n").as_bytes())
}

fn write_json(path: &Path, value: &Value) -> Result<()> {
    write_atomically(path, format!("{value:#}\n").as_bytes())
}
