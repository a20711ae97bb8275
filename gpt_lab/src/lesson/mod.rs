//! Exercises that check themselves. A check calls the learner's function on inputs that bring the usual mistakes to
//! light, in the order shape, value, edge, and answers with a [`Verdict`]; it never panics and never gives the answer
//! away.
//!
//! Every exercise begins as a stub that returns `None`: the verdict is then "waiting", not an error, so that an
//! unsolved notebook still runs from top to bottom.

pub mod char_gpt;
pub mod chat;
pub mod gpt2;
pub mod gpt2_dpo;
pub mod gpt2_grpo;
pub mod gpt2_lora;
pub mod gpt2_lora_optimum;
pub mod gpt2_ppo;
pub mod gpt2_reward_modeling;
pub mod lora_tutorial;
mod verdict;

pub use verdict::Verdict;
