//! Text, one token after another: ask the model what may come next, choose, append, ask again.
//!
//! [`GenerateConfig`] says how. Scores pass through `processors`; [`generate_ids`] is the loop that takes the likeliest token or
//! draws one (`sampler`), [`beam_search`] follows several texts at once. With a tokenizer, [`Generator`] hands out token by
//! token, and [`generate`], [`generate_with`] and [`generate_many`] run to the end. [`score`] asks how likely a model finds a
//! text that is there already.

mod batch;
mod beam;
mod config;
mod generator;
mod processors;
mod reader;
mod sampler;
mod score;

pub(crate) use batch::draw_ids;
pub use batch::{Ended, Sequence, generate_ids};
pub use beam::{BeamSearch, Candidate, Fate, beam_search};
pub use config::{EarlyStopping, GenerateConfig};
pub use generator::{Generation, Generator, generate, generate_many, generate_with};
pub use score::score;

use candle_core::Tensor;

use crate::gpt2::{Cached, Gpt2, Int8Gpt2};
use crate::text::{StreamDecoder, Tokenizer};
use crate::{Error, Result};

/// A model that can continue text.
pub trait LanguageModel {
    /// Logits `[B, T, V]` for ids `[B, T]` (u32), without dropout: row `t` scores what comes after the first `t + 1` ids.
    fn logits(&self, ids: &Tensor) -> Result<Tensor>;

    /// How many tokens it can see at once.
    fn context(&self) -> usize;

    /// The tokens that end a text.
    fn eos_tokens(&self) -> Vec<u32> {
        Vec::new()
    }

    /// The model as one that keeps keys and values, if it is one: then each token is read once.
    fn cached(&self) -> Option<&dyn Cached> {
        None
    }
}

impl LanguageModel for Gpt2 {
    fn logits(&self, ids: &Tensor) -> Result<Tensor> {
        self.forward(ids)
    }

    fn context(&self) -> usize {
        self.n_positions()
    }

    fn eos_tokens(&self) -> Vec<u32> {
        self.config.eos_tokens()
    }

    fn cached(&self) -> Option<&dyn Cached> {
        Some(self)
    }
}

impl LanguageModel for Int8Gpt2 {
    fn logits(&self, ids: &Tensor) -> Result<Tensor> {
        self.forward(ids)
    }

    fn context(&self) -> usize {
        self.config.n_positions
    }

    fn eos_tokens(&self) -> Vec<u32> {
        self.config.eos_tokens()
    }

    fn cached(&self) -> Option<&dyn Cached> {
        Some(self)
    }
}

/// A token with the probability that the model gave it before it was chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// Its id.
    pub id: u32,
    /// What it adds to the text: nothing where a character is not finished yet.
    pub text: String,
    /// Its probability by the model itself: softmax of the logits, before temperature, top-k and top-p.
    pub probability: f32,
    /// The likeliest tokens at this place with their texts and probabilities, best first.
    pub alternatives: Vec<(u32, String, f32)>,
}

impl Token {
    /// The token `id` of a distribution, with the `n` likeliest beside it; the decoder has what came before.
    fn of(
        id: u32,
        probabilities: &[f32],
        n: usize,
        tokenizer: &dyn Tokenizer,
        decoder: &mut StreamDecoder,
    ) -> Result<Self> {
        let probability = *probabilities.get(id as usize).ok_or(Error::TokenOutOfRange {
            id: i64::from(id),
            row: 0,
            position: 0,
            vocab_size: probabilities.len(),
        })?;
        // A model may know more ids than its tokenizer (some tables are rounded up); these mean nothing.
        let nothing_if_unknown = |text: Result<String>| match text {
            Err(Error::TokenOutOfRange { .. }) => Ok(String::new()),
            text => text,
        };
        let best = processors::likeliest_first(probabilities, n).into_iter();
        let alternatives =
            best.map(|id| Ok((id, nothing_if_unknown(tokenizer.decode(&[id]))?, probabilities[id as usize])));
        Ok(Token {
            id,
            text: nothing_if_unknown(decoder.push(tokenizer, id))?,
            probability,
            alternatives: alternatives.collect::<Result<_>>()?,
        })
    }
}

/// The rows of logits `[N, V]` as plain numbers, checked to be numbers.
fn rows(logits: &Tensor) -> Result<Vec<Vec<f32>>> {
    let rows = logits.to_vec2::<f32>()?;
    for (step, row) in rows.iter().enumerate() {
        if let Some(&value) = row.iter().find(|value| value.is_nan() || **value == f32::INFINITY) {
            return Err(Error::NotFinite { what: "a logit".into(), value, step });
        }
    }
    Ok(rows)
}
