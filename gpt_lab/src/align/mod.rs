//! Making a model want what people want: losses for preferences and for reinforcement learning.
//!
//! [`dpo`] learns from comparisons without a reward model, [`ppo`] from the scores of one. [`dpo`] and
//! [`ppo`] hold the losses, as pure functions of log-probabilities; [`preferences`] what DPO trains on and with. The reference model in both is the model itself with its adapter
//! [switched off](crate::lora::Lora::disabled).

pub mod dpo;
pub mod ppo;
pub mod preferences;

pub use dpo::{Dpo, answer_log_probs, dpo};
pub use preferences::{AnswerPairs, DpoModel, DpoReport, Preferences, answer_kl};
