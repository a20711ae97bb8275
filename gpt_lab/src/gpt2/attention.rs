//! Self-attention as a layer: project to queries, keys and values, attend, project back.

use candle_core::Tensor;

use super::config::Gpt2Config;
use crate::nn::layers::{Linear, Source, draw, dropout};
use crate::{Mode, Param, Result, ops};

/// Causal self-attention of `n_head` heads.
#[derive(Debug, Clone)]
pub struct Attention {
    /// Queries, keys and values of all heads in one projection, `[C, 3C]`.
    pub c_attn: Linear,
    /// Back to the residual stream, `[C, C]`.
    pub c_proj: Linear,
    /// H.
    pub n_head: usize,
    /// The factor on the scores, usually `1 / √D`.
    pub scale: f64,
    pub(super) attn_pdrop: f64,
    pub(super) resid_pdrop: f64,
}

impl Attention {
    pub(super) fn build(config: &Gpt2Config, layer: usize, source: Source) -> Result<Self> {
        let (name, c) = (format!("transformer.h.{layer}.attn"), config.n_embd);
        Ok(Attention {
            c_attn: Linear::build(&format!("{name}.c_attn"), c, 3 * c, config.qkv_bias, source)?,
            c_proj: Linear::build(&format!("{name}.c_proj"), c, c, true, source)?,
            n_head: config.n_head,
            scale: config.attention_scale(layer),
            attn_pdrop: config.attn_pdrop,
            resid_pdrop: config.resid_pdrop,
        })
    }

    /// `[B, T, C]` → `[B, T, C]`.
    pub fn forward(&self, x: &Tensor, mode: &mut Mode) -> Result<Tensor> {
        let qkv = self.c_attn.forward_mode(x, mode)?; // [B, T, 3C]
        let y = ops::causal_attention(&qkv, self.n_head, self.scale, draw(self.attn_pdrop, mode))?; // [B, T, C]
        dropout(&self.c_proj.forward_mode(&y, mode)?, self.resid_pdrop, mode)
    }

    /// Who looks at whom: the attention weights of every head, `[B, H, T, T]`.
    pub fn probabilities(&self, x: &Tensor) -> Result<Tensor> {
        ops::attention::probabilities(&self.c_attn.forward(x)?, self.n_head, self.scale)
    }

    /// Its parameters, in order.
    pub fn params(&self) -> Vec<Param> {
        [self.c_attn.params(), self.c_proj.params()].concat()
    }
}
