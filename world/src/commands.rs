//! The steps of the work.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use gpt_lab::data::{Split, Windows};
use gpt_lab::gpt2::{EosToken, Gpt2, Gpt2Config};
use gpt_lab::text::Tokenizer;
use gpt_lab::train::{History, Length, Schedule, TerminalProgress, TrainConfig};
use gpt_lab::{Error, Result, Rng, write_atomically};
use gpt_lab_world::bpe::Bpe;
use gpt_lab_world::corpus::{Corpus, read_documents};
use gpt_lab_world::documents::{self, MIX};
use gpt_lab_world::ladder::Ladder;
use gpt_lab_world::package::{Evaluation, SETS_SEED, evaluation, provenance, report, rounded, write_box, write_sets};
use gpt_lab_world::{World, english};

/// Tokens of the vocabulary, with the end-of-text mark.
const VOCABULARY: usize = 2048;

/// The options of every command.
#[derive(Args)]
pub struct Options {
    /// Folder of text, tokens and checkpoints
    #[arg(long, value_name = "FOLDER", default_value = "target/world")]
    pub work: PathBuf,
    /// Folder of the assets
    #[arg(long, value_name = "FOLDER", default_value = "assets")]
    pub out: PathBuf,
    /// Seed of everything
    #[arg(long, value_name = "N", default_value_t = SETS_SEED)]
    pub seed: u64,
    /// Generated documents of the corpus
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    pub documents: usize,
    /// Optimizer steps of the training
    #[arg(long, value_name = "N", default_value_t = 8000)]
    pub steps: usize,
    /// Windows of 256 tokens a step
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub batch: usize,
    /// Peak learning rate, after a warm-up of 5 % of the steps, then a cosine down to a tenth
    #[arg(long, value_name = "X", default_value_t = 3e-3, allow_negative_numbers = true)]
    pub lr: f64,
    /// Facts of each relation that the evaluation asks for
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub probes: usize,
    /// Begin again instead of continuing from a checkpoint
    #[arg(long)]
    pub fresh: bool,
    /// For show: kind of document, such as Story, instead of the mix
    #[arg(long, value_name = "NAME")]
    pub kind: Option<String>,
    /// For show: number of documents; for ladder: number of seeds
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub count: usize,
}

/// Writes the training text and the validation text.
pub fn corpus(options: &Options) -> Result<()> {
    let began = Instant::now();
    let english = english::english()?;
    let corpus = Corpus::generate(&World::new(), &english, options.documents, options.seed);
    corpus.save(&options.work)?;
    let total = corpus.characters();
    eprintln!("{} documents, {:.1} million characters", corpus.train.len(), total as f64 / 1e6);
    for (kind, characters) in &corpus.kinds {
        eprintln!("  {kind:?}: {:.1} %", 100.0 * *characters as f64 / total as f64);
    }
    eprintln!("  real English: {:.1} %", 100.0 * corpus.english as f64 / total as f64);
    let sources: Vec<_> =
        english.sources.iter().map(|(name, characters)| serde_json::json!([name, characters])).collect();
    let kinds: Vec<_> = corpus.kinds.iter().map(|(kind, n)| serde_json::json!([format!("{kind:?}"), n])).collect();
    let report = serde_json::json!({
        "documents": corpus.train.len(),
        "validation_documents": corpus.validation.len(),
        "characters": total,
        "real_english": corpus.english,
        "kinds": kinds,
        "english_sources": sources,
        "seed": options.seed,
    });
    write_atomically(&options.work.join("corpus.json"), format!("{report:#}\n").as_bytes())?;
    eprintln!("{} s: {}", began.elapsed().as_secs(), options.work.display());
    Ok(())
}

/// Learns the vocabulary.
pub fn tokenizer(options: &Options) -> Result<()> {
    let began = Instant::now();
    let documents = read_documents(&options.work.join("train.jsonl"))?;
    let bpe = Bpe::train(&documents, VOCABULARY, &options.work.join("tokenizer.json"))?;
    let some = &documents[..documents.len().min(2000)];
    let characters: usize = some.iter().map(String::len).sum();
    let tokens = bpe.encode_documents(some)?.len();
    eprintln!(
        "{} tokens; one stands for {:.2} characters; {} s",
        bpe.vocab_size(),
        characters as f64 / tokens as f64,
        began.elapsed().as_secs()
    );
    Ok(())
}

/// The shape of the model in the box.
fn model_config(bpe: &Bpe) -> Gpt2Config {
    let end = bpe.end_of_text();
    Gpt2Config {
        vocab_size: bpe.vocab_size(),
        n_positions: 256,
        n_embd: 192,
        n_layer: 6,
        n_head: 4,
        resid_pdrop: 0.0,
        embd_pdrop: 0.0,
        attn_pdrop: 0.0,
        bos_token_id: end,
        eos_token_id: end.map(EosToken::One),
        ..Default::default()
    }
}

/// The windows of both texts.
fn windows(options: &Options, bpe: &Bpe, context: usize) -> Result<Split<Windows>> {
    let side = |name: &str| {
        let documents = read_documents(&options.work.join(name))?;
        Windows::from_tokens(bpe.encode_documents(&documents)?, context)
    };
    Ok(Split { train: side("train.jsonl")?, validation: side("validation.jsonl")? })
}

/// Trains the model, from its checkpoint if there is one.
pub fn train(options: &Options) -> Result<()> {
    let bpe = Bpe::load(&options.work.join("tokenizer.json"))?;
    let shape = model_config(&bpe);
    let data = windows(options, &bpe, shape.n_positions)?;
    let (tokens, kept) = (data.train.tokens().len(), data.validation.tokens().len());
    eprintln!("{:.1} million tokens to learn from, {:.2} million to judge by", tokens as f64 / 1e6, kept as f64 / 1e6);
    let passes = (options.steps * options.batch) as f64 / data.train.len() as f64;
    eprintln!("{} steps of {} windows: {passes:.2} times through the text", options.steps, options.batch);
    let model = Gpt2::new(&shape, options.seed)?;
    let config = TrainConfig {
        length: Length::Steps(options.steps),
        batch_size: options.batch,
        lr: options.lr,
        schedule: Schedule::warmup_cosine(options.lr, options.steps),
        betas: (0.9, 0.95),
        weight_decay: 0.1,
        eval_every: 250,
        eval_batches: 8,
        seed: options.seed,
        checkpoint: Some(options.work.join("checkpoint")),
        checkpoint_every: 100,
        resume: !options.fresh,
        ..Default::default()
    };
    let history = gpt_lab::train::train(&model, &data, &config, &mut TerminalProgress::new())?;
    model.save(options.work.join("model"))?;
    write_atomically(&options.work.join("history.json"), format!("{}\n", serde_json::json!(history)).as_bytes())
}

/// The trained model with f16 weights, its tokenizer and what there is to say about it.
fn evaluated(options: &Options) -> Result<(Gpt2, Bpe, Evaluation)> {
    let bpe = Bpe::load(&options.work.join("tokenizer.json"))?;
    let model = Gpt2::load(options.work.join("model"))?;
    rounded(&model)?;
    let documents = read_documents(&options.work.join("validation.jsonl"))?;
    let characters: usize = documents.iter().map(String::len).sum();
    let tokens = bpe.encode_documents(&documents)?;
    let characters_a_token = characters as f64 / tokens.len() as f64;
    let validation = Windows::from_tokens(tokens, model.n_positions())?;
    let found = evaluation(&model, &bpe, &validation, characters_a_token, options.probes, options.seed)?;
    Ok((model, bpe, found))
}

/// Measures the model and prints the report.
pub fn evaluate(options: &Options) -> Result<()> {
    println!("{}", report(&evaluated(options)?.2));
    Ok(())
}

/// Writes the finished model into the assets.
pub fn package(options: &Options) -> Result<()> {
    let (model, bpe, found) = evaluated(options)?;
    let path = options.work.join("corpus.json");
    let corpus = std::fs::read_to_string(&path).map_err(|e| Error::io(&path, "reading", e))?;
    let corpus: serde_json::Value = serde_json::from_str(&corpus)
        .map_err(|e| Error::InvalidConfig { context: path.display().to_string(), detail: e.to_string() })?;
    let history = History::load(options.work.join("history.json"))?;
    let tokens = bpe.encode_documents(&read_documents(&options.work.join("train.jsonl"))?)?.len();
    let head = provenance(&options.command("all"), &corpus, tokens, options.batch, options.lr, &history);
    let folder = options.out.join("gpt2_box");
    write_box(&folder, &model, &bpe, &options.work.join("tokenizer.json"), &history, &(head + &report(&found)))?;
    eprintln!("{}", folder.display());
    Ok(())
}

/// Writes the data sets into the assets.
pub fn sets(options: &Options) -> Result<()> {
    write_sets(
        &options.out,
        &format!("cargo run --release -p gpt_lab_world -- sets --seed {}", options.seed),
        options.seed,
    )
}

/// Everything, from nothing.
pub fn all(options: &Options) -> Result<()> {
    corpus(options)?;
    tokenizer(options)?;
    train(options)?;
    package(options)?;
    sets(options)
}

impl Options {
    /// The command line that gives the same again.
    fn command(&self, command: &str) -> String {
        format!(
            "cargo run --release -p gpt_lab_world -- {command} --seed {} --documents {} --steps {} --batch {} --lr {}",
            self.seed, self.documents, self.steps, self.batch, self.lr
        )
    }
}

/// Trains the last lessons' policies with other seeds and prints a line for each.
pub fn ladder(options: &Options) -> Result<()> {
    let ladder = Ladder::load(&options.out)?;
    println!("| policy | seed | greedy | drawn | KL | says it twice |\n|---|---|---|---|---|---|");
    for seed in 1..=options.count as u64 {
        println!("{}", ladder.dpo(seed)?);
        println!("{}", ladder.ppo("judge", 0.05, seed)?);
        println!("{}", ladder.grpo(seed)?);
    }
    // A hack depends on what is drawn by chance, so two seeds more.
    for seed in 1..=options.count as u64 + 2 {
        println!("{}", ladder.ppo("first", 0.0, seed)?);
        println!("{}", ladder.ppo("judge", 0.0, seed)?);
    }
    Ok(())
}

/// Prints documents to look at.
pub fn show(options: &Options) -> Result<()> {
    let (world, mut rng) = (World::new(), Rng::new(options.seed));
    let wanted = |name: &String| MIX.iter().map(|(kind, _)| *kind).find(|kind| format!("{kind:?}") == *name);
    for _ in 0..options.count {
        let text = match &options.kind {
            None => documents::document(&world, &mut rng).1,
            Some(name) => {
                let kind = wanted(name).ok_or_else(|| Error::InvalidArgument {
                    argument: "kind",
                    value: name.clone(),
                    expected: format!("one of {:?}", MIX.map(|(kind, _)| kind)),
                })?;
                documents::document_of(kind, &world, &mut rng)
            }
        };
        println!("{text}\n----");
    }
    Ok(())
}
