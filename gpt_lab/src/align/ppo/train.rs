//! The loop of PPO, and what lives from one iteration to the next.

use std::time::Instant;

use super::config::PpoConfig;
use super::experience::Experience;
use super::history::PpoRecord;
use crate::Result;
use crate::align::actor::ActorCritic;
use crate::align::optimize::Run;
use crate::core::stop;
use crate::data::Completion;
use crate::train::{Event, History, Listener, require_trainable};

/// The steps of an iteration end at so many times the target.
const TOO_FAR: f64 = 1.5;

/// Trains a policy to earn the scores of `reward`: one number for each completion. Prompts are taken in random order,
/// again and again.
///
/// The same settings give the same numbers. The stop button ends the run between two steps of the optimizer, with the
/// policy as it is then; an iteration that was begun leaves no record.
///
/// # Errors
/// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for impossible settings;
/// [`Error::EmptyInput`](crate::Error::EmptyInput) without prompts;
/// [`Error::NoGradient`](crate::Error::NoGradient) if something that should train is out of reach;
/// [`Error::NotFinite`](crate::Error::NotFinite) for a score, loss or gradient that is no number: the weights are then
/// those of the step before; those of `reward`.
pub fn train_ppo(
    actor: &ActorCritic,
    prompts: &[Vec<u32>],
    reward: &mut dyn FnMut(&[Completion]) -> Result<Vec<f32>>,
    config: &PpoConfig,
    listener: &mut dyn Listener<PpoRecord>,
) -> Result<History<PpoRecord>> {
    config.check()?;
    require_trainable(&actor.policy.params())?;
    let mut run = Run::begin(prompts, actor.params(), config.iterations, config.max_grad_norm, config.seed)?;
    run.tracker.tell(Event::Started, listener);
    'run: while !run.tracker.is_over() {
        let began = Instant::now();
        // 1. Rollout: the policy completes the next prompts.
        let prompts = run.prompts.next(config.batch_size / config.group_size, config.group_size);
        let completions = actor.rollout(&prompts, config.max_new_tokens, run.completions.next_u64())?;
        if stop::interrupted() {
            break;
        }
        // 2. A score for each completion.
        let scores = reward(&completions)?;
        scores.iter().try_for_each(|score| run.tracker.require_finite("a score", *score))?;
        // 3. Rewards of the tokens with the KL penalty, advantages, whitening: experience.rs has them in this order.
        let experience = actor.experience(completions, scores, config)?;
        let mut record = PpoRecord::new(run.tracker.step + 1, &experience)?;
        // 4. Some epochs over the completions, each in an order of its own, in minibatches.
        let mut rows: Vec<usize> = (0..experience.completions.len()).collect();
        'epochs: for _ in 0..config.epochs {
            run.order.shuffle(&mut rows);
            for mini_batch in rows.chunks(config.mini_batch) {
                if stop::interrupted() {
                    break 'run;
                }
                // 5. The clipped losses, their gradients, and one step of the optimizer.
                step(&mut run, actor, config, &experience, mini_batch, &mut record)?;
                if config.target_kl.is_some_and(|target| f64::from(record.approx_kl) > TOO_FAR * target) {
                    break 'epochs; // the completions are no longer the policy's own
                }
            }
        }
        // 6. The record.
        run.tracker.record(record, experience.tokens(), began);
        run.tracker.tell(Event::Step, listener);
    }
    Ok(run.end(listener))
}

/// One step of the optimizer on these rows.
fn step(
    run: &mut Run<PpoRecord>,
    actor: &ActorCritic,
    config: &PpoConfig,
    experience: &Experience,
    rows: &[usize],
    record: &mut PpoRecord,
) -> Result<()> {
    let losses = experience.losses(actor, rows, config, &mut run.pass)?;
    let loss = (&losses.policy.loss + (&losses.value.loss * config.value_weight)?)?;
    // Without weight the value's loss is no part of the sum. The policy's parameters come first.
    let learns = if config.value_weight > 0.0 { actor.params().len() } else { actor.policy.params().len() };
    let lr = config.schedule.at(config.lr, run.tracker.step);
    record.grad_norm = run.step(&loss, learns, lr)?;
    record.policy_loss = losses.policy.loss.to_scalar()?;
    record.value_loss = losses.value.loss.to_scalar()?;
    (record.clip_fraction, record.approx_kl) = (losses.policy.clip_fraction, losses.approx_kl);
    record.optimizer_steps += 1;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Pass;
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
            let config = PpoConfig { kl_weight, unended_score: None, ..config() };
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
        let ended: Vec<bool> = texts.iter().map(|text| text.ended).collect();
        let experience = actor.experience(texts, scores, &config()).unwrap();
        let want: Vec<f32> =
            [1.0, -1.0, 0.5].iter().zip(&ended).map(|(score, ended)| if *ended { *score } else { -1.0 }).collect();
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
    fn in_groups_a_score_is_worth_what_it_is_above_its_group() {
        let actor = actor();
        let prompts = vec![vec![1, 2], vec![1, 2], vec![3], vec![3]];
        let texts = actor.rollout(&prompts, 5, 9).unwrap();
        let config = PpoConfig { group_size: 2, unended_score: None, kl_weight: 0.0, ..config() };
        let experience = actor.experience(texts.clone(), vec![5.0, 7.0, -3.0, -3.0], &config).unwrap();
        let (rewards, mask) = (experience.rewards.to_vec2::<f32>().unwrap(), experience.mask.to_vec2::<u8>().unwrap());
        let last = |row: usize| rewards[row][mask[row].iter().rposition(|m| *m == 1).unwrap()];
        assert_eq!([0, 1, 2, 3].map(last), [-1.0, 1.0, 0.0, 0.0]);
        assert_eq!(experience.scores, [5.0, 7.0, -3.0, -3.0], "the record has them as they are");
        assert!(actor.experience(texts[..3].to_vec(), vec![0.0; 3], &config).is_err());
    }

    #[test]
    fn a_target_ends_the_steps_of_an_iteration() {
        let prompts = [vec![1, 2], vec![3]];
        let steps = |target_kl: Option<f64>| {
            let config = PpoConfig { iterations: 3, epochs: 8, target_kl, ..config() };
            let history = train_ppo(&actor(), &prompts, &mut |texts| sevens(texts), &config, &mut Silent).unwrap();
            history.steps.iter().map(|record| record.optimizer_steps).collect::<Vec<_>>()
        };
        assert_eq!(steps(None), [16, 16, 16]);
        assert!(steps(Some(0.002)).iter().all(|steps| (2..16).contains(steps)));
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
        assert!(run(PpoConfig { group_size: 5, ..config() }, 0.0).contains("a divisor of batch_size, which is 32"));
        assert!(run(PpoConfig { value_clip: Some(0.0), ..config() }, 0.0).contains("value_clip"));
        assert!(run(PpoConfig { target_kl: Some(-1.0), ..config() }, 0.0).contains("target_kl"));
        assert!(run(PpoConfig { unended_score: Some(f32::NAN), ..config() }, 0.0).contains("unended_score"));
        let error = run(config(), f32::NAN);
        assert!(error.contains("a score") && error.contains('1'), "{error}");
        let mut none = |_: &[Completion]| Ok(vec![]);
        let error = train_ppo(&actor, &[vec![1]], &mut none, &config(), &mut Silent).unwrap_err().to_string();
        assert!(error.contains("one for each text"), "{error}");
        assert!(train_ppo(&actor, &[], &mut none, &config(), &mut Silent).is_err());
    }
}
