//! Layer normalisation (Ba, Kiros, Hinton 2016, <https://arxiv.org/abs/1607.06450>, section 3).

use candle_core::{CpuStorage, CustomOp3, Device, Layout, Shape, Tensor};

use super::kernel::{Values, fast, for_rows, mul_add, sum, sum_rows, sum2, values, vectorized};
use super::reference;
use crate::Result;

/// `y = (x − mean) / √(var + eps) · weight + bias`, with mean and (biased) variance over the last axis.
///
/// Shapes: `x` is `[…, C]`, `weight` and `bias` are `[C]`, the result is `[…, C]`.
pub fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    if !fast(&[x, weight, bias]) || weight.dims() != &x.dims()[x.rank().saturating_sub(1)..] || x.elem_count() == 0 {
        return reference::layer_norm(x, weight, bias, eps);
    }
    let op = LayerNorm { eps: eps as f32 };
    Ok(x.contiguous()?.apply_op3(&weight.contiguous()?, &bias.contiguous()?, op)?)
}

/// The fast version. It keeps nothing for the backward pass: mean and deviation of a row cost less than keeping them.
pub(super) struct LayerNorm {
    pub(super) eps: f32,
}

impl CustomOp3 for LayerNorm {
    fn name(&self) -> &'static str {
        "layer_norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (x, weight, bias) = (values(x, x_layout)?, values(weight, weight_layout)?, values(bias, bias_layout)?);
        let c = weight.len();
        let mut y = vec![0.0; x.len()];
        for_rows(&mut y, c, |first, y| self.rows(&x[first * c..][..y.len()], weight, bias, y));
        Ok((CpuStorage::F32(y), x_layout.shape().clone()))
    }

    // With x̂ = (x − mean) / std, y = x̂ w + b and ĝ = g w:
    //   ∂b = Σ_rows g,   ∂w = Σ_rows g x̂,   ∂x = (ĝ − mean(ĝ) − x̂ mean(ĝ x̂)) / std
    // The last is ĝ without its components along 1 and x̂, which the normalisation removes.
    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let (xs, ws, gs) = (Values::of(x)?, Values::of(weight)?, Values::of(&grad)?);
        let c = ws.len();
        let dx = if x.track_op() {
            Some(Tensor::from_vec(self.grad_x(&xs, &ws, &gs), x.shape(), &Device::Cpu)?)
        } else {
            None
        };
        if !weight.track_op() && !bias.track_op() {
            return Ok((dx, None, None));
        }
        let sums = self.grad_weight_bias(&xs, &gs, c);
        let half = |values: &[f32]| Tensor::new(values, &Device::Cpu);
        Ok((dx, Some(half(&sums[..c])?), Some(half(&sums[c..])?)))
    }
}

impl LayerNorm {
    /// Mean and 1 / standard deviation of a row.
    #[inline(always)]
    fn moments(&self, fma: bool, x: &[f32]) -> (f32, f32) {
        let n = x.len() as f32;
        let mean = sum(x) / n;
        let var = sum2(x, x, |sum, x, _| mul_add(fma, x - mean, x - mean, sum)) / n;
        (mean, 1.0 / (var + self.eps).sqrt())
    }

    /// `y` of some rows.
    pub(super) fn rows(&self, x: &[f32], weight: &[f32], bias: &[f32], y: &mut [f32]) {
        let c = weight.len();
        vectorized(
            #[inline(always)]
            |fma| {
                for (y, x) in y.chunks_exact_mut(c).zip(x.chunks_exact(c)) {
                    let (mean, inv_std) = self.moments(fma, x);
                    for (((y, x), w), b) in y.iter_mut().zip(x).zip(weight).zip(bias) {
                        *y = mul_add(fma, (x - mean) * inv_std, *w, *b);
                    }
                }
            },
        );
    }

    fn grad_x(&self, x: &[f32], weight: &[f32], grad: &[f32]) -> Vec<f32> {
        let c = weight.len();
        let mut dx = vec![0.0; x.len()];
        for_rows(&mut dx, c, |first, dx| {
            dx.copy_from_slice(&grad[first * c..][..dx.len()]);
            self.grad_rows(&x[first * c..][..dx.len()], weight, dx);
        });
        dx
    }

    /// ∂x of some rows, in the place of their ∂y.
    pub(super) fn grad_rows(&self, x: &[f32], weight: &[f32], grad: &mut [f32]) {
        let c = weight.len();
        vectorized(
            #[inline(always)]
            |fma| {
                for (g, x) in grad.chunks_exact_mut(c).zip(x.chunks_exact(c)) {
                    let (mean, inv_std) = self.moments(fma, x);
                    for (g, w) in g.iter_mut().zip(weight) {
                        *g *= w;
                    }
                    let mean_g = sum(g) / c as f32;
                    let along = sum2(g, x, |sum, g, x| mul_add(fma, g, x - mean, sum)) * inv_std / c as f32;
                    for (g, x) in g.iter_mut().zip(x) {
                        *g = (*g - mean_g - (x - mean) * inv_std * along) * inv_std;
                    }
                }
            },
        );
    }

    /// ∂w and ∂b, one behind the other.
    fn grad_weight_bias(&self, x: &[f32], grad: &[f32], c: usize) -> Vec<f32> {
        sum_rows(x.len() / c, c, 2 * c, |rows, sums| {
            let (dw, db) = sums.split_at_mut(c);
            let span = rows.start * c..rows.end * c;
            self.add_grad_weight_bias(&x[span.clone()], &grad[span], dw, db);
        })
    }

    /// Adds to `dw` and `db` what some rows bring.
    pub(super) fn add_grad_weight_bias(&self, x: &[f32], grad: &[f32], dw: &mut [f32], db: &mut [f32]) {
        let c = dw.len();
        vectorized(
            #[inline(always)]
            |fma| {
                for (x, g) in x.chunks_exact(c).zip(grad.chunks_exact(c)) {
                    let (mean, inv_std) = self.moments(fma, x);
                    for (((dw, db), g), x) in dw.iter_mut().zip(db.iter_mut()).zip(g).zip(x) {
                        *dw = mul_add(fma, *g, (x - mean) * inv_std, *dw);
                        *db += g;
                    }
                }
            },
        );
    }
}
