//! A transformer block as two operations instead of one for each layer: for training without adapters, and for
//! prompts of many tokens.
//!
//! The numbers are those of [`Block::forward`] layer by layer, bit for bit: adding an adapter whose B is zero, which
//! takes the slow path, does not change a bit.

use candle_core::{D, Tensor};

use super::activation::Activation;
use super::attention::Attention;
use super::block::Block;
use super::feed_forward::FeedForward;
use crate::nn::LayerNorm;
use crate::ops::{self, AttentionBlock, MlpBlock};
use crate::{Param, Pass, Result};

impl Block {
    /// `[B, T, C]` → `[B, T, C]`; `None` where the layers are needed one by one: for adapters, a cache, weights in 8
    /// bits, another activation, or so few rows that single layers are faster.
    pub(super) fn fused(&self, x: &Tensor, pass: &mut Pass) -> Result<Option<Tensor>> {
        let few = x.elem_count() <= ops::FEW * x.dim(D::Minus1)?;
        if few || !pass.is_plain() {
            return Ok(None);
        }
        let Block { ln_1, attn, ln_2, mlp } = self;
        let (Some(first), Some(second)) = (attention(ln_1, attn), feed_forward(ln_2, mlp)) else { return Ok(None) };
        let (drop_weights, drop_result) = (pass.draw(attn.attn_pdrop), pass.draw(attn.resid_pdrop));
        let x = ops::attention_block(x, &first, drop_weights, drop_result)?; // [B, T, C]
        Ok(Some(ops::mlp_block(&x, &second, pass.draw(mlp.resid_pdrop))?)) // [B, T, C]
    }
}

fn attention(ln: &LayerNorm, attn: &Attention) -> Option<AttentionBlock> {
    if attn.c_attn.adapters.is_in_use() || attn.c_proj.adapters.is_in_use() {
        return None;
    }
    Some(AttentionBlock {
        ln_weight: ln.weight.tensor(),
        ln_bias: ln.bias.tensor(),
        eps: ln.eps,
        qkv_weight: attn.c_attn.weight.param()?.tensor(),
        qkv_bias: attn.c_attn.bias.as_ref().map(Param::tensor),
        proj_weight: attn.c_proj.weight.param()?.tensor(),
        proj_bias: attn.c_proj.bias.as_ref()?.tensor(),
        n_head: attn.n_head,
        scale: attn.scale,
    })
}

fn feed_forward(ln: &LayerNorm, mlp: &FeedForward) -> Option<MlpBlock> {
    let adapted = mlp.c_fc.adapters.is_in_use() || mlp.c_proj.adapters.is_in_use();
    if adapted || mlp.activation != Activation::GeluTanh {
        return None;
    }
    Some(MlpBlock {
        ln_weight: ln.weight.tensor(),
        ln_bias: ln.bias.tensor(),
        eps: ln.eps,
        fc_weight: mlp.c_fc.weight.param()?.tensor(),
        fc_bias: mlp.c_fc.bias.as_ref()?.tensor(),
        proj_weight: mlp.c_proj.weight.param()?.tensor(),
        proj_bias: mlp.c_proj.bias.as_ref()?.tensor(),
    })
}
