//! Cross-entropy between logits and target ids.

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp1, Device, Layout, Shape, Tensor};
use rayon::prelude::*;

use super::ids::{checked_targets, count_kept};
use super::kernel::{Values, exp, fast, for_rows, max, rows_per_chunk, sum2, values, vectorized};
use super::reference;
use crate::Result;

/// `loss = mean over kept rows of (log Σ_j exp(logits_j) − logits_target)`, a scalar.
///
/// Shapes: `logits` is `[N, V]`, `targets` holds `N` ids below `V`; rows whose target is [`IGNORE_INDEX`](super::IGNORE_INDEX) are left out of the
/// mean and get no gradient. Errors: an id that is neither, and a batch in which nothing is kept (its mean would be 0/0).
pub fn cross_entropy(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    if !fast(&[logits]) {
        return reference::cross_entropy(logits, targets);
    }
    let (n, vocab) = logits.dims2()?;
    let targets = checked_targets(targets, n, vocab)?;
    let kept = count_kept(&targets)?;
    Ok(logits.contiguous()?.apply_op1(CrossEntropy { targets, kept, log_sums: OnceLock::new() })?)
}

/// The fast version: neither the probabilities nor their logarithms are ever written to memory.
struct CrossEntropy {
    targets: Vec<Option<usize>>,
    kept: usize,
    /// `log Σ exp` of each row, kept from the forward pass for the backward pass.
    log_sums: OnceLock<Vec<f32>>,
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross_entropy"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (logits, vocab) = (values(logits, layout)?, layout.dims()[1]);
        let log_sums = log_sums(logits, vocab);
        let row = |(i, target): (usize, &Option<usize>)| target.map(|t| f64::from(log_sums[i] - logits[i * vocab + t]));
        let total: f64 = self.targets.iter().enumerate().filter_map(row).sum();
        // The op is applied once, so the cell is empty.
        let _ = self.log_sums.set(log_sums);
        Ok((CpuStorage::F32(vec![(total / self.kept as f64) as f32]), Shape::from(())))
    }

    // ∂logits_j = (softmax_j − [j = target]) · g / kept, and softmax_j = exp(logits_j − log Σ exp).
    fn bwd(&self, logits: &Tensor, _loss: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let scale = grad.to_scalar::<f32>()? / self.kept as f32;
        let (values, vocab) = (Values::of(logits)?, logits.dim(1)?);
        let log_sums = self.log_sums.get().expect("forward comes before backward");
        let mut dx = vec![0.0; values.len()];
        for_rows(&mut dx, vocab, |first, dx| {
            vectorized(
                #[inline(always)]
                |fma| {
                    for (i, dx) in (first..).zip(dx.chunks_exact_mut(vocab)) {
                        let Some(target) = self.targets[i] else { continue };
                        for (dx, x) in dx.iter_mut().zip(&values[i * vocab..]) {
                            *dx = exp(fma, *x - log_sums[i]) * scale;
                        }
                        dx[target] -= scale;
                    }
                },
            );
        });
        Ok(Some(Tensor::from_vec(dx, logits.shape(), &Device::Cpu)?))
    }
}

/// `log Σ exp` of every row.
pub(super) fn log_sums(logits: &[f32], vocab: usize) -> Vec<f32> {
    let mut log_sums = vec![0.0; logits.len() / vocab];
    let rows = rows_per_chunk(vocab);
    log_sums.par_chunks_mut(rows).zip(logits.par_chunks(rows * vocab)).for_each(|(log_sums, logits)| {
        vectorized(
            #[inline(always)]
            |fma| {
                for (log_sum, row) in log_sums.iter_mut().zip(logits.chunks_exact(vocab)) {
                    *log_sum = log_sum_exp(fma, row);
                }
            },
        );
    });
    log_sums
}

/// `log Σ_j exp(x_j)`, with the largest taken out.
#[inline(always)]
fn log_sum_exp(fma: bool, row: &[f32]) -> f32 {
    let top = max(row);
    let total = sum2(
        row,
        row,
        #[inline(always)]
        |sum, x, _| sum + exp(fma, x - top),
    );
    top + total.ln()
}
