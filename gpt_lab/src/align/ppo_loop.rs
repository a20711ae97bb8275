//! PPO for a model that writes: the loop.

use std::time::Instant;

use candle_core::{Device, Tensor};

use super::actor::{ActorCritic, Moves, Written, answer_mask};
use super::ppo::{self, Advantages, TokenRewards};
use crate::core::stop;
use crate::train::{AdamW, AdamWOptions, Gradients, Silent, Stopped, clip_factor, require_trainable};
use crate::{Error, Pass, Result, Rng};

/// Streams of the seed: the order of the prompts, the answers, the order within an iteration, the adapters' dropout.
const PROMPTS: u64 = 1;
const ANSWERS: u64 = 2;
const ORDER: u64 = 3;
const DROPOUT: u64 = 4;

/// The settings of [`train_ppo`].
#[derive(Debug, Clone, PartialEq)]
pub struct PpoConfig {
    /// How many times the policy writes, is judged and is changed.
    pub iterations: usize,
    /// Texts written in each iteration.
    pub batch_size: usize,
    /// Texts of one optimizer step.
    pub mini_batch: usize,
    /// How often each text is learnt from.
    pub epochs: usize,
    /// Learning rate, constant.
    pub lr: f64,
    /// What a nat of distance from the reference costs, in units of the score.
    pub kl_weight: f64,
    /// What a reward one token later is worth.
    pub gamma: f64,
    /// How far advantages look: 0 trusts the critic alone, 1 the rewards alone.
    pub lambda: f64,
    /// How far the probability of a token may move in one iteration, as a ratio 1 ± clip; the same range for values.
    pub clip: f64,
    /// The critic's share of the loss.
    pub value_weight: f64,
    /// A longer gradient is shortened to this.
    pub max_grad_norm: f64,
    /// Tokens that an answer may have.
    pub max_new_tokens: usize,
    /// Taken off the score of an answer that the policy did not end.
    pub unended_penalty: f32,
    /// Decides everything that is random.
    pub seed: u64,
}

impl Default for PpoConfig {
    fn default() -> Self {
        PpoConfig {
            iterations: 40,
            batch_size: 32,
            mini_batch: 16,
            epochs: 2,
            lr: 1e-3,
            kl_weight: 0.1,
            gamma: 1.0,
            lambda: 0.95,
            clip: 0.2,
            value_weight: 0.1,
            max_grad_norm: 1.0,
            max_new_tokens: 32,
            unended_penalty: 1.0,
            seed: 0,
        }
    }
}

/// What the policy wrote in one iteration, and what is to be learnt from it.
#[derive(Debug, Clone)]
pub struct Experience {
    /// The texts.
    pub texts: Vec<Written>,
    /// Their scores, with the penalty for those that did not end.
    pub scores: Vec<f32>,
    /// 1 for the answers' tokens, `[N, L]`.
    pub mask: Tensor,
    /// Log-probabilities and values at the time of writing.
    pub old: Moves,
    /// What each token earned.
    pub rewards: TokenRewards,
    /// How much better than expected each token was (whitened), and what its value should have been.
    pub advantages: Advantages,
}

/// One iteration; all are means over texts or tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PpoRecord {
    /// Its number, from 1.
    pub iteration: usize,
    /// The mean score of a text, before the price of the distance.
    pub score: f32,
    /// The distance of a text from the reference, in nats, from what was written.
    pub kl: f32,
    /// Tokens of an answer.
    pub length: f32,
    /// The share of answers that the policy ended.
    pub ended: f32,
    /// The clipped policy loss at the last step.
    pub policy_loss: f32,
    /// The critic's loss at the last step.
    pub value_loss: f32,
    /// The share of tokens at which the policy was held back, at the last step.
    pub clip_fraction: f32,
    /// How far this iteration moved the policy: `½ (log ratio)²`, at the last step.
    pub approx_kl: f32,
    /// The gradient's norm before clipping, at the last step.
    pub grad_norm: f64,
}

/// The record of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PpoHistory {
    /// Every iteration.
    pub records: Vec<PpoRecord>,
    /// Seconds it took.
    pub seconds: f64,
    /// Why it ended.
    pub stopped: Stopped,
}

impl PpoHistory {
    /// `(iteration, score)`.
    pub fn scores(&self) -> Vec<(f64, f64)> {
        self.records.iter().map(|one| (one.iteration as f64, f64::from(one.score))).collect()
    }

    /// `(iteration, KL)`.
    pub fn kls(&self) -> Vec<(f64, f64)> {
        self.records.iter().map(|one| (one.iteration as f64, f64::from(one.kl))).collect()
    }

    /// `(iteration, tokens of an answer)`.
    pub fn lengths(&self) -> Vec<(f64, f64)> {
        self.records.iter().map(|one| (one.iteration as f64, f64::from(one.length))).collect()
    }
}

/// `40 iterations in 95 s; score −0.31 → 1.20, KL 4.1 nats a text; finished`
impl std::fmt::Display for PpoHistory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} iterations in {:.0} s", self.records.len(), self.seconds)?;
        if let (Some(first), Some(last)) = (self.records.first(), self.records.last()) {
            write!(f, "; score {:.2} → {:.2}, KL {:.1} nats a text", first.score, last.score, last.kl)?;
        }
        match self.stopped {
            Stopped::Running => Ok(()),
            Stopped::Finished | Stopped::NoProgress => write!(f, "; finished"),
            Stopped::Interrupted => write!(f, "; stopped by the learner"),
        }
    }
}

/// Is told of every iteration of a run.
pub trait PpoListener {
    /// An iteration is over, or the run is (`history.stopped`).
    fn on(&mut self, history: &PpoHistory, iterations: usize);
}

impl PpoListener for Silent {
    fn on(&mut self, _: &PpoHistory, _: usize) {}
}

impl ActorCritic {
    /// What is to be learnt from these texts and their scores: rewards with the price of the distance from the reference, and
    /// advantages by generalised advantage estimation, whitened over the batch.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for another number of scores than texts; [`Error::EmptyInput`] for fewer than two tokens.
    pub fn experience(&self, texts: Vec<Written>, scores: Vec<f32>, config: &PpoConfig) -> Result<Experience> {
        if texts.len() != scores.len() {
            let (value, expected) = (format!("{} scores", scores.len()), format!("{}, one for each text", texts.len()));
            return Err(Error::InvalidArgument { argument: "scores", value, expected });
        }
        let penalty = |text: &Written| if text.ended { 0.0 } else { config.unended_penalty };
        let scores: Vec<f32> = texts.iter().zip(scores).map(|(text, score)| score - penalty(text)).collect();
        let mask = answer_mask(&texts)?;
        let old = self.look_at(&texts)?;
        let reference = self.reference_logps(&texts)?;
        let of_texts = Tensor::new(&scores[..], &Device::Cpu)?;
        let rewards = ppo::token_rewards(&old.logps, &reference, &of_texts, &mask, config.kl_weight)?;
        let found = ppo::advantages(&rewards.rewards, &old.values, &mask, config.gamma, config.lambda)?;
        let advantages = Advantages { advantages: ppo::whiten(&found.advantages, &mask)?, ..found };
        Ok(Experience { texts, scores, mask, old, rewards, advantages })
    }
}

/// The losses of some rows of an experience.
struct Losses {
    policy: ppo::Clipped,
    value: ppo::Clipped,
    approx_kl: f32,
}

impl Experience {
    /// The texts of these rows under the actor as it is now, against what it was when it wrote them.
    fn losses(&self, actor: &ActorCritic, rows: &[usize], config: &PpoConfig, pass: &mut Pass) -> Result<Losses> {
        let texts: Vec<&Written> = rows.iter().map(|&row| &self.texts[row]).collect();
        let now = actor.moves(&texts, pass)?;
        let width = now.logps.dim(1)?;
        let index = Tensor::new(rows.iter().map(|row| *row as u32).collect::<Vec<_>>(), &Device::Cpu)?;
        let of =
            |all: &Tensor| -> Result<Tensor> { Ok(all.index_select(&index, 0)?.narrow(1, 0, width)?.contiguous()?) };
        let (mask, old_logps) = (of(&self.mask)?, of(&self.old.logps)?);
        let (advantages, returns) = (of(&self.advantages.advantages)?, of(&self.advantages.returns)?);
        Ok(Losses {
            policy: ppo::policy_loss(&now.logps, &old_logps, &advantages, &mask, config.clip)?,
            value: ppo::value_loss(&now.values, &of(&self.old.values)?, &returns, &mask, config.clip)?,
            approx_kl: ppo::approx_kl(&now.logps, &old_logps, &mask)?,
        })
    }
}

/// Trains a policy to earn what `reward` gives: one number for each text. Prompts are taken in random order, again and again.
///
/// The same settings give the same numbers. The stop button ends the run between two steps, with the policy as it is then.
///
/// # Errors
/// [`Error::InvalidArgument`] for impossible settings, [`Error::EmptyInput`] without prompts; [`Error::NoGradient`] if something that
/// should train is out of reach; [`Error::NotFinite`] for a score, loss or gradient that is no number: the weights are then those of
/// the step before; what `reward` fails with.
pub fn train_ppo(
    actor: &ActorCritic,
    prompts: &[Vec<u32>],
    reward: &mut dyn FnMut(&[Written]) -> Result<Vec<f32>>,
    config: &PpoConfig,
    listener: &mut dyn PpoListener,
) -> Result<PpoHistory> {
    config.check()?;
    if prompts.is_empty() {
        return Err(Error::EmptyInput { what: "the list of prompts".into() });
    }
    require_trainable(&actor.policy.params())?;
    let mut run = Run::begin(actor, prompts, config)?;
    let mut history = PpoHistory { stopped: Stopped::Finished, ..Default::default() };
    let began = Instant::now();
    for iteration in 1..=config.iterations {
        // 1. Write.
        let texts = run.write()?;
        if stop::interrupted() {
            history.stopped = Stopped::Interrupted;
            break;
        }
        // 2. Judge.
        let scores = reward(&texts)?;
        for score in &scores {
            require_finite("a score", *score, iteration)?;
        }
        let experience = actor.experience(texts, scores, config)?;
        // 3. Learn.
        let Some(record) = run.learn(&experience, iteration)? else {
            history.stopped = Stopped::Interrupted;
            break;
        };
        history.records.push(record);
        history.seconds = began.elapsed().as_secs_f64();
        let shown = PpoHistory { stopped: Stopped::Running, ..history.clone() };
        listener.on(&shown, config.iterations);
    }
    listener.on(&history, config.iterations);
    Ok(history)
}

/// What lives from one iteration to the next.
struct Run<'a> {
    actor: &'a ActorCritic,
    prompts: &'a [Vec<u32>],
    config: &'a PpoConfig,
    optimizer: AdamW,
    queue: Vec<usize>,
    from_prompts: Rng,
    from_answers: Rng,
    order: Rng,
    pass: Pass<'static>,
    checked: bool,
}

impl<'a> Run<'a> {
    fn begin(actor: &'a ActorCritic, prompts: &'a [Vec<u32>], config: &'a PpoConfig) -> Result<Self> {
        let seed = Rng::new(config.seed);
        Ok(Run {
            actor,
            prompts,
            config,
            optimizer: AdamW::new(&actor.params(), AdamWOptions { weight_decay: 0.0, ..Default::default() })?,
            queue: Vec::new(),
            from_prompts: seed.stream(PROMPTS),
            from_answers: seed.stream(ANSWERS),
            order: seed.stream(ORDER),
            pass: Pass::train_adapters(seed.stream(DROPOUT)),
            checked: false,
        })
    }

    /// Answers to the next prompts in line.
    fn write(&mut self) -> Result<Vec<Written>> {
        let mut some = Vec::new();
        while some.len() < self.config.batch_size {
            if self.queue.is_empty() {
                self.queue = (0..self.prompts.len()).collect();
                self.from_prompts.shuffle(&mut self.queue);
            }
            some.extend(self.queue.pop().map(|row| self.prompts[row].clone()));
        }
        self.actor.write(&some, self.config.max_new_tokens, self.from_answers.next_u64())
    }

    /// Goes through an experience `epochs` times; `None` if the stop button was pressed.
    fn learn(&mut self, experience: &Experience, iteration: usize) -> Result<Option<PpoRecord>> {
        let n = experience.texts.len() as f32;
        let mut record = PpoRecord {
            iteration,
            score: experience.scores.iter().sum::<f32>() / n,
            kl: ppo::mean_kl(&experience.rewards.kl)?,
            length: experience.texts.iter().map(|text| text.answer.len() as f32).sum::<f32>() / n,
            ended: experience.texts.iter().filter(|text| text.ended).count() as f32 / n,
            policy_loss: 0.0,
            value_loss: 0.0,
            clip_fraction: 0.0,
            approx_kl: 0.0,
            grad_norm: 0.0,
        };
        let mut rows: Vec<usize> = (0..experience.texts.len()).collect();
        for _ in 0..self.config.epochs {
            self.order.shuffle(&mut rows);
            for some in rows.chunks(self.config.mini_batch) {
                if stop::interrupted() {
                    return Ok(None);
                }
                self.step(experience, some, &mut record)?;
            }
        }
        Ok(Some(record))
    }

    fn step(&mut self, experience: &Experience, rows: &[usize], record: &mut PpoRecord) -> Result<()> {
        let losses = experience.losses(self.actor, rows, self.config, &mut self.pass)?;
        let loss = (&losses.policy.loss + (&losses.value.loss * self.config.value_weight)?)?;
        let params = self.actor.params();
        let gradients = Gradients::of(&loss, &params)?;
        if !std::mem::replace(&mut self.checked, true) {
            // Without weight the value's loss is no part of the sum. The policy's parameters come first.
            let learns = if self.config.value_weight > 0.0 { params.len() } else { self.actor.policy.params().len() };
            gradients.require_all(&params[..learns])?;
        }
        record.grad_norm = gradients.norm()?;
        record.policy_loss = losses.policy.loss.to_scalar()?;
        record.value_loss = losses.value.loss.to_scalar()?;
        (record.clip_fraction, record.approx_kl) = (losses.policy.clip_fraction, losses.approx_kl);
        require_finite("the loss", loss.to_scalar()?, record.iteration)?;
        require_finite("the gradient's norm", record.grad_norm as f32, record.iteration)?;
        let scale = clip_factor(record.grad_norm, Some(self.config.max_grad_norm));
        self.optimizer.step(&gradients, self.config.lr, scale)
    }
}

fn require_finite(what: &str, value: f32, step: usize) -> Result<()> {
    if value.is_finite() { Ok(()) } else { Err(Error::NotFinite { what: what.into(), value, step }) }
}

impl PpoConfig {
    fn check(&self) -> Result<()> {
        let bad = |argument, value: String, expected: &str| {
            Err(Error::InvalidArgument { argument, value, expected: expected.into() })
        };
        let counts = [
            ("iterations", self.iterations),
            ("batch_size", self.batch_size),
            ("mini_batch", self.mini_batch),
            ("epochs", self.epochs),
            ("max_new_tokens", self.max_new_tokens),
        ];
        if let Some((name, _)) = counts.into_iter().find(|(_, count)| *count == 0) {
            return bad(name, "0".into(), "at least 1");
        }
        for (name, value) in [("lr", self.lr), ("clip", self.clip), ("max_grad_norm", self.max_grad_norm)] {
            if !(value > 0.0 && value.is_finite()) {
                return bad(name, value.to_string(), "a number above 0");
            }
        }
        for (name, value) in [("kl_weight", self.kl_weight), ("value_weight", self.value_weight)] {
            if !(value >= 0.0 && value.is_finite()) {
                return bad(name, value.to_string(), "a number that is not negative");
            }
        }
        for (name, value) in [("gamma", self.gamma), ("lambda", self.lambda)] {
            if !(0.0..=1.0).contains(&value) {
                return bad(name, value.to_string(), "a number from 0 to 1");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::actor::tests::actor;
    use super::*;

    fn config() -> PpoConfig {
        PpoConfig { iterations: 30, batch_size: 32, lr: 2e-2, max_new_tokens: 4, kl_weight: 0.02, ..Default::default() }
    }

    /// The share of a text's tokens that are a 7.
    fn sevens(texts: &[Written]) -> Result<Vec<f32>> {
        let share = |text: &Written| text.answer.iter().filter(|id| **id == 7).count() as f32 / 4.0;
        Ok(texts.iter().map(share).collect())
    }

    #[test]
    fn what_earns_is_written_and_the_distance_has_its_price() {
        let prompts = [vec![1, 2], vec![3]];
        let run = |kl_weight: f64| {
            let actor = actor();
            let config = PpoConfig { kl_weight, unended_penalty: 0.0, ..config() };
            (train_ppo(&actor, &prompts, &mut |texts| sevens(texts), &config, &mut Silent).unwrap(), actor)
        };
        let (free, actor) = run(0.0);
        let (first, last) = (free.records[0], free.records[29]);
        assert!(first.kl.abs() < 1e-5, "a fresh adapter is the reference");
        assert!(last.score > first.score + 0.4 && last.kl > 1.0, "{first:?} {last:?}");
        let (dear, _) = run(1.0);
        assert!(dear.records[29].kl < 0.5 * last.kl && dear.records[29].score < last.score, "{:?}", dear.records[29]);
        // The same settings, the same numbers.
        let (again, _) = run(0.0);
        assert_eq!(again.records, free.records);
        // The base has not moved.
        let texts = actor.write(&[vec![1]], 4, 1).unwrap();
        let fresh = super::super::actor::tests::actor();
        let gap = crate::ops::max_difference(
            &actor.reference_logps(&texts).unwrap(),
            &fresh.reference_logps(&texts).unwrap(),
        );
        assert_eq!(gap.unwrap(), 0.0);
    }

    #[test]
    fn at_the_first_step_the_loss_is_that_of_the_pieces() {
        let actor = actor();
        let texts = actor.write(&[vec![1, 2], vec![3], vec![4]], 5, 9).unwrap();
        let scores = vec![1.0, -1.0, 0.5];
        let ended: Vec<f32> = texts.iter().map(|text| if text.ended { 0.0 } else { 1.0 }).collect();
        let experience = actor.experience(texts, scores, &config()).unwrap();
        let want: Vec<f32> = [1.0, -1.0, 0.5].iter().zip(&ended).map(|(score, penalty)| score - penalty).collect();
        assert_eq!(experience.scores, want);
        // Ratio 1 everywhere: the policy's loss is minus the mean of whitened advantages, which is 0; nothing is clipped.
        let losses = experience.losses(&actor, &[0, 1, 2], &config(), &mut Pass::eval()).unwrap();
        assert!(losses.policy.loss.to_scalar::<f32>().unwrap().abs() < 1e-5);
        assert_eq!((losses.policy.clip_fraction, losses.approx_kl), (0.0, 0.0));
        // V = 0: half the mean square of the returns.
        let returns = experience.advantages.returns.to_vec2::<f32>().unwrap();
        let mask = experience.mask.to_vec2::<u8>().unwrap();
        let real: Vec<f32> =
            returns.iter().flatten().zip(mask.iter().flatten()).filter(|(_, m)| **m == 1).map(|(r, _)| *r).collect();
        let half = 0.5 * real.iter().map(|r| r * r).sum::<f32>() / real.len() as f32;
        assert!((losses.value.loss.to_scalar::<f32>().unwrap() - half).abs() < 1e-5);
    }

    #[test]
    fn impossible_settings_and_scores_are_refused() {
        let actor = actor();
        let run = |config: PpoConfig, score: f32| {
            let prompts = [vec![1]];
            let mut reward = |texts: &[Written]| Ok(vec![score; texts.len()]);
            train_ppo(&actor, &prompts, &mut reward, &config, &mut Silent).unwrap_err().to_string()
        };
        assert!(run(PpoConfig { epochs: 0, ..config() }, 0.0).contains("epochs"));
        assert!(run(PpoConfig { gamma: 1.5, ..config() }, 0.0).contains("gamma"));
        assert!(run(PpoConfig { clip: f64::NAN, ..config() }, 0.0).contains("clip"));
        let error = run(config(), f32::NAN);
        assert!(error.contains("a score") && error.contains('1'), "{error}");
        let mut none = |_: &[Written]| Ok(vec![]);
        let error = train_ppo(&actor, &[vec![1]], &mut none, &config(), &mut Silent).unwrap_err().to_string();
        assert!(error.contains("one for each text"), "{error}");
        assert!(train_ppo(&actor, &[], &mut none, &config(), &mut Silent).is_err());
    }
}
