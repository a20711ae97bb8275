//! What DPO trains, and on what.
//!
//! The policy is a GPT-2 with an adapter; the reference is the same model with the adapter off, so there is no second copy. What
//! the reference says about each answer never changes: [`Preferences`] asks once, without gradient, and keeps it.

use candle_core::{D, DType, Tensor};

use super::{Written, answer_log_probs, dpo};
use crate::data::comparisons::Padded;
use crate::data::{Examples, TokenPairs};
use crate::gpt2::Gpt2;
use crate::lora::Lora;
use crate::train::Trainable;
use crate::{Error, Param, Pass, Result, ops};

/// Rows of one forward pass of the reference.
const REFERENCE_BATCH: usize = 16;

/// A batch of `N` comparisons. Ids and marks are `[N, T]`, the two sides may differ in T; the marks are 1 for the answer's tokens.
#[derive(Debug, Clone)]
pub struct AnswerPairs {
    /// Prompts with the preferred answers.
    pub chosen: Tensor,
    /// Which tokens are the answer.
    pub chosen_answer: Tensor,
    /// Prompts with the other answers.
    pub rejected: Tensor,
    /// Which tokens are the answer.
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
    /// Asks the reference about every answer once: the model with its adapters off, without dropout.
    ///
    /// # Errors
    /// What [`Gpt2::forward`] refuses.
    pub fn new(pairs: TokenPairs, policy: &Lora<Gpt2>) -> Result<Self> {
        policy.disabled(|reference| {
            let zeros = vec![0.0; pairs.rows.len()];
            let mut found = Preferences { pairs, chosen: zeros.clone(), rejected: zeros };
            for rows in (0..found.count()).collect::<Vec<_>>().chunks(REFERENCE_BATCH) {
                let batch = found.batch(rows)?;
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
        let pairs = self.pairs.pick(rows)?;
        let chosen = Padded::of(pairs.iter().map(|pair| (&pair.prompt[..], &pair.chosen[..])))?;
        let rejected = Padded::of(pairs.iter().map(|pair| (&pair.prompt[..], &pair.rejected[..])))?;
        let device = chosen.ids.device().clone();
        let of = |values: &[f32]| Tensor::new(rows.iter().map(|&row| values[row]).collect::<Vec<f32>>(), &device);
        Ok(AnswerPairs {
            reference_chosen: of(&self.chosen)?,
            reference_rejected: of(&self.rejected)?,
            chosen: chosen.ids,
            chosen_answer: chosen.answer,
            rejected: rejected.ids,
            rejected_answer: rejected.answer,
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
    /// How dear it is to leave the reference.
    pub beta: f64,
}

/// How a policy stands to some comparisons; all are means over pairs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DpoReport {
    /// The loss; ln 2 for a policy that is the reference.
    pub loss: f64,
    /// The share of pairs in which the preferred answer has the higher implicit reward. Equal ones count as wrong.
    pub accuracy: f64,
    /// The implicit reward of the preferred answers, `β (log π − log π_ref)`.
    pub chosen_reward: f64,
    /// That of the other ones.
    pub rejected_reward: f64,
}

impl DpoReport {
    /// By how much the preferred answers' implicit reward is higher.
    pub fn margin(&self) -> f64 {
        self.chosen_reward - self.rejected_reward
    }
}

impl std::fmt::Display for DpoReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (chosen, rejected) = (self.chosen_reward, self.rejected_reward);
        write!(f, "loss {:.4}, accuracy {:.1} %, ", self.loss, 100.0 * self.accuracy)?;
        write!(f, "rewards {chosen:+.3} and {rejected:+.3}, margin {:.3}", self.margin())
    }
}

impl DpoModel {
    /// Looks at all comparisons, without dropout.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a batch size of 0, [`Error::EmptyInput`] without comparisons; those of the model.
    pub fn measure(&self, data: &Preferences, batch_size: usize) -> Result<DpoReport> {
        if batch_size == 0 {
            let (value, expected) = ("0".into(), "at least one row a batch".into());
            return Err(Error::InvalidArgument { argument: "batch_size", value, expected });
        }
        if data.count() == 0 {
            return Err(Error::EmptyInput { what: "the comparisons".into() });
        }
        let (mut loss, mut right, mut chosen, mut rejected) = (0.0, 0.0, 0.0, 0.0);
        for rows in (0..data.count()).collect::<Vec<_>>().chunks(batch_size) {
            let out = self.compare(&data.batch(rows)?, &mut Pass::eval())?;
            let sum = |tensor: &Tensor| Ok::<f64, Error>(f64::from(tensor.sum_all()?.to_scalar::<f32>()?));
            loss += sum(&out.losses)?;
            chosen += sum(&out.chosen_rewards)?;
            rejected += sum(&out.rejected_rewards)?;
            right += sum(&out.chosen_rewards.gt(&out.rejected_rewards)?.to_dtype(DType::F32)?)?;
        }
        let n = data.count() as f64;
        Ok(DpoReport { loss: loss / n, accuracy: right / n, chosen_reward: chosen / n, rejected_reward: rejected / n })
    }

    fn compare(&self, batch: &AnswerPairs, pass: &mut Pass) -> Result<dpo::Dpo> {
        let (chosen, rejected) = log_probs(self.policy.model(), batch, pass)?;
        dpo(&chosen, &rejected, &batch.reference_chosen, &batch.reference_rejected, self.beta)
    }
}

impl Trainable<AnswerPairs> for DpoModel {
    fn params(&self) -> Vec<Param> {
        self.policy.params()
    }

    fn loss(&self, batch: &AnswerPairs, pass: &mut Pass) -> Result<Tensor> {
        Ok(self.compare(batch, pass)?.losses.mean_all()?)
    }
}

/// How far the policy is from its reference on these prompts with answers, in nats an answer: at each of the answer's tokens
/// `Σ_v π(v) (log π(v) − log π_ref(v))`, summed over the answer, mean over answers. For answers that the policy wrote itself this
/// estimates `KL(π ‖ π_ref)`.
///
/// # Errors
/// [`Error::EmptyInput`] without answers or for an empty prompt; those of the model.
pub fn answer_kl(policy: &Lora<Gpt2>, answers: &[Written]) -> Result<f64> {
    if answers.is_empty() {
        return Err(Error::EmptyInput { what: "the answers".into() });
    }
    let mut sum = 0.0;
    for rows in answers.chunks(REFERENCE_BATCH) {
        let batch = Padded::of(rows.iter().map(|text| (&text.prompt[..], &text.answer[..])))?;
        let of = |model: &Gpt2| log_softmax(&model.forward(&batch.ids, &mut Pass::eval())?.detach()); // [N, T, V]
        let (new, old) = (of(policy.model())?, policy.disabled(of)??);
        let kl = (new.exp()? * (&new - &old)?)?.sum(D::Minus1)?; // [N, T]
        // The logits at t are about the token at t + 1.
        let width = batch.ids.dim(1)?;
        let kl = (kl.narrow(1, 0, width - 1)? * batch.answer.narrow(1, 1, width - 1)?.to_dtype(DType::F32)?)?;
        sum += f64::from(kl.sum_all()?.to_scalar::<f32>()?);
    }
    Ok(sum / answers.len() as f64)
}

/// `x − log Σ exp x` along the last axis.
fn log_softmax(x: &Tensor) -> Result<Tensor> {
    Ok(ops::softmax(x)?.maximum(1e-30)?.log()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Split, TokenPair};
    use crate::gpt2::Gpt2Config;
    use crate::lora::{LoraConfig, Targets};
    use crate::train::{Length, Silent, TrainConfig, train};

    fn policy() -> Lora<Gpt2> {
        let sizes =
            Gpt2Config { vocab_size: 12, n_positions: 8, n_embd: 16, n_layer: 2, n_head: 2, ..Default::default() };
        let config = Gpt2Config { initializer_range: 0.2, attn_pdrop: 0.0, resid_pdrop: 0.0, embd_pdrop: 0.0, ..sizes };
        let lora = Lora::new(&Gpt2::new(&config, 1).unwrap()).unwrap();
        let adapter = LoraConfig { r: 4, target_modules: Targets::pattern("all-linear"), ..Default::default() };
        lora.add("dpo", &adapter, 3).unwrap();
        lora
    }

    fn pairs() -> TokenPairs {
        let row = |i: u32| TokenPair {
            prompt: vec![1 + i % 3, 2],
            chosen: if i.is_multiple_of(2) { vec![7, 0] } else { vec![7, 7, 7, 0] },
            rejected: vec![5 + i % 2, 4, 0],
        };
        TokenPairs { rows: (0..20).map(row).collect(), over_long: 0 }
    }

    fn bits(lora: &Lora<Gpt2>) -> Vec<u32> {
        let of = |param: &Param| param.var().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        lora.model().params().iter().flat_map(of).map(f32::to_bits).collect()
    }

    fn written(lora: &Lora<Gpt2>) -> f64 {
        let written = |(prompt, answer)| Written { prompt, answer, ended: true };
        answer_kl(lora, &pairs().chosen_answers().rows.into_iter().map(written).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn it_begins_at_ln_2_and_learns_without_touching_the_base() {
        let policy = policy();
        let data = Preferences::new(pairs(), &policy).unwrap();
        let model = DpoModel { policy: policy.clone(), beta: 0.3 };
        let begin = model.measure(&data, 7).unwrap();
        assert!((begin.loss - std::f64::consts::LN_2).abs() < 1e-6, "{begin}");
        assert!(begin.margin().abs() < 1e-6 && written(&policy).abs() < 1e-6, "{begin}");
        let (base, reference) = (bits(&policy), data.reference(3).unwrap());
        let split = Split { train: data.clone(), validation: data.clone() };
        let config =
            TrainConfig { length: Length::Steps(15), batch_size: 5, lr: 1e-2, eval_every: 0, ..Default::default() };
        train(&model, &split, &config, &mut Silent).unwrap();
        let end = model.measure(&data, 7).unwrap();
        assert!(end.margin() > 0.5 && end.accuracy == 1.0 && end.loss < 0.5, "{end}");
        assert!(written(&policy) > 0.01);
        assert_eq!(base, bits(&policy), "only the adapter is trained");
        let again = Preferences::new(pairs(), &policy).unwrap();
        assert_eq!(again.reference(3).unwrap(), reference, "the reference stays what it was");
        assert_eq!(data.reference(20), None);
    }

    #[test]
    fn the_reference_sees_the_answer_only() {
        let policy = policy();
        let data = Preferences::new(pairs(), &policy).unwrap();
        // By hand: p(7 | 2 2) p(0 | 2 2 7) for row 1 − 1 = 0, whose prompt is [1, 2].
        let ids = Tensor::new(&[[1u32, 2, 7, 0]], &candle_core::Device::Cpu).unwrap();
        let logits = policy.disabled(|gpt2| gpt2.forward(&ids, &mut Pass::eval())).unwrap().unwrap();
        let p: Vec<Vec<f32>> = ops::softmax(&logits).unwrap().squeeze(0).unwrap().to_vec2().unwrap();
        let by_hand = p[1][7].ln() + p[2][0].ln();
        assert!((data.reference(0).unwrap().0 - by_hand).abs() < 1e-5);
    }
}
