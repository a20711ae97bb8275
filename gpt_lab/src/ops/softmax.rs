//! Softmax over the last axis.

use candle_core::{CpuStorage, CustomOp1, D, Device, Layout, Shape, Tensor};

use super::kernel::{Values, exp, fast, for_rows, max, mul_add, sum, sum2, values, vectorized};
use super::reference;
use crate::Result;

/// `y_i = exp(x_i − max x) / Σ_j exp(x_j − max x)` over the last axis; shapes `[…, N]` → `[…, N]`.
///
/// Subtracting the maximum changes nothing in exact arithmetic and keeps `exp` from overflowing.
pub fn softmax(x: &Tensor) -> Result<Tensor> {
    if !fast(&[x]) || x.elem_count() == 0 || x.rank() == 0 {
        return reference::softmax(x);
    }
    Ok(x.contiguous()?.apply_op1(Softmax)?)
}

/// The fast version.
struct Softmax;

impl CustomOp1 for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let mut y = values(x, layout)?.to_vec();
        let n = layout.dims()[layout.dims().len() - 1];
        for_rows(&mut y, n, |_, y| {
            vectorized(
                #[inline(always)]
                |fma| {
                    for row in y.chunks_exact_mut(n) {
                        softmax_row(fma, row);
                    }
                },
            );
        });
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    // ∂y_i/∂x_j = y_i (δ_ij − y_j), so ∂x_i = y_i (g_i − Σ_j g_j y_j).
    fn bwd(&self, x: &Tensor, y: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let (y, g) = (Values::of(y)?, Values::of(&grad)?);
        let n = x.dim(D::Minus1)?;
        let mut dx = vec![0.0; y.len()];
        for_rows(&mut dx, n, |first, dx| {
            let (y, g) = (&y[first * n..], &g[first * n..]);
            vectorized(
                #[inline(always)]
                |fma| {
                    for ((dx, y), g) in dx.chunks_exact_mut(n).zip(y.chunks_exact(n)).zip(g.chunks_exact(n)) {
                        let mean_g = sum2(g, y, |sum, g, y| mul_add(fma, g, y, sum));
                        for ((dx, y), g) in dx.iter_mut().zip(y).zip(g) {
                            *dx = y * (g - mean_g);
                        }
                    }
                },
            );
        });
        Ok(Some(Tensor::from_vec(dx, x.shape(), &Device::Cpu)?))
    }
}

/// `exp(x_i − max x)` of plain numbers, and the maximum.
pub(crate) fn exp_below_max(x: &[f32]) -> (Vec<f32>, f32) {
    let mut y = x.to_vec();
    let top = vectorized(
        #[inline(always)]
        |fma| {
            let top = max(&y);
            for y in y.iter_mut() {
                *y = exp(fma, *y - top);
            }
            top
        },
    );
    (y, top)
}

/// Softmax of one row, in place.
#[inline(always)]
pub(super) fn softmax_row(fma: bool, row: &mut [f32]) {
    let top = max(row);
    for x in row.iter_mut() {
        *x = exp(fma, *x - top);
    }
    let scale = 1.0 / sum(row);
    for x in row.iter_mut() {
        *x *= scale;
    }
}
