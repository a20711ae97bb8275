//! LoRA: train two thin matrices instead of a wide one (Hu et al. 2021, <https://arxiv.org/abs/2106.09685>).
//!
//! A linear layer `y = x W + b` is frozen, and `s · (x Aᵀ) Bᵀ` is added to its result, where A `[r, n_in]` and B
//! `[n_out, r]` have a small rank r. B starts at zero, so at first nothing changes. The formula is in
//! [`Linear::forward`](crate::nn::Linear::forward).
//!
//! Reading order: `config` (the layers to adapt, and how), `layer` (the matrices of one adapter), `adapters` and
//! `state` (add, switch, merge, remove), `adaptable` and `model` (the models, and a model with its adapters), `peft`
//! (files), `report` (numbers of parameters).
//!
//! The models know nothing of this module. Each of their linear layers owns an [`AdapterSlot`](crate::nn::AdapterSlot),
//! a list of adapters, empty at first; [`Adapters`] fill it and empty it. Clones of a model share the slots as they
//! share the weights, so an adapted model is adapted wherever it is used.

mod adaptable;
mod adapters;
mod config;
mod layer;
mod model;
mod peft;
mod report;
mod state;

pub use adaptable::Adaptable;
pub use adapters::Adapters;
pub use config::{Bias, Init, LoraConfig, Targets};
pub use model::{Lora, merged};
pub use report::Report;
