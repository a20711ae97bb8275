//! The loop of PPO, and what lives from one iteration to the next.

use std::time::Instant;

use super::config::PpoConfig;
use super::experience::Experience;
use super::history::PpoRecord;
use crate::align::actor::ActorCritic;
use crate::core::stop;
use crate::data::Completion;
use crate::train::{
    AdamW, AdamWOptions, Event, Gradients, History, Listener, Stopped, Tracker, clip_factor, require_trainable,
};
use crate::{Error, Param, Pass, Result, Rng};

/// Streams of the seed: the order of the prompts, the completions, the order within an iteration, the adapters'
/// dropout.
const PROMPTS: u64 = 1;
const COMPLETIONS: u64 = 2;
const ORDER: u64 = 3;
const DROPOUT: u64 = 4;

/// Trains a policy to earn the scores of `reward`: one number for each completion. Prompts are taken in random order,
/// again and again.
///
/// The same settings give the same numbers. The stop button ends the run between two steps of the optimizer, with the
/// policy as it is then; an iteration that was begun leaves no record.
///
/// # Errors
/// [`Error::InvalidArgument`] for impossible settings, [`Error::EmptyInput`] without prompts; [`Error::NoGradient`] if
/// something that should train is out of reach; [`Error::NotFinite`] for a score, loss or gradient that is no number:
/// the weights are then those of the step before; those of `reward`.
pub fn train_ppo(
    actor: &ActorCritic,
    prompts: &[Vec<u32>],
    reward: &mut dyn FnMut(&[Completion]) -> Result<Vec<f32>>,
    config: &PpoConfig,
    listener: &mut dyn Listener<PpoRecord>,
) -> Result<History<PpoRecord>> {
    let mut run = PpoRun::begin(actor, prompts, config)?;
    run.tracker.tell(Event::Started, listener);
    'run: while !run.tracker.is_over() {
        let began = Instant::now();
        // 1. Rollout: the policy completes the next prompts.
        let completions = actor.rollout(&run.next_prompts(), config.max_new_tokens, run.completions.next_u64())?;
        if stop::interrupted() {
            break;
        }
        // 2. A score for each completion.
        let scores = reward(&completions)?;
        scores.iter().try_for_each(|score| run.tracker.require_finite("a score", *score))?;
        // 3. The penalty for completions that did not end, rewards of the tokens with the KL penalty, advantages,
        // whitening: experience.rs has them in this order.
        let experience = actor.experience(completions, scores, config)?;
        let mut record = PpoRecord::new(run.tracker.step + 1, &experience)?;
        // 4. Some epochs over the completions, each in an order of its own, in minibatches.
        let mut rows: Vec<usize> = (0..experience.completions.len()).collect();
        for _ in 0..config.epochs {
            run.order.shuffle(&mut rows);
            for mini_batch in rows.chunks(config.mini_batch) {
                if stop::interrupted() {
                    break 'run;
                }
                // 5. The clipped losses, their gradients, and one step of the optimizer.
                run.step(&experience, mini_batch, &mut record)?;
            }
        }
        // 6. The record.
        run.tracker.record(record, experience.tokens(), began);
        run.tracker.tell(Event::Step, listener);
    }
    Ok(run.end(listener))
}

/// The state of a run between two steps.
struct PpoRun<'a> {
    tracker: Tracker<PpoRecord>,
    actor: &'a ActorCritic,
    prompts: &'a [Vec<u32>],
    config: &'a PpoConfig,
    params: Vec<Param>,
    optimizer: AdamW,
    /// The prompts whose turn is still to come, last one first.
    queue: Vec<usize>,
    from_prompts: Rng,
    completions: Rng,
    order: Rng,
    pass: Pass<'static>,
    /// Set once every parameter was seen to get a gradient.
    checked: bool,
}

impl<'a> PpoRun<'a> {
    fn begin(actor: &'a ActorCritic, prompts: &'a [Vec<u32>], config: &'a PpoConfig) -> Result<Self> {
        config.check()?;
        if prompts.is_empty() {
            return Err(Error::empty("the list of prompts"));
        }
        require_trainable(&actor.policy.params())?;
        let (params, seed) = (actor.params(), Rng::new(config.seed));
        Ok(PpoRun {
            tracker: Tracker::new(config.iterations, &params),
            actor,
            prompts,
            config,
            optimizer: AdamW::new(&params, AdamWOptions { weight_decay: 0.0, ..Default::default() })?,
            params,
            queue: Vec::new(),
            from_prompts: seed.stream(PROMPTS),
            completions: seed.stream(COMPLETIONS),
            order: seed.stream(ORDER),
            pass: Pass::train_adapters(seed.stream(DROPOUT)),
            checked: false,
        })
    }

    /// The prompts of the next rollout.
    fn next_prompts(&mut self) -> Vec<Vec<u32>> {
        let mut next = Vec::new();
        while next.len() < self.config.batch_size {
            if self.queue.is_empty() {
                self.queue = (0..self.prompts.len()).collect();
                self.from_prompts.shuffle(&mut self.queue);
            }
            next.extend(self.queue.pop().map(|row| self.prompts[row].clone()));
        }
        next
    }

    /// One step of the optimizer on these rows.
    fn step(&mut self, experience: &Experience, rows: &[usize], record: &mut PpoRecord) -> Result<()> {
        let losses = experience.losses(self.actor, rows, self.config, &mut self.pass)?;
        let loss = (&losses.policy.loss + (&losses.value.loss * self.config.value_weight)?)?;
        let gradients = Gradients::of(&loss, &self.params)?;
        if !std::mem::replace(&mut self.checked, true) {
            // Without weight the value's loss is no part of the sum. The policy's parameters come first.
            let policy = self.actor.policy.params().len();
            let learns = if self.config.value_weight > 0.0 { self.params.len() } else { policy };
            gradients.require_all(&self.params[..learns])?;
        }
        record.grad_norm = gradients.norm()?;
        record.policy_loss = losses.policy.loss.to_scalar()?;
        record.value_loss = losses.value.loss.to_scalar()?;
        (record.clip_fraction, record.approx_kl) = (losses.policy.clip_fraction, losses.approx_kl);
        self.tracker.require_finite("the loss", loss.to_scalar()?)?;
        self.tracker.require_finite("the gradient's norm", record.grad_norm as f32)?;
        let scale = clip_factor(record.grad_norm, Some(self.config.max_grad_norm));
        self.optimizer.step(&gradients, self.config.lr, scale)
    }

    /// Notes why the run ended, and hands out its record.
    fn end(mut self, listener: &mut dyn Listener<PpoRecord>) -> History<PpoRecord> {
        let over = self.tracker.is_over();
        self.tracker.history.stopped = if over { Stopped::Finished } else { Stopped::Interrupted };
        self.tracker.tell(Event::Ended, listener);
        self.tracker.history
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::align::actor::tests::actor;
    use crate::train::Silent;

    fn config() -> PpoConfig {
        PpoConfig { iterations: 30, batch_size: 32, lr: 2e-2, max_new_tokens: 4, kl_weight: 0.02, ..Default::default() }
    }

    /// The share of a text's tokens that are a 7.
    fn sevens(texts: &[Completion]) -> Result<Vec<f32>> {
        let share = |text: &Completion| text.answer_ids().iter().filter(|id| **id == 7).count() as f32 / 4.0;
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
        let (first, last) = (free.steps[0], free.steps[29]);
        assert!(first.kl.abs() < 1e-5, "a fresh adapter is the reference");
        assert!(last.score > first.score + 0.4 && last.kl > 1.0, "{first:?} {last:?}");
        let (dear, _) = run(1.0);
        assert!(dear.steps[29].kl < 0.5 * last.kl && dear.steps[29].score < last.score, "{:?}", dear.steps[29]);
        // The same settings, the same numbers.
        let (again, _) = run(0.0);
        assert_eq!(again.steps, free.steps);
        // The base has not moved.
        let texts = actor.rollout(&[vec![1]], 4, 1).unwrap();
        let fresh = crate::align::actor::tests::actor();
        let gap = crate::ops::max_difference(
            &actor.reference_logps(&texts).unwrap(),
            &fresh.reference_logps(&texts).unwrap(),
        );
        assert_eq!(gap.unwrap(), 0.0);
    }

    #[test]
    fn at_the_first_step_the_loss_is_that_of_the_pieces() {
        let actor = actor();
        let texts = actor.rollout(&[vec![1, 2], vec![3], vec![4]], 5, 9).unwrap();
        let scores = vec![1.0, -1.0, 0.5];
        let ended: Vec<f32> = texts.iter().map(|text| if text.ended { 0.0 } else { 1.0 }).collect();
        let experience = actor.experience(texts, scores, &config()).unwrap();
        let want: Vec<f32> = [1.0, -1.0, 0.5].iter().zip(&ended).map(|(score, penalty)| score - penalty).collect();
        assert_eq!(experience.scores, want);
        // Ratio 1 everywhere: the policy's loss is minus the mean of whitened advantages, which is 0; nothing is
        // clipped.
        let losses = experience.losses(&actor, &[0, 1, 2], &config(), &mut Pass::eval()).unwrap();
        assert!(losses.policy.loss.to_scalar::<f32>().unwrap().abs() < 1e-5);
        assert_eq!((losses.policy.clip_fraction, losses.approx_kl), (0.0, 0.0));
        // V = 0: half the mean square of the returns.
        let returns = experience.returns.to_vec2::<f32>().unwrap();
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
            let mut reward = |texts: &[Completion]| Ok(vec![score; texts.len()]);
            train_ppo(&actor, &prompts, &mut reward, &config, &mut Silent).unwrap_err().to_string()
        };
        assert!(run(PpoConfig { epochs: 0, ..config() }, 0.0).contains("epochs"));
        assert!(run(PpoConfig { gamma: 1.5, ..config() }, 0.0).contains("gamma"));
        assert!(run(PpoConfig { clip: f64::NAN, ..config() }, 0.0).contains("clip"));
        let error = run(config(), f32::NAN);
        assert!(error.contains("a score") && error.contains('1'), "{error}");
        let mut none = |_: &[Completion]| Ok(vec![]);
        let error = train_ppo(&actor, &[vec![1]], &mut none, &config(), &mut Silent).unwrap_err().to_string();
        assert!(error.contains("one for each text"), "{error}");
        assert!(train_ppo(&actor, &[], &mut none, &config(), &mut Silent).is_err());
    }
}
