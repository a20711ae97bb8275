//! GPT-2 with a score in place of the next token.

use std::path::Path;

use candle_core::{DType, Tensor};
use serde_json::json;

use super::pairwise_loss;
use crate::core::files::write_atomically;
use crate::core::safetensors::to_safetensors;
use crate::data::Pairs;
use crate::gpt2::{Gpt2, Gpt2Config, read_with_score};
use crate::lora::Adaptable;
use crate::nn::Linear;
use crate::train::Trainable;
use crate::{Error, Param, Pass, Result, Rng, ops};

/// A GPT-2 body and a linear layer without bias that makes one number of a hidden state (Ouyang et al. 2022,
/// "InstructGPT", <https://arxiv.org/abs/2203.02155>, section 3.5); Hugging Face's `GPT2ForSequenceClassification` with
/// one label. Clones share their weights.
#[derive(Debug, Clone)]
pub struct ScoreModel {
    /// The body; its output head is not used.
    pub body: Gpt2,
    /// `[1, C]`.
    pub score: Linear,
}

impl ScoreModel {
    /// This body, whose weights are shared, with a new head: normal with standard deviation `initializer_range`.
    pub fn new(body: &Gpt2, seed: u64) -> Result<Self> {
        let std = body.config.initializer_range as f32;
        let weight = Rng::new(seed).normal_tensor(0.0, std, &[1, body.config.n_embd])?;
        Self::with_head(body.clone(), &weight)
    }

    /// From a folder in Hugging Face's layout, whose weights have a `score.weight`.
    pub fn load(dir: impl AsRef<Path>) -> Result<Self> {
        let (body, weight) = read_with_score(dir.as_ref())?;
        Self::with_head(body, &weight)
    }

    /// Writes a folder that `GPT2ForSequenceClassification.from_pretrained` reads.
    pub fn save(&self, dir: impl AsRef<Path>) -> Result<()> {
        let config = config_json(&self.body.config)?;
        write_atomically(&dir.as_ref().join("model.safetensors"), &to_safetensors(&self.params())?)?;
        write_atomically(&dir.as_ref().join("config.json"), config.as_bytes())
    }

    fn with_head(body: Gpt2, weight: &Tensor) -> Result<Self> {
        Ok(ScoreModel { body, score: Linear::transposed(Param::new("score.weight", weight)?, None) })
    }

    /// The score after every position: `[B, T]` for ids `[B, T]`.
    pub fn scores(&self, ids: &Tensor, pass: &mut Pass) -> Result<Tensor> {
        let hidden = self.body.hidden(ids, pass)?; // [B, T, C]
        Ok(self.score.forward(&hidden, pass)?.squeeze(2)?)
    }

    /// One score a row, `[B]`: that after its last real token. `mask` is 1 for real tokens and 0 for padding, which may
    /// be on either side: rows are moved to the left first, where padding cannot be seen. No token is taken for padding
    /// by its id.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a mask of another shape, with other numbers or with a gap; [`Error::EmptyInput`]
    /// for a row without real tokens; those of [`Gpt2::hidden`].
    pub fn rewards(&self, ids: &Tensor, mask: &Tensor, pass: &mut Pass) -> Result<Tensor> {
        let (rows, width) = ids.dims2()?;
        let spans = spans(mask, rows, width)?;
        let longest = spans.iter().map(|(_, length)| *length).max().unwrap_or(0);
        let all = ops::ids_to_vec(ids)?;
        let mut moved = vec![0; rows * longest];
        for (row, (start, length)) in spans.iter().enumerate() {
            let real = &all[row * width + start..][..*length];
            moved[row * longest..][..*length].copy_from_slice(real);
        }
        let moved = Tensor::from_vec(moved, (rows, longest), ids.device())?;
        let hidden = self.body.hidden(&moved, pass)?; // [B, longest, C]
        let last: Vec<u32> =
            spans.iter().enumerate().map(|(row, (_, length))| (row * longest + length - 1) as u32).collect();
        let hidden = ops::embedding(&hidden.flatten(0, 1)?, &Tensor::new(last, ids.device())?)?; // [B, C]
        Ok(self.score.forward(&hidden, pass)?.squeeze(1)?)
    }

    /// The scores of both sides, `[N]` each.
    pub fn compare(&self, pairs: &Pairs, pass: &mut Pass) -> Result<(Tensor, Tensor)> {
        let chosen = self.rewards(&pairs.chosen, &pairs.chosen_mask, pass)?;
        Ok((chosen, self.rewards(&pairs.rejected, &pairs.rejected_mask, pass)?))
    }

    /// The body's parameters without its output head, then the score's.
    pub fn params(&self) -> Vec<Param> {
        let body = self.body.params().into_iter().filter(|param| !param.name().starts_with("lm_head"));
        body.chain(self.score.params()).collect()
    }
}

impl Trainable<Pairs> for ScoreModel {
    fn params(&self) -> Vec<Param> {
        ScoreModel::params(self)
    }

    fn loss(&self, pairs: &Pairs, pass: &mut Pass) -> Result<Tensor> {
        let (chosen, rejected) = self.compare(pairs, pass)?;
        pairwise_loss(&chosen, &rejected)
    }
}

impl Adaptable for ScoreModel {
    fn base_params(&self) -> Vec<Param> {
        self.params()
    }

    fn targets(&self) -> Vec<Linear> {
        self.body.targets()
    }

    fn task_type(&self) -> Option<&'static str> {
        Some("SEQ_CLS")
    }
}

/// The first real token of each row, and the number of real tokens.
fn spans(mask: &Tensor, rows: usize, width: usize) -> Result<Vec<(usize, usize)>> {
    if mask.dims() != [rows, width] {
        return Err(Error::argument("mask", format!("shape {:?}", mask.dims()), "the shape of the ids"));
    }
    let mask: Vec<f32> = mask.flatten_all()?.to_dtype(DType::F32)?.to_vec1()?;
    let span = |row: usize| {
        let mask = &mask[row * width..][..width];
        let Some(start) = mask.iter().position(|m| *m != 0.0) else {
            return Err(Error::empty(format!("row {row} of the batch (all padding)")));
        };
        let length = mask[start..].iter().take_while(|m| **m == 1.0).count();
        if mask[start + length..].iter().any(|m| *m != 0.0) {
            let expected = "ones for real tokens, side by side, and zeros for padding";
            return Err(Error::argument("mask", format!("{mask:?} in row {row}"), expected));
        }
        Ok((start, length))
    };
    (0..rows).map(span).collect()
}

/// The contents of `config.json` for a score model with this body.
fn config_json(config: &Gpt2Config) -> Result<String> {
    // It has no output head.
    let config = Gpt2Config { tie_word_embeddings: true, lm_head_bias: false, ..config.clone() };
    let mut json = crate::gpt2::config_json(&config)?;
    json["architectures"] = json!(["GPT2ForSequenceClassification"]);
    json["id2label"] = json!({ "0": "LABEL_0" });
    json["label2id"] = json!({ "LABEL_0": 0 });
    Ok(format!("{json:#}"))
}
