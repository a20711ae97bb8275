//! What GRPO computes of its own: advantages from groups, and its penalty. The clipped loss is PPO's.

use candle_core::Tensor;

use crate::align::ppo::losses::{masked, mean};
use crate::{Error, Result};

/// Beside a standard deviation, so that it is never divided by 0.
const EPSILON: f32 = 1e-4;

/// How much better than its group each completion was: its reward less the group's mean, if wanted in units of the
/// group's standard deviation (with n − 1). Groups stand side by side in `rewards`.
///
/// # Errors
/// [`Error::InvalidArgument`] for a part of a group.
pub fn group_advantages(rewards: &[f32], group_size: usize, divide_by_std: bool) -> Result<Vec<f32>> {
    if group_size < 2 || !rewards.len().is_multiple_of(group_size) {
        let found = format!("{} rewards in groups of {group_size}", rewards.len());
        return Err(Error::argument("rewards", found, "whole groups of at least 2"));
    }
    let of_group = |group: &[f32]| {
        let mean = group.iter().sum::<f32>() / group_size as f32;
        let variance = group.iter().map(|r| (r - mean).powi(2)).sum::<f32>() / (group_size - 1) as f32;
        let unit = if divide_by_std { variance.sqrt() + EPSILON } else { 1.0 };
        group.iter().map(|r| (r - mean) / unit).collect::<Vec<_>>()
    };
    Ok(rewards.chunks(group_size).flat_map(of_group).collect())
}

/// The penalty of GRPO on the distance from the reference (Shao et al. 2024, "DeepSeekMath",
/// <https://arxiv.org/abs/2402.03300>, equation 4): the mean of `e^d − d − 1` with `d = log π_ref − log π`, an estimate
/// of the KL divergence that is never negative. The gradient goes to `new_logps`.
pub fn kl_penalty(new_logps: &Tensor, ref_logps: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let d = masked(&(ref_logps.detach() - new_logps)?, mask)?;
    mean(&((d.exp()? - &d)? - 1.0)?, mask)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn advantages_by_hand() {
        let rewards = [1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0];
        let plain = group_advantages(&rewards, 4, false).unwrap();
        assert_eq!(plain, [0.5, -0.5, -0.5, 0.5, 0.0, 0.0, 0.0, 0.0]);
        let scaled = group_advantages(&rewards, 4, true).unwrap();
        let unit = (1.0f32 / 3.0).sqrt() + EPSILON;
        assert!((scaled[0] - 0.5 / unit).abs() < 1e-6 && scaled[4] == 0.0);
        assert!(group_advantages(&rewards, 3, true).is_err() && group_advantages(&rewards, 1, true).is_err());
    }

    #[test]
    fn the_penalty_by_hand() {
        let of = |row: [f32; 3]| Tensor::new(&[row], &Device::Cpu).unwrap();
        let mask = Tensor::new(&[[1u8, 1, 0]], &Device::Cpu).unwrap();
        let new = Var::from_tensor(&of([-1.0, -2.0, 0.0])).unwrap();
        let penalty = kl_penalty(&new, &of([-1.5, -2.0, f32::NAN]), &mask).unwrap();
        let expected = ((-0.5f32).exp() + 0.5 - 1.0) / 2.0; // d = −½ and 0, two tokens under the mask
        assert!((penalty.to_scalar::<f32>().unwrap() - expected).abs() < 1e-6);
        // ∂/∂log π of e^d − d − 1 is 1 − e^d.
        let grads = penalty.backward().unwrap().get(&new).unwrap().to_vec2::<f32>().unwrap();
        assert!((grads[0][0] - (1.0 - (-0.5f32).exp()) / 2.0).abs() < 1e-6 && grads[0][1..] == [0.0, 0.0], "{grads:?}");
    }
}
