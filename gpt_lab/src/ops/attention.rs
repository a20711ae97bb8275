//! Causal self-attention of many heads (Vaswani et al. 2017, <https://arxiv.org/abs/1706.03762>, section 3.2).

use candle_core::Tensor;

use super::Dropout;
use super::attention_fast::CausalAttention;
use super::dropout::Mask;
use super::kernel::fast;
use super::reference::{self, head_size};
use crate::Result;

/// For each head: `softmax(mask(Q Kᵀ · scale)) V`, where position `i` sees the positions `j ≤ i`.
///
/// Shapes: `qkv` is `[B, T, 3C]`, queries, keys and values side by side as GPT-2's `c_attn` produces them, each of them `n_head`
/// heads of `D = C / n_head`; the result is `[B, T, C]`. `scale` is usually `1 / √D`. With `dropout`, attention
/// weights are dropped after the softmax. Errors: a last axis that does not divide into 3 · `n_head`.
pub fn causal_attention(qkv: &Tensor, n_head: usize, scale: f64, dropout: Option<Dropout>) -> Result<Tensor> {
    let (_, _, width) = qkv.dims3()?;
    let d = head_size(width, n_head)?;
    if !fast(&[qkv]) || qkv.elem_count() == 0 {
        return reference::causal_attention(qkv, n_head, scale, dropout);
    }
    let mask = dropout.map(Mask::new).transpose()?;
    Ok(qkv.contiguous()?.apply_op1(CausalAttention { n_head, d, scale: scale as f32, mask })?)
}

/// The attention weights themselves, `[B, H, T, T]`: row `i` says how much position `i` takes from each `j ≤ i`.
pub fn probabilities(qkv: &Tensor, n_head: usize, scale: f64) -> Result<Tensor> {
    reference::attention_weights(qkv, n_head, scale)
}
