//! Layers that models share: they own parameters, and the slot in which a linear layer carries adapters.

mod adapter;
mod kv_cache;
pub(crate) mod layers;
mod pass;
mod weight;

pub use adapter::{Adapter, AdapterSlot};
pub use kv_cache::{CacheShape, KvCache};
pub use layers::{LayerNorm, Linear};
pub use pass::Pass;
pub use weight::{Int8Weight, Weight};
