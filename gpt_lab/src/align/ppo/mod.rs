//! Proximal policy optimisation (Schulman et al. 2017, <https://arxiv.org/abs/1707.06347>) for texts: the pieces, as
//! pure functions of log-probabilities. The loop around them is [`train_ppo`](super::train_ppo).

pub(super) mod config;
pub(super) mod experience;
pub(super) mod history;
pub(super) mod losses;
pub(super) mod train;

pub use losses::{
    Advantages, Clipped, TokenRewards, advantages, approx_kl, mean_entropy, mean_kl, policy_loss, token_rewards,
    value_loss, whiten,
};
