//! From source files to batches.
//!
//! [`Corpus`] (functions cut out of source files) → [`Corpus::split`] (by function, so that nothing of a validation
//! function was ever trained on) → [`Windows`] (rows of `context` tokens and the same rows one token later) →
//! [`Batch`] (`[B, T]`).
//!
//! [`Instruction`] (rows in Alpaca's schema) → [`Windows::of_instructions`] (one long text, cut) or [`AnswerRows`] (one a row,
//! prompt and padding masked).
//! [`Comparisons`] (a question and two answers, one of them preferred) → [`TokenPairs`] → batches for a reward model or DPO.

mod answer_rows;
pub mod comparisons;
mod corpus;
mod instructions;
mod pairs;
#[cfg(feature = "parquet")]
mod parquet;
mod python_source;
mod registry;
mod rust_source;
mod table;
mod windows;

pub use answer_rows::AnswerRows;
pub use comparisons::{Answers, Comparison, Comparisons, TokenPair, TokenPairs, encode_answer};
pub use corpus::{Corpus, Function, Language, Skipped};
pub use instructions::Instruction;
pub use pairs::Pairs;
pub use registry::{CorpusCrate, corpus_crates, missing_corpus_crates, registry_folder};
pub use windows::{Batch, Examples, Split, TextData, Windows};
