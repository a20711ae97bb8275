//! A model that writes, and beside it the number that says how well it expects to do.

use candle_core::{DType, Device, Tensor};

use crate::data::comparisons::Padded;
use crate::generate::{Ended, GenerateConfig, draw_ids};
use crate::gpt2::Gpt2;
use crate::lora::Lora;
use crate::nn::Linear;
use crate::reward::ScoreModel;
use crate::text::Tokenizer;
use crate::{Error, Param, Pass, Result, ops};

/// Rows of one forward pass where no gradient is wanted.
const ROWS: usize = 32;

/// A prompt and what was written to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The prompt's tokens.
    pub prompt: Vec<u32>,
    /// The answer's tokens, with the end-of-text mark if there is one.
    pub answer: Vec<u32>,
    /// Whether the writer ended it, rather than the limit of length.
    pub ended: bool,
}

impl Written {
    /// The answer as text, without the end-of-text mark and the spaces around it.
    ///
    /// # Errors
    /// [`Error::TokenOutOfRange`] for a tokenizer that lacks one of its tokens.
    pub fn text(&self, tokenizer: &dyn Tokenizer) -> Result<String> {
        let end = self.answer.len() - usize::from(self.ended);
        Ok(tokenizer.decode(&self.answer[..end])?.trim().to_string())
    }
}

/// One answer to each prompt. Each token is drawn from the whole distribution, at temperature 1, as the theory of policy gradients wants
/// it. The same seed draws the same answers; each prompt has random numbers of its own.
///
/// # Errors
/// Those of [`generate_ids`](crate::generate::generate_ids).
pub fn draw_answers(model: &Gpt2, prompts: &[Vec<u32>], max_new_tokens: usize, seed: u64) -> Result<Vec<Written>> {
    let config = GenerateConfig { max_new_tokens, do_sample: true, seed, ..Default::default() };
    let written = draw_ids(model, prompts, &config)?.into_iter().map(|sequence| Written {
        prompt: sequence.ids[..sequence.prompt].to_vec(),
        answer: sequence.ids[sequence.prompt..].to_vec(),
        ended: sequence.ended == Ended::EndOfText,
    });
    Ok(written.collect())
}

/// What the actor and the critic say of every token of some answers; `[N, L]` both, one row a text, with L tokens for the
/// longest answer. Behind the end of a row stands something that means nothing.
#[derive(Debug, Clone)]
pub struct Moves {
    /// `log π` of the token that was written.
    pub logps: Tensor,
    /// V: the sum of rewards that the critic expects from here on, said before the token was written.
    pub values: Tensor,
}

/// A policy (a GPT-2 with an adapter) and a *value head* that reads the same hidden states. Clones share everything.
#[derive(Debug, Clone)]
pub struct ActorCritic {
    /// The writer; its active adapter trains.
    pub policy: Lora<Gpt2>,
    /// `[C]` → one number; trained in full.
    pub value: Linear,
}

impl ActorCritic {
    /// A value head of zeros beside this policy: at first it expects nothing of any text.
    pub fn new(policy: &Lora<Gpt2>) -> Result<Self> {
        let n_embd = policy.model().config.n_embd;
        let weight = Param::new("value.weight", &Tensor::zeros((1, n_embd), DType::F32, &Device::Cpu)?)?;
        let bias = Param::new("value.bias", &Tensor::zeros(1, DType::F32, &Device::Cpu)?)?;
        Ok(ActorCritic { policy: policy.clone(), value: Linear::transposed(weight, Some(bias)) })
    }

    /// What trains: the policy's active adapter and the value head.
    pub fn params(&self) -> Vec<Param> {
        self.policy.params().into_iter().chain(self.value.params()).collect()
    }

    /// Lets the policy answer these prompts: see [`draw_answers`].
    ///
    /// # Errors
    /// Those of [`generate_ids`](crate::generate::generate_ids).
    pub fn write(&self, prompts: &[Vec<u32>], max_new_tokens: usize, seed: u64) -> Result<Vec<Written>> {
        draw_answers(self.policy.model(), prompts, max_new_tokens, seed)
    }

    /// Log-probabilities and values of these answers, with gradients. The body's own dropout stays off whatever the pass
    /// says of adapters ([`Pass::train_adapters`]): the ratio of new to old must come from the weights, not from dice.
    ///
    /// # Errors
    /// [`Error::EmptyInput`] without texts or for a text without prompt or answer; what [`Gpt2::hidden`] refuses.
    pub fn moves(&self, texts: &[&Written], pass: &mut Pass) -> Result<Moves> {
        let (logps, hidden) = moves(self.policy.model(), texts, pass)?;
        let (n, l) = logps.dims2()?;
        let values = self.value.forward(&hidden, &mut Pass::eval())?.reshape((n, l))?;
        Ok(Moves { logps, values })
    }

    /// The same without gradients.
    pub fn look_at(&self, texts: &[Written]) -> Result<Moves> {
        let width = longest(texts);
        let (mut logps, mut values) = (Vec::new(), Vec::new());
        for some in texts.chunks(ROWS) {
            let found = self.moves(&some.iter().collect::<Vec<_>>(), &mut Pass::eval())?;
            logps.push(widened(&found.logps.detach(), width)?);
            values.push(widened(&found.values.detach(), width)?);
        }
        Ok(Moves { logps: Tensor::cat(&logps, 0)?, values: Tensor::cat(&values, 0)? })
    }

    /// What the reference says of these answers, `[N, L]`: the same model with its adapters off.
    pub fn reference_logps(&self, texts: &[Written]) -> Result<Tensor> {
        self.policy.disabled(|reference| {
            let width = longest(texts);
            let of = |some: &[Written]| {
                let (logps, _) = moves(reference, &some.iter().collect::<Vec<_>>(), &mut Pass::eval())?;
                widened(&logps.detach(), width)
            };
            Ok(Tensor::cat(&texts.chunks(ROWS).map(of).collect::<Result<Vec<_>>>()?, 0)?)
        })?
    }
}

/// Log-probabilities `[N, L]` of the answers' tokens, and the hidden states `[N · L, C]` from which they were guessed. The output
/// head is computed for these places only.
fn moves(model: &Gpt2, texts: &[&Written], pass: &mut Pass) -> Result<(Tensor, Tensor)> {
    let padded = Padded::of(texts.iter().map(|text| (&text.prompt[..], &text.answer[..])))?;
    let (n, width) = padded.ids.dims2()?;
    let longest = texts.iter().map(|text| text.answer.len()).max().unwrap_or(0);
    if let Some(row) = texts.iter().position(|text| text.answer.is_empty()) {
        return Err(Error::EmptyInput { what: format!("the answer of text {row} of the batch") });
    }
    let (mut places, mut targets) = (Vec::with_capacity(n * longest), Vec::with_capacity(n * longest));
    for (row, text) in texts.iter().enumerate() {
        for at in 0..longest {
            // The token at place t is guessed from the hidden state at t − 1.
            places.push((row * width + (text.prompt.len() + at - 1).min(width - 1)) as u32);
            targets.push(text.answer.get(at).map_or(ops::IGNORE_INDEX, |id| i64::from(*id)));
        }
    }
    let hidden = model.hidden(&padded.ids, pass)?.flatten(0, 1)?; // [N · T, C]
    let hidden = ops::embedding(&hidden, &Tensor::new(places, &Device::Cpu)?)?; // [N · L, C]
    let logps = ops::log_probs(&model.head(&hidden)?, &Tensor::new(targets, &Device::Cpu)?)?;
    Ok((logps.reshape((n, longest))?, hidden))
}

/// 1 for the answers' tokens, 0 behind them: `[N, L]`.
pub fn answer_mask(texts: &[Written]) -> Result<Tensor> {
    let width = longest(texts);
    let marks: Vec<u8> = texts.iter().flat_map(|text| (0..width).map(|at| u8::from(at < text.answer.len()))).collect();
    Ok(Tensor::from_vec(marks, (texts.len(), width), &Device::Cpu)?)
}

/// What a score model gives to each text, without dropout.
///
/// # Errors
/// [`Error::EmptyInput`] for a text without prompt; what [`ScoreModel::rewards`] refuses.
pub fn score_written(judge: &ScoreModel, texts: &[Written]) -> Result<Vec<f32>> {
    let mut scores = Vec::new();
    for some in texts.chunks(ROWS) {
        let padded = Padded::of(some.iter().map(|text| (&text.prompt[..], &text.answer[..])))?;
        scores.extend(judge.rewards(&padded.ids, &padded.mask, &mut Pass::eval())?.to_vec1::<f32>()?);
    }
    Ok(scores)
}

/// Tokens of the longest answer.
fn longest(texts: &[Written]) -> usize {
    texts.iter().map(|text| text.answer.len()).max().unwrap_or(0)
}

/// Filled up with zeros on the right.
fn widened(x: &Tensor, width: usize) -> Result<Tensor> {
    Ok(x.pad_with_zeros(1, 0, width - x.dim(1)?)?)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::gpt2::Gpt2Config;
    use crate::lora::LoraConfig;
    use crate::train::Gradients;

    pub fn actor() -> ActorCritic {
        let config = Gpt2Config {
            vocab_size: 13,
            n_positions: 16,
            n_embd: 16,
            n_layer: 2,
            n_head: 2,
            initializer_range: 0.3,
            eos_token_id: Some(crate::gpt2::EosToken::Any(vec![0])),
            ..Default::default()
        };
        let policy = Lora::new(&Gpt2::new(&config, 3).unwrap()).unwrap();
        policy.add("ppo", &LoraConfig { r: 2, ..Default::default() }, 4).unwrap();
        ActorCritic::new(&policy).unwrap()
    }

    fn text(prompt: &[u32], answer: &[u32]) -> Written {
        Written { prompt: prompt.to_vec(), answer: answer.to_vec(), ended: answer.last() == Some(&0) }
    }

    #[test]
    fn each_token_has_the_probability_that_the_whole_model_gives_it() {
        let actor = actor();
        let texts = [text(&[1, 2, 3], &[4, 0]), text(&[5], &[6, 7, 8, 0])];
        let found = actor.look_at(&texts).unwrap();
        assert_eq!((found.logps.dims(), found.values.dims()), (&[2, 4][..], &[2, 4][..]));
        let logps = found.logps.to_vec2::<f32>().unwrap();
        for (row, text) in texts.iter().enumerate() {
            let ids = [&text.prompt[..], &text.answer].concat();
            let logits = actor
                .policy
                .model()
                .forward(&Tensor::new(&ids[..], &Device::Cpu).unwrap().unsqueeze(0).unwrap(), &mut Pass::eval());
            let p = ops::softmax(&logits.unwrap()).unwrap().squeeze(0).unwrap().to_vec2::<f32>().unwrap();
            for (at, &id) in text.answer.iter().enumerate() {
                let want = p[text.prompt.len() + at - 1][id as usize].ln();
                assert!((logps[row][at] - want).abs() < 1e-5, "text {row}, token {at}");
            }
        }
        let reference = actor.reference_logps(&texts).unwrap();
        assert!(ops::max_difference(&found.logps, &reference).unwrap() < 1e-5, "a fresh adapter changes nothing");
        assert_eq!(answer_mask(&texts).unwrap().to_vec2::<u8>().unwrap(), [[1, 1, 0, 0], [1, 1, 1, 1]]);
        let empty = text(&[1], &[]);
        assert!(actor.moves(&[&texts[0], &empty], &mut Pass::eval()).unwrap_err().to_string().contains("text 1"));
    }

    #[test]
    fn policy_and_value_head_get_gradients_and_the_base_none() {
        let actor = actor();
        let texts = [text(&[1, 2], &[4, 0]), text(&[5], &[6, 0])];
        let found = actor.moves(&texts.iter().collect::<Vec<_>>(), &mut Pass::train_adapters(1)).unwrap();
        let loss =
            (found.logps.sum_all().unwrap() + (found.values - 1.0).unwrap().sqr().unwrap().sum_all().unwrap()).unwrap();
        Gradients::of(&loss, &actor.params()).unwrap().require_all(&actor.params()).unwrap();
        let all = actor.policy.all_params();
        assert!(all.iter().filter(|param| param.trainable()).all(|param| param.name().contains("lora_")));
    }

    #[test]
    fn answers_are_drawn_again_with_the_same_seed_and_apart_for_each_prompt() {
        let actor = actor();
        let prompts = vec![vec![1, 2]; 6];
        let first = actor.write(&prompts, 8, 5).unwrap();
        assert_eq!(first, actor.write(&prompts, 8, 5).unwrap());
        assert!(first.windows(2).any(|two| two[0].answer != two[1].answer), "six times the same dice");
        assert!(first.iter().all(|text| text.ended == (text.answer.last() == Some(&0)) && !text.answer.is_empty()));
    }
}
