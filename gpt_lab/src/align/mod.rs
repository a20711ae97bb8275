//! Alignment with what people prefer: direct preference optimisation (DPO) and reinforcement learning (PPO, GRPO).
//!
//! [`dpo()`] is the loss that learns from comparisons without a reward model; [`DpoModel`] trains on [`Preferences`]
//! with it. [`ppo`] has the losses of PPO, as pure functions of log-probabilities; [`ActorCritic`] completes prompts
//! and values completions, and [`train_ppo`] is the loop around it. [`grpo`] does without the critic: [`train_grpo`]
//! compares several completions of one prompt. The reference model in all of them is the model itself with its adapter
//! [switched off](crate::lora::Lora::disabled).

mod actor;
mod dpo;
pub mod grpo;
mod logps;
mod optimize;
pub mod ppo;
mod preferences;

pub use actor::{ActorCritic, Evaluation, complete, draw_completions};
pub use dpo::{Dpo, answer_log_probs, dpo};
pub use grpo::{GrpoConfig, GrpoRecord, group_advantages, train_grpo};
pub use ppo::config::PpoConfig;
pub use ppo::experience::Experience;
pub use ppo::history::PpoRecord;
pub use ppo::train::train_ppo;
pub use preferences::{AnswerPairs, DpoModel, Preferences};
