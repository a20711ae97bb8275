//! Training: gradients, the optimizer, the schedule of the learning rate, and the loop around them.
//!
//! The loop is [`train`]; notebooks, the command line and the tests all use this one. A model takes part by
//! implementing [`Trainable`]; a display takes part by implementing [`Listener`].

mod adamw;
mod checkpoint;
mod config;
mod evaluate;
mod gradients;
mod history;
mod listener;
mod order;
mod run;
mod schedule;
mod state;
mod tracker;

pub use adamw::{AdamW, AdamWOptions, Decay};
pub use config::{Length, TrainConfig};
pub use evaluate::evaluate;
pub(crate) use gradients::require_trainable;
pub use gradients::{Gradients, clip_factor};
pub use history::{EvalRecord, History, StepRecord, Stopped};
pub use listener::{Event, Listener, Progress, Silent, TerminalProgress};
pub use run::train;
pub use schedule::Schedule;
pub(crate) use tracker::Tracker;

use candle_core::Tensor;

use crate::data::Batch;
use crate::gpt2::Gpt2;
use crate::lora::{Adaptable, Lora};
use crate::{Param, Pass, Result};

/// A model that [`train`] can train on batches of type `B`.
pub trait Trainable<B = Batch> {
    /// Its parameters, always in the same order and under the same names. Only those that
    /// [train](Param::trainable) are changed.
    fn params(&self) -> Vec<Param>;

    /// The mean loss on a batch: a scalar that depends on the parameters through differentiable operations. Dropout is
    /// on exactly in a training pass.
    fn loss(&self, batch: &B, pass: &mut Pass) -> Result<Tensor>;

    /// The contents of `config.json` beside the weights, by which a checkpoint can be loaded as a model; `None` for a
    /// model without such a file.
    fn config_json(&self) -> Result<Option<String>> {
        Ok(None)
    }
}

impl Trainable for Gpt2 {
    fn params(&self) -> Vec<Param> {
        Gpt2::params(self)
    }

    fn loss(&self, batch: &Batch, pass: &mut Pass) -> Result<Tensor> {
        Gpt2::loss(self, &batch.inputs, &batch.targets, pass)
    }

    fn config_json(&self) -> Result<Option<String>> {
        Ok(Some(format!("{:#}", crate::gpt2::config_json(&self.config)?)))
    }
}

/// An adapted model trains the parameters of its active adapters, and its checkpoints hold nothing else.
impl<B, M: Adaptable + Trainable<B>> Trainable<B> for Lora<M> {
    fn params(&self) -> Vec<Param> {
        Lora::params(self)
    }

    fn loss(&self, batch: &B, pass: &mut Pass) -> Result<Tensor> {
        self.model().loss(batch, pass)
    }
}
