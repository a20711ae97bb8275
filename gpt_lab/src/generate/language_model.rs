//! The models that generation works with.

use candle_core::Tensor;

use crate::gpt2::Gpt2;
use crate::nn::KvCache;
use crate::{Error, Pass, Result};

/// A model that can continue text.
pub trait LanguageModel {
    /// Logits `[B, T, V]` for ids `[B, T]` (u32): row `t` scores what comes after the first `t + 1` ids. With a cache
    /// in the pass (if the model has one to give) those of the last position only, `[B, 1, V]`.
    fn forward(&self, ids: &Tensor, pass: &mut Pass) -> Result<Tensor>;

    /// Number of tokens that it can see at once.
    fn context(&self) -> usize;

    /// The tokens that end a text.
    fn eos_tokens(&self) -> Vec<u32> {
        Vec::new()
    }

    /// An empty cache for this number of rows of at most `capacity` tokens, if the model keeps keys and values: then
    /// each token is read once.
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

/// The rows of logits `[N, V]` as plain numbers, checked to be numbers.
pub(super) fn rows(logits: &Tensor) -> Result<Vec<Vec<f32>>> {
    let rows = logits.to_vec2::<f32>()?;
    for (step, row) in rows.iter().enumerate() {
        if let Some(&value) = row.iter().find(|value| value.is_nan() || **value == f32::INFINITY) {
            return Err(Error::NotFinite { what: "a logit".into(), value, step });
        }
    }
    Ok(rows)
}
