//! Layer normalisation (Ba, Kiros, Hinton 2016, <https://arxiv.org/abs/1607.06450>, section 3).

use crate::math::{mul_add, sum, sum2};
use crate::rows::{for_rows, sum_rows};
use crate::simd::{Unit, with_unit};

/// The parameters of a layer norm over rows of width C. Nothing is saved for the backward pass: mean and deviation of a
/// row cost less than saving them.
#[derive(Debug, Clone, Copy)]
pub struct LayerNorm<'a> {
    /// `[C]`.
    pub weight: &'a [f32],
    /// `[C]`.
    pub bias: &'a [f32],
    /// Added to the variance.
    pub eps: f32,
}

impl LayerNorm<'_> {
    /// `y = (x − mean) / √(var + eps) · weight + bias`; `[rows, C]` → `[rows, C]`.
    pub fn forward(&self, x: &[f32]) -> Vec<f32> {
        let c = self.weight.len();
        let mut y = vec![0.0; x.len()];
        for_rows(&mut y, c, |first, y| self.rows(&x[first * c..][..y.len()], y));
        y
    }

    /// `∂x`, `∂weight` and `∂bias`, those that are wanted; the last two go together.
    pub fn backward(&self, x: &[f32], grad: &[f32], wanted: [bool; 3]) -> [Option<Vec<f32>>; 3] {
        let dx = wanted[0].then(|| self.grad_x(x, grad));
        if !wanted[1] && !wanted[2] {
            return [dx, None, None];
        }
        let c = self.weight.len();
        let mut dw = sum_rows(x.len() / c, c, 2 * c, |rows, sums| {
            let (dw, db) = sums.split_at_mut(c);
            let span = rows.start * c..rows.end * c;
            self.add_grad_weight_bias(&x[span.clone()], &grad[span], dw, db);
        });
        let db = dw.split_off(c);
        [dx, Some(dw), Some(db)]
    }

    fn grad_x(&self, x: &[f32], grad: &[f32]) -> Vec<f32> {
        let c = self.weight.len();
        let mut dx = vec![0.0; x.len()];
        for_rows(&mut dx, c, |first, dx| {
            dx.copy_from_slice(&grad[first * c..][..dx.len()]);
            self.grad_rows(&x[first * c..][..dx.len()], dx);
        });
        dx
    }

    /// `y` of some rows.
    pub(crate) fn rows(&self, x: &[f32], y: &mut [f32]) {
        let c = self.weight.len();
        with_unit!(|unit| for (y, x) in y.chunks_exact_mut(c).zip(x.chunks_exact(c)) {
            let (mean, inv_std) = self.moments(unit, x);
            for (((y, x), w), b) in y.iter_mut().zip(x).zip(self.weight).zip(self.bias) {
                *y = mul_add(unit, (x - mean) * inv_std, *w, *b);
            }
        });
    }

    // With x̂ = (x − mean) / std, y = x̂ w + b and ĝ = g w:
    //   ∂b = Σ_rows g,   ∂w = Σ_rows g x̂,   ∂x = (ĝ − mean(ĝ) − x̂ mean(ĝ x̂)) / std
    // The last is ĝ without its components along 1 and x̂, which the normalisation removes.

    /// `∂x` of some rows, in the place of their `∂y`.
    pub(crate) fn grad_rows(&self, x: &[f32], grad: &mut [f32]) {
        let c = self.weight.len();
        with_unit!(|unit| for (g, x) in grad.chunks_exact_mut(c).zip(x.chunks_exact(c)) {
            let (mean, inv_std) = self.moments(unit, x);
            for (g, w) in g.iter_mut().zip(self.weight) {
                *g *= w;
            }
            let mean_g = sum(g) / c as f32;
            let along = sum2(
                g,
                x,
                #[inline(always)]
                |sum, g, x| mul_add(unit, g, x - mean, sum),
            );
            let along = along * inv_std / c as f32;
            for (g, x) in g.iter_mut().zip(x) {
                *g = (*g - mean_g - (x - mean) * inv_std * along) * inv_std;
            }
        });
    }

    /// Adds to `dw` and `db` what some rows bring.
    pub(crate) fn add_grad_weight_bias(&self, x: &[f32], grad: &[f32], dw: &mut [f32], db: &mut [f32]) {
        let c = dw.len();
        with_unit!(|unit| for (x, g) in x.chunks_exact(c).zip(grad.chunks_exact(c)) {
            let (mean, inv_std) = self.moments(unit, x);
            for (((dw, db), g), x) in dw.iter_mut().zip(db.iter_mut()).zip(g).zip(x) {
                *dw = mul_add(unit, *g, (x - mean) * inv_std, *dw);
                *db += g;
            }
        });
    }

    /// Mean and 1 / standard deviation of a row.
    #[inline(always)]
    fn moments<U: Unit>(&self, unit: U, x: &[f32]) -> (f32, f32) {
        let n = x.len() as f32;
        let mean = sum(x) / n;
        let squares = sum2(
            x,
            x,
            #[inline(always)]
            |sum, x, _| mul_add(unit, x - mean, x - mean, sum),
        );
        (mean, 1.0 / (squares / n + self.eps).sqrt())
    }
}
