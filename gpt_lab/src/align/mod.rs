//! Making a model want what people want: losses for preferences and for reinforcement learning.
//!
//! [`dpo`] learns from comparisons without a reward model, [`ppo`] from the scores of one. These two hold the losses, as pure
//! functions of log-probabilities. [`preferences`] is what DPO trains on and with; [`actor`] writes and values texts, and
//! [`train_ppo`] is the loop around it. The reference model in both is the model itself with its adapter
//! [switched off](crate::lora::Lora::disabled).

pub mod actor;
pub mod dpo;
pub mod ppo;
mod ppo_loop;
pub mod preferences;

pub use actor::{ActorCritic, Moves, Written, answer_mask, draw_answers, score_written};
pub use dpo::{Dpo, answer_log_probs, dpo};
pub use ppo_loop::{Experience, PpoConfig, PpoHistory, PpoListener, PpoRecord, train_ppo};
pub use preferences::{AnswerPairs, DpoModel, DpoReport, Preferences, answer_kl};
