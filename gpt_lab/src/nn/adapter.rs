//! The place where a linear layer carries adapters.
//!
//! It is plain data that every kind of linear layer owns, beside its [`Param`]s, and that knows nothing of how adapters are made,
//! chosen or stored: that is [`lora`](crate::lora)'s part. So a model needs no wrapper types to be adapted, and its forward
//! function is the same with adapters and without.

use std::sync::{Arc, PoisonError, RwLock};

use candle_core::Tensor;

use super::Pass;
use crate::ops::{self, LowRank, Projection};
use crate::{Param, Result};

/// One adapter's part in one layer: `s · (drop(x) Aᵀ) Bᵀ` is added to the layer's output. Clones share A and B.
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
    /// What the layer applies, in order.
    pub fn active(&self) -> Vec<Adapter> {
        self.active.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it applies any.
    pub(crate) fn is_in_use(&self) -> bool {
        !self.active.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Replaces what the layer applies.
    pub(crate) fn set(&self, adapters: Vec<Adapter>) {
        *self.active.write().unwrap_or_else(PoisonError::into_inner) = adapters;
    }

    /// `x W + b`, and what the adapters add to it.
    pub(crate) fn forward(&self, x: &Tensor, projection: &Projection, pass: &mut Pass) -> Result<Tensor> {
        let mut adapters = self.active().into_iter().map(|adapter| adapter.update(pass));
        let Some(first) = adapters.next() else { return projection.forward(x) };
        let y = ops::low_rank(x, projection, &first)?;
        adapters.try_fold(y, |y, update| ops::low_rank::added(&y, x, &update))
    }
}

impl Adapter {
    /// As the operation wants it, with dropout in a training pass.
    fn update(&self, pass: &mut Pass) -> LowRank {
        let dropout = pass.draw_for_adapter(self.dropout);
        LowRank { a: self.a.tensor(), b: self.b.tensor(), scale: self.scale, dropout }
    }
}
