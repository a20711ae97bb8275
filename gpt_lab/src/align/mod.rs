//! Making a model want what people want: losses for preferences and for reinforcement learning.
//!
//! [`dpo`] learns from comparisons without a reward model, [`ppo`] from the scores of one. Here are the losses, as pure functions
//! of log-probabilities; the reference model in both is the model itself with its adapter
//! [switched off](crate::lora::Lora::disabled).

pub mod dpo;
pub mod ppo;

pub use dpo::{Dpo, answer_log_probs, dpo};
