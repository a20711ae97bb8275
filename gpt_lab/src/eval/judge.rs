//! The judgements of a score model, and their accuracy.

use candle_core::{Device, Tensor};

use crate::data::{Comparison, Completion, Examples, TokenPairs, encode_answer, padding};
use crate::reward::ScoreModel;
use crate::text::Tokenizer;
use crate::{Pass, Result};

/// Rows of one forward pass in [`score_completions`].
const ROWS: usize = 32;

/// The scores of both sides of some comparisons, in their order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Judgements {
    /// Scores of the preferred answers.
    pub chosen: Vec<f32>,
    /// Scores of the other ones.
    pub rejected: Vec<f32>,
}

/// Pairs of which the model was about equally sure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CalibrationBin {
    /// The mean probability that the model gave to its own choice, `σ(|margin|)`: ½ to 1.
    pub predicted: f64,
    /// The share of pairs in which its choice was the preferred one.
    pub observed: f64,
    /// Number of pairs.
    pub count: usize,
}

/// Scores all comparisons, without dropout, in batches of `batch_size` pairs.
///
/// # Errors
/// [`InvalidArgument`](crate::Error::InvalidArgument) for a batch size of 0; those of [`ScoreModel::rewards`].
pub fn judge(model: &ScoreModel, pairs: &TokenPairs, batch_size: usize) -> Result<Judgements> {
    let mut found = Judgements::default();
    for rows in pairs.batches(batch_size)? {
        let (chosen, rejected) = model.compare(&pairs.batch(&rows)?, &mut Pass::eval())?;
        found.chosen.extend(chosen.to_vec1::<f32>()?);
        found.rejected.extend(rejected.to_vec1::<f32>()?);
    }
    Ok(found)
}

/// The score of each answer to a question, without dropout.
///
/// # Errors
/// [`UnknownCharacter`](crate::Error::UnknownCharacter); those of [`ScoreModel::rewards`].
pub fn score_answers(
    model: &ScoreModel,
    tokenizer: &dyn Tokenizer,
    question: &str,
    answers: &[&str],
) -> Result<Vec<f32>> {
    let prompt = tokenizer.encode(&Comparison::prompt(question))?;
    let score = |answer: &&str| -> Result<f32> {
        let ids = [prompt.clone(), encode_answer(tokenizer, answer)?].concat();
        let ids = Tensor::new(ids, &Device::Cpu)?.unsqueeze(0)?;
        Ok(model.rewards(&ids, &ids.ones_like()?, &mut Pass::eval())?.to_vec1()?[0])
    };
    answers.iter().map(score).collect()
}

/// The score of each completion, without dropout.
///
/// # Errors
/// [`EmptyInput`](crate::Error::EmptyInput) for a completion without prompt; those of [`ScoreModel::rewards`].
pub fn score_completions(model: &ScoreModel, completions: &[Completion]) -> Result<Vec<f32>> {
    let mut scores = Vec::new();
    for some in completions.chunks(ROWS) {
        let (ids, mask) = (padding::ids(some)?, padding::mask(some)?);
        scores.extend(model.rewards(&ids, &mask, &mut Pass::eval())?.to_vec1::<f32>()?);
    }
    Ok(scores)
}

impl Judgements {
    /// `chosen − rejected` of each pair.
    pub fn margins(&self) -> Vec<f32> {
        self.chosen.iter().zip(&self.rejected).map(|(chosen, rejected)| chosen - rejected).collect()
    }

    /// The share of pairs in which the preferred answer has the higher score. Equal scores count as wrong; NaN without
    /// pairs.
    pub fn accuracy(&self) -> f64 {
        let margins = self.margins();
        margins.iter().filter(|margin| **margin > 0.0).count() as f64 / margins.len() as f64
    }

    /// The mean margin; NaN without pairs.
    pub fn margin(&self) -> f64 {
        let margins = self.margins();
        margins.iter().map(|margin| f64::from(*margin)).sum::<f64>() / margins.len() as f64
    }

    /// The model's certainty beside its success: the pairs sorted by `σ(|margin|)`, in bins of equal width between ½
    /// and 1; empty bins are left out.
    pub fn calibration(&self, bins: usize) -> Vec<CalibrationBin> {
        let mut sums = vec![(0.0, 0.0, 0usize); bins.max(1)];
        for margin in self.margins() {
            let sure = 1.0 / (1.0 + f64::from(-margin.abs()).exp());
            let bin = ((sure - 0.5) * 2.0 * sums.len() as f64) as usize;
            let bin = bin.min(sums.len() - 1);
            sums[bin].0 += sure;
            sums[bin].1 += f64::from(u8::from(margin > 0.0));
            sums[bin].2 += 1;
        }
        let bin = |(sure, right, count): (f64, f64, usize)| CalibrationBin {
            predicted: sure / count as f64,
            observed: right / count as f64,
            count,
        };
        sums.into_iter().filter(|(_, _, count)| *count > 0).map(bin).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::TokenPair;
    use crate::gpt2::{Gpt2, Gpt2Config};
    use crate::lora::{Lora, LoraConfig};
    use crate::train::{Gradients, Length, Silent, TrainConfig, train};

    #[test]
    fn accuracy_margin_and_calibration_by_hand() {
        let found = Judgements { chosen: vec![2.0, 0.0, 1.0, 5.0], rejected: vec![1.0, 0.0, 1.5, -5.0] };
        assert_eq!(found.margins(), [1.0, 0.0, -0.5, 10.0]);
        assert_eq!((found.accuracy(), found.margin()), (0.5, 2.625));
        // σ(1) = 0.7311, σ(0) = 0.5, σ(0.5) = 0.6225, σ(10) = 0.99995: the bins are 0.5–0.75 and 0.75–1.
        let [low, high] = found.calibration(2).try_into().unwrap();
        assert!((low.predicted - (0.731_058_6 + 0.5 + 0.622_459_3) / 3.0).abs() < 1e-6);
        assert!((low.observed - 1.0 / 3.0).abs() < 1e-12 && low.count == 3);
        assert!((high.predicted - 0.999_954_6).abs() < 1e-6 && high.observed == 1.0 && high.count == 1);
        assert_eq!(found.calibration(20).iter().map(|bin| bin.count).sum::<usize>(), 4);
    }

    #[test]
    fn it_learns_a_preference_and_the_body_stays() {
        let sizes =
            Gpt2Config { vocab_size: 12, n_positions: 8, n_embd: 16, n_layer: 2, n_head: 2, ..Default::default() };
        let config = Gpt2Config { initializer_range: 0.2, attn_pdrop: 0.0, resid_pdrop: 0.0, embd_pdrop: 0.0, ..sizes };
        let model = ScoreModel::new(&Gpt2::new(&config, 1).unwrap(), 2).unwrap();
        let before: Vec<f32> = model.body.wte.tensor().flatten_all().unwrap().to_vec1().unwrap();
        let lora = Lora::new(&model).unwrap();
        let adapter = LoraConfig { r: 2, modules_to_save: vec!["score".into()], ..Default::default() };
        lora.add("default", &adapter, 3).unwrap();
        // The answer with a 7 in it is preferred, wherever it stands.
        let row = |i: u32| {
            let (prompt, rejected) = ([1 + i % 3], [5 + i % 2, 4]);
            let chosen: &[u32] = if i.is_multiple_of(2) { &[7, 4] } else { &[4, 5, 7] };
            TokenPair { chosen: Completion::ended(&prompt, chosen), rejected: Completion::ended(&prompt, &rejected) }
        };
        let pairs = TokenPairs { rows: (0..24).map(row).collect(), over_long: 0 };
        let untrained = judge(&model, &pairs, 5).unwrap();
        assert_eq!(untrained, judge(&model, &pairs, 5).unwrap());
        let data = crate::data::Split { train: pairs.clone(), validation: pairs.clone() };
        let config =
            TrainConfig { length: Length::Steps(40), batch_size: 8, lr: 2e-2, eval_every: 0, ..Default::default() };
        train(&lora, &data, &config, &mut Silent).unwrap();
        let trained = judge(&model, &pairs, 5).unwrap();
        assert!(trained.accuracy() > 0.95 && trained.margin() > untrained.margin() + 1.0, "{trained:?}");
        assert_eq!(before, model.body.wte.tensor().flatten_all().unwrap().to_vec1::<f32>().unwrap());
        // One pair by itself scores as it does beside longer ones.
        let alone = TokenPairs { rows: vec![pairs.rows[2].clone()], over_long: 0 };
        assert!((judge(&model, &alone, 1).unwrap().chosen[0] - trained.chosen[2]).abs() < 1e-5);
        let loss = crate::train::Trainable::loss(&lora, &pairs.batch(&[0, 1]).unwrap(), &mut Pass::eval()).unwrap();
        Gradients::of(&loss, &lora.params()).unwrap().require_all(&lora.params()).unwrap();
    }
}
