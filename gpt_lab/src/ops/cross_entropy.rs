//! Cross-entropy between logits and target ids, and the log-probabilities that it is the mean of.

use candle_core::Tensor;
use gpt_lab_cpu::cross_entropy as cpu;

use super::custom::{Op, fast};
use super::ids::{checked_targets, count_kept};
use super::reference;
use crate::Result;

/// `loss = mean over kept rows of (log Σ_j exp(logits_j) − logits_target)`, a scalar.
///
/// Shapes: `logits` is `[N, V]`, `targets` holds `N` ids below `V`; rows whose target is
/// [`IGNORE_INDEX`](super::IGNORE_INDEX) are left out of the mean and get no gradient.
///
/// # Errors
/// An id that is neither, and a batch in which nothing is kept (its mean would be 0/0).
///
/// ```
/// # use gpt_lab::{candle_core::{Device, Tensor}, ops};
/// let logits = Tensor::new(&[[0f32, 0.0], [1e4, 0.0]], &Device::Cpu)?;
/// let loss = ops::cross_entropy(&logits, &Tensor::new(&[0i64, ops::IGNORE_INDEX], &Device::Cpu)?)?;
/// assert_eq!(loss.to_scalar::<f32>()?, 2f32.ln());
/// # Ok::<(), gpt_lab::Error>(())
/// ```
pub fn cross_entropy(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    if !fast(&[logits]) {
        return reference::cross_entropy(logits, targets);
    }
    let (n, vocab) = logits.dims2()?;
    let targets = checked_targets(targets, n, vocab)?;
    count_kept(&targets)?;
    let forward_targets = targets.clone();
    let op = Op::new(
        "cross_entropy",
        (),
        move |[logits]| {
            let (loss, log_sums) = cpu::forward(logits, vocab, &forward_targets);
            Ok((vec![loss], log_sums))
        },
        move |pass| Ok([Some(cpu::backward(pass.args[0], vocab, &targets, pass.saved, pass.grad[0]))]),
    );
    op.apply([logits])
}

/// `logits_target − log Σ_j exp(logits_j)` of every row: `[N]`.
///
/// Shapes: `logits` is `[N, V]`, `targets` holds `N` ids below `V`; rows whose target is
/// [`IGNORE_INDEX`](super::IGNORE_INDEX) give 0 and get no gradient.
///
/// # Errors
/// An id that is neither.
///
/// ```
/// # use gpt_lab::{candle_core::{Device, Tensor}, ops};
/// let logits = Tensor::new(&[[0f32, 0.0], [1e4, 0.0]], &Device::Cpu)?;
/// let log_probs = ops::log_probs(&logits, &Tensor::new(&[0u32, 1], &Device::Cpu)?)?;
/// assert_eq!(log_probs.to_vec1::<f32>()?, [0.5f32.ln(), -1e4]);
/// # Ok::<(), gpt_lab::Error>(())
/// ```
pub fn log_probs(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    if !fast(&[logits]) {
        return reference::log_probs(logits, targets);
    }
    let (n, vocab) = logits.dims2()?;
    let targets = checked_targets(targets, n, vocab)?;
    let forward_targets = targets.clone();
    let op = Op::new(
        "log_probs",
        n,
        move |[logits]| Ok(cpu::log_probs(logits, vocab, &forward_targets)),
        move |pass| Ok([Some(cpu::log_probs_backward(pass.args[0], vocab, &targets, pass.saved, pass.grad))]),
    );
    op.apply([logits])
}
