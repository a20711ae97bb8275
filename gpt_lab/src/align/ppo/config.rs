//! The settings of PPO.

use serde::{Deserialize, Serialize};

use crate::train::Schedule;
use crate::{Error, Result};

/// The settings of [`train_ppo`](crate::align::train_ppo).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PpoConfig {
    /// Number of rounds: a rollout, its scores, and the steps that learn from them.
    pub iterations: usize,
    /// Completions of each iteration's rollout.
    pub batch_size: usize,
    /// Completions of each prompt in a rollout, a divisor of `batch_size`. With more than one, the mean score of a
    /// prompt's completions is subtracted from each: what is learnt is which of them was better, not which prompt was
    /// the easier one.
    pub group_size: usize,
    /// Completions of one optimizer step.
    pub mini_batch: usize,
    /// Passes over each rollout.
    pub epochs: usize,
    /// Peak learning rate.
    pub lr: f64,
    /// The learning rate over the iterations.
    pub schedule: Schedule,
    /// Price of a nat of KL divergence from the reference, in units of the score.
    pub kl_weight: f64,
    /// Discount of a reward one token later: γ.
    pub gamma: f64,
    /// Horizon of the advantages, λ: 0 trusts the critic alone, 1 the rewards alone.
    pub lambda: f64,
    /// Range of a token's probability within one iteration, as a ratio 1 ± clip.
    pub clip: f64,
    /// Range of a value within one iteration, in units of the score; `None` lets the critic learn freely.
    pub value_clip: Option<f64>,
    /// Weight of the critic's loss.
    pub value_weight: f64,
    /// Gradients longer than this are shortened to it.
    pub max_grad_norm: f64,
    /// Tokens that a completion may have.
    pub max_new_tokens: usize,
    /// The score of a completion that the policy did not end, in place of the judge's, which was never shown such a
    /// text (Ziegler et al. 2019, section 2.1); `None` keeps the judge's.
    pub unended_score: Option<f32>,
    /// An iteration's steps end early once they have moved the policy by half as much again
    /// ([`approx_kl`](super::approx_kl), nats a token); `None` makes all of them.
    pub target_kl: Option<f64>,
    /// Decides everything that is random.
    pub seed: u64,
}

impl Default for PpoConfig {
    fn default() -> Self {
        PpoConfig {
            iterations: 40,
            batch_size: 32,
            group_size: 1,
            mini_batch: 16,
            epochs: 2,
            lr: 1e-3,
            schedule: Schedule::Constant,
            kl_weight: 0.1,
            gamma: 1.0,
            lambda: 0.95,
            clip: 0.2,
            value_clip: None,
            value_weight: 0.1,
            max_grad_norm: 1.0,
            max_new_tokens: 32,
            unended_score: Some(-1.0),
            target_kl: None,
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
            ("group_size", self.group_size),
            ("mini_batch", self.mini_batch),
            ("epochs", self.epochs),
            ("max_new_tokens", self.max_new_tokens),
        ];
        if let Some((name, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return Err(Error::argument(name, 0, "at least 1"));
        }
        if !self.batch_size.is_multiple_of(self.group_size) {
            let expected = format!("a divisor of batch_size, which is {}", self.batch_size);
            return Err(Error::argument("group_size", self.group_size, expected));
        }
        let positive = [("lr", Some(self.lr)), ("clip", Some(self.clip)), ("max_grad_norm", Some(self.max_grad_norm))];
        let optional = [("value_clip", self.value_clip), ("target_kl", self.target_kl)];
        for (name, value) in positive.into_iter().chain(optional).filter_map(|(name, value)| Some((name, value?))) {
            if !(value > 0.0 && value.is_finite()) {
                return Err(Error::argument(name, value, "a number above 0"));
            }
        }
        for (name, value) in [("kl_weight", self.kl_weight), ("value_weight", self.value_weight)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::argument(name, value, "a number that is not negative"));
            }
        }
        if let Some(score) = self.unended_score.filter(|score| !score.is_finite()) {
            return Err(Error::argument("unended_score", score, "a finite number"));
        }
        for (name, value) in [("gamma", self.gamma), ("lambda", self.lambda)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(Error::argument(name, value, "a number from 0 to 1"));
            }
        }
        Ok(())
    }
}
