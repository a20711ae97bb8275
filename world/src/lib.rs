//! The model in the box, from nothing: facts → text → tokenizer → a trained GPT-2 → its evaluation, and two small data
//! sets.
//!
//! | module | what it gives |
//! |---|---|
//! | [`facts`] | tables of true facts, from `facts/*.txt` |
//! | [`grammar`] | texts with slots, from `templates/*.txt` |
//! | [`relations`] | what can be said and asked about each fact, and which phrasings are held back |
//! | [`documents`] | the kinds of documents that the training text is made of |
//! | [`english`] | real English from the Rust toolchain and from Cargo's registry folder |
//! | [`corpus`] | the training and the validation text |
//! | [`bpe`] | the byte-level BPE tokenizer |
//! | [`evaluation`] | what the trained model knows and how it behaves |
//! | [`sets`] | instructions and comparisons |
//! | [`ladder`] | the last lessons' trainings with other seeds |
//! | [`package`] | the files of `assets/` |
//!
//! The command `gpt-lab-world` runs them. Nothing of `gpt_lab` depends on this crate.

pub mod bpe;
pub mod corpus;
pub mod documents;
pub mod english;
pub mod evaluation;
pub mod facts;
pub mod grammar;
pub mod ladder;
pub mod package;
pub mod relations;
pub mod sets;
pub mod wording;
pub mod world;

pub use world::World;
