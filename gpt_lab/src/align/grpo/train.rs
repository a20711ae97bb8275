//! The loop of GRPO.

use std::time::Instant;

use candle_core::{Device, Tensor};

use super::config::GrpoConfig;
use super::history::GrpoRecord;
use super::losses::{group_advantages, kl_penalty};
use crate::align::actor::draw_completions;
use crate::align::logps::{answer_logps, answer_mask, policy_logps, reference_logps};
use crate::align::optimize::{Run, rows_of};
use crate::align::ppo;
use crate::core::stop;
use crate::data::Completion;
use crate::gpt2::Gpt2;
use crate::lora::Lora;
use crate::train::{Event, History, Listener, Tracker, require_trainable};
use crate::{Error, Result};

/// Trains a policy to earn the rewards that `reward` gives: one number for each completion. The completions of one
/// prompt stand side by side. The same settings give the same numbers. The stop button ends the run between two steps
/// of the optimizer.
///
/// # Errors
/// [`Error::InvalidArgument`] for impossible settings, [`Error::EmptyInput`] without prompts; [`Error::NoGradient`] if
/// something that should train is out of reach; [`Error::NotFinite`] for a reward, loss or gradient that is no number:
/// the weights are then those of the step before; those of `reward`.
pub fn train_grpo(
    policy: &Lora<Gpt2>,
    prompts: &[Vec<u32>],
    reward: &mut dyn FnMut(&[Completion]) -> Result<Vec<f32>>,
    config: &GrpoConfig,
    listener: &mut dyn Listener<GrpoRecord>,
) -> Result<History<GrpoRecord>> {
    config.check()?;
    require_trainable(&policy.params())?;
    let mut run = Run::begin(prompts, policy.params(), config.iterations, config.max_grad_norm, config.seed)?;
    run.tracker.tell(Event::Started, listener);
    'run: while !run.tracker.is_over() {
        let began = Instant::now();
        // 1. Several completions of each prompt, and a reward for each.
        let prompts = run.prompts.next(config.prompts, config.group_size);
        let drawn = draw_completions(policy.model(), &prompts, config.max_new_tokens, run.completions.next_u64())?;
        if stop::interrupted() {
            break;
        }
        let rewards = rewards(reward, &drawn, &run.tracker)?;
        // 2. The advantage of a completion is how much better it was than its group.
        let group = Group::new(policy, drawn, &rewards, config)?;
        let mut record = group.record(run.tracker.step + 1, &rewards, config)?;
        // 3. All tokens of a completion share its advantage; the loss is PPO's.
        let mut rows: Vec<usize> = (0..group.completions.len()).collect();
        for _ in 0..config.epochs {
            run.order.shuffle(&mut rows);
            for mini_batch in rows.chunks(config.mini_batch) {
                if stop::interrupted() {
                    break 'run;
                }
                step(&mut run, policy, config, &group, mini_batch, &mut record)?;
            }
        }
        let tokens = group.completions.iter().map(|one| one.answer_ids().len()).sum();
        run.tracker.record(record, tokens, began);
        run.tracker.tell(Event::Step, listener);
    }
    Ok(run.end(listener))
}

/// The completions of one iteration, and what is learnt from them. Tensors are `[N, L]`, but for the advantages `[N,
/// 1]`.
struct Group {
    completions: Vec<Completion>,
    mask: Tensor,
    /// Log-probabilities at the time of the rollout, and under the reference.
    old: Tensor,
    reference: Tensor,
    advantages: Tensor,
}

impl Group {
    fn new(policy: &Lora<Gpt2>, completions: Vec<Completion>, rewards: &[f32], config: &GrpoConfig) -> Result<Self> {
        let n = completions.len();
        let advantages = group_advantages(rewards, config.group_size, config.divide_by_std)?;
        Ok(Group {
            mask: answer_mask(&completions)?,
            old: policy_logps(policy, &completions)?,
            reference: reference_logps(policy, &completions)?,
            advantages: Tensor::from_vec(advantages, (n, 1), &Device::Cpu)?,
            completions,
        })
    }

    fn record(&self, iteration: usize, rewards: &[f32], config: &GrpoConfig) -> Result<GrpoRecord> {
        let n = self.completions.len() as f32;
        let count = |is: &dyn Fn(&Completion) -> f32| self.completions.iter().map(is).sum::<f32>() / n;
        let groups = rewards.chunks(config.group_size);
        let mixed = groups.clone().filter(|group| group.iter().any(|r| *r != group[0])).count();
        let kl = self.mask.where_cond(&(&self.old - &self.reference)?, &self.old.zeros_like()?)?;
        Ok(GrpoRecord {
            iteration,
            reward: rewards.iter().sum::<f32>() / n,
            mixed: mixed as f32 / groups.len() as f32,
            kl: ppo::mean_kl(&kl)?,
            entropy: ppo::mean_entropy(&self.old, &self.mask)?,
            length: count(&|one| one.answer_ids().len() as f32),
            ended: count(&|one| f32::from(u8::from(one.ended))),
            ..Default::default()
        })
    }
}

/// The rewards of these completions, checked.
fn rewards(
    reward: &mut dyn FnMut(&[Completion]) -> Result<Vec<f32>>,
    drawn: &[Completion],
    tracker: &Tracker<GrpoRecord>,
) -> Result<Vec<f32>> {
    let rewards = reward(drawn)?;
    if rewards.len() != drawn.len() {
        let found = format!("{} rewards", rewards.len());
        return Err(Error::argument("rewards", found, format!("{}, one for each text", drawn.len())));
    }
    rewards.iter().try_for_each(|reward| tracker.require_finite("a reward", *reward))?;
    Ok(rewards)
}

/// One step of the optimizer on these rows.
fn step(
    run: &mut Run<GrpoRecord>,
    policy: &Lora<Gpt2>,
    config: &GrpoConfig,
    group: &Group,
    rows: &[usize],
    record: &mut GrpoRecord,
) -> Result<()> {
    let completions: Vec<&Completion> = rows.iter().map(|&row| &group.completions[row]).collect();
    let (new, _) = answer_logps(policy.model(), &completions, &mut run.pass)?; // [n, l]
    let (n, width) = new.dims2()?;
    let of = |all: &Tensor| rows_of(all, rows, width);
    let (mask, old) = (of(&group.mask)?, of(&group.old)?);
    let advantages = rows_of(&group.advantages, rows, 1)?.broadcast_as((n, width))?.contiguous()?;
    let clipped = ppo::policy_loss(&new, &old, &advantages, &mask, config.clip)?;
    let loss = if config.kl_weight > 0.0 {
        let kl = kl_penalty(&new, &of(&group.reference)?, &mask)?;
        (clipped.loss + (kl * config.kl_weight)?)?
    } else {
        clipped.loss
    };
    let lr = config.schedule.at(config.lr, run.tracker.step);
    record.grad_norm = run.step(&loss, policy.params().len(), lr)?;
    record.clip_fraction = clipped.clip_fraction;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::align::actor::tests::actor;
    use crate::train::Silent;

    fn config() -> GrpoConfig {
        GrpoConfig { iterations: 30, prompts: 4, group_size: 8, lr: 2e-2, max_new_tokens: 4, ..Default::default() }
    }

    /// 1 for a text that begins with a 7.
    fn seven(texts: &[Completion]) -> Result<Vec<f32>> {
        Ok(texts.iter().map(|text| f32::from(u8::from(text.answer_ids()[0] == 7))).collect())
    }

    #[test]
    fn what_earns_is_written() {
        let prompts = [vec![1, 2], vec![3]];
        let run = |config: &GrpoConfig| {
            let policy = actor().policy;
            (train_grpo(&policy, &prompts, &mut |texts| seven(texts), config, &mut Silent).unwrap(), policy)
        };
        let (free, _) = run(&config());
        let (first, last) = (free.steps[0], free.steps[29]);
        assert!(first.kl.abs() < 1e-5, "a fresh adapter is the reference");
        assert!(last.reward > first.reward + 0.5 && last.entropy < first.entropy, "{first:?} {last:?}");
        let (again, _) = run(&config());
        assert_eq!(again.steps, free.steps);
        let (held, _) = run(&GrpoConfig { kl_weight: 3.0, ..config() });
        assert!(held.steps[29].kl < 0.7 * last.kl, "{:?} {last:?}", held.steps[29]);
    }

    #[test]
    fn groups_of_one_mind_leave_the_policy_as_it_is() {
        let policy = actor().policy;
        let before = policy.params().iter().map(|p| p.var().copy().unwrap()).collect::<Vec<_>>();
        let config = GrpoConfig { iterations: 2, ..config() };
        let mut same = |texts: &[Completion]| Ok(vec![1.0; texts.len()]);
        let history = train_grpo(&policy, &[vec![1]], &mut same, &config, &mut Silent).unwrap();
        assert!(history.steps.iter().all(|record| record.mixed == 0.0 && record.grad_norm == 0.0));
        for (before, now) in before.iter().zip(policy.params()) {
            assert_eq!(crate::ops::max_difference(before, now.var()).unwrap(), 0.0, "{}", now.name());
        }
    }

    #[test]
    fn impossible_settings_and_rewards_are_refused() {
        let policy = actor().policy;
        let run = |config: GrpoConfig, rewards: Vec<f32>| {
            let mut reward = |_: &[Completion]| Ok(rewards.clone());
            train_grpo(&policy, &[vec![1]], &mut reward, &config, &mut Silent).unwrap_err().to_string()
        };
        assert!(run(GrpoConfig { group_size: 1, ..config() }, vec![]).contains("at least 2"));
        assert!(run(GrpoConfig { kl_weight: -1.0, ..config() }, vec![]).contains("kl_weight"));
        assert!(run(config(), vec![]).contains("one for each text"));
        assert!(run(config(), vec![f32::NAN; 32]).contains("a reward"));
    }
}
