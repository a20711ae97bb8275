//! Log-probabilities of given tokens.

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp1, Device, Layout, Shape, Tensor};

use super::cross_entropy::log_sums;
use super::ids::checked_targets;
use super::kernel::{Values, exp, fast, for_rows, values, vectorized};
use super::reference;
use crate::Result;

/// `logits_target − log Σ_j exp(logits_j)` of every row: `[N]`.
///
/// Shapes: `logits` is `[N, V]`, `targets` holds `N` ids below `V`; rows whose target is [`IGNORE_INDEX`](super::IGNORE_INDEX) give 0
/// and get no gradient. Errors: an id that is neither.
pub fn log_probs(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    if !fast(&[logits]) {
        return reference::log_probs(logits, targets);
    }
    let (n, vocab) = logits.dims2()?;
    let targets = checked_targets(targets, n, vocab)?;
    Ok(logits.contiguous()?.apply_op1(LogProbs { targets, log_sums: OnceLock::new() })?)
}

/// The fast version: nothing of the size of the logits is written on the way forward.
struct LogProbs {
    targets: Vec<Option<usize>>,
    /// `log Σ exp` of each row, kept from the forward pass for the backward pass.
    log_sums: OnceLock<Vec<f32>>,
}

impl CustomOp1 for LogProbs {
    fn name(&self) -> &'static str {
        "log_probs"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (logits, vocab) = (values(logits, layout)?, layout.dims()[1]);
        let log_sums = log_sums(logits, vocab);
        let row = |(i, target): (usize, &Option<usize>)| target.map_or(0.0, |t| logits[i * vocab + t] - log_sums[i]);
        let result: Vec<f32> = self.targets.iter().enumerate().map(row).collect();
        // The op is applied once, so the cell is empty.
        let _ = self.log_sums.set(log_sums);
        Ok((CpuStorage::F32(result), Shape::from(self.targets.len())))
    }

    // ∂logits_j = g ([j = target] − softmax_j), and softmax_j = exp(logits_j − log Σ exp).
    fn bwd(&self, logits: &Tensor, _y: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let (values, grad, vocab) = (Values::of(logits)?, Values::of(&grad)?, logits.dim(1)?);
        let log_sums = self.log_sums.get().expect("forward comes before backward");
        let mut dx = vec![0.0; values.len()];
        for_rows(&mut dx, vocab, |first, dx| {
            vectorized(
                #[inline(always)]
                |fma| {
                    for (i, dx) in (first..).zip(dx.chunks_exact_mut(vocab)) {
                        let Some(target) = self.targets[i] else { continue };
                        for (dx, x) in dx.iter_mut().zip(&values[i * vocab..]) {
                            *dx = -grad[i] * exp(fma, *x - log_sums[i]);
                        }
                        dx[target] += grad[i];
                    }
                },
            );
        });
        Ok(Some(Tensor::from_vec(dx, logits.shape(), &Device::Cpu)?))
    }
}
