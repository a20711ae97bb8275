//! The settings of GRPO.

use serde::{Deserialize, Serialize};

use crate::train::Schedule;
use crate::{Error, Result};

/// The settings of [`train_grpo`](super::train_grpo).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GrpoConfig {
    /// Number of rounds: a rollout, its rewards, and the steps that learn from them.
    pub iterations: usize,
    /// Prompts of each rollout.
    pub prompts: usize,
    /// Completions of each prompt: the group.
    pub group_size: usize,
    /// Completions of one optimizer step.
    pub mini_batch: usize,
    /// Passes over each rollout. With one pass and one step a rollout, the ratio is 1 and nothing is ever clipped.
    pub epochs: usize,
    /// Peak learning rate.
    pub lr: f64,
    /// The learning rate over the iterations.
    pub schedule: Schedule,
    /// Divides a group's advantages by its standard deviation, as the paper does. Without (Liu et al. 2025, "Dr. GRPO",
    /// <https://arxiv.org/abs/2503.20783>) a group that is almost of one mind does not count for more than others.
    pub divide_by_std: bool,
    /// Range of a token's probability within one iteration, as a ratio 1 ± clip.
    pub clip: f64,
    /// Weight of the distance from the reference in the loss ([`kl_penalty`](super::kl_penalty)).
    pub kl_weight: f64,
    /// Gradients longer than this are shortened to it.
    pub max_grad_norm: f64,
    /// Tokens that a completion may have.
    pub max_new_tokens: usize,
    /// Decides everything that is random.
    pub seed: u64,
}

impl Default for GrpoConfig {
    fn default() -> Self {
        GrpoConfig {
            iterations: 60,
            prompts: 8,
            group_size: 8,
            mini_batch: 32,
            epochs: 1,
            lr: 1e-3,
            schedule: Schedule::Constant,
            divide_by_std: true,
            clip: 0.2,
            kl_weight: 0.0,
            max_grad_norm: 1.0,
            max_new_tokens: 32,
            seed: 0,
        }
    }
}

impl GrpoConfig {
    /// Refuses impossible settings.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`].
    pub(super) fn check(&self) -> Result<()> {
        let counts = [
            ("iterations", self.iterations, 1),
            ("prompts", self.prompts, 1),
            ("group_size", self.group_size, 2),
            ("mini_batch", self.mini_batch, 1),
            ("epochs", self.epochs, 1),
            ("max_new_tokens", self.max_new_tokens, 1),
        ];
        if let Some((name, count, least)) = counts.into_iter().find(|(_, count, least)| count < least) {
            return Err(Error::argument(name, count, format!("at least {least}")));
        }
        for (name, value) in [("lr", self.lr), ("clip", self.clip), ("max_grad_norm", self.max_grad_norm)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::argument(name, value, "a number above 0"));
            }
        }
        if !(self.kl_weight >= 0.0 && self.kl_weight.is_finite()) {
            return Err(Error::argument("kl_weight", self.kl_weight, "a number that is not negative"));
        }
        Ok(())
    }
}
