//! Group relative policy optimisation (Shao et al. 2024, "DeepSeekMath", <https://arxiv.org/abs/2402.03300>, section
//! 4): reinforcement learning without a critic. Several completions of one prompt are each other's baseline.

mod config;
mod history;
mod losses;
mod train;

pub use config::GrpoConfig;
pub use history::GrpoRecord;
pub use losses::{group_advantages, kl_penalty};
pub use train::train_grpo;
