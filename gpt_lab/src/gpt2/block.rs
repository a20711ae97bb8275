//! One transformer block.

use candle_core::{D, Tensor};

use super::attention::Attention;
use super::config::{Activation, Gpt2Config};
use super::mlp::Mlp;
use crate::nn::layers::{LayerNorm, Source, draw};
use crate::ops::{AttentionBlock, MlpBlock};
use crate::{Mode, Param, Result, ops};

/// Attention, then MLP, each behind a layer norm and added to the residual stream:
/// `x ← x + attn(ln_1(x))`, `x ← x + mlp(ln_2(x))`.
#[derive(Debug, Clone)]
pub struct Block {
    /// Before the attention.
    pub ln_1: LayerNorm,
    /// The exchange between positions.
    pub attn: Attention,
    /// Before the MLP.
    pub ln_2: LayerNorm,
    /// The work at each position.
    pub mlp: Mlp,
}

impl Block {
    pub(super) fn build(config: &Gpt2Config, layer: usize, source: Source) -> Result<Self> {
        let (name, c, eps) = (format!("transformer.h.{layer}"), config.n_embd, config.layer_norm_epsilon);
        Ok(Block {
            ln_1: LayerNorm::build(&format!("{name}.ln_1"), c, eps, source)?,
            attn: Attention::build(config, layer, source)?,
            ln_2: LayerNorm::build(&format!("{name}.ln_2"), c, eps, source)?,
            mlp: Mlp::build(config, layer, source)?,
        })
    }

    /// `[B, T, C]` → `[B, T, C]`, each half as one op where there is one. The same numbers as [`Block::forward_by_layers`], bit for
    /// bit, so that an adapter that adds nothing changes nothing.
    pub fn forward(&self, x: &Tensor, mode: &mut Mode) -> Result<Tensor> {
        let few = x.elem_count() <= ops::FEW * x.dim(D::Minus1)?;
        let Some((attention, mlp)) = self.as_ops().filter(|_| !few) else { return self.forward_by_layers(x, mode) };
        let (drop_weights, drop_result) = (draw(self.attn.attn_pdrop, mode), draw(self.attn.resid_pdrop, mode));
        let x = ops::attention_block(x, &attention, drop_weights, drop_result)?;
        ops::mlp_block(&x, &mlp, draw(self.mlp.resid_pdrop, mode))
    }

    /// [`Block::forward`] layer by layer: read this one.
    pub fn forward_by_layers(&self, x: &Tensor, mode: &mut Mode) -> Result<Tensor> {
        let x = (x + self.attn.forward(&self.ln_1.forward(x)?, mode)?)?;
        Ok((&x + self.mlp.forward(&self.ln_2.forward(&x)?, mode)?)?)
    }

    /// The parameters as the two ops take them, if they do what this block does. They know nothing of adapters.
    fn as_ops(&self) -> Option<(AttentionBlock, MlpBlock)> {
        let Block { ln_1, attn, ln_2, mlp } = self;
        let layers = [&attn.c_attn, &attn.c_proj, &mlp.c_fc, &mlp.c_proj];
        if mlp.activation != Activation::GeluTanh || layers.iter().any(|layer| layer.adapters.is_in_use()) {
            return None;
        }
        let attention = AttentionBlock {
            ln_weight: ln_1.weight.tensor(),
            ln_bias: ln_1.bias.tensor(),
            eps: ln_1.eps,
            qkv_weight: attn.c_attn.weight.tensor(),
            qkv_bias: attn.c_attn.bias.as_ref().map(Param::tensor),
            proj_weight: attn.c_proj.weight.tensor(),
            proj_bias: attn.c_proj.bias.as_ref()?.tensor(),
            n_head: attn.n_head,
            scale: attn.scale,
        };
        let mlp_block = MlpBlock {
            ln_weight: ln_2.weight.tensor(),
            ln_bias: ln_2.bias.tensor(),
            eps: ln_2.eps,
            fc_weight: mlp.c_fc.weight.tensor(),
            fc_bias: mlp.c_fc.bias.as_ref()?.tensor(),
            proj_weight: mlp.c_proj.weight.tensor(),
            proj_bias: mlp.c_proj.bias.as_ref()?.tensor(),
        };
        Some((attention, mlp_block))
    }

    /// Its parameters, in order.
    pub fn params(&self) -> Vec<Param> {
        [self.ln_1.params(), self.attn.params(), self.ln_2.params(), self.mlp.params()].concat()
    }
}
