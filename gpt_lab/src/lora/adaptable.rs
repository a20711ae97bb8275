//! The models that adapters can be added to.

use crate::Param;
use crate::gpt2::Gpt2;
use crate::nn::{Linear, Mlp};

/// A model that adapters can be added to.
pub trait Adaptable: Clone {
    /// Every parameter of the model itself, without adapters.
    fn base_params(&self) -> Vec<Param>;

    /// Every layer that can carry an adapter, in order.
    fn targets(&self) -> Vec<Linear>;

    /// Modules that share their weights with another one; they cannot train alone.
    fn tied_modules(&self) -> Vec<String> {
        Vec::new()
    }

    /// Purpose of the model, in PEFT's words.
    fn task_type(&self) -> Option<&'static str> {
        None
    }
}

/// The parts of a model that its adapters work on. Without the model's type, so that the code for them is compiled once
/// and not in every cell.
#[derive(Debug, Clone)]
pub(super) struct Base {
    /// [`Adaptable::base_params`].
    pub params: Vec<Param>,
    /// [`Adaptable::targets`].
    pub targets: Vec<Linear>,
    /// [`Adaptable::tied_modules`].
    pub tied: Vec<String>,
    /// [`Adaptable::task_type`].
    pub task_type: Option<&'static str>,
}

impl Base {
    pub fn of(model: &impl Adaptable) -> Self {
        let (params, targets) = (model.base_params(), model.targets());
        Base { params, targets, tied: model.tied_modules(), task_type: model.task_type() }
    }
}

impl Adaptable for Gpt2 {
    fn base_params(&self) -> Vec<Param> {
        self.params()
    }

    fn targets(&self) -> Vec<Linear> {
        self.linears().cloned().collect()
    }

    fn tied_modules(&self) -> Vec<String> {
        if self.lm_head.is_none() { vec![self.wte.module()] } else { Vec::new() }
    }

    fn task_type(&self) -> Option<&'static str> {
        Some("CAUSAL_LM")
    }
}

impl Adaptable for Mlp {
    fn base_params(&self) -> Vec<Param> {
        self.params()
    }

    fn targets(&self) -> Vec<Linear> {
        self.layers.clone()
    }
}
