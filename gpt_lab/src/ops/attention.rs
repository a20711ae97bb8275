//! Causal self-attention of many heads (Vaswani et al. 2017, <https://arxiv.org/abs/1706.03762>, section 3.2).

use candle_core::Tensor;
use gpt_lab_cpu::attention::CausalAttention;

use super::Dropout;
use super::custom::{Op, fast};
use super::reference::{self, head_size};
use crate::Result;

/// For each head: `softmax(mask(Q Kᵀ · scale)) V`, where position `i` sees the positions `j ≤ i`.
///
/// Shapes: `qkv` is `[B, T, 3C]`, queries, keys and values side by side as GPT-2's `c_attn` produces them, each of them
/// `n_head` heads of `D = C / n_head`; the result is `[B, T, C]`. `scale` is usually `1 / √D`. With `dropout`,
/// attention weights are dropped after the softmax.
///
/// # Errors
/// A last axis that does not divide into 3 · `n_head`.
///
/// ```
/// # use gpt_lab::{candle_core::{Device, Tensor}, ops};
/// // Two positions with equal scores: each takes the mean of the values 4 and 8 that it sees.
/// let qkv = Tensor::new(&[[[0f32, 1.0, 4.0], [0.0, 1.0, 8.0]]], &Device::Cpu)?;
/// let y = ops::causal_attention(&qkv, 1, 1.0, None)?;
/// assert_eq!(y.flatten_all()?.to_vec1::<f32>()?, [4.0, 6.0]);
/// # Ok::<(), gpt_lab::Error>(())
/// ```
pub fn causal_attention(qkv: &Tensor, n_head: usize, scale: f64, dropout: Option<Dropout>) -> Result<Tensor> {
    let (b, t, width) = qkv.dims3()?;
    let d = head_size(width, n_head)?;
    if !fast(&[qkv]) || qkv.elem_count() == 0 {
        return reference::causal_attention(qkv, n_head, scale, dropout);
    }
    let mask = dropout.map(Dropout::mask).transpose()?;
    let attention = CausalAttention { n_head, d, scale: scale as f32, mask };
    let op = Op::new(
        "causal_attention",
        (b, t, width / 3),
        move |[qkv]| Ok((attention.forward(qkv, t), ())),
        move |pass| Ok([Some(attention.backward(pass.args[0], pass.grad, t))]),
    );
    op.apply([qkv])
}

/// The attention weights themselves, `[B, H, T, T]`: row `i` says how much position `i` takes from each `j ≤ i`.
///
/// # Errors
/// A last axis that does not divide into 3 · `n_head`.
///
/// ```
/// # use gpt_lab::{candle_core::{Device, Tensor}, ops};
/// let qkv = Tensor::new(&[[[0f32, 1.0, 4.0], [0.0, 1.0, 8.0]]], &Device::Cpu)?;
/// let weights = ops::attention::probabilities(&qkv, 1, 1.0)?;
/// assert_eq!(weights.flatten_all()?.to_vec1::<f32>()?, [1.0, 0.0, 0.5, 0.5]);
/// # Ok::<(), gpt_lab::Error>(())
/// ```
pub fn probabilities(qkv: &Tensor, n_head: usize, scale: f64) -> Result<Tensor> {
    reference::attention_weights(qkv, n_head, scale)
}
