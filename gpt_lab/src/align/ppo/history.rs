//! The record of a PPO run.

use serde::{Deserialize, Serialize};

use super::experience::Experience;
use super::losses;
use crate::Result;
use crate::train::History;

/// One iteration; all are means over texts or tokens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PpoRecord {
    /// Its number, from 1.
    pub iteration: usize,
    /// The mean score of a completion, before the price of the distance.
    pub score: f32,
    /// The KL divergence of a completion from the reference, in nats, estimated from the rollout.
    pub kl: f32,
    /// The entropy of the policy in nats a token, estimated from the rollout.
    pub entropy: f32,
    /// Tokens of a completion.
    pub length: f32,
    /// The share of completions that the policy ended.
    pub ended: f32,
    /// The clipped policy loss at the last step.
    pub policy_loss: f32,
    /// The critic's loss at the last step.
    pub value_loss: f32,
    /// The share of tokens whose gain was capped by the clip, at the last step.
    pub clip_fraction: f32,
    /// The distance that this iteration moved the policy: `½ (log ratio)²`, at the last step.
    pub approx_kl: f32,
    /// The gradient's norm before clipping, at the last step.
    pub grad_norm: f64,
    /// Steps of the optimizer: fewer than planned if [`target_kl`](super::config::PpoConfig::target_kl) ended them.
    pub optimizer_steps: usize,
}

impl PpoRecord {
    /// The record of an iteration before its first step.
    pub(super) fn new(iteration: usize, experience: &Experience) -> Result<Self> {
        let Experience { completions, scores, kl, .. } = experience;
        let n = completions.len() as f32;
        Ok(PpoRecord {
            iteration,
            score: scores.iter().sum::<f32>() / n,
            kl: losses::mean_kl(kl)?,
            entropy: losses::mean_entropy(&experience.old.logps, &experience.mask)?,
            length: completions.iter().map(|one| one.answer_ids().len() as f32).sum::<f32>() / n,
            ended: completions.iter().filter(|one| one.ended).count() as f32 / n,
            policy_loss: 0.0,
            value_loss: 0.0,
            clip_fraction: 0.0,
            approx_kl: 0.0,
            grad_norm: 0.0,
            optimizer_steps: 0,
        })
    }
}

impl History<PpoRecord> {
    /// `(iteration, score)`.
    pub fn scores(&self) -> Vec<(f64, f64)> {
        self.curve(|record| record.score)
    }

    /// `(iteration, KL)`.
    pub fn kls(&self) -> Vec<(f64, f64)> {
        self.curve(|record| record.kl)
    }

    /// `(iteration, entropy)`.
    pub fn entropies(&self) -> Vec<(f64, f64)> {
        self.curve(|record| record.entropy)
    }

    /// `(iteration, gradient's norm)`.
    pub fn grad_norms(&self) -> Vec<(f64, f64)> {
        self.curve(|record| record.grad_norm as f32)
    }

    /// `(iteration, tokens of a completion)`.
    pub fn lengths(&self) -> Vec<(f64, f64)> {
        self.curve(|record| record.length)
    }

    fn curve(&self, value: impl Fn(&PpoRecord) -> f32) -> Vec<(f64, f64)> {
        self.steps.iter().map(|record| (record.iteration as f64, f64::from(value(record)))).collect()
    }
}

/// `40 iterations in 95 s; score −0.31 → 1.20, KL 4.1 nats a text; finished`
impl std::fmt::Display for History<PpoRecord> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} iterations in {:.0} s", self.steps.len(), self.seconds)?;
        if let (Some(first), Some(last)) = (self.steps.first(), self.steps.last()) {
            write!(f, "; score {:.2} → {:.2}, KL {:.1} nats a text", first.score, last.score, last.kl)?;
        }
        write!(f, "{}", self.stopped)
    }
}
