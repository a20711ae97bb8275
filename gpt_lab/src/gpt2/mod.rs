//! GPT-2 (Radford et al. 2019, "Language Models are Unsupervised Multitask Learners"; the architecture is that of GPT,
//! Radford et al. 2018, with the layer norms moved to the front).
//!
//! Reading order: [`config`], [`attention`], [`mlp`], [`block`], [`model`], then [`cache`] (one token at a time)
//! and [`int8`] (the same from fewer bytes), [`weights`] and [`weight_file`] (files) and [`audit`] (does every parameter learn?). A model is plain data and a forward
//! function.

pub mod attention;
pub mod audit;
pub mod block;
pub mod config;
pub mod feed_forward;
mod fused;
pub mod int8;
pub mod model;
pub mod tree;
pub mod weight_file;
pub mod weights;

pub use crate::nn::KvCache;
pub use attention::Attention;
pub use audit::{AuditRow, GradAudit, grad_audit};
pub use block::Block;
pub use config::{Activation, EosToken, Gpt2Config};
pub use feed_forward::FeedForward;
pub use model::{Gpt2, Inspection};
pub use tree::TreeNode;
