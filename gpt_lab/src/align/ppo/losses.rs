//! The pieces of PPO for language models (Schulman et al. 2017, <https://arxiv.org/abs/1707.06347>; as applied to texts
//! by Ziegler et al. 2019, <https://arxiv.org/abs/1909.08593>).
//!
//! A completion of T tokens is an episode of T steps: the state is the text so far, the action is the next token. All
//! tensors are `[N, T]`, one row a completion, unless said otherwise; `mask` (u8) is 1 for tokens that were generated
//! and 0 behind the end, where the other tensors may hold anything. Means are over the tokens under the mask.

use candle_core::{DType, Device, Tensor};

use crate::{Error, Result};

/// The reward of every token.
#[derive(Debug, Clone)]
pub struct TokenRewards {
    /// `log π_old − log π_ref`: an estimate of how far the model has moved from the reference, zero behind the end.
    pub kl: Tensor,
    /// The KL penalty `−weight · kl`, plus the text's score at its last token.
    pub rewards: Tensor,
}

/// The advantage of every token: how much better than expected it was.
#[derive(Debug, Clone)]
pub struct Advantages {
    /// A.
    pub advantages: Tensor,
    /// The value that each state should have had: A + V.
    pub returns: Tensor,
}

/// A clipped loss.
#[derive(Debug, Clone)]
pub struct Clipped {
    /// A scalar.
    pub loss: Tensor,
    /// The share of tokens where the clipped term is the larger one.
    pub clip_fraction: f32,
}

/// Rewards of the tokens from the texts' `scores` `[N]` and the log-probabilities of the tokens under the model that
/// wrote them and under the reference (Ziegler et al., equation 2).
pub fn token_rewards(
    old_logps: &Tensor,
    ref_logps: &Tensor,
    scores: &Tensor,
    mask: &Tensor,
    weight: f64,
) -> Result<TokenRewards> {
    let (n, t) = mask.dims2()?;
    let kl = masked(&(old_logps - ref_logps)?.detach(), mask)?;
    let (mask, scores): (Vec<Vec<u8>>, Vec<f32>) = (mask.to_vec2()?, scores.to_vec1()?);
    let mut at_last = vec![0f32; n * t];
    for (row, mask) in mask.iter().enumerate() {
        let last = mask
            .iter()
            .rposition(|m| *m != 0)
            .ok_or_else(|| Error::empty(format!("text {row} of the batch (nothing under the mask)")))?;
        at_last[row * t + last] = scores[row];
    }
    let rewards = (Tensor::from_vec(at_last, (n, t), kl.device())? - (&kl * weight)?)?;
    Ok(TokenRewards { kl, rewards })
}

/// Generalised advantage estimation (Schulman et al. 2016, <https://arxiv.org/abs/1506.02438>, equation 16):
/// `δ_t = r_t + γ V_{t+1} − V_t` with `V = 0` behind the end, `A_t = δ_t + γ λ A_{t+1}`. No gradient passes.
pub fn advantages(rewards: &Tensor, values: &Tensor, mask: &Tensor, gamma: f64, lambda: f64) -> Result<Advantages> {
    let (n, t) = mask.dims2()?;
    let host =
        |x: &Tensor| -> Result<Vec<Vec<f64>>> { Ok(masked(&x.detach(), mask)?.to_dtype(DType::F64)?.to_vec2()?) };
    let (rewards, values, real) = (host(rewards)?, host(values)?, mask.to_vec2::<u8>()?);
    let (mut advantages, mut returns) = (vec![0f32; n * t], vec![0f32; n * t]);
    for row in 0..n {
        let (mut next_value, mut next_advantage) = (0.0, 0.0);
        for at in (0..t).rev().filter(|at| real[row][*at] != 0) {
            let delta = rewards[row][at] + gamma * next_value - values[row][at];
            next_advantage = delta + gamma * lambda * next_advantage;
            next_value = values[row][at];
            advantages[row * t + at] = next_advantage as f32;
            returns[row * t + at] = (next_advantage + next_value) as f32;
        }
    }
    let tensor = |values| Tensor::from_vec(values, (n, t), &Device::Cpu);
    Ok(Advantages { advantages: tensor(advantages)?, returns: tensor(returns)? })
}

/// `(x − mean) / √(var + 1e-8)` over the tokens under the mask (variance with n − 1), zero elsewhere. No gradient
/// passes.
///
/// # Errors
/// [`Error::EmptyInput`] for fewer than two tokens: one has no variance.
pub fn whiten(x: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let count = count(mask)?;
    if count < 2.0 {
        return Err(Error::empty(format!("a batch of {count} tokens to whiten (two are needed)")));
    }
    let x = masked(&x.detach(), mask)?;
    let mean = (x.sum_all()? / count)?;
    let centred = masked(&x.broadcast_sub(&mean)?, mask)?;
    let variance = (centred.sqr()?.sum_all()? / (count - 1.0))?;
    Ok(centred.broadcast_div(&(variance + 1e-8)?.sqrt()?)?)
}

/// `mean of max(−A ρ, −A clamp(ρ, 1 ± clip))` with `ρ = exp(new − old)` (Schulman et al. 2017, equation 7): no reward
/// for moving further than `clip` in one go. The gradient goes to `new_logps`.
pub fn policy_loss(
    new_logps: &Tensor,
    old_logps: &Tensor,
    advantages: &Tensor,
    mask: &Tensor,
    clip: f64,
) -> Result<Clipped> {
    let ratio = masked(&(new_logps - old_logps.detach())?, mask)?.exp()?;
    let against = advantages.detach().neg()?;
    let plain = (&ratio * &against)?;
    let clipped = (ratio.clamp(1.0 - clip, 1.0 + clip)? * against)?;
    larger_of(&plain, &clipped, mask)
}

/// `½ mean of (V − R)²`. With a `clip` it is `½ mean of max((V − R)², (V_clipped − R)²)`, where the new value V is
/// clipped to within `clip` of the old one: the same unit as the scores, so it is no business of the ratio's clip. The
/// gradient goes to `new_values`.
pub fn value_loss(
    new_values: &Tensor,
    old_values: &Tensor,
    returns: &Tensor,
    mask: &Tensor,
    clip: Option<f64>,
) -> Result<Clipped> {
    let (old, returns) = (old_values.detach(), returns.detach());
    let new = masked(new_values, mask)?;
    let plain = (&new - &returns)?.sqr()?;
    let Some(clip) = clip else {
        return Ok(Clipped { loss: (mean(&plain, mask)? * 0.5)?, clip_fraction: 0.0 });
    };
    // Not old + clamp(new − old), which rounds: within the range both terms must be equal.
    let near = new.maximum(&(&old - clip)?)?.minimum(&(old + clip)?)?;
    let clipped = (near - returns)?.sqr()?;
    let Clipped { loss, clip_fraction } = larger_of(&plain, &clipped, mask)?;
    Ok(Clipped { loss: (loss * 0.5)?, clip_fraction })
}

/// `½ mean of (new − old)²`: the distance that the updates have moved the model from the one that wrote the texts
/// (J. Schulman, <http://joschu.net/blog/kl-approx.html>).
pub fn approx_kl(new_logps: &Tensor, old_logps: &Tensor, mask: &Tensor) -> Result<f32> {
    Ok((mean(&(new_logps - old_logps)?.detach().sqr()?, mask)? * 0.5)?.to_scalar()?)
}

/// An estimate of the policy's entropy, in nats a token: the mean of `−log π` over tokens that it has drawn itself.
pub fn mean_entropy(old_logps: &Tensor, mask: &Tensor) -> Result<f32> {
    Ok(mean(&old_logps.detach().neg()?, mask)?.to_scalar()?)
}

/// The distance from the reference of a whole text, averaged over texts: the mean of the rows' sums of
/// [`TokenRewards::kl`].
pub fn mean_kl(kl: &Tensor) -> Result<f32> {
    Ok(kl.sum(1)?.mean_all()?.to_scalar()?)
}

/// The mean of the larger of two terms. Where they are equal the first counts, with all of its gradient.
fn larger_of(plain: &Tensor, clipped: &Tensor, mask: &Tensor) -> Result<Clipped> {
    let is_clipped = clipped.gt(plain)?;
    let loss = mean(&is_clipped.where_cond(clipped, plain)?, mask)?;
    let clip_fraction = mean(&is_clipped.to_dtype(DType::F32)?, mask)?.to_scalar()?;
    Ok(Clipped { loss, clip_fraction })
}

/// The mean over the tokens under the mask.
pub(in crate::align) fn mean(x: &Tensor, mask: &Tensor) -> Result<Tensor> {
    Ok((masked(x, mask)?.sum_all()? / count(mask)?)?)
}

/// `x` under the mask and zero elsewhere, whatever is there.
pub(in crate::align) fn masked(x: &Tensor, mask: &Tensor) -> Result<Tensor> {
    Ok(mask.where_cond(x, &x.zeros_like()?)?)
}

/// Number of tokens under the mask.
fn count(mask: &Tensor) -> Result<f64> {
    let count = mask.to_dtype(DType::F32)?.sum_all()?.to_scalar::<f32>()?;
    if count == 0.0 {
        return Err(Error::empty("the mask (no token is under it)"));
    }
    Ok(f64::from(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(rows: &[[f32; 3]]) -> Tensor {
        Tensor::from_slice(rows.as_flattened(), (rows.len(), 3), &Device::Cpu).unwrap()
    }

    fn mask() -> Tensor {
        Tensor::new(&[[1u8, 1, 1], [1, 1, 0]], &Device::Cpu).unwrap()
    }

    fn close(found: &Tensor, expected: &[[f32; 3]]) {
        let gap = crate::ops::max_difference(found, &tensor(expected)).unwrap();
        assert!(gap < 1e-6, "{found} differs from {expected:?} by {gap}");
    }

    #[test]
    fn rewards_and_advantages_by_hand() {
        let (old, reference) =
            (tensor(&[[1.0, 2.0, 3.0], [0.0, 0.0, 9.0]]), tensor(&[[0.0, 0.0, 0.0], [1.0, 2.0, f32::NAN]]));
        let scores = Tensor::new(&[10f32, -4.0], &Device::Cpu).unwrap();
        let out = token_rewards(&old, &reference, &scores, &mask(), 0.5).unwrap();
        close(&out.kl, &[[1.0, 2.0, 3.0], [-1.0, -2.0, 0.0]]);
        close(&out.rewards, &[[-0.5, -1.0, 8.5], [0.5, -3.0, 0.0]]);
        assert!((mean_kl(&out.kl).unwrap() - 1.5).abs() < 1e-6); // (6 − 3) / 2
        // γ = ½, λ = ½, V = 1: δ = r − ½, at the last token r − 1.
        let ones = tensor(&[[1.0; 3], [1.0, 1.0, 7.5]]);
        let out = advantages(&out.rewards, &ones, &mask(), 0.5, 0.5).unwrap();
        let a = [-1.0 + 0.25 * (-1.5 + 0.25 * 7.5), -1.5 + 0.25 * 7.5, 7.5];
        close(&out.advantages, &[a, [0.0 - 0.25 * 4.0, -4.0, 0.0]]);
        close(&out.returns, &[a.map(|a| a + 1.0), [0.0, -3.0, 0.0]]);
    }

    #[test]
    fn whitened_numbers_have_mean_zero_and_variance_one() {
        let x = tensor(&[[1.0, 2.0, 3.0], [4.0, 5.0, f32::INFINITY]]);
        let s = 2.5f32.sqrt();
        close(&whiten(&x, &mask()).unwrap(), &[[-2.0 / s, -1.0 / s, 0.0], [1.0 / s, 2.0 / s, 0.0]]);
        let one = Tensor::new(&[[1u8, 0, 0], [0, 0, 0]], &Device::Cpu).unwrap();
        assert!(matches!(whiten(&x, &one), Err(Error::EmptyInput { .. })));
    }

    #[test]
    fn clipped_losses_by_hand() {
        // ρ = 2, ½, 1; A = 1, 1, −1. With clip 0.2: max(−2, −1.2), max(−½, −0.8), 1.
        let new = candle_core::Var::from_tensor(&tensor(&[[2f32.ln(), 0.5f32.ln(), 0.0]])).unwrap();
        let (old, a) = (tensor(&[[0.0; 3]]), tensor(&[[1.0, 1.0, -1.0]]));
        let all = Tensor::ones((1, 3), DType::U8, &Device::Cpu).unwrap();
        let out = policy_loss(new.as_tensor(), &old, &a, &all, 0.2).unwrap();
        assert!((out.loss.to_scalar::<f32>().unwrap() - (-1.2 - 0.5 + 1.0) / 3.0).abs() < 1e-6);
        assert!((out.clip_fraction - 1.0 / 3.0).abs() < 1e-6);
        let grads = out.loss.backward().unwrap();
        close(grads.get(new.as_tensor()).unwrap(), &[[0.0, -0.5 / 3.0, 1.0 / 3.0]]); // nothing where it is clipped
        // V = 3 from 1, R = 2 and clip ½: max(1, ¼); V = 1.2 from 1, R = 0: both 1.44; V = 0 from 1, R = 0: max(0, ¼).
        let out =
            value_loss(&tensor(&[[3.0, 1.2, 0.0]]), &tensor(&[[1.0; 3]]), &tensor(&[[2.0, 0.0, 0.0]]), &all, Some(0.5));
        let out = out.unwrap();
        assert!((out.loss.to_scalar::<f32>().unwrap() - 0.5 * (1.0 + 1.44 + 0.25) / 3.0).abs() < 1e-6);
    }
}
