//! The record of a GRPO run.

use serde::{Deserialize, Serialize};

use crate::train::History;

/// One iteration; all are means over completions or tokens.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct GrpoRecord {
    /// Its number, from 1.
    pub iteration: usize,
    /// The mean reward of a completion.
    pub reward: f32,
    /// The share of groups whose completions did not all get the same reward. The others teach nothing: there all
    /// advantages are 0.
    pub mixed: f32,
    /// The KL divergence of a completion from the reference, in nats, estimated from the rollout.
    pub kl: f32,
    /// The entropy of the policy in nats a token, estimated from the rollout.
    pub entropy: f32,
    /// Tokens of a completion.
    pub length: f32,
    /// The share of completions that the policy ended.
    pub ended: f32,
    /// The share of tokens whose gain was capped by the clip, at the last step.
    pub clip_fraction: f32,
    /// The gradient's norm before clipping, at the last step.
    pub grad_norm: f64,
}

impl History<GrpoRecord> {
    /// `(iteration, value)` of each iteration.
    pub fn curve(&self, value: impl Fn(&GrpoRecord) -> f32) -> Vec<(f64, f64)> {
        self.steps.iter().map(|record| (record.iteration as f64, f64::from(value(record)))).collect()
    }
}

/// `60 iterations in 40 s; reward 0.22 → 0.71, KL 2.1 nats a text, entropy 1.31 → 0.42 nats a token; finished`
impl std::fmt::Display for History<GrpoRecord> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} iterations in {:.0} s", self.steps.len(), self.seconds)?;
        if let (Some(first), Some(last)) = (self.steps.first(), self.steps.last()) {
            write!(f, "; reward {:.2} → {:.2}, KL {:.1} nats a text", first.reward, last.reward, last.kl)?;
            write!(f, ", entropy {:.2} → {:.2} nats a token", first.entropy, last.entropy)?;
        }
        write!(f, "{}", self.stopped)
    }
}
