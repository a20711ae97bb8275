//! Self-attention as a layer: project to queries, keys and values, attend, project back.

use candle_core::Tensor;

use super::config::Gpt2Config;
use crate::nn::{Linear, Source, dropout};
use crate::{Param, Pass, Result, ops};

/// Causal self-attention of `n_head` heads.
#[derive(Debug, Clone)]
pub struct Attention {
    /// Queries, keys and values of all heads in one projection, `[C, 3C]`.
    pub c_attn: Linear,
    /// Back to the residual stream, `[C, C]`.
    pub c_proj: Linear,
    /// Number of heads, H.
    pub n_head: usize,
    /// The factor on the scores, usually `1 / √D`.
    pub scale: f64,
    /// Index of its block, under which a cache keeps its keys and values.
    layer: usize,
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
            layer,
            attn_pdrop: config.attn_pdrop,
            resid_pdrop: config.resid_pdrop,
        })
    }

    /// `[B, T, C]` → `[B, T, C]`.
    pub fn forward(&self, x: &Tensor, pass: &mut Pass) -> Result<Tensor> {
        let qkv = self.c_attn.forward(x, pass)?; // [B, T, 3C]
        pass.note_attention(|| ops::attention::probabilities(&qkv, self.n_head, self.scale))?; // [B, H, T, T]
        let y = match pass.cache() {
            Some(cache) => cache.attend(self.layer, &qkv, self.scale)?,
            None => ops::causal_attention(&qkv, self.n_head, self.scale, pass.draw(self.attn_pdrop))?,
        }; // [B, T, C]
        dropout(&self.c_proj.forward(&y, pass)?, self.resid_pdrop, pass) // [B, T, C]
    }

    /// Its parameters, in order.
    pub fn params(&self) -> Vec<Param> {
        [self.c_attn.params(), self.c_proj.params()].concat()
    }
}
