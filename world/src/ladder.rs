//! The last lessons' trainings with other seeds: what is chance in their figures, and what is not.
//!
//! The settings are those of `notebooks/gpt2_dpo`, `gpt2_ppo` and `gpt2_grpo`; what they stand on (the fine-tuned
//! model, the bad day, the judges) is taken from `assets/learnt`.

use std::collections::HashMap;
use std::path::Path;

use gpt_lab::Result;
use gpt_lab::align::{ActorCritic, DpoModel, GrpoConfig, PpoConfig, Preferences, train_grpo, train_ppo};
use gpt_lab::chat::load_judge;
use gpt_lab::data::{Comparison, Comparisons, Completion, Split};
use gpt_lab::eval::{Checker, Examiner, Mean, distance, says_it_twice, score_completions};
use gpt_lab::gpt2::Gpt2;
use gpt_lab::lora::{Lora, LoraConfig, Targets, merged};
use gpt_lab::text::BpeTokenizer;
use gpt_lab::train::{Length, Schedule, Silent, TrainConfig, train};

/// Rounds of PPO and of GRPO.
const ROUNDS: (usize, usize) = (40, 60);

/// What all runs share.
pub struct Ladder<'a> {
    assets: &'a Path,
    tokenizer: BpeTokenizer,
    examiner: Examiner,
    practice: Examiner,
    train_set: Comparisons,
}

impl<'a> Ladder<'a> {
    /// Reads what the runs need from this folder, that of the assets.
    ///
    /// # Errors
    /// Those of reading.
    pub fn load(assets: &'a Path) -> Result<Self> {
        let tokenizer = BpeTokenizer::load(assets.join("gpt2_box"))?;
        let load = |file: &str| Comparisons::load(assets.join("comparisons").join(file));
        let (train_set, held_out) = (load("train.jsonl")?, load("validation.jsonl")?);
        let checker = Checker::new(&[&train_set, &held_out]);
        let facts = |row: &Comparison| row.slice == "truth" || row.slice == "on_topic";
        let examiner = Examiner::new(&held_out.filter(|row| row.slice == "truth").rows, &checker, &tokenizer)?;
        let practice = Examiner::new(&train_set.filter(facts).rows, &checker, &tokenizer)?;
        Ok(Ladder { assets, tokenizer, examiner, practice, train_set })
    }

    /// The model in the box with these stages of a lesson.
    fn stages(&self, lesson: &str, names: &[&str]) -> Result<Gpt2> {
        let folder = self.assets.join("learnt").join(lesson);
        let stages: Vec<_> = names.iter().map(|name| folder.join(name)).collect();
        merged(&Gpt2::load(self.assets.join("gpt2_box"))?, &stages)
    }

    fn policy(&self, r: usize, seed: u64) -> Result<Lora<Gpt2>> {
        let policy = Lora::new(&self.stages("gpt2_dpo", &["masked", "bad_day"])?)?;
        let target_modules = Targets::pattern("all-linear");
        policy.add("own", &LoraConfig { r, lora_alpha: 2.0 * r as f64, target_modules, ..Default::default() }, seed)?;
        Ok(policy)
    }

    /// `| DPO | 1 | 80.4 % (77–84 %, n = 500) | 61.2 % (…) | 5.7 | 2 % |`
    fn row(&self, name: &str, seed: u64, policy: &Lora<Gpt2>) -> Result<String> {
        let greedy = self.examiner.greedy(policy.model(), &self.tokenizer)?;
        let drawn = self.examiner.drawn(policy.model(), &self.tokenizer, 1.0, 7)?;
        let kl = distance(policy, &[], &drawn.answers)?.kl;
        let twice = 100.0 * drawn.habit(says_it_twice).value();
        Ok(format!("| {name} | {seed} | {} | {} | {kl:.1} | {twice:.0} % |", greedy.share(), drawn.share()))
    }

    /// DPO with a share of the preferred answers' own loss.
    ///
    /// # Errors
    /// Those of training.
    pub fn dpo(&self, seed: u64) -> Result<String> {
        let policy = self.policy(16, 2)?;
        let mut pairs = self.train_set.filter(|row| row.slice != "says_it_twice").encode(&self.tokenizer, 160)?;
        pairs.rows.truncate(3200);
        let pairs = Preferences::new(pairs, &policy)?;
        let config = TrainConfig {
            length: Length::Steps(200),
            batch_size: 16,
            lr: 5e-4,
            schedule: Schedule::warmup_cosine(5e-4, 200),
            eval_every: 0,
            seed,
            ..Default::default()
        };
        let model = DpoModel { policy: policy.clone(), beta: 0.3, nll_weight: 0.2 };
        train(&model, &Split { train: pairs.clone(), validation: pairs }, &config, &mut Silent)?;
        self.row("DPO", seed, &policy)
    }

    /// PPO against one of the judges.
    ///
    /// # Errors
    /// Those of training.
    pub fn ppo(&self, judge: &str, kl_weight: f64, seed: u64) -> Result<String> {
        let policy = self.policy(8, 3)?;
        let folder = self.assets.join("learnt/gpt2_reward_modeling").join(judge);
        let scorer = load_judge(&self.stages("gpt2_reward_modeling", &["masked"])?, folder)?;
        let actor = ActorCritic::new(&policy)?;
        let start = actor.rollout(&self.practice.prompts[..300], 32, 99)?;
        let unit = Mean::of(&score_completions(&scorer, &start)?);
        let falling = Schedule::WarmupCosine { warmup: 2, decay_end: ROUNDS.0, min_lr: 1e-4 };
        let config = PpoConfig {
            iterations: ROUNDS.0,
            batch_size: 64,
            group_size: 4,
            mini_batch: 32,
            schedule: if kl_weight > 0.0 { falling } else { Schedule::Constant },
            kl_weight,
            value_weight: 0.5,
            seed,
            ..Default::default()
        };
        let mut reward = |texts: &[Completion]| Ok(unit.standardise(&score_completions(&scorer, texts)?));
        train_ppo(&actor, &self.practice.prompts, &mut reward, &config, &mut Silent)?;
        self.row(&format!("PPO, judge `{judge}`, KL weight {kl_weight}"), seed, &policy)
    }

    /// GRPO with the checker's word as the reward.
    ///
    /// # Errors
    /// Those of training.
    pub fn grpo(&self, seed: u64) -> Result<String> {
        let policy = self.policy(8, 3)?;
        let row_of: HashMap<&[u32], &Comparison> =
            self.practice.prompts.iter().map(Vec::as_slice).zip(&self.practice.rows).collect();
        let mut reward = |texts: &[Completion]| -> Result<Vec<f32>> {
            let of = |text: &Completion| -> Result<f32> {
                let row = row_of[text.prompt_ids()];
                let right = text.ended && self.practice.checker.check(row, &text.text(&self.tokenizer)?).passes();
                Ok(f32::from(u8::from(right)))
            };
            texts.iter().map(of).collect()
        };
        let schedule = Schedule::WarmupCosine { warmup: 2, decay_end: ROUNDS.1, min_lr: 1e-4 };
        let config = GrpoConfig { iterations: ROUNDS.1, schedule, seed, ..Default::default() };
        train_grpo(&policy, &self.practice.prompts, &mut reward, &config, &mut Silent)?;
        self.row("GRPO", seed, &policy)
    }
}
