//! Text, one token after another: ask the model what may come next, choose, append, ask again.
//!
//! [`GenerateConfig`] says how. Scores pass through `processors`; [`generate_ids`] is the loop that takes the likeliest
//! token or draws one (`sampler`), [`beam_search`] follows several texts at once. With a tokenizer, [`Generator`] hands
//! out token by token, and [`generate`], [`generate_with`] and [`generate_many`] run to the end. [`score`] asks how
//! likely a model finds a text that is there already.

mod batch;
mod beam;
mod config;
mod generator;
mod language_model;
mod processors;
mod reader;
mod sampler;
mod score;
mod sequence;
mod token;

pub(crate) use batch::draw_ids;
pub use batch::generate_ids;
pub use beam::{BeamSearch, Candidate, Fate, beam_search};
pub use config::{EarlyStopping, GenerateConfig};
pub use generator::{Generation, Generator, generate, generate_many, generate_with};
pub use language_model::LanguageModel;
pub use score::score;
pub use sequence::{Ended, Sequence};
pub use token::Token;
