//! Causal self-attention of many heads (Vaswani et al. 2017, <https://arxiv.org/abs/1706.03762>, section 3.2).

use candle_core::{D, Tensor};

use super::attention_fast::CausalAttention;
use super::dropout::Mask;
use super::kernel::fast;
use super::{Dropout, dropout, softmax};
use crate::{Error, Result};

/// For each head: `softmax(mask(Q Kᵀ · scale)) V`, where position `i` sees the positions `j ≤ i`.
///
/// Shapes: `qkv` is `[B, T, 3C]`, queries, keys and values side by side as GPT-2's `c_attn` produces them, each of them `n_head`
/// heads of `D = C / n_head`; the result is `[B, T, C]`. `scale` is usually `1 / √D`. With `dropout`, attention
/// weights are dropped after the softmax. Errors: a last axis that does not divide into 3 · `n_head`.
pub fn causal_attention(qkv: &Tensor, n_head: usize, scale: f64, dropout: Option<Dropout>) -> Result<Tensor> {
    let (_, _, width) = qkv.dims3()?;
    let d = head_size(width, n_head)?;
    if !fast(&[qkv]) || qkv.elem_count() == 0 {
        return reference(qkv, n_head, scale, dropout);
    }
    let mask = dropout.map(Mask::new).transpose()?;
    Ok(qkv.contiguous()?.apply_op1(CausalAttention { n_head, d, scale: scale as f32, mask })?)
}

/// The same in plain candle operations.
pub fn reference(qkv: &Tensor, n_head: usize, scale: f64, dropout: Option<Dropout>) -> Result<Tensor> {
    let (b, t, c3) = qkv.dims3()?;
    let [q, k, v] = heads(qkv, n_head)?;
    let mut weights = weights(&q, &k, scale)?;
    if let Some(Dropout { p, seed }) = dropout {
        weights = dropout::reference(&weights, p, seed)?;
    }
    let y = weights.matmul(&v)?; // [B, H, T, D]
    Ok(y.transpose(1, 2)?.contiguous()?.reshape((b, t, c3 / 3))?)
}

/// The attention weights themselves, `[B, H, T, T]`: row `i` says how much position `i` takes from each `j ≤ i`.
pub fn probabilities(qkv: &Tensor, n_head: usize, scale: f64) -> Result<Tensor> {
    let [q, k, _] = heads(qkv, n_head)?;
    weights(&q, &k, scale)
}

/// Queries, keys and values of all heads, each `[B, H, T, D]`.
fn heads(qkv: &Tensor, n_head: usize) -> Result<[Tensor; 3]> {
    let (b, t, c3) = qkv.dims3()?;
    let d = head_size(c3, n_head)?;
    let split = |i: usize| -> Result<Tensor> {
        let part = qkv.narrow(D::Minus1, i * n_head * d, n_head * d)?;
        Ok(part.reshape((b, t, n_head, d))?.transpose(1, 2)?.contiguous()?)
    };
    Ok([split(0)?, split(1)?, split(2)?])
}

/// `D`, if `3 · n_head · D` is the width of `qkv`.
fn head_size(width: usize, n_head: usize) -> Result<usize> {
    if n_head == 0 || width == 0 || !width.is_multiple_of(3 * n_head) {
        let expected = format!("a number of heads that divides the width of qkv ({width}) by three");
        return Err(Error::InvalidArgument { argument: "n_head", value: n_head.to_string(), expected });
    }
    Ok(width / (3 * n_head))
}

/// Softmax of the masked, scaled scores, `[B, H, T, T]`.
fn weights(q: &Tensor, k: &Tensor, scale: f64) -> Result<Tensor> {
    let scores = (q.matmul(&k.t()?)? * scale)?;
    softmax::reference(&scores.broadcast_add(&causal_mask(&scores)?)?)
}

/// `[T, T]`: zero on and below the diagonal, −∞ above it, where `exp` makes it zero.
fn causal_mask(scores: &Tensor) -> Result<Tensor> {
    let t = scores.dim(D::Minus1)?;
    let mask: Vec<f32> = (0..t * t).map(|at| if at % t > at / t { f32::NEG_INFINITY } else { 0.0 }).collect();
    Ok(Tensor::from_vec(mask, (t, t), scores.device())?.to_dtype(scores.dtype())?)
}
