//! From source files to batches.
//!
//! [`Corpus`] (functions cut out of source files) → [`Corpus::split`] (by function, so that nothing of a validation
//! function was ever trained on) → [`Windows`] (rows of `context` tokens and the same rows one token later) →
//! [`Batch`] (`[B, T]`).
//!
//! [`Instruction`] (rows in Alpaca's schema) → [`Windows::of_instructions`] (one long text, cut) or
//! [`Completions::of_instructions`] (one a row, prompt and padding masked) → [`Batch`].
//!
//! [`Comparisons`] (a question and two answers, one of them preferred) → [`TokenPairs`] (their ids) → [`Pairs`] for a
//! reward model, [`Preferences`](crate::align::Preferences) for DPO.

mod comparisons;
mod completion;
mod completions;
mod corpus;
mod examples;
mod instructions;
pub(crate) mod padding;
#[cfg(feature = "parquet")]
mod parquet;
mod python_source;
mod registry;
mod right_answer;
mod rust_source;
mod source_files;
mod table;
mod token_pairs;
mod windows;

pub use comparisons::{Comparison, Comparisons, encode_answer};
pub use completion::Completion;
pub use completions::Completions;
pub use corpus::{Corpus, Skipped};
pub(crate) use examples::in_batches;
pub use examples::{Batch, Examples, Split};
pub use instructions::Instruction;
pub use registry::{CorpusCrate, corpus_crates, missing_corpus_crates, registry_folder};
pub use right_answer::names_one_of;
pub(crate) use right_answer::words;
pub use source_files::{Function, Language};
pub use token_pairs::{Pairs, TokenPair, TokenPairs};
pub use windows::{TextData, Windows};
