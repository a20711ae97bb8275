//! The place where a linear layer carries adapters.
//!
//! It is plain data that every linear layer owns, beside its [`Param`]s, and that knows nothing of how adapters are
//! made, chosen or stored: that is the part of [`lora`](crate::lora). So a model needs no wrapper types to be adapted,
//! and its forward function is the same with adapters and without.

use std::sync::{Arc, PoisonError, RwLock};

use crate::Param;

/// The part of one adapter in one layer: `s · (drop(x) Aᵀ) Bᵀ` is added to the layer's output. Clones share A and B.
#[derive(Debug, Clone)]
pub struct Adapter {
    /// A, `[r, n_in]`.
    pub a: Param,
    /// B, `[n_out, r]`.
    pub b: Param,
    /// s.
    pub scale: f64,
    /// Probability with which elements of `x` are dropped in training.
    pub dropout: f64,
}

/// The adapters that a layer applies now, none at first. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct AdapterSlot {
    active: Arc<RwLock<Vec<Adapter>>>,
}

impl AdapterSlot {
    /// The adapters that the layer applies, in order.
    pub fn active(&self) -> Vec<Adapter> {
        self.active.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// True if the layer applies any adapter.
    pub(crate) fn is_in_use(&self) -> bool {
        !self.active.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Replaces the adapters that the layer applies.
    pub(crate) fn set(&self, adapters: Vec<Adapter>) {
        *self.active.write().unwrap_or_else(PoisonError::into_inner) = adapters;
    }
}
