//! The feed-forward network of a block (`mlp` in Hugging Face's names): widen, activate, narrow.

use candle_core::Tensor;

use super::activation::Activation;
use super::config::Gpt2Config;
use crate::nn::{Linear, Source, dropout};
use crate::{Error, Param, Pass, Result};

/// Two linear layers with an activation between them, applied to every position alike.
#[derive(Debug, Clone)]
pub struct FeedForward {
    /// `[C, n_inner]`.
    pub c_fc: Linear,
    /// `[n_inner, C]`.
    pub c_proj: Linear,
    /// The function between the two.
    pub activation: Activation,
    pub(super) resid_pdrop: f64,
}

impl FeedForward {
    pub(super) fn build(config: &Gpt2Config, layer: usize, source: Source) -> Result<Self> {
        let (name, c, inner) = (format!("transformer.h.{layer}.mlp"), config.n_embd, config.n_inner());
        let activation = Activation::named(&config.activation_function).ok_or_else(|| Error::InvalidConfig {
            context: "Gpt2Config".to_string(),
            detail: format!("unknown activation_function `{}`", config.activation_function),
        })?;
        Ok(FeedForward {
            c_fc: Linear::build(&format!("{name}.c_fc"), c, inner, true, source)?,
            c_proj: Linear::build(&format!("{name}.c_proj"), inner, c, true, source)?,
            activation,
            resid_pdrop: config.resid_pdrop,
        })
    }

    /// `[B, T, C]` → `[B, T, C]`.
    pub fn forward(&self, x: &Tensor, pass: &mut Pass) -> Result<Tensor> {
        let hidden = self.activation.forward(&self.c_fc.forward(x, pass)?)?; // [B, T, n_inner]
        dropout(&self.c_proj.forward(&hidden, pass)?, self.resid_pdrop, pass) // [B, T, C]
    }

    /// Its parameters, in order.
    pub fn params(&self) -> Vec<Param> {
        [self.c_fc.params(), self.c_proj.params()].concat()
    }
}
