//! A matrix in 8 bits: a quarter of the memory, and where each number is read once for one token, a quarter of the
//! reading.

use rayon::prelude::*;

use crate::few_rows::{FEW, OUTPUTS, dots};
use crate::matrix::{Matrix, multiply};
use crate::simd::with_unit;

/// The largest whole number used; −128 is left out, so that the range is the same on both sides.
const LARGEST: f32 = 127.0;
/// Results that one thread computes at a time.
const PART: usize = 128;

/// The weight of a linear layer, rounded: for each output a scale, and whole numbers from −127 to 127. (Absmax
/// quantisation; Dettmers et al. 2022, "LLM.int8()", <https://arxiv.org/abs/2208.07339>, section 2, applied to weights
/// alone: activations stay in f32.)
#[derive(Debug, Clone)]
pub struct Int8Matrix {
    /// `[n_out, n_in]`.
    numbers: Vec<i8>,
    /// The value of a 1, of each output: `[n_out]`.
    scales: Vec<f32>,
    n_in: usize,
}

impl Int8Matrix {
    /// From a weight `[n_out, n_in]`.
    pub fn new(weight: &[f32], n_in: usize) -> Self {
        let row = |row: &[f32]| -> (f32, Vec<i8>) {
            let largest = row.iter().fold(0f32, |largest, x| largest.max(x.abs()));
            let scale = if largest > 0.0 { largest / LARGEST } else { 1.0 };
            (scale, row.iter().map(|x| (x / scale).round() as i8).collect())
        };
        let rows: Vec<(f32, Vec<i8>)> = weight.par_chunks(n_in).map(row).collect();
        let scales = rows.iter().map(|(scale, _)| *scale).collect();
        Int8Matrix { numbers: rows.into_iter().flat_map(|(_, row)| row).collect(), scales, n_in }
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.numbers.len() + 4 * self.scales.len()
    }

    /// The weights of one output as they are after rounding.
    pub fn row(&self, output: usize) -> Vec<f32> {
        let numbers = &self.numbers[output * self.n_in..][..self.n_in];
        numbers.iter().map(|number| f32::from(*number) * self.scales[output]).collect()
    }

    /// `y = x Wᵀ`: `x` is `[rows, n_in]`, the result is `[rows, n_out]`. A row gives the same bits alone and among a
    /// few others.
    pub fn multiply(&self, x: &[f32]) -> Vec<f32> {
        let (rows, n_out) = (x.len() / self.n_in, self.scales.len());
        let parts = self.numbers.par_chunks(PART * self.n_in).zip(self.scales.par_chunks(PART));
        // One part's results, `[outputs, rows]` or, for many rows, `[rows, outputs]`.
        let few = rows <= FEW;
        let parts: Vec<Vec<f32>> = parts
            .map(|(numbers, scales)| match few {
                true => few_rows(x, numbers, scales, self.n_in),
                false => many_rows(x, numbers, scales, self.n_in),
            })
            .collect();
        let mut y = vec![0.0; rows * n_out];
        for (i, part) in parts.iter().enumerate() {
            let outputs = part.len() / rows;
            for (at, value) in part.iter().enumerate() {
                let (row, output) = if few { (at % rows, at / rows) } else { (at / outputs, at % outputs) };
                y[row * n_out + i * PART + output] = *value;
            }
        }
        y
    }
}

/// Each number of the matrix is read once and used for every row.
fn few_rows(x: &[f32], numbers: &[i8], scales: &[f32], n_in: usize) -> Vec<f32> {
    let rows = x.len() / n_in;
    let mut y = vec![0.0; scales.len() * rows];
    let mut weights = vec![0f32; if rows > 1 { OUTPUTS * n_in } else { 0 }];
    with_unit!(|unit| for (y, numbers) in y.chunks_mut(OUTPUTS * rows).zip(numbers.chunks(OUTPUTS * n_in)) {
        if rows == 1 {
            dots(unit, x, numbers, y, 1);
            continue;
        }
        let weights = &mut weights[..numbers.len()];
        weights.iter_mut().zip(numbers).for_each(|(w, n)| *w = f32::from(*n));
        for (row, x) in x.chunks_exact(n_in).enumerate() {
            dots(unit, x, weights, &mut y[row..], rows);
        }
    });
    for (y, scale) in y.chunks_exact_mut(rows).zip(scales) {
        y.iter_mut().for_each(|y| *y *= scale);
    }
    y
}

/// A prompt: the part of the matrix becomes f32 once, and then it is a product like any other.
fn many_rows(x: &[f32], numbers: &[i8], scales: &[f32], n_in: usize) -> Vec<f32> {
    let mut weights = vec![0.0; numbers.len()];
    with_unit!(|_unit| {
        let rows = weights.chunks_exact_mut(n_in).zip(numbers.chunks_exact(n_in)).zip(scales);
        for ((weights, numbers), scale) in rows {
            weights.iter_mut().zip(numbers).for_each(|(w, n)| *w = f32::from(*n) * scale);
        }
    });
    let mut y = vec![0.0; x.len() / n_in * scales.len()];
    multiply(Matrix::new(x, n_in), Matrix::new(&weights, n_in).t(), &mut y);
    y
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_at_most_half_a_step_and_zero_stays_zero() {
        let weight = [1.0f32, -0.5, 0.0, 127.0, 0.0, 0.0, 0.0, 0.0, 1e-3, -2e-3, 5e-4, 0.0];
        let small = Int8Matrix::new(&weight, 4);
        assert_eq!(small.row(0), [1.0, -1.0, 0.0, 127.0]); // a half is rounded away from zero
        assert_eq!(small.row(1), [0.0; 4]);
        for (a, b) in small.row(2).iter().zip([1e-3f32, -2e-3, 5e-4, 0.0]) {
            assert!((a - b).abs() <= 0.5 * 2e-3 / 127.0 * 1.001);
        }
        assert_eq!(small.bytes(), 12 + 12);
    }

    #[test]
    fn products_of_any_shape_are_those_of_the_rounded_weights() {
        let large = [(1, 300, 257), (8, 513, 129), (40, 300, 257)];
        let large = if cfg!(miri) { &[] } else { &large[..] };
        for &(rows, n_in, n_out) in [(1, 1, 1), (3, 7, 5), (9, 17, 6)].iter().chain(large) {
            let weight: Vec<f32> = (0..n_out * n_in).map(|i| (i as f32 * 0.73).cos()).collect();
            let x: Vec<f32> = (0..rows * n_in).map(|i| (i as f32 * 0.37).sin()).collect();
            let small = Int8Matrix::new(&weight, n_in);
            let found = small.multiply(&x);
            for (at, found) in found.iter().enumerate() {
                let (row, output) = (at / n_out, at % n_out);
                let want: f64 = x[row * n_in..][..n_in]
                    .iter()
                    .zip(small.row(output))
                    .map(|(x, w)| f64::from(*x) * f64::from(w))
                    .sum();
                assert!((f64::from(*found) - want).abs() < 1e-4, "{rows} {n_in} {n_out}: {found}, should be {want}");
            }
            if rows <= FEW {
                let alone: Vec<f32> = x.chunks(n_in).flat_map(|x| small.multiply(x)).collect();
                assert_eq!(alone, found, "a row alone and among others");
            }
        }
    }
}
