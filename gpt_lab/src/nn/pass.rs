//! One run through a model, and all that belongs to the run and not to the model.

use candle_core::Tensor;

use super::cache_rows::CacheRows;
use super::kv_cache::KvCache;
use crate::{Result, Rng, ops};

/// One run through a model: which layers draw dropout masks, and the keys and values of what was read before, if they
/// were kept.
///
/// Every layer is handed the pass, so that a model has one forward function for training, for evaluation and for
/// writing with a cache.
#[derive(Debug)]
pub struct Pass<'a> {
    dropout: Option<Masks>,
    cache: Option<CacheRows<'a>>,
    attentions: Option<Vec<Tensor>>,
}

/// The generator of dropout masks and who draws from it: all layers, or adapters only.
#[derive(Debug)]
struct Masks {
    rng: Rng,
    adapters_only: bool,
}

impl<'a> Pass<'a> {
    /// Evaluation: no dropout, the same input gives the same output.
    pub fn eval() -> Self {
        Pass { dropout: None, cache: None, attentions: None }
    }

    /// Training: dropout in all layers. From a seed (`Pass::train(7)`) or from a generator that was used before.
    pub fn train(rng: impl Into<Rng>) -> Self {
        Pass { dropout: Some(Masks { rng: rng.into(), adapters_only: false }), ..Pass::eval() }
    }

    /// Training with dropout in the adapters only. The frozen body then gives the same text the same probabilities
    /// every time, apart from the adapters' own noise: PPO's ratio of new to old needs that.
    pub fn train_adapters(rng: impl Into<Rng>) -> Self {
        Pass { dropout: Some(Masks { rng: rng.into(), adapters_only: true }), ..Pass::eval() }
    }

    /// Leaves dropout to the adapters from here on, as [`train_adapters`](Pass::train_adapters) does.
    pub fn restrict_to_adapters(&mut self) {
        if let Some(masks) = &mut self.dropout {
            masks.adapters_only = true;
        }
    }

    /// Evaluation with a cache: row `i` of the input continues row `rows[i]` of the cache and is appended to it.
    pub fn cached(cache: &'a mut KvCache, rows: &'a [usize]) -> Self {
        Pass { cache: Some(CacheRows::new(cache, rows)), ..Pass::eval() }
    }

    /// The same pass, which also notes the attention weights of every block, `[B, H, T, T]`.
    pub fn recording(self) -> Self {
        Pass { attentions: Some(Vec::new()), ..self }
    }

    /// The attention weights of a [recording](Pass::recording) pass, first block to last.
    pub fn into_attentions(self) -> Vec<Tensor> {
        self.attentions.unwrap_or_default()
    }

    /// The generator of a training pass, as the pass has left it.
    pub fn into_rng(self) -> Option<Rng> {
        self.dropout.map(|masks| masks.rng)
    }

    /// True in training, where at least the adapters drop something.
    pub fn is_training(&self) -> bool {
        self.dropout.is_some()
    }

    /// Probability and seed of a fresh dropout mask for one layer of the model; `None` where nothing is to be dropped.
    pub fn draw(&mut self, p: f64) -> Option<ops::Dropout> {
        let masks = self.dropout.as_mut().filter(|masks| p > 0.0 && !masks.adapters_only)?;
        Some(ops::Dropout { p, seed: masks.rng.next_u64() })
    }

    /// The dropout of one adapter.
    pub fn draw_for_adapter(&mut self, p: f64) -> Option<ops::Dropout> {
        let masks = self.dropout.as_mut().filter(|_| p > 0.0)?;
        Some(ops::Dropout { p, seed: masks.rng.next_u64() })
    }

    /// The cache and its rows, if the pass has one.
    pub(crate) fn cache(&mut self) -> Option<&mut CacheRows<'a>> {
        self.cache.as_mut()
    }

    /// True if the pass reads on from a cache.
    pub(crate) fn is_cached(&self) -> bool {
        self.cache.is_some()
    }

    /// True without a cache and without a record of attention weights, so that a whole block may be one operation.
    pub(crate) fn is_plain(&self) -> bool {
        self.cache.is_none() && self.attentions.is_none()
    }

    /// Position of the first token of this row of the input.
    pub(crate) fn first_position(&self, row: usize) -> usize {
        self.cache.as_ref().map_or(0, |cache| cache.first_position(row))
    }

    /// Notes what a block's attention weights are, if they are asked for.
    pub(crate) fn note_attention(&mut self, weights: impl FnOnce() -> Result<Tensor>) -> Result<()> {
        if let Some(all) = &mut self.attentions {
            all.push(weights()?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_pass_lets_the_right_layers_drop() {
        let drawn =
            |mut pass: Pass| (pass.draw(0.5).is_some(), pass.draw_for_adapter(0.5).is_some(), pass.is_training());
        assert_eq!(drawn(Pass::eval()), (false, false, false));
        assert_eq!(drawn(Pass::train(1)), (true, true, true));
        assert_eq!(drawn(Pass::train_adapters(1)), (false, true, true));
        let restricted = |mut pass: Pass<'static>| {
            pass.restrict_to_adapters();
            drawn(pass)
        };
        assert_eq!(restricted(Pass::train(1)), (false, true, true));
        assert_eq!(restricted(Pass::eval()), (false, false, false));
    }

    #[test]
    fn a_layer_that_drops_nothing_draws_nothing() {
        let mut pass = Pass::train(1);
        assert_eq!((pass.draw(0.0), pass.draw_for_adapter(0.0)), (None, None));
        assert_eq!(pass.into_rng().unwrap().next_u64(), Rng::new(1).next_u64());
    }

    #[test]
    fn a_generator_goes_on_where_it_stopped() {
        let mut whole = Pass::train(1);
        let seeds = [whole.draw(0.5), whole.draw(0.5)];
        let mut first = Pass::train(1);
        assert_eq!(first.draw(0.5), seeds[0]);
        assert_eq!(Pass::train(first.into_rng().unwrap()).draw(0.5), seeds[1]);
    }
}
