//! Softmax over rows.

use crate::math::{exp, max, mul_add, sum, sum2};
use crate::rows::for_rows;
use crate::simd::{Unit, with_unit};

/// `y_i = exp(x_i − max x) / Σ_j exp(x_j − max x)` of every row; `[rows, n]` → `[rows, n]`.
pub fn forward(x: &[f32], n: usize) -> Vec<f32> {
    let mut y = x.to_vec();
    for_rows(&mut y, n, |_, y| {
        with_unit!(|unit| for row in y.chunks_exact_mut(n) {
            softmax_row(unit, row);
        });
    });
    y
}

// ∂y_i/∂x_j = y_i (δ_ij − y_j), so ∂x_i = y_i (g_i − Σ_j g_j y_j).
/// `∂x` from the result and its gradient, all `[rows, n]`.
pub fn backward(y: &[f32], grad: &[f32], n: usize) -> Vec<f32> {
    let mut dx = vec![0.0; y.len()];
    for_rows(&mut dx, n, |first, dx| {
        let (y, g) = (&y[first * n..], &grad[first * n..]);
        with_unit!(|unit| for ((dx, y), g) in dx.chunks_exact_mut(n).zip(y.chunks_exact(n)).zip(g.chunks_exact(n)) {
            let mean_g = sum2(
                g,
                y,
                #[inline(always)]
                |sum, g, y| mul_add(unit, g, y, sum),
            );
            for ((dx, y), g) in dx.iter_mut().zip(y).zip(g) {
                *dx = y * (g - mean_g);
            }
        });
    });
    dx
}

/// Softmax of one row, in place.
#[inline(always)]
pub(crate) fn softmax_row<U: Unit>(unit: U, row: &mut [f32]) {
    let top = max(row);
    for x in row.iter_mut() {
        *x = exp(unit, *x - top);
    }
    let scale = 1.0 / sum(row);
    for x in row.iter_mut() {
        *x *= scale;
    }
}

/// `exp(x_i − max x)`, and the maximum.
pub fn exp_below_max(x: &[f32]) -> (Vec<f32>, f32) {
    let mut y = x.to_vec();
    let top = with_unit!(|unit| {
        let top = max(&y);
        for y in y.iter_mut() {
            *y = exp(unit, *y - top);
        }
        top
    });
    (y, top)
}
