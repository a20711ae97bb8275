//! A policy measured by comparisons.

use candle_core::{DType, Tensor};

use crate::align::{DpoModel, Preferences};
use crate::data::Examples;
use crate::{Error, Pass, Result};

/// A policy measured by some comparisons; all are means over pairs.
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
    /// The difference of the two implicit rewards.
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
    /// Loss, accuracy and implicit rewards on all comparisons, without dropout.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a batch size of 0, [`Error::EmptyInput`] without comparisons; those of the model.
    pub fn measure(&self, data: &Preferences, batch_size: usize) -> Result<DpoReport> {
        if data.count() == 0 {
            return Err(Error::empty("the comparisons"));
        }
        let (mut loss, mut right, mut chosen, mut rejected) = (0.0, 0.0, 0.0, 0.0);
        for rows in data.batches(batch_size)? {
            let out = self.compare(&data.batch(&rows)?, &mut Pass::eval())?;
            let sum = |tensor: &Tensor| Ok::<f64, Error>(f64::from(tensor.sum_all()?.to_scalar::<f32>()?));
            loss += sum(&out.losses)?;
            chosen += sum(&out.chosen_rewards)?;
            rejected += sum(&out.rejected_rewards)?;
            right += sum(&out.chosen_rewards.gt(&out.rejected_rewards)?.to_dtype(DType::F32)?)?;
        }
        let n = data.count() as f64;
        Ok(DpoReport { loss: loss / n, accuracy: right / n, chosen_reward: chosen / n, rejected_reward: rejected / n })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Completion, Split, TokenPair, TokenPairs};
    use crate::eval::answer_kl;
    use crate::gpt2::{Gpt2, Gpt2Config};
    use crate::lora::{Lora, LoraConfig, Targets};
    use crate::train::{Length, Silent, TrainConfig, train};
    use crate::{Param, ops};

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
        let row = |i: u32| {
            let prompt = [1 + i % 3, 2];
            let chosen: &[u32] = if i.is_multiple_of(2) { &[7, 0] } else { &[7, 7, 7, 0] };
            let rejected = [5 + i % 2, 4, 0];
            TokenPair { chosen: Completion::ended(&prompt, chosen), rejected: Completion::ended(&prompt, &rejected) }
        };
        TokenPairs { rows: (0..20).map(row).collect(), over_long: 0 }
    }

    fn bits(lora: &Lora<Gpt2>) -> Vec<u32> {
        let of = |param: &Param| param.var().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        lora.model().params().iter().flat_map(of).map(f32::to_bits).collect()
    }

    fn distance(lora: &Lora<Gpt2>) -> f64 {
        answer_kl(lora, &pairs().rows.into_iter().map(|pair| pair.chosen).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn it_begins_at_ln_2_and_learns_without_touching_the_base() {
        let policy = policy();
        let data = Preferences::new(pairs(), &policy).unwrap();
        let model = DpoModel { policy: policy.clone(), beta: 0.3, nll_weight: 0.0 };
        let begin = model.measure(&data, 7).unwrap();
        assert!((begin.loss - std::f64::consts::LN_2).abs() < 1e-6, "{begin}");
        assert!(begin.margin().abs() < 1e-6 && distance(&policy).abs() < 1e-6, "{begin}");
        let (base, reference) = (bits(&policy), data.reference(3).unwrap());
        let split = Split { train: data.clone(), validation: data.clone() };
        let config =
            TrainConfig { length: Length::Steps(15), batch_size: 5, lr: 1e-2, eval_every: 0, ..Default::default() };
        train(&model, &split, &config, &mut Silent).unwrap();
        let end = model.measure(&data, 7).unwrap();
        assert!(end.margin() > 0.5 && end.accuracy == 1.0 && end.loss < 0.5, "{end}");
        assert!(distance(&policy) > 0.01);
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
