//! The log-probabilities of completions, token by token.

use std::borrow::Borrow;

use candle_core::{Device, Tensor};

use crate::data::{Completion, padding};
use crate::gpt2::Gpt2;
use crate::lora::Lora;
use crate::{Error, Pass, Result, ops};

/// Rows of one forward pass without gradient.
pub(super) const ROWS: usize = 32;

/// Log-probabilities of these completions under the policy as it is, `[N, L]`, without gradients and dropout.
pub(super) fn policy_logps(policy: &Lora<Gpt2>, completions: &[Completion]) -> Result<Tensor> {
    in_batches(policy.model(), completions)
}

/// Log-probabilities of these completions under the reference, `[N, L]`: the same model with its adapters off.
pub(super) fn reference_logps(policy: &Lora<Gpt2>, completions: &[Completion]) -> Result<Tensor> {
    policy.disabled(|reference| in_batches(reference, completions))?
}

fn in_batches(model: &Gpt2, completions: &[Completion]) -> Result<Tensor> {
    let width = longest(completions);
    let of = |some: &[Completion]| {
        let (logps, _) = answer_logps(model, &some.iter().collect::<Vec<_>>(), &mut Pass::eval())?;
        widened(&logps.detach(), width)
    };
    Ok(Tensor::cat(&completions.chunks(ROWS).map(of).collect::<Result<Vec<_>>>()?, 0)?)
}

/// Log-probabilities `[N, L]` of the completions' tokens, and the hidden states `[N · L, C]` from which they were
/// guessed. The output head is computed for these places only.
pub(super) fn answer_logps(model: &Gpt2, completions: &[&Completion], pass: &mut Pass) -> Result<(Tensor, Tensor)> {
    let ids = padding::ids(completions)?;
    let (n, width) = ids.dims2()?;
    if let Some(row) = completions.iter().position(|one| one.answer_ids().is_empty()) {
        return Err(Error::empty(format!("the answer of text {row} of the batch")));
    }
    let longest = longest(completions);
    let (mut places, mut targets) = (Vec::with_capacity(n * longest), Vec::with_capacity(n * longest));
    for (row, one) in completions.iter().enumerate() {
        for at in 0..longest {
            // The token at place t is guessed from the hidden state at t − 1.
            places.push((row * width + (one.prompt + at - 1).min(width - 1)) as u32);
            targets.push(one.answer_ids().get(at).map_or(ops::IGNORE_INDEX, |id| i64::from(*id)));
        }
    }
    let hidden = model.hidden(&ids, pass)?.flatten(0, 1)?; // [N · T, C]
    let hidden = ops::embedding(&hidden, &Tensor::new(places, &Device::Cpu)?)?; // [N · L, C]
    let logps = ops::log_probs(&model.head(&hidden)?, &Tensor::new(targets, &Device::Cpu)?)?; // [N · L]
    Ok((logps.reshape((n, longest))?, hidden))
}

/// 1 for the completions' tokens, 0 behind them: `[N, L]`.
pub(super) fn answer_mask(completions: &[Completion]) -> Result<Tensor> {
    padding::padded(completions.iter().map(|one| vec![1u8; one.answer_ids().len()]).collect(), 0)
}

/// Tokens of the longest completion.
pub(super) fn longest(completions: &[impl Borrow<Completion>]) -> usize {
    completions.iter().map(|one| one.borrow().answer_ids().len()).max().unwrap_or(0)
}

/// Filled up with zeros on the right.
pub(super) fn widened(x: &Tensor, width: usize) -> Result<Tensor> {
    Ok(x.pad_with_zeros(1, 0, width - x.dim(1)?)?)
}
