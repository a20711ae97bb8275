//! Layers that models share, and the pass that runs through them.
//!
//! Reading order: `linear` (with the formula of LoRA) and `weight`, `layer_norm`, `dropout`, `pass`, `kv_cache` and
//! `cache_rows`; `adapter` is the slot in which a linear layer carries adapters, `mlp` a network small enough to print.

mod adapter;
mod cache_rows;
mod dropout;
mod kv_cache;
mod layer_norm;
mod linear;
mod mlp;
mod pass;
mod source;
mod weight;

pub use adapter::{Adapter, AdapterSlot};
pub(crate) use dropout::dropout;
pub use kv_cache::{CacheShape, KvCache};
pub use layer_norm::LayerNorm;
pub use linear::Linear;
pub use mlp::Mlp;
pub use pass::Pass;
pub(crate) use source::{Source, param};
pub use weight::{Int8Weight, Weight};
