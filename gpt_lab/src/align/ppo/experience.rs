//! From completions and their scores to the numbers that PPO learns from.

use candle_core::{Device, Tensor};

use super::config::PpoConfig;
use super::losses::{self, Advantages, Clipped, TokenRewards};
use crate::align::actor::{ActorCritic, Evaluation};
use crate::align::logps::answer_mask;
use crate::align::optimize::rows_of;
use crate::data::Completion;
use crate::{Error, Pass, Result};

/// The completions of one iteration, and everything that is to be learnt from them. All tensors are `[N, L]`: one row a
/// completion, with L tokens for the longest.
#[derive(Debug, Clone)]
pub struct Experience {
    /// The completions.
    pub completions: Vec<Completion>,
    /// Their scores, with [`PpoConfig::unended_score`] for those that did not end.
    pub scores: Vec<f32>,
    /// 1 for the completions' tokens.
    pub mask: Tensor,
    /// Log-probabilities and values at the time of the rollout.
    pub old: Evaluation,
    /// The estimated KL divergence from the reference, token by token.
    pub kl: Tensor,
    /// The reward of each token.
    pub rewards: Tensor,
    /// The advantage of each token, whitened over the batch.
    pub advantages: Tensor,
    /// The value that each state should have had.
    pub returns: Tensor,
}

impl ActorCritic {
    /// Everything that is to be learnt from these completions and their scores: rewards with the price of the distance
    /// from the reference, and advantages by generalised advantage estimation, whitened over the batch. The completions
    /// of a group ([`PpoConfig::group_size`]) stand side by side.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for another number of scores than completions, or for a part of a group;
    /// [`Error::EmptyInput`] for fewer than two tokens.
    pub fn experience(&self, completions: Vec<Completion>, scores: Vec<f32>, config: &PpoConfig) -> Result<Experience> {
        let (n, given) = (completions.len(), scores.len());
        if n != given {
            return Err(Error::argument("scores", format!("{given} scores"), format!("{n}, one for each text")));
        }
        if !n.is_multiple_of(config.group_size) {
            let expected = format!("whole groups of {}", config.group_size);
            return Err(Error::argument("completions", n, expected));
        }
        // 1. A completion that the policy did not end has a score of its own.
        let score = |(one, score): (&Completion, f32)| config.unended_score.filter(|_| !one.ended).unwrap_or(score);
        let scores: Vec<f32> = completions.iter().zip(scores).map(score).collect();
        // 2. The policy and the critic as they are now, and the reference: the policy without its adapter.
        let mask = answer_mask(&completions)?;
        let old = self.evaluate(&completions)?;
        let reference = self.reference_logps(&completions)?;
        // 3. Each token's reward: the price of its distance from the reference, and at the last one the score.
        let of_texts = Tensor::new(centred(&scores, config.group_size), &Device::Cpu)?;
        let TokenRewards { kl, rewards } =
            losses::token_rewards(&old.logps, &reference, &of_texts, &mask, config.kl_weight)?;
        // 4. Advantages and returns (generalised advantage estimation), the advantages whitened.
        let Advantages { advantages, returns } =
            losses::advantages(&rewards, &old.values, &mask, config.gamma, config.lambda)?;
        let advantages = losses::whiten(&advantages, &mask)?;
        Ok(Experience { completions, scores, mask, old, kl, rewards, advantages, returns })
    }
}

/// The scores, each less the mean of its group; as they are in groups of one.
fn centred(scores: &[f32], group_size: usize) -> Vec<f32> {
    if group_size == 1 {
        return scores.to_vec();
    }
    let of_group = |group: &[f32]| {
        let mean = group.iter().sum::<f32>() / group.len() as f32;
        group.iter().map(|score| score - mean).collect::<Vec<_>>()
    };
    scores.chunks(group_size).flat_map(of_group).collect()
}

/// The losses of some rows of an experience.
pub(super) struct Losses {
    pub policy: Clipped,
    pub value: Clipped,
    pub approx_kl: f32,
}

impl Experience {
    /// Number of tokens of all completions.
    pub fn tokens(&self) -> usize {
        self.completions.iter().map(|one| one.answer_ids().len()).sum()
    }

    /// The losses of these rows under the actor as it is now, against the actor of the rollout.
    pub(super) fn losses(
        &self,
        actor: &ActorCritic,
        rows: &[usize],
        config: &PpoConfig,
        pass: &mut Pass,
    ) -> Result<Losses> {
        let completions: Vec<&Completion> = rows.iter().map(|&row| &self.completions[row]).collect();
        let now = actor.forward(&completions, pass)?;
        let width = now.logps.dim(1)?;
        let of = |all: &Tensor| rows_of(all, rows, width);
        let (mask, old_logps) = (of(&self.mask)?, of(&self.old.logps)?);
        let (advantages, returns) = (of(&self.advantages)?, of(&self.returns)?);
        Ok(Losses {
            policy: losses::policy_loss(&now.logps, &old_logps, &advantages, &mask, config.clip)?,
            value: losses::value_loss(&now.values, &of(&self.old.values)?, &returns, &mask, config.value_clip)?,
            approx_kl: losses::approx_kl(&now.logps, &old_logps, &mask)?,
        })
    }
}
