//! The model and the data of DPO.
//!
//! The policy is a GPT-2 with an adapter; the reference is the same model with the adapter off, so there is no second
//! copy. The reference's log-probabilities of the answers never change: [`Preferences`] computes them once, without
//! gradient.

use candle_core::{DType, Device, Tensor};

use super::dpo::{Dpo, answer_log_probs, dpo};
use crate::data::{Examples, TokenPairs, padding};
use crate::gpt2::Gpt2;
use crate::lora::Lora;
use crate::train::Trainable;
use crate::{Param, Pass, Result};

/// Rows of one forward pass of the reference.
const REFERENCE_BATCH: usize = 16;

/// A batch of `N` comparisons. Ids and masks are `[N, T]`, the two sides may differ in T; the masks are 1 for the
/// answer's tokens.
#[derive(Debug, Clone)]
pub struct AnswerPairs {
    /// Prompts with the preferred answers.
    pub chosen: Tensor,
    /// Mask of the preferred answers.
    pub chosen_answer: Tensor,
    /// Prompts with the other answers.
    pub rejected: Tensor,
    /// Mask of the other answers.
    pub rejected_answer: Tensor,
    /// The reference's log-probability of each preferred answer, `[N]`, a constant.
    pub reference_chosen: Tensor,
    /// That of each other answer, `[N]`, a constant.
    pub reference_rejected: Tensor,
}

/// Comparisons with the log-probabilities that the reference gives to both answers.
#[derive(Debug, Clone)]
pub struct Preferences {
    pairs: TokenPairs,
    chosen: Vec<f32>,
    rejected: Vec<f32>,
}

impl Preferences {
    /// These comparisons with the log-probabilities that the reference gives to both answers: the model with its
    /// adapters off, without dropout.
    ///
    /// # Errors
    /// Those of [`Gpt2::forward`].
    pub fn new(pairs: TokenPairs, policy: &Lora<Gpt2>) -> Result<Self> {
        policy.disabled(|reference| {
            let zeros = vec![0.0; pairs.rows.len()];
            let mut found = Preferences { pairs, chosen: zeros.clone(), rejected: zeros };
            for rows in found.batches(REFERENCE_BATCH)? {
                let batch = found.batch(&rows)?;
                let (chosen, rejected) = log_probs(reference, &batch, &mut Pass::eval())?;
                let (chosen, rejected) = (chosen.to_vec1()?, rejected.to_vec1()?);
                found.chosen[rows[0]..][..rows.len()].copy_from_slice(&chosen);
                found.rejected[rows[0]..][..rows.len()].copy_from_slice(&rejected);
            }
            Ok(found)
        })?
    }

    /// The reference's log-probabilities of both answers of this row: preferred, other.
    pub fn reference(&self, row: usize) -> Option<(f32, f32)> {
        Some((*self.chosen.get(row)?, *self.rejected.get(row)?))
    }
}

impl Examples for Preferences {
    type Batch = AnswerPairs;

    fn count(&self) -> usize {
        self.pairs.count()
    }

    fn batch(&self, rows: &[usize]) -> Result<AnswerPairs> {
        let (chosen, rejected) = self.pairs.sides(rows)?;
        let of = |values: &[f32]| {
            let of_rows: Vec<f32> = rows.iter().map(|&row| values[row]).collect();
            Tensor::new(of_rows, &Device::Cpu)
        };
        Ok(AnswerPairs {
            reference_chosen: of(&self.chosen)?,
            reference_rejected: of(&self.rejected)?,
            chosen: padding::ids(&chosen)?,
            chosen_answer: padding::answer_mask(&chosen)?,
            rejected: padding::ids(&rejected)?,
            rejected_answer: padding::answer_mask(&rejected)?,
        })
    }

    fn tokens(&self, rows: &[usize]) -> usize {
        self.pairs.tokens(rows)
    }

    fn fingerprint(&self) -> u64 {
        self.pairs.fingerprint()
    }
}

/// The log-probabilities of both answers of each pair, `[N]` each.
fn log_probs(model: &Gpt2, batch: &AnswerPairs, pass: &mut Pass) -> Result<(Tensor, Tensor)> {
    let mut of = |ids: &Tensor, answer: &Tensor| answer_log_probs(&model.forward(ids, pass)?, ids, answer);
    Ok((of(&batch.chosen, &batch.chosen_answer)?, of(&batch.rejected, &batch.rejected_answer)?))
}

/// A policy that [`train`](crate::train::train) can train on [`Preferences`].
#[derive(Debug, Clone)]
pub struct DpoModel {
    /// The model with its adapter, which alone is trained.
    pub policy: Lora<Gpt2>,
    /// β, the price of the KL divergence from the reference.
    pub beta: f64,
    /// Weight of the preferred answers' own loss, `−log π` a token, beside DPO's; 0 in the paper. DPO's loss minds the
    /// gap only, and may let both answers fall; with this, the preferred one has to stay likely (Pang et al. 2024,
    /// "Iterative reasoning preference optimization", <https://arxiv.org/abs/2404.19733>, equation 1).
    pub nll_weight: f64,
}

impl DpoModel {
    /// Losses and implicit rewards of these comparisons.
    pub(crate) fn compare(&self, batch: &AnswerPairs, pass: &mut Pass) -> Result<Dpo> {
        let (chosen, rejected) = log_probs(self.policy.model(), batch, pass)?;
        self.dpo(&chosen, &rejected, batch)
    }

    fn dpo(&self, chosen: &Tensor, rejected: &Tensor, batch: &AnswerPairs) -> Result<Dpo> {
        dpo(chosen, rejected, &batch.reference_chosen, &batch.reference_rejected, self.beta)
    }
}

impl Trainable<AnswerPairs> for DpoModel {
    fn params(&self) -> Vec<Param> {
        self.policy.params()
    }

    /// The body's own dropout stays off: the reference has none, and noise in one of the two would be taken for a
    /// preference.
    fn loss(&self, batch: &AnswerPairs, pass: &mut Pass) -> Result<Tensor> {
        pass.restrict_to_adapters();
        let (chosen, rejected) = log_probs(self.policy.model(), batch, pass)?;
        let loss = self.dpo(&chosen, &rejected, batch)?.losses.mean_all()?;
        if self.nll_weight == 0.0 {
            return Ok(loss);
        }
        let tokens = batch.chosen_answer.to_dtype(DType::F32)?.sum(1)?; // [N]
        Ok((loss - ((chosen / tokens)?.mean_all()? * self.nll_weight)?)?)
    }
}
