//! GPT-2 (Radford et al. 2019, "Language Models are Unsupervised Multitask Learners"; the architecture is that of GPT,
//! Radford et al. 2018, with the layer norms moved to the front). A model is plain data and a forward function.
//!
//! Reading order: `config`, `attention`, `feed_forward` (and `activation`), `block` (with its fast path in `fused`),
//! `model`; then `int8` (the same from fewer bytes), `weights` (files), `tree` (the parts as a tree) and `audit` (does
//! every parameter learn?). Layers are in [`nn`](crate::nn).

mod activation;
mod attention;
mod audit;
mod block;
mod config;
mod feed_forward;
mod fused;
mod int8;
mod model;
mod tree;
mod weights;

pub use crate::nn::KvCache;
pub use activation::Activation;
pub use attention::Attention;
pub use audit::{AuditRow, GradAudit, grad_audit};
pub use block::Block;
pub use config::{EosToken, Gpt2Config};
pub use feed_forward::FeedForward;
pub use model::{Gpt2, Inspection};
pub use tree::TreeNode;
pub(crate) use weights::{config_json, read_with_score};
