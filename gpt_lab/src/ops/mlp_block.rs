//! The second half of a transformer block in one op: layer norm, MLP, dropout and the way around them.

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp2, D, Device, Layout, Shape, Tensor};
use rayon::prelude::*;

use super::dropout::Mask;
use super::gelu::{gelu_and_slope, gelu_value};
use super::kernel::{Values, fast, values, vectorized};
use super::layer_norm::LayerNorm;
use super::product::{Matrix, multiply};
use super::spans::{Part, part_rows, span_of};
use super::ties::Ties;
use super::{Dropout, reference};
use crate::Result;

/// The parameters of [`mlp_block`].
#[derive(Debug, Clone)]
pub struct MlpBlock {
    /// Of the layer norm, `[C]`.
    pub ln_weight: Tensor,
    /// Of the layer norm, `[C]`.
    pub ln_bias: Tensor,
    /// Added to the variance.
    pub eps: f64,
    /// `[C, M]`, to the width M of the middle.
    pub fc_weight: Tensor,
    /// `[M]`.
    pub fc_bias: Tensor,
    /// `[M, C]`, back to the residual stream.
    pub proj_weight: Tensor,
    /// `[C]`.
    pub proj_bias: Tensor,
}

/// `x + dropout(gelu(layer_norm(x) W₁ + b₁) W₂ + b₂)`, with GPT-2's GELU; `[…, C]` → `[…, C]`.
///
/// One op instead of six: a span of rows goes through all of them while it is in the cache, and the backward pass needs nothing
/// but `x` and the input of the GELU. Errors: shapes that do not fit together.
pub fn mlp_block(x: &Tensor, block: &MlpBlock, dropout: Option<Dropout>) -> Result<Tensor> {
    if !suits(x, block) {
        return reference::mlp_block(x, block, dropout);
    }
    let mask = dropout.map(Mask::new).transpose()?;
    let (ties, end) = Ties::new(block.tensors())?;
    let op = Fused { ties, ln: LayerNorm { eps: block.eps as f32 }, mask, before_gelu: OnceLock::new() };
    Ok(x.contiguous()?.apply_op2(&end, op)?)
}

/// Whether the fast version can do this; what it cannot, the reference does or refuses.
fn suits(x: &Tensor, block: &MlpBlock) -> bool {
    let tensors = block.tensors();
    let (Ok(c), Ok((_, m))) = (x.dim(D::Minus1), block.fc_weight.dims2()) else { return false };
    let shapes: [&[usize]; 6] = [&[c], &[c], &[c, m], &[m], &[m, c], &[c]];
    let fit = tensors.iter().zip(shapes).all(|(tensor, shape)| tensor.dims() == shape && tensor.is_contiguous());
    fit && fast(&[x]) && fast(&tensors.iter().collect::<Vec<_>>()) && x.elem_count() > 0 && m > 0
}

impl MlpBlock {
    fn tensors(&self) -> Vec<Tensor> {
        [&self.ln_weight, &self.ln_bias, &self.fc_weight, &self.fc_bias, &self.proj_weight, &self.proj_bias]
            .map(Tensor::clone)
            .into()
    }
}

/// The parameters' places.
const LN_WEIGHT: usize = 0;
const FC_WEIGHT: usize = 2;
const FC_BIAS: usize = 3;
const PROJ_WEIGHT: usize = 4;
const PROJ_BIAS: usize = 5;

/// The fast version.
struct Fused {
    ties: Ties,
    ln: LayerNorm,
    mask: Option<Mask>,
    /// `[rows, M]`, kept for the backward pass.
    before_gelu: OnceLock<Vec<f32>>,
}

impl CustomOp2 for Fused {
    fn name(&self) -> &'static str {
        "mlp_block"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        layout: &Layout,
        _end: &CpuStorage,
        _: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let x = values(x, layout)?;
        let held = self.ties.tensors.iter().map(Values::of).collect::<candle_core::Result<Vec<_>>>()?;
        let [ln_w, ln_b, fc_w, fc_b, proj_w, proj_b]: [&[f32]; 6] = std::array::from_fn(|at| &*held[at]);
        let (c, m) = (ln_w.len(), fc_b.len());
        let span = span_of(x.len() / c);
        let mut f = vec![0.0; x.len() / c * m];
        let mut y = vec![0.0; x.len()];
        let spans = f.par_chunks_mut(span * m).zip(y.par_chunks_mut(span * c)).zip(x.par_chunks(span * c));
        spans.enumerate().for_each_init(
            || (vec![0.0; span * c], vec![0.0; span * m]),
            |(h, g), (i, ((f, y), x))| {
                let (h, g) = (&mut h[..x.len()], &mut g[..f.len()]);
                self.ln.rows(x, ln_w, ln_b, h);
                multiply(Matrix::new(h, c), Matrix::new(fc_w, m), f);
                add_bias_and_bend(f, fc_b, g);
                multiply(Matrix::new(g, m), Matrix::new(proj_w, c), y);
                add_residual(y, proj_b, self.mask, i * span * c, x);
            },
        );
        let _ = self.before_gelu.set(f); // the op is applied once, so the cell is empty
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    // With h = layer_norm(x), f = h W₁ + b₁, g = gelu(f), y = x + M ∘ (g W₂ + b₂) and d = M ∘ ∂y:
    //   ∂W₂ = gᵀ d,   ∂f = d W₂ᵀ ∘ gelu'(f),   ∂W₁ = hᵀ ∂f,   ∂h = ∂f W₁ᵀ,   ∂x = ∂y + layer_norm'(∂h)
    fn bwd(
        &self,
        x: &Tensor,
        end: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let (shape, xs, gs) = (x.shape(), Values::of(x)?, Values::of(&grad)?);
        let held = self.ties.tensors.iter().map(Values::of).collect::<candle_core::Result<Vec<_>>>()?;
        let [ln_w, ln_b, fc_w, fc_b, proj_w, _]: [&[f32]; 6] = std::array::from_fn(|at| &*held[at]);
        let (c, m) = (ln_w.len(), fc_b.len());
        let f = self.before_gelu.get().expect("forward comes before backward");
        let mut dx = vec![0.0; xs.len()];
        let (rows, span) = (part_rows(&self.ties, xs.len() / c), span_of(xs.len() / c));
        let parts = dx.par_chunks_mut(rows * c).zip(xs.par_chunks(rows * c)).zip(gs.par_chunks(rows * c));
        let parts = parts.zip(f.par_chunks(rows * m)).enumerate().map_init(
            || (vec![0.0; span * c], vec![0.0; span * m], vec![0.0; span * m]),
            |(h, g, df), (i, (((dx, x), grad), f))| {
                let mut part = Part::new(&self.ties);
                let spans = dx.chunks_mut(span * c).zip(x.chunks(span * c)).zip(grad.chunks(span * c));
                for (j, (((dx, x), grad), f)) in spans.zip(f.chunks(span * m)).enumerate() {
                    let (h, g, df) = (&mut h[..x.len()], &mut g[..f.len()], &mut df[..f.len()]);
                    let d = dropped(grad, self.mask, (i * rows + j * span) * c, h);
                    multiply(Matrix::new(d, c), Matrix::new(proj_w, c).t(), df);
                    bend_back(f, g, df);
                    part.weight(PROJ_WEIGHT, Matrix::new(g, m), Matrix::new(d, c));
                    part.bias(PROJ_BIAS, d);
                    self.ln.rows(x, ln_w, ln_b, h);
                    part.weight(FC_WEIGHT, Matrix::new(h, c), Matrix::new(df, m));
                    part.bias(FC_BIAS, df);
                    multiply(Matrix::new(df, m), Matrix::new(fc_w, m).t(), dx);
                    part.pair(LN_WEIGHT, |dw, db| self.ln.add_grad_weight_bias(x, dx, dw, db));
                    self.ln.grad_rows(x, ln_w, dx);
                    dx.iter_mut().zip(grad).for_each(|(dx, g)| *dx += g);
                }
                part
            },
        );
        let parts: Vec<_> = parts.collect();
        let end = self.ties.lay_down(Part::total(parts)?, end)?;
        let dx = if x.track_op() { Some(Tensor::from_vec(dx, shape, &Device::Cpu)?) } else { None };
        Ok((dx, end))
    }
}

/// `f ← f + bias`, `g = gelu(f)`.
fn add_bias_and_bend(f: &mut [f32], bias: &[f32], g: &mut [f32]) {
    vectorized(
        #[inline(always)]
        |fma| {
            for (f, g) in f.chunks_exact_mut(bias.len()).zip(g.chunks_exact_mut(bias.len())) {
                for ((f, g), b) in f.iter_mut().zip(g).zip(bias) {
                    *f += b;
                    *g = gelu_value(fma, *f);
                }
            }
        },
    );
}

/// `g = gelu(f)`, `df ← df ∘ gelu'(f)`.
fn bend_back(f: &[f32], g: &mut [f32], df: &mut [f32]) {
    vectorized(
        #[inline(always)]
        |fma| {
            for ((f, g), df) in f.iter().zip(g).zip(df) {
                let (value, slope) = gelu_and_slope(fma, *f);
                *g = value;
                *df *= slope;
            }
        },
    );
}

/// `y ← x + M ∘ (y + bias)`, for elements from `first` on in the mask.
pub(super) fn add_residual(y: &mut [f32], bias: &[f32], mask: Option<Mask>, first: usize, x: &[f32]) {
    let c = bias.len();
    vectorized(
        #[inline(always)]
        |_| {
            for (row, (y, x)) in y.chunks_exact_mut(c).zip(x.chunks_exact(c)).enumerate() {
                for (i, ((y, b), x)) in y.iter_mut().zip(bias).zip(x).enumerate() {
                    let factor = mask.map_or(1.0, |mask| mask.factor(first + row * c + i));
                    *y = x + (*y + b) * factor;
                }
            }
        },
    );
}

/// `M ∘ grad`, in `place` if there is something to drop.
pub(super) fn dropped<'a>(grad: &'a [f32], mask: Option<Mask>, first: usize, place: &'a mut [f32]) -> &'a [f32] {
    let Some(mask) = mask else { return grad };
    vectorized(
        #[inline(always)]
        |_| {
            for (i, (d, g)) in place.iter_mut().zip(grad).enumerate() {
                *d = g * mask.factor(first + i);
            }
        },
    );
    place
}
