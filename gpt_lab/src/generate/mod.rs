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

use crate::gpt2::Gpt2;
use crate::nn::KvCache;
use crate::text::{StreamDecoder, Tokenizer};
use crate::{Error, Pass, Result};

/// A model that can continue text.
pub trait LanguageModel {
    /// Logits `[B, T, V]` for ids `[B, T]` (u32): row `t` scores what comes after the first `t + 1` ids. With a cache in the pass (if
    /// the model has one to give) those of the last position only, `[B, 1, V]`.
    fn forward(&self, ids: &Tensor, pass: &mut Pass) -> Result<Tensor>;

    /// Number of tokens that it can see at once.
    fn context(&self) -> usize;

    /// The tokens that end a text.
    fn eos_tokens(&self) -> Vec<u32> {
        Vec::new()
    }

    /// An empty cache for this number of rows of at most `capacity` tokens, if the model keeps keys and values: then each token is
    /// read once.
    ///
    /// # Errors
    /// Those of [`KvCache::new`].
    fn cache(&self, _rows: usize, _capacity: usize) -> Result<Option<KvCache>> {
        Ok(None)
    }
}

impl LanguageModel for Gpt2 {
    fn forward(&self, ids: &Tensor, pass: &mut Pass) -> Result<Tensor> {
        Gpt2::forward(self, ids, pass)
    }

    fn context(&self) -> usize {
        self.n_positions()
    }

    fn eos_tokens(&self) -> Vec<u32> {
        self.config.eos_tokens()
    }

    fn cache(&self, rows: usize, capacity: usize) -> Result<Option<KvCache>> {
        KvCache::new(&self.config, rows, capacity).map(Some)
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
