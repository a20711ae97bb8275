//! Cross-entropy, and the log-probabilities that it is the mean of. Of the size of the logits, only their gradient is
//! ever written to memory.
//!
//! Targets are indices into a row, `None` for a row that does not count.

use rayon::prelude::*;

use crate::math::{exp, max, sum2};
use crate::rows::{for_rows, rows_per_chunk};
use crate::simd::{Unit, with_unit};

/// `mean over kept rows of (log Σ_j exp(logits_j) − logits_target)`; `[N, vocab]` → a number. The second result,
/// `log Σ exp` of each row, is saved for the backward pass.
pub fn forward(logits: &[f32], vocab: usize, targets: &[Option<usize>]) -> (f32, Vec<f32>) {
    let log_sums = log_sums(logits, vocab);
    let row = |(i, target): (usize, &Option<usize>)| target.map(|t| f64::from(log_sums[i] - logits[i * vocab + t]));
    let total: f64 = targets.iter().enumerate().filter_map(row).sum();
    ((total / kept(targets) as f64) as f32, log_sums)
}

// ∂logits_j = (softmax_j − [j = target]) · g / kept, and softmax_j = exp(logits_j − log Σ exp).
/// `∂logits` of [`forward`], given the gradient of its result.
pub fn backward(logits: &[f32], vocab: usize, targets: &[Option<usize>], log_sums: &[f32], grad: f32) -> Vec<f32> {
    let scale = grad / kept(targets) as f32;
    grad_logits(logits, vocab, targets, log_sums, |_| scale)
}

/// `logits_target − log Σ_j exp(logits_j)` of every row, 0 where it does not count; `[N, vocab]` → `[N]`. The second
/// result is saved for the backward pass.
pub fn log_probs(logits: &[f32], vocab: usize, targets: &[Option<usize>]) -> (Vec<f32>, Vec<f32>) {
    let log_sums = log_sums(logits, vocab);
    let row = |(i, target): (usize, &Option<usize>)| target.map_or(0.0, |t| logits[i * vocab + t] - log_sums[i]);
    (targets.iter().enumerate().map(row).collect(), log_sums)
}

// ∂logits_j = g ([j = target] − softmax_j), and softmax_j = exp(logits_j − log Σ exp).
/// `∂logits` of [`log_probs`], given the gradient of its result.
pub fn log_probs_backward(
    logits: &[f32],
    vocab: usize,
    targets: &[Option<usize>],
    log_sums: &[f32],
    grad: &[f32],
) -> Vec<f32> {
    grad_logits(logits, vocab, targets, log_sums, |i| -grad[i])
}

/// Number of targets that count.
fn kept(targets: &[Option<usize>]) -> usize {
    targets.iter().flatten().count()
}

/// `(softmax_j − [j = target]) · factor(row)`.
fn grad_logits(
    logits: &[f32],
    vocab: usize,
    targets: &[Option<usize>],
    log_sums: &[f32],
    factor: impl Fn(usize) -> f32 + Sync,
) -> Vec<f32> {
    let mut dx = vec![0.0; logits.len()];
    for_rows(&mut dx, vocab, |first, dx| {
        for (i, dx) in (first..).zip(dx.chunks_exact_mut(vocab)) {
            let (Some(target), factor) = (targets[i], factor(i)) else { continue };
            with_unit!(|unit| for (dx, x) in dx.iter_mut().zip(&logits[i * vocab..]) {
                *dx = exp(unit, *x - log_sums[i]) * factor;
            });
            dx[target] -= factor;
        }
    });
    dx
}

/// `log Σ exp` of every row.
fn log_sums(logits: &[f32], vocab: usize) -> Vec<f32> {
    let mut log_sums = vec![0.0; logits.len() / vocab];
    let rows = rows_per_chunk(vocab);
    log_sums.par_chunks_mut(rows).zip(logits.par_chunks(rows * vocab)).for_each(|(log_sums, logits)| {
        with_unit!(|unit| for (log_sum, row) in log_sums.iter_mut().zip(logits.chunks_exact(vocab)) {
            *log_sum = log_sum_exp(unit, row);
        });
    });
    log_sums
}

/// `log Σ_j exp(x_j)`, with the largest taken out.
#[inline(always)]
fn log_sum_exp<U: Unit>(unit: U, row: &[f32]) -> f32 {
    let top = max(row);
    let total = sum2(
        row,
        row,
        #[inline(always)]
        |sum, x, _| sum + exp(unit, x - top),
    );
    top + total.ln()
}
