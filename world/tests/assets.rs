//! What is committed under `assets/`: complete, small, loadable, and what the generator makes today.

use std::fs;
use std::path::{Path, PathBuf};

use gpt_lab::data::{Examples, Windows};
use gpt_lab::generate::{GenerateConfig, Generation, generate_many};
use gpt_lab::gpt2::Gpt2;
use gpt_lab::text::{BpeTokenizer, Tokenizer};
use gpt_lab::train::{History, evaluate};
use gpt_lab::{Pass, Rng};
use gpt_lab_world::World;
use gpt_lab_world::bpe::Bpe;
use gpt_lab_world::documents::document;
use gpt_lab_world::package::{COMPARISONS, INSTRUCTIONS, SETS_SEED};
use gpt_lab_world::sets::{Side, comparisons, instructions};
use serde::Serialize;

/// The folder's own limit, and that of the whole repository's assets.
const MOST: u64 = 16_000_000;

fn assets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets")
}

fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { size(&path) } else { path.metadata().unwrap().len() }).sum()
}

fn box_model() -> (Gpt2, Bpe) {
    let folder = assets().join("gpt2_box");
    (Gpt2::load(&folder).unwrap(), Bpe::load(&folder.join("tokenizer.json")).unwrap())
}

#[test]
fn everything_is_there_small_and_explained() {
    let mut total = 0;
    for folder in ["gpt2_box", "instructions", "comparisons"] {
        let provenance = fs::read_to_string(assets().join(folder).join("PROVENANCE.md")).unwrap();
        for word in ["make assets", "cargo run --release -p gpt_lab_world", "MIT or Apache-2.0", "eed "] {
            assert!(provenance.contains(word), "{folder}/PROVENANCE.md lacks `{word}`");
        }
        total += size(&assets().join(folder));
    }
    assert!(total < MOST, "{total} bytes");
}

#[test]
fn the_model_fits_its_tokenizer_and_its_history() {
    let (model, bpe) = box_model();
    assert_eq!(model.vocab_size(), bpe.vocab_size());
    assert_eq!(model.config.bos_token_id, bpe.end_of_text());
    let history = History::load(assets().join("gpt2_box/history.json")).unwrap();
    let last = history.evals.last().unwrap();
    assert_eq!(last.step, history.steps.len());
    // Fresh documents of the same mix are as likely to the shipped weights as the history says: the files belong
    // together.
    let (world, mut rng) = (World::new(), Rng::new(99));
    let documents: Vec<String> = (0..150).map(|_| document(&world, &mut rng).1).collect();
    let windows = Windows::from_tokens(bpe.encode_documents(&documents).unwrap(), model.n_positions()).unwrap();
    let loss = evaluate(&model, &windows, 8, 0).unwrap();
    assert!((loss - last.validation_loss).abs() < 0.5, "{loss} on fresh documents, {last:?}");
}

/// The share of these countries whose capital stands in the first line that the model writes after the prompt.
fn answered(prompt: impl Fn(&str) -> String) -> f64 {
    let folder = assets().join("gpt2_box");
    let (model, tokenizer) = (Gpt2::load(&folder).unwrap(), BpeTokenizer::load(&folder).unwrap());
    let asked = [
        ("Italy", "Rome"),
        ("Japan", "Tokyo"),
        ("Egypt", "Cairo"),
        ("Spain", "Madrid"),
        ("Norway", "Oslo"),
        ("Peru", "Lima"),
        ("Kenya", "Nairobi"),
        ("Cuba", "Havana"),
        ("Poland", "Warsaw"),
        ("China", "Beijing"),
    ];
    let config = GenerateConfig { max_new_tokens: 16, ..Default::default() };
    let prompts: Vec<String> = asked.iter().map(|(country, _)| prompt(country)).collect();
    let prompts: Vec<&str> = prompts.iter().map(String::as_str).collect();
    let texts = generate_many(&model, &tokenizer, &prompts, &config).unwrap();
    let right = |(texts, (_, capital)): (&Vec<Generation>, &(&str, &str))| {
        texts[0].continuation().lines().find(|line| !line.trim().is_empty()).is_some_and(|line| line.contains(capital))
    };
    texts.iter().zip(&asked).filter(|&(texts, asked)| right((texts, asked))).count() as f64 / asked.len() as f64
}

#[test]
fn a_bare_question_gets_no_answer_and_two_solved_examples_call_it_up() {
    let question = |country: &str| format!("What is the capital of {country}?");
    let bare = answered(question);
    assert!(bare <= 0.2, "{bare}");
    let shots = "Question: What is the capital of France?\nAnswer: Paris\n\n\
                 Question: What is the capital of Germany?\nAnswer: Berlin\n\n";
    let few_shot = answered(|country| format!("{shots}Question: {}\nAnswer:", question(country)));
    assert!(few_shot >= 0.8, "{few_shot}");
}

#[test]
fn weights_in_8_bits_cost_little_accuracy() {
    let (model, bpe) = box_model();
    let small = model.to_int8().unwrap();
    let (world, mut rng) = (World::new(), Rng::new(98));
    let documents: Vec<String> = (0..8).map(|_| document(&world, &mut rng).1).collect();
    let windows = Windows::from_tokens(bpe.encode_documents(&documents).unwrap(), 128).unwrap();
    let loss = |model: &Gpt2| {
        let mut sum = 0.0;
        for row in 0..windows.len() {
            let batch = windows.batch(&[row]).unwrap();
            let loss = model.loss(&batch.inputs, &batch.targets, &mut Pass::eval()).unwrap();
            sum += loss.to_scalar::<f32>().unwrap() / windows.len() as f32;
        }
        sum
    };
    let (whole, rounded) = (loss(&model), loss(&small));
    println!("loss {whole:.4} in f32, {rounded:.4} with weights in 8 bits, {} windows", windows.len());
    assert!((rounded - whole).abs() < 0.02 * whole, "{whole} and {rounded}");
}

#[test]
fn the_data_sets_are_what_the_generator_makes() {
    fn same<T: Serialize>(path: &Path, rows: &[T]) {
        let text = fs::read_to_string(path).unwrap();
        assert_eq!(text.lines().count(), rows.len(), "{}", path.display());
        for (line, row) in text.lines().zip(rows) {
            assert_eq!(line, serde_json::to_string(row).unwrap(), "{}: run `make assets`", path.display());
        }
    }
    let (world, folder) = (World::new(), assets());
    let sides =
        [("train.jsonl", Side::Train), ("validation.jsonl", Side::Validation), ("new_facts.jsonl", Side::NewFacts)];
    for (i, (name, side)) in sides.into_iter().enumerate() {
        same(&folder.join("instructions").join(name), &instructions(&world, side, INSTRUCTIONS[i], SETS_SEED));
    }
    for (i, (name, side)) in sides.into_iter().enumerate().take(2) {
        same(&folder.join("comparisons").join(name), &comparisons(&world, side, COMPARISONS[i], SETS_SEED));
    }
}
