//! A model's parameters and the two ways of running it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::{Tensor, Var};

use crate::{Result, Rng};

/// A named weight and the answer to the question whether it trains. Clones share both.
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

    /// Its name in Hugging Face's layout, for instance `transformer.h.0.attn.c_attn.weight`.
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

    /// Whether training changes it.
    pub fn trainable(&self) -> bool {
        self.trainable.load(Ordering::Relaxed)
    }

    /// Freezes it (`false`) or lets it train (`true`).
    pub fn set_trainable(&self, trainable: bool) {
        self.trainable.store(trainable, Ordering::Relaxed);
    }

    /// Its shape.
    pub fn dims(&self) -> &[usize] {
        self.var.dims()
    }

    /// How many numbers it holds.
    pub fn count(&self) -> usize {
        self.var.elem_count()
    }
}

/// Training draws dropout masks, evaluation does not.
#[derive(Debug, Clone)]
pub enum Mode {
    /// No dropout: the same input gives the same output.
    Eval,
    /// Dropout on, its masks drawn from this generator.
    Train(Box<Rng>),
    /// Dropout in the adapters only. The frozen body then gives the same text the same probabilities every time, apart from the
    /// adapters' own noise: PPO's ratio of new to old needs that.
    TrainAdapters(Box<Rng>),
}

impl Mode {
    /// Training mode with a seed of its own.
    pub fn train(seed: u64) -> Self {
        Mode::Train(Box::new(Rng::new(seed)))
    }

    /// Dropout in the adapters only, with a seed of its own.
    pub fn train_adapters(seed: u64) -> Self {
        Mode::TrainAdapters(Box::new(Rng::new(seed)))
    }

    /// A fresh seed for one dropout layer of the model, or `None` where nothing is to be dropped.
    pub fn dropout_seed(&mut self) -> Option<u64> {
        match self {
            Mode::Eval | Mode::TrainAdapters(_) => None,
            Mode::Train(rng) => Some(rng.next_u64()),
        }
    }

    /// A fresh seed for the dropout of one adapter, or `None` where nothing is to be dropped.
    pub fn adapter_seed(&mut self) -> Option<u64> {
        match self {
            Mode::Eval => None,
            Mode::Train(rng) | Mode::TrainAdapters(rng) => Some(rng.next_u64()),
        }
    }
}
