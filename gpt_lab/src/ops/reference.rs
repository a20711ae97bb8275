//! Every op in plain candle operations: the definitions, top to bottom as in a paper's appendix.
//!
//! Letters: `B` batch, `T` time (positions), `C` width, `H` heads, `D = C / H` head size, `M` width inside the MLP, `V`
//! vocabulary, `N` rows, `R` rank. The ops themselves compute the same faster; tests hold values and gradients of both
//! together. These here run on any device in any precision, and candle differentiates them.

use candle_core::{D, Tensor};
use gpt_lab_cpu::gelu::{CUBIC, SQRT_2_OVER_PI};

use super::ids::{checked_ids, checked_targets, count_kept};
use super::{AttentionBlock, Dropout, LowRank, MlpBlock, Projection};
use crate::{Error, Result};

/// `y = (x − mean) / √(var + eps) · weight + bias`, with mean and (biased) variance over the last axis.
///
/// Ba, Kiros, Hinton 2016, <https://arxiv.org/abs/1607.06450>, section 3.
pub fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    let centered = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?; // […, C]
    let var = centered.sqr()?.mean_keepdim(D::Minus1)?; // […, 1]
    let normalised = centered.broadcast_div(&(var + eps)?.sqrt()?)?; // […, C]
    Ok(normalised.broadcast_mul(weight)?.broadcast_add(bias)?) // […, C]
}

/// `y_i = exp(x_i − max x) / Σ_j exp(x_j − max x)` over the last axis. The maximum is a constant to the gradient: it
/// cancels.
pub fn softmax(x: &Tensor) -> Result<Tensor> {
    let exp = x.broadcast_sub(&x.max_keepdim(D::Minus1)?.detach())?.exp()?; // […, N]
    Ok(exp.broadcast_div(&exp.sum_keepdim(D::Minus1)?)?) // […, N]
}

/// `y = ½ x (1 + tanh(√(2/π) (x + 0.044715 x³)))`: GPT-2's GELU, an approximation of [`gelu_exact`].
///
/// Hendrycks and Gimpel 2016, <https://arxiv.org/abs/1606.08415>, section 2.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    let inner = ((x + ((x.sqr()? * x)? * CUBIC)?)? * SQRT_2_OVER_PI)?;
    Ok(((x * 0.5)? * (inner.tanh()? + 1.0)?)?)
}

/// `y = x Φ(x) = ½ x (1 + erf(x / √2))`.
///
/// Hendrycks and Gimpel 2016, <https://arxiv.org/abs/1606.08415>, section 2.
pub fn gelu_exact(x: &Tensor) -> Result<Tensor> {
    let erf = (x * std::f64::consts::FRAC_1_SQRT_2)?.erf()?;
    Ok(((x * 0.5)? * (erf + 1.0)?)?)
}

/// `y = x W + b`, with the weight `[n_in, n_out]` as GPT-2 stores it.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (n_in, n_out) = weight.dims2()?;
    let rows = x.elem_count() / x.dim(D::Minus1)?.max(1);
    let y = x.reshape((rows, n_in))?.matmul(weight)?; // [N, n_out]
    let y = match bias {
        Some(bias) => y.broadcast_add(bias)?,
        None => y,
    };
    let mut shape = x.dims().to_vec();
    *shape.last_mut().expect("x has a last axis") = n_out;
    Ok(y.reshape(shape)?) // […, n_out]
}

/// `y = x W + b + s · (drop(x) Aᵀ) Bᵀ`.
///
/// Hu et al. 2021, "LoRA", <https://arxiv.org/abs/2106.09685>, equation 3.
pub fn low_rank(x: &Tensor, projection: &Projection, update: &LowRank) -> Result<Tensor> {
    let weight = if projection.transposed { projection.weight.t()? } else { projection.weight.clone() };
    let y = linear(x, &weight, projection.bias.as_ref())?; // […, n_out]
    let hidden = linear(&dropped(x, update.dropout)?, &update.a.t()?, None)?; // […, R]
    Ok((y + (linear(&hidden, &update.b.t()?, None)? * update.scale)?)?) // […, n_out]
}

/// `y_i = W[ids_i]`: a row of the table `[V, C]` for every id.
pub fn embedding(weight: &Tensor, ids: &Tensor) -> Result<Tensor> {
    let (vocab, n_embd) = weight.dims2()?;
    let index = Tensor::new(checked_ids(ids, vocab)?, weight.device())?; // [N]
    let mut shape = ids.dims().to_vec();
    shape.push(n_embd);
    Ok(weight.index_select(&index, 0)?.reshape(shape)?) // […, C]
}

/// `y = x ∘ M`, where an element of the mask M is 0 with probability `p` and `1 / (1 − p)` otherwise.
///
/// Srivastava et al. 2014, <https://jmlr.org/papers/v15/srivastava14a.html>, section 4, with the scaling moved into
/// training.
pub fn dropout(x: &Tensor, p: f64, seed: u64) -> Result<Tensor> {
    let mask = Dropout { p, seed }.mask()?;
    if p == 0.0 {
        return Ok(x.clone());
    }
    let factors: Vec<f32> = (0..x.elem_count()).map(|i| mask.factor(i)).collect();
    let factors = Tensor::from_vec(factors, x.shape(), x.device())?.to_dtype(x.dtype())?;
    Ok((x * factors)?)
}

/// `P = softmax(Q Kᵀ · scale + mask)`, where the mask hides the positions after a query's own: row `i` of a head says
/// how much position `i` takes from each `j ≤ i`. `[B, T, 3C]` → `[B, H, T, T]`.
///
/// Vaswani et al. 2017, <https://arxiv.org/abs/1706.03762>, section 3.2.
pub(super) fn attention_weights(qkv: &Tensor, n_head: usize, scale: f64) -> Result<Tensor> {
    let [q, k] = [head_vectors(qkv, n_head, 0)?, head_vectors(qkv, n_head, 1)?]; // [B, H, T, D]
    let scores = (q.matmul(&k.t()?)? * scale)?; // [B, H, T, T]
    let t = scores.dim(D::Minus1)?;
    let mask: Vec<f32> = (0..t * t).map(|at| if at % t > at / t { f32::NEG_INFINITY } else { 0.0 }).collect();
    let mask = Tensor::from_vec(mask, (t, t), scores.device())?.to_dtype(scores.dtype())?; // [T, T]
    softmax(&scores.broadcast_add(&mask)?) // [B, H, T, T]
}

/// `Y = drop(P) V` for each head, with P as above; `[B, T, 3C]` → `[B, T, C]`.
pub fn causal_attention(qkv: &Tensor, n_head: usize, scale: f64, dropout: Option<Dropout>) -> Result<Tensor> {
    let (b, t, c3) = qkv.dims3()?;
    let weights = dropped(&attention_weights(qkv, n_head, scale)?, dropout)?; // [B, H, T, T]
    let y = weights.matmul(&head_vectors(qkv, n_head, 2)?)?; // [B, H, T, D]
    Ok(y.transpose(1, 2)?.contiguous()?.reshape((b, t, c3 / 3))?) // [B, T, C]
}

/// `y = x + drop(causal_attention(layer_norm(x) W₁ + b₁) W₂ + b₂)`: the first half of a transformer block.
///
/// Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.3 (the norm stands before the
/// attention).
pub fn attention_block(
    x: &Tensor,
    block: &AttentionBlock,
    drop_weights: Option<Dropout>,
    drop_result: Option<Dropout>,
) -> Result<Tensor> {
    let h = layer_norm(x, &block.ln_weight, &block.ln_bias, block.eps)?; // [B, T, C]
    let qkv = linear(&h, &block.qkv_weight, block.qkv_bias.as_ref())?; // [B, T, 3C]
    let y = causal_attention(&qkv, block.n_head, block.scale, drop_weights)?; // [B, T, C]
    let y = linear(&y, &block.proj_weight, Some(&block.proj_bias))?; // [B, T, C]
    Ok((x + dropped(&y, drop_result)?)?) // [B, T, C]
}

/// `y = x + drop(gelu(layer_norm(x) W₁ + b₁) W₂ + b₂)`: the second half of a transformer block.
///
/// Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.3.
pub fn mlp_block(x: &Tensor, block: &MlpBlock, dropout: Option<Dropout>) -> Result<Tensor> {
    let h = layer_norm(x, &block.ln_weight, &block.ln_bias, block.eps)?; // […, C]
    let h = gelu(&linear(&h, &block.fc_weight, Some(&block.fc_bias))?)?; // […, M]
    let y = linear(&h, &block.proj_weight, Some(&block.proj_bias))?; // […, C]
    Ok((x + dropped(&y, dropout)?)?) // […, C]
}

/// `log p_target = logits_target − log Σ_j exp(logits_j)` of every row, 0 where the target is
/// [`IGNORE_INDEX`](super::IGNORE_INDEX); `[N, V]` → `[N]`.
pub fn log_probs(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    let (n, vocab) = logits.dims2()?;
    let targets = checked_targets(targets, n, vocab)?;
    let max = logits.max_keepdim(D::Minus1)?.detach(); // [N, 1]
    let log_sum = logits.broadcast_sub(&max)?.exp()?.sum_keepdim(D::Minus1)?.log()?.broadcast_add(&max)?; // [N, 1]
    let index: Vec<u32> = targets.iter().map(|target| target.map_or(0, |target| target as u32)).collect();
    let kept: Vec<u8> = targets.iter().map(|target| u8::from(target.is_some())).collect();
    let index = Tensor::from_vec(index, (n, 1), logits.device())?;
    let kept = Tensor::from_vec(kept, (n, 1), logits.device())?.to_dtype(logits.dtype())?;
    Ok(((logits.gather(&index, 1)? - log_sum)? * kept)?.squeeze(1)?) // [N]
}

/// `loss = −mean of log p_target` over the rows whose target counts; `[N, V]` → a scalar.
pub fn cross_entropy(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    let (n, vocab) = logits.dims2()?;
    let kept = count_kept(&checked_targets(targets, n, vocab)?)?;
    Ok((log_probs(logits, targets)?.sum_all()? * (-1.0 / kept as f64))?)
}

/// `log σ(x) = −m − log(exp(−m) + exp(−x − m))` with `m = max(−x, 0)`, element by element, any shape: neither `exp`
/// overflows nor does the logarithm meet zero, whatever `x` is. Its gradient is `σ(−x)`.
///
/// m is a constant for the gradient, which does not depend on it. (The usual `min(x, 0) − log(1 + exp(−|x|))` has two
/// corners at 0 that cancel in theory; candle's gradients there add up to 1, not ½, and preferences begin at 0.) There
/// is no faster version: losses take it of one number a text.
///
/// ```
/// # use gpt_lab::{candle_core::{Device, Tensor}, ops};
/// let y = ops::log_sigmoid(&Tensor::new(&[0f64, -1000.0], &Device::Cpu)?)?;
/// assert_eq!(y.to_vec1::<f64>()?, [0.5f64.ln(), -1000.0]);
/// # Ok::<(), gpt_lab::Error>(())
/// ```
pub fn log_sigmoid(x: &Tensor) -> Result<Tensor> {
    let m = x.neg()?.relu()?.detach();
    let sum = (m.neg()?.exp()? + (x + &m)?.neg()?.exp()?)?;
    Ok((m + sum.log()?)?.neg()?)
}

/// `x` with what this dropout drops set to zero, if there is any.
fn dropped(x: &Tensor, drop: Option<Dropout>) -> Result<Tensor> {
    match drop {
        Some(Dropout { p, seed }) => dropout(x, p, seed),
        None => Ok(x.clone()),
    }
}

/// All heads' queries (`part` 0), keys (1) or values (2); `[B, T, 3C]` → `[B, H, T, D]`.
fn head_vectors(qkv: &Tensor, n_head: usize, part: usize) -> Result<Tensor> {
    let (b, t, c3) = qkv.dims3()?;
    let d = head_size(c3, n_head)?;
    let vectors = qkv.narrow(D::Minus1, part * n_head * d, n_head * d)?; // [B, T, C]
    Ok(vectors.reshape((b, t, n_head, d))?.transpose(1, 2)?.contiguous()?) // [B, H, T, D]
}

/// `D`, if `3 · n_head · D` is the width of `qkv`.
pub(super) fn head_size(width: usize, n_head: usize) -> Result<usize> {
    if n_head == 0 || width == 0 || !width.is_multiple_of(3 * n_head) {
        let expected = format!("a number of heads that divides the width of qkv ({width}) by three");
        return Err(Error::argument("n_head", n_head, expected));
    }
    Ok(width / (3 * n_head))
}
