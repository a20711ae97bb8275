//! The first half of a transformer block in one op: layer norm, self-attention, dropout and the way around them.

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp2, Device, Layout, Shape, Tensor};
use rayon::prelude::*;

use super::attention_fast::CausalAttention;
use super::dropout::Mask;
use super::kernel::{Values, fast, values, vectorized};
use super::layer_norm::LayerNorm;
use super::mlp_block::{add_residual, dropped};
use super::product::{Matrix, multiply};
use super::spans::{Part, part_rows, span_of};
use super::ties::Ties;
use super::{Dropout, reference};
use crate::Result;

/// The parameters of [`attention_block`].
#[derive(Debug, Clone)]
pub struct AttentionBlock {
    /// Of the layer norm, `[C]`.
    pub ln_weight: Tensor,
    /// Of the layer norm, `[C]`.
    pub ln_bias: Tensor,
    /// Added to the variance.
    pub eps: f64,
    /// To queries, keys and values, `[C, 3C]`.
    pub qkv_weight: Tensor,
    /// `[3C]`, if there is one.
    pub qkv_bias: Option<Tensor>,
    /// `[C, C]`, back to the residual stream.
    pub proj_weight: Tensor,
    /// `[C]`.
    pub proj_bias: Tensor,
    /// H, which divides C.
    pub n_head: usize,
    /// The factor on the scores.
    pub scale: f64,
}

/// `x + dropout(causal_attention(layer_norm(x) W₁ + b₁) W₂ + b₂)`; `[B, T, C]` → `[B, T, C]`. `drop_weights` is the dropout of the
/// attention weights, `drop_result` that of the result.
///
/// One op instead of five. The backward pass needs `x`, queries, keys and values, and what the attention made of them. Errors:
/// shapes that do not fit together.
pub fn attention_block(
    x: &Tensor,
    block: &AttentionBlock,
    drop_weights: Option<Dropout>,
    drop_result: Option<Dropout>,
) -> Result<Tensor> {
    if !suits(x, block) {
        return reference::attention_block(x, block, drop_weights, drop_result);
    }
    let (ties, end) = Ties::new(block.tensors())?;
    let mask = |dropout: Option<Dropout>| dropout.map(Mask::new).transpose();
    let (n_head, d) = (block.n_head, x.dim(2)? / block.n_head);
    let op = Fused {
        ties,
        ln: LayerNorm { eps: block.eps as f32 },
        attention: CausalAttention { n_head, d, scale: block.scale as f32, mask: mask(drop_weights)? },
        mask: mask(drop_result)?,
        kept: OnceLock::new(),
    };
    Ok(x.contiguous()?.apply_op2(&end, op)?)
}

/// Whether the fast version can do this; what it cannot, the reference does or refuses.
fn suits(x: &Tensor, block: &AttentionBlock) -> bool {
    let tensors = block.tensors();
    let Ok((_, _, c)) = x.dims3() else { return false };
    let shapes: [&[usize]; 6] = [&[c], &[c], &[c, c], &[c], &[c, 3 * c], &[3 * c]];
    let fit = tensors.iter().zip(shapes).all(|(tensor, shape)| tensor.dims() == shape && tensor.is_contiguous());
    let heads_fit = block.n_head > 0 && c.is_multiple_of(block.n_head);
    fit && heads_fit && fast(&[x]) && fast(&tensors.iter().collect::<Vec<_>>()) && x.elem_count() > 0
}

impl AttentionBlock {
    /// The bias that may be missing comes last.
    fn tensors(&self) -> Vec<Tensor> {
        let always = [&self.ln_weight, &self.ln_bias, &self.proj_weight, &self.proj_bias, &self.qkv_weight];
        always.into_iter().chain(&self.qkv_bias).cloned().collect()
    }
}

/// The parameters' places.
const LN_WEIGHT: usize = 0;
const PROJ_WEIGHT: usize = 2;
const PROJ_BIAS: usize = 3;
const QKV_WEIGHT: usize = 4;
const QKV_BIAS: usize = 5;

/// The fast version.
struct Fused {
    ties: Ties,
    ln: LayerNorm,
    attention: CausalAttention,
    mask: Option<Mask>,
    kept: OnceLock<Kept>,
}

/// What the forward pass keeps for the backward pass.
struct Kept {
    /// `[B, T, 3C]`.
    qkv: Vec<f32>,
    /// What the attention made of it, `[B, T, C]`.
    mixed: Vec<f32>,
}

impl CustomOp2 for Fused {
    fn name(&self) -> &'static str {
        "attention_block"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        layout: &Layout,
        _end: &CpuStorage,
        _: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (b, t, c) = layout.shape().dims3()?;
        let span = span_of(b * t);
        let x = values(x, layout)?;
        let held = self.ties.tensors.iter().map(Values::of).collect::<candle_core::Result<Vec<_>>>()?;
        let [ln_w, ln_b, proj_w, proj_b, qkv_w]: [&[f32]; 5] = std::array::from_fn(|at| &*held[at]);
        let qkv_b = held.get(QKV_BIAS).map(|bias| &**bias);
        let mut qkv = vec![0.0; 3 * x.len()];
        qkv.par_chunks_mut(span * 3 * c).zip(x.par_chunks(span * c)).for_each_init(
            || vec![0.0; span * c],
            |h, (qkv, x)| {
                let h = &mut h[..x.len()];
                self.ln.rows(x, ln_w, ln_b, h);
                multiply(Matrix::new(h, c), Matrix::new(qkv_w, 3 * c), qkv);
                qkv_b.into_iter().for_each(|bias| add_bias(qkv, bias));
            },
        );
        let mut mixed = vec![0.0; x.len()];
        self.attention.forward(&qkv, t, &mut mixed);
        let mut y = vec![0.0; x.len()];
        let spans = y.par_chunks_mut(span * c).zip(mixed.par_chunks(span * c)).zip(x.par_chunks(span * c));
        spans.enumerate().for_each(|(i, ((y, mixed), x))| {
            multiply(Matrix::new(mixed, c), Matrix::new(proj_w, c), y);
            add_residual(y, proj_b, self.mask, i * span * c, x);
        });
        let _ = self.kept.set(Kept { qkv, mixed }); // the op is applied once, so the cell is empty
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    // With h = layer_norm(x), q = h W₁ + b₁, m = attention(q), y = x + M ∘ (m W₂ + b₂) and d = M ∘ ∂y:
    //   ∂W₂ = mᵀ d,   ∂m = d W₂ᵀ,   ∂q = attention'(∂m),   ∂W₁ = hᵀ ∂q,   ∂h = ∂q W₁ᵀ,   ∂x = ∂y + layer_norm'(∂h)
    fn bwd(
        &self,
        x: &Tensor,
        end: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let ((b, t, c), xs, gs) = (x.dims3()?, Values::of(x)?, Values::of(&grad)?);
        let held = self.ties.tensors.iter().map(Values::of).collect::<candle_core::Result<Vec<_>>>()?;
        let [ln_w, ln_b, proj_w, _, qkv_w]: [&[f32]; 5] = std::array::from_fn(|at| &*held[at]);
        let Kept { qkv, mixed } = self.kept.get().expect("forward comes before backward");
        let mut dx = vec![0.0; xs.len()];
        let (rows, span) = (part_rows(&self.ties, b * t), span_of(b * t));
        // ∂m, in the place of ∂x.
        let parts = dx.par_chunks_mut(rows * c).zip(mixed.par_chunks(rows * c)).zip(gs.par_chunks(rows * c));
        let parts = parts.enumerate().map_init(
            || vec![0.0; span * c],
            |place, (i, ((dm, mixed), grad))| {
                let mut part = Part::new(&self.ties);
                let spans = dm.chunks_mut(span * c).zip(mixed.chunks(span * c)).zip(grad.chunks(span * c));
                for (j, ((dm, mixed), grad)) in spans.enumerate() {
                    let d = dropped(grad, self.mask, (i * rows + j * span) * c, &mut place[..grad.len()]);
                    multiply(Matrix::new(d, c), Matrix::new(proj_w, c).t(), dm);
                    part.weight(PROJ_WEIGHT, Matrix::new(mixed, c), Matrix::new(d, c));
                    part.bias(PROJ_BIAS, d);
                }
                part
            },
        );
        let mut parts: Vec<_> = parts.collect();
        let mut dqkv = vec![0.0; 3 * xs.len()];
        self.attention.backward(qkv, &dx, t, &mut dqkv);
        let spans = dx.par_chunks_mut(rows * c).zip(xs.par_chunks(rows * c)).zip(gs.par_chunks(rows * c));
        spans.zip(dqkv.par_chunks(rows * 3 * c)).zip(&mut parts).for_each_init(
            || vec![0.0; span * c],
            |h, ((((dx, x), grad), dqkv), part)| {
                let spans = dx.chunks_mut(span * c).zip(x.chunks(span * c)).zip(grad.chunks(span * c));
                for (((dx, x), grad), dqkv) in spans.zip(dqkv.chunks(span * 3 * c)) {
                    let h = &mut h[..x.len()];
                    self.ln.rows(x, ln_w, ln_b, h);
                    part.weight(QKV_WEIGHT, Matrix::new(h, c), Matrix::new(dqkv, 3 * c));
                    if held.len() > QKV_BIAS {
                        part.bias(QKV_BIAS, dqkv);
                    }
                    multiply(Matrix::new(dqkv, 3 * c), Matrix::new(qkv_w, 3 * c).t(), dx);
                    part.pair(LN_WEIGHT, |dw, db| self.ln.add_grad_weight_bias(x, dx, dw, db));
                    self.ln.grad_rows(x, ln_w, dx);
                    dx.iter_mut().zip(grad).for_each(|(dx, g)| *dx += g);
                }
            },
        );
        let end = self.ties.lay_down(Part::total(parts)?, end)?;
        let dx = if x.track_op() { Some(Tensor::from_vec(dx, x.shape(), &Device::Cpu)?) } else { None };
        Ok((dx, end))
    }
}

/// Adds `bias` to every row.
fn add_bias(rows: &mut [f32], bias: &[f32]) {
    vectorized(
        #[inline(always)]
        |_| {
            for row in rows.chunks_exact_mut(bias.len()) {
                row.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
            }
        },
    );
}
