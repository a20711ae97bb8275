//! Linear layers, `y = x W + b`: for a few rows, in spans of rows, or with all threads on one product.

use rayon::prelude::*;

use crate::few_rows::{self, FEW};
use crate::matrix::{Matrix, multiply, product_on_all_threads};
use crate::rows::{add_bias, add_column_sums, for_rows, sum_rows};
use crate::spans::span_of;

/// Wider results (the scores of a large vocabulary) are made by all threads together: span after span would pack the
/// matrix too often.
const WIDE: usize = 8192;

/// A layer's weight.
#[derive(Debug, Clone, Copy)]
pub struct Weight<'a> {
    /// Its numbers.
    pub values: &'a [f32],
    /// Width of `x`.
    pub n_in: usize,
    /// Width of `y`.
    pub n_out: usize,
    /// The values are `[n_out, n_in]` and not `[n_in, n_out]`.
    pub transposed: bool,
}

impl<'a> Weight<'a> {
    /// W, `[n_in, n_out]`.
    pub(crate) fn matrix(&self) -> Matrix<'a> {
        match self.transposed {
            true => Matrix::new(self.values, self.n_in).t(),
            false => Matrix::new(self.values, self.n_out),
        }
    }
}

/// `y = x W + b`; `[rows, n_in]` → `[rows, n_out]`.
pub fn forward(x: &[f32], weight: Weight, bias: Option<&[f32]>) -> Vec<f32> {
    let Weight { values, n_in, n_out, transposed } = weight;
    let mut y = match (x.len() / n_in, transposed) {
        (..=FEW, false) => few_rows::multiply(x, values, n_in, n_out),
        (..=FEW, true) => few_rows::multiply_transposed(x, values, n_in, n_out),
        _ if n_out <= WIDE => in_spans(x, weight),
        _ => product_on_all_threads(Matrix::new(x, n_in), weight.matrix()),
    };
    if let Some(bias) = bias {
        for_rows(&mut y, n_out, |_, y| add_bias(y, bias));
    }
    y
}

// y = x W + b, so ∂x = g Wᵀ, ∂W = xᵀ g, ∂b = Σ_rows g. With the weight transposed, so is its gradient: ∂W = gᵀ x.
/// `∂x`, `∂W` and `∂b`, those that are wanted.
pub fn backward(x: &[f32], weight: Weight, grad: &[f32], wanted: [bool; 3]) -> [Option<Vec<f32>>; 3] {
    let (g, n_out) = (Matrix::new(grad, weight.n_out), weight.n_out);
    let x = Matrix::new(x, weight.n_in);
    let dx = wanted[0].then(|| product_on_all_threads(g, weight.matrix().t()));
    let dw = wanted[1].then(|| match weight.transposed {
        true => product_on_all_threads(g.t(), x),
        false => product_on_all_threads(x.t(), g),
    });
    let sums = |rows: std::ops::Range<usize>, sums: &mut [f32]| {
        add_column_sums(&grad[rows.start * n_out..rows.end * n_out], sums);
    };
    let db = wanted[2].then(|| sum_rows(grad.len() / n_out, n_out, n_out, sums));
    [dx, dw, db]
}

/// The product as the halves of a block make it, so that a model gives the same bits by halves and by layers.
fn in_spans(x: &[f32], weight: Weight) -> Vec<f32> {
    let Weight { n_in, n_out, .. } = weight;
    let rows = x.len() / n_in;
    let (span, mut y) = (span_of(rows), vec![0.0; rows * n_out]);
    let spans = y.par_chunks_mut(span * n_out).zip(x.par_chunks(span * n_in));
    spans.for_each(|(y, x)| multiply(Matrix::new(x, n_in), weight.matrix(), y));
    y
}
