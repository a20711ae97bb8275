//! The settings of PPO.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The settings of [`train_ppo`](crate::align::train_ppo).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PpoConfig {
    /// Number of rounds: a rollout, its scores, and the steps that learn from them.
    pub iterations: usize,
    /// Completions of each iteration's rollout.
    pub batch_size: usize,
    /// Completions of one optimizer step.
    pub mini_batch: usize,
    /// Passes over each rollout.
    pub epochs: usize,
    /// Learning rate, constant.
    pub lr: f64,
    /// Price of a nat of KL divergence from the reference, in units of the score.
    pub kl_weight: f64,
    /// Discount of a reward one token later: γ.
    pub gamma: f64,
    /// Horizon of the advantages, λ: 0 trusts the critic alone, 1 the rewards alone.
    pub lambda: f64,
    /// Range of a token's probability within one iteration, as a ratio 1 ± clip; the same range for values.
    pub clip: f64,
    /// Weight of the critic's loss.
    pub value_weight: f64,
    /// Gradients longer than this are shortened to it.
    pub max_grad_norm: f64,
    /// Tokens that a completion may have.
    pub max_new_tokens: usize,
    /// Penalty on the score of a completion that the policy did not end.
    pub unended_penalty: f32,
    /// Decides everything that is random.
    pub seed: u64,
}

impl Default for PpoConfig {
    fn default() -> Self {
        PpoConfig {
            iterations: 40,
            batch_size: 32,
            mini_batch: 16,
            epochs: 2,
            lr: 1e-3,
            kl_weight: 0.1,
            gamma: 1.0,
            lambda: 0.95,
            clip: 0.2,
            value_weight: 0.1,
            max_grad_norm: 1.0,
            max_new_tokens: 32,
            unended_penalty: 1.0,
            seed: 0,
        }
    }
}

impl PpoConfig {
    /// Refuses impossible settings.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`].
    pub(super) fn check(&self) -> Result<()> {
        let counts = [
            ("iterations", self.iterations),
            ("batch_size", self.batch_size),
            ("mini_batch", self.mini_batch),
            ("epochs", self.epochs),
            ("max_new_tokens", self.max_new_tokens),
        ];
        if let Some((name, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(Error::argument(name, 0, "at least 1"));
        }
        for (name, value) in [("lr", self.lr), ("clip", self.clip), ("max_grad_norm", self.max_grad_norm)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::argument(name, value, "a number above 0"));
            }
        }
        for (name, value) in [("kl_weight", self.kl_weight), ("value_weight", self.value_weight)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::argument(name, value, "a number that is not negative"));
            }
        }
        for (name, value) in [("gamma", self.gamma), ("lambda", self.lambda)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(Error::argument(name, value, "a number from 0 to 1"));
            }
        }
        Ok(())
    }
}
