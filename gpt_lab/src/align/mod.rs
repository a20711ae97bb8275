//! Alignment with what people prefer: direct preference optimisation (DPO) and reinforcement learning (PPO).
//!
//! [`dpo()`] is the loss that learns from comparisons without a reward model; [`DpoModel`] trains on [`Preferences`]
//! with it. [`ppo`] has the losses of PPO, as pure functions of log-probabilities; [`ActorCritic`] completes prompts
//! and values completions, and [`train_ppo`] is the loop around it. The reference model in both is the model itself
//! with its adapter [switched off](crate::lora::Lora::disabled).

mod actor;
mod dpo;
pub mod ppo;
mod preferences;

pub use actor::{ActorCritic, Evaluation, draw_completions};
pub use dpo::{Dpo, answer_log_probs, dpo};
pub use ppo::config::PpoConfig;
pub use ppo::experience::Experience;
pub use ppo::history::PpoRecord;
pub use ppo::train::train_ppo;
pub use preferences::{AnswerPairs, DpoModel, Preferences};
