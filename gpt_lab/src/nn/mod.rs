//! Layers that models share: they own parameters, and the slot in which a linear layer carries adapters.

mod adapter;
pub(crate) mod layers;

pub use adapter::{Adapter, AdapterSlot};
pub use layers::{LayerNorm, Linear};
