//! The policy of PPO, and beside it the critic: the value that it expects of a text.

use candle_core::{DType, Device, Tensor};

use super::logps::{ROWS, answer_logps, longest, reference_logps, widened};
use crate::data::Completion;
use crate::generate::{Ended, GenerateConfig, draw_ids};
use crate::gpt2::Gpt2;
use crate::lora::Lora;
use crate::nn::Linear;
use crate::{Param, Pass, Result};

/// One completion of each prompt. Each token is drawn from the whole distribution, at temperature 1, as the theory of
/// policy gradients wants it. The same seed draws the same completions; each prompt has random numbers of its own.
///
/// # Errors
/// Those of [`generate_ids`](crate::generate::generate_ids).
pub fn draw_completions(
    model: &Gpt2,
    prompts: &[Vec<u32>],
    max_new_tokens: usize,
    seed: u64,
) -> Result<Vec<Completion>> {
    complete(model, prompts, &GenerateConfig { max_new_tokens, do_sample: true, seed, ..Default::default() })
}

/// One completion of each prompt by these settings: greedy, or drawn at a temperature. Each prompt has random numbers
/// of its own.
///
/// # Errors
/// Those of [`generate_ids`](crate::generate::generate_ids).
pub fn complete(model: &Gpt2, prompts: &[Vec<u32>], config: &GenerateConfig) -> Result<Vec<Completion>> {
    let drawn = draw_ids(model, prompts, config)?.into_iter().map(|sequence| Completion {
        ids: sequence.ids,
        prompt: sequence.prompt,
        ended: sequence.ended == Ended::EndOfText,
    });
    Ok(drawn.collect())
}

/// Log-probabilities and values of every token of some completions: `[N, L]` both, one row a completion, with L tokens
/// for the longest. Behind the end of a row the numbers mean nothing.
#[derive(Debug, Clone)]
pub struct Evaluation {
    /// `log π` of the token that was chosen.
    pub logps: Tensor,
    /// V: the sum of rewards that the critic expects from here on, said before the token was chosen.
    pub values: Tensor,
}

/// A policy (a GPT-2 with an adapter) and a *value head* that reads the same hidden states. It reads only: its loss
/// trains the head and not the policy, or a critic that is far off at first would pull at the body harder than the
/// policy does. Clones share everything.
#[derive(Debug, Clone)]
pub struct ActorCritic {
    /// The policy; its active adapter trains.
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

    /// The parameters that train: those of the policy's active adapter and of the value head.
    pub fn params(&self) -> Vec<Param> {
        self.policy.params().into_iter().chain(self.value.params()).collect()
    }

    /// The policy's completions of these prompts: see [`draw_completions`].
    ///
    /// # Errors
    /// Those of [`generate_ids`](crate::generate::generate_ids).
    pub fn rollout(&self, prompts: &[Vec<u32>], max_new_tokens: usize, seed: u64) -> Result<Vec<Completion>> {
        draw_completions(self.policy.model(), prompts, max_new_tokens, seed)
    }

    /// Log-probabilities and values of these completions, with gradients. The body's own dropout stays off whatever the
    /// pass says of adapters ([`Pass::train_adapters`]): the ratio of new to old must come from the weights, not from
    /// dice.
    ///
    /// # Errors
    /// [`Error::EmptyInput`](crate::Error::EmptyInput) without completions, or for one whose prompt or answer is empty;
    /// those of [`Gpt2::hidden`].
    pub fn forward(&self, completions: &[&Completion], pass: &mut Pass) -> Result<Evaluation> {
        let (logps, hidden) = answer_logps(self.policy.model(), completions, pass)?;
        let (n, l) = logps.dims2()?;
        let values = self.value.forward(&hidden.detach(), &mut Pass::eval())?.reshape((n, l))?; // [N, L]
        Ok(Evaluation { logps, values })
    }

    /// [`forward`](Self::forward) without gradients and dropout, in batches.
    pub fn evaluate(&self, completions: &[Completion]) -> Result<Evaluation> {
        let width = longest(completions);
        let (mut logps, mut values) = (Vec::new(), Vec::new());
        for some in completions.chunks(ROWS) {
            let found = self.forward(&some.iter().collect::<Vec<_>>(), &mut Pass::eval())?;
            logps.push(widened(&found.logps.detach(), width)?);
            values.push(widened(&found.values.detach(), width)?);
        }
        Ok(Evaluation { logps: Tensor::cat(&logps, 0)?, values: Tensor::cat(&values, 0)? })
    }

    /// Log-probabilities of these completions under the reference, `[N, L]`: the same model with its adapters off.
    pub fn reference_logps(&self, completions: &[Completion]) -> Result<Tensor> {
        reference_logps(&self.policy, completions)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::logps::answer_mask;
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

    fn text(prompt: &[u32], answer: &[u32]) -> Completion {
        Completion { ended: answer.last() == Some(&0), ..Completion::ended(prompt, answer) }
    }

    #[test]
    fn each_token_has_the_probability_that_the_whole_model_gives_it() {
        let actor = actor();
        let texts = [text(&[1, 2, 3], &[4, 0]), text(&[5], &[6, 7, 8, 0])];
        let found = actor.evaluate(&texts).unwrap();
        assert_eq!((found.logps.dims(), found.values.dims()), (&[2, 4][..], &[2, 4][..]));
        let logps = found.logps.to_vec2::<f32>().unwrap();
        for (row, text) in texts.iter().enumerate() {
            let ids = Tensor::new(&text.ids[..], &Device::Cpu).unwrap().unsqueeze(0).unwrap();
            let logits = actor.policy.model().forward(&ids, &mut Pass::eval());
            let p = crate::ops::softmax(&logits.unwrap()).unwrap().squeeze(0).unwrap().to_vec2::<f32>().unwrap();
            for (at, &id) in text.answer_ids().iter().enumerate() {
                let want = p[text.prompt + at - 1][id as usize].ln();
                assert!((logps[row][at] - want).abs() < 1e-5, "text {row}, token {at}");
            }
        }
        let reference = actor.reference_logps(&texts).unwrap();
        assert!(
            crate::ops::max_difference(&found.logps, &reference).unwrap() < 1e-5,
            "a fresh adapter changes nothing"
        );
        assert_eq!(answer_mask(&texts).unwrap().to_vec2::<u8>().unwrap(), [[1, 1, 0, 0], [1, 1, 1, 1]]);
        let empty = text(&[1], &[]);
        assert!(actor.forward(&[&texts[0], &empty], &mut Pass::eval()).unwrap_err().to_string().contains("text 1"));
    }

    #[test]
    fn policy_and_value_head_get_gradients_and_the_base_none() {
        let actor = actor();
        let texts = [text(&[1, 2], &[4, 0]), text(&[5], &[6, 0])];
        let found = actor.forward(&texts.iter().collect::<Vec<_>>(), &mut Pass::train_adapters(1)).unwrap();
        let of_values = (found.values - 1.0).unwrap().sqr().unwrap().sum_all().unwrap();
        let loss = (found.logps.sum_all().unwrap() + &of_values).unwrap();
        Gradients::of(&loss, &actor.params()).unwrap().require_all(&actor.params()).unwrap();
        let of_critic = Gradients::of(&of_values, &actor.params()).unwrap();
        let policy = actor.policy.params().len();
        assert!(
            (0..actor.params().len()).all(|i| of_critic.get(i).is_some() == (i >= policy)),
            "the critic reads only"
        );
        let all = actor.policy.all_params();
        assert!(all.iter().filter(|param| param.trainable()).all(|param| param.name().contains("lora_")));
    }

    #[test]
    fn answers_are_drawn_again_with_the_same_seed_and_apart_for_each_prompt() {
        let actor = actor();
        let prompts = vec![vec![1, 2]; 6];
        let first = actor.rollout(&prompts, 8, 5).unwrap();
        assert_eq!(first, actor.rollout(&prompts, 8, 5).unwrap());
        assert!(first.windows(2).any(|two| two[0].ids != two[1].ids), "six times the same dice");
        assert!(first.iter().all(|text| text.ended == (text.ids.last() == Some(&0)) && text.ids.len() > text.prompt));
    }
}
