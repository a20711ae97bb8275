//! One transformer block.

use candle_core::Tensor;

use super::attention::Attention;
use super::config::Gpt2Config;
use super::feed_forward::FeedForward;
use crate::nn::{LayerNorm, Source};
use crate::{Param, Pass, Result};

/// Attention, then MLP, each behind a layer norm and added to the residual stream.
#[derive(Debug, Clone)]
pub struct Block {
    /// Before the attention.
    pub ln_1: LayerNorm,
    /// The exchange between positions.
    pub attn: Attention,
    /// Before the MLP.
    pub ln_2: LayerNorm,
    /// The work at each position.
    pub mlp: FeedForward,
}

impl Block {
    pub(super) fn build(config: &Gpt2Config, layer: usize, source: Source) -> Result<Self> {
        let (name, c, eps) = (format!("transformer.h.{layer}"), config.n_embd, config.layer_norm_epsilon);
        Ok(Block {
            ln_1: LayerNorm::build(&format!("{name}.ln_1"), c, eps, source)?,
            attn: Attention::build(config, layer, source)?,
            ln_2: LayerNorm::build(&format!("{name}.ln_2"), c, eps, source)?,
            mlp: FeedForward::build(config, layer, source)?,
        })
    }

    /// `x ← x + attn(ln_1(x))`, `x ← x + mlp(ln_2(x))`; `[B, T, C]` → `[B, T, C]`.
    pub fn forward(&self, x: &Tensor, pass: &mut Pass) -> Result<Tensor> {
        if let Some(y) = self.fused(x, pass)? {
            return Ok(y); // the same numbers, bit for bit: see fused.rs
        }
        let x = (x + self.attn.forward(&self.ln_1.forward(x)?, pass)?)?; // [B, T, C]
        Ok((&x + self.mlp.forward(&self.ln_2.forward(&x)?, pass)?)?) // [B, T, C]
    }

    /// Its parameters, in order.
    pub fn params(&self) -> Vec<Param> {
        [self.ln_1.params(), self.attn.params(), self.ln_2.params(), self.mlp.params()].concat()
    }
}
