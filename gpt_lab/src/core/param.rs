//! A model's parameters.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::{Tensor, Var};

use crate::Result;

/// A named weight and whether it trains. Clones share both.
#[derive(Debug, Clone)]
pub struct Param {
    name: String,
    var: Var,
    trainable: Arc<AtomicBool>,
}

impl Param {
    /// A trainable parameter with these initial values.
    pub fn new(name: impl Into<String>, values: &Tensor) -> Result<Self> {
        Ok(Param { name: name.into(), var: Var::from_tensor(values)?, trainable: Arc::new(AtomicBool::new(true)) })
    }

    /// A parameter of its own with the same name and values, which does not train.
    pub(crate) fn frozen_copy(&self) -> Result<Self> {
        let copy = Param::new(self.name.clone(), &self.var.as_detached_tensor())?;
        copy.set_trainable(false);
        Ok(copy)
    }

    /// The name in Hugging Face's layout, for instance `transformer.h.0.attn.c_attn.weight`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The module that it belongs to: its name without the last part.
    pub fn module(&self) -> String {
        self.name.rsplit_once('.').map_or(String::new(), |(module, _)| module.to_string())
    }

    /// The tensor to compute with: it records gradients if the parameter trains, and costs none if it is frozen.
    pub fn tensor(&self) -> Tensor {
        if self.trainable() { self.var.as_tensor().clone() } else { self.var.as_detached_tensor() }
    }

    /// The variable behind it, for optimizers and loaders.
    pub fn var(&self) -> &Var {
        &self.var
    }

    /// True if training changes it.
    pub fn trainable(&self) -> bool {
        self.trainable.load(Ordering::Relaxed)
    }

    /// Freezes it (`false`) or lets it train (`true`).
    pub fn set_trainable(&self, trainable: bool) {
        self.trainable.store(trainable, Ordering::Relaxed);
    }

    /// The shape.
    pub fn dims(&self) -> &[usize] {
        self.var.dims()
    }

    /// Number of values.
    pub fn count(&self) -> usize {
        self.var.elem_count()
    }
}
