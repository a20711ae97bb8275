//! LoRA: train two thin matrices instead of a wide one (Hu et al. 2021, <https://arxiv.org/abs/2106.09685>).
//!
//! A linear layer `y = x W + b` is frozen, and `s · (x Aᵀ) Bᵀ` is added to what it gives, where A `[r, n_in]` and B `[n_out, r]`
//! have a small rank r. B starts at zero, so at first nothing changes.
//!
//! Reading order: [`config`] (what to adapt, and how), [`target`] (which layers a model offers), `adapter` (the tensors of one
//! adapter), [`inject`] (adapters on a model: add, switch, merge, remove) with `attached` and `state`, [`report`] (how much
//! trains), `files` with [`peft_config`] (PEFT's files), [`mlp`] (a model small enough to print).
//!
//! The models know nothing of this module. Each of their linear layers owns an [`AdapterSlot`](crate::AdapterSlot), a list of what
//! to add, empty at first; a [`Lora`] fills it and empties it. Clones of a model share the slots as they share the weights, so
//! an adapted model is adapted wherever it is used.

mod adapter;
mod attached;
pub mod config;
mod files;
pub mod inject;
pub mod mlp;
pub mod peft_config;
pub mod report;
mod state;
pub mod target;

pub use config::{Bias, Init, LoraConfig, Targets};
pub use inject::Lora;
pub use mlp::{Dense, Mlp};
pub use report::Report;
pub use target::{Adaptable, Target};
