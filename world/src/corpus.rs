//! The training text and the validation text.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;

use gpt_lab::{Error, Result, Rng, write_atomically};

use crate::World;
use crate::documents::{Kind, document};
use crate::english::English;

/// The share of real English in the training text, in per cent of its characters.
const ENGLISH: usize = 12;
/// One generated document in so many is for validation.
const VALIDATION: usize = 80;

/// Documents to learn from and documents to judge by.
#[derive(Debug, Clone, Default)]
pub struct Corpus {
    /// What the model sees.
    pub train: Vec<String>,
    /// What it never sees; no document of it is in `train`.
    pub validation: Vec<String>,
    /// Characters of the generated training documents by kind.
    pub kinds: BTreeMap<Kind, usize>,
    /// Characters of real English in the training text.
    pub english: usize,
}

impl Corpus {
    /// Generates so many documents and mixes real English among them.
    pub fn generate(world: &World, english: &English, documents: usize, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mut corpus = Corpus::default();
        for i in 0..documents {
            let (kind, text) = document(world, &mut rng);
            if i % VALIDATION == VALIDATION - 1 {
                corpus.validation.push(text);
            } else {
                *corpus.kinds.entry(kind).or_default() += text.len();
                corpus.train.push(text);
            }
        }
        let generated: usize = corpus.kinds.values().sum();
        let mut real = english.sample(generated * ENGLISH / (100 - ENGLISH), &mut rng);
        let kept = real.len() / VALIDATION;
        corpus.validation.extend(real.drain(..kept));
        corpus.english = real.iter().map(String::len).sum();
        corpus.train.extend(real);
        rng.shuffle(&mut corpus.train);
        rng.shuffle(&mut corpus.validation);
        let seen: HashSet<&String> = corpus.train.iter().collect();
        corpus.validation.retain(|text| !seen.contains(text));
        corpus
    }

    /// Writes `train.jsonl` and `validation.jsonl`: one document a line, as a JSON string.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, folder: &Path) -> Result<()> {
        for (name, documents) in [("train.jsonl", &self.train), ("validation.jsonl", &self.validation)] {
            let lines: Vec<String> = documents.iter().map(|text| serde_json::json!(text).to_string()).collect();
            write_atomically(&folder.join(name), (lines.join("\n") + "\n").as_bytes())?;
        }
        Ok(())
    }

    /// Characters to learn from.
    pub fn characters(&self) -> usize {
        self.train.iter().map(String::len).sum()
    }
}

/// The documents of a file that [`Corpus::save`] wrote.
///
/// # Errors
/// [`Error::FileNotFound`] and [`Error::InvalidConfig`] with the line that is no document.
pub fn read_documents(path: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(path).map_err(|e| Error::io(path, "reading", e))?;
    let parse = |(i, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|e| Error::InvalidConfig {
            context: format!("{}, line {}", path.display(), i + 1),
            detail: format!("not a document: {e}"),
        })
    };
    text.lines().enumerate().map(parse).collect()
}
