//! Which layers of a model can be adapted.

use super::mlp::{Dense, Mlp};
use crate::Param;
use crate::gpt2::Gpt2;
use crate::nn::{AdapterSlot, Linear, Weight};

/// A model that adapters can be added to.
pub trait Adaptable: Clone {
    /// Every parameter of the model itself, without adapters.
    fn base_params(&self) -> Vec<Param>;

    /// Every layer that can carry an adapter, in order.
    fn targets(&self) -> Vec<Target>;

    /// Modules that share their weights with another one; they cannot train alone.
    fn tied_modules(&self) -> Vec<String> {
        Vec::new()
    }

    /// What the model is for, in PEFT's words.
    fn task_type(&self) -> Option<&'static str> {
        None
    }
}

/// What adapters need to know of a model. Without the model's type, so that what works with it is compiled once and not in
/// every cell.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    /// [`Adaptable::base_params`].
    pub base: Vec<Param>,
    /// [`Adaptable::targets`].
    pub targets: Vec<Target>,
    /// [`Adaptable::tied_modules`].
    pub tied: Vec<String>,
    /// [`Adaptable::task_type`].
    pub task_type: Option<&'static str>,
}

impl Parts {
    pub fn of(model: &impl Adaptable) -> Self {
        let (base, targets) = (model.base_params(), model.targets());
        Parts { base, targets, tied: model.tied_modules(), task_type: model.task_type() }
    }
}

/// A linear layer of a model. Clones share its weights and its slot.
#[derive(Debug, Clone)]
pub struct Target {
    /// The layer's name, such as `transformer.h.0.attn.c_attn`.
    pub name: String,
    /// `[n_in, n_out]`, or `[n_out, n_in]` if `transposed`.
    pub weight: Weight,
    /// `[n_out]`.
    pub bias: Option<Param>,
    /// The weight is stored output first, as PyTorch's `nn.Linear` has it.
    pub transposed: bool,
    /// Where the layer's adapters are.
    pub slot: AdapterSlot,
}

impl Target {
    /// The weight in 32 bits, which [`Lora`](super::Lora) insists on.
    pub(super) fn param(&self) -> &Param {
        self.weight.param().expect("a model in 8 bits is not adapted")
    }

    /// `n_in`, `n_out`.
    pub fn sizes(&self) -> (usize, usize) {
        let (first, second) = (self.weight.dims()[0], self.weight.dims()[1]);
        if self.transposed { (second, first) } else { (first, second) }
    }
}

impl From<&Linear> for Target {
    fn from(layer: &Linear) -> Self {
        let (weight, bias, slot) = (layer.weight.clone(), layer.bias.clone(), layer.adapters.clone());
        Target { name: layer.name(), weight, bias, transposed: layer.transposed, slot }
    }
}

impl From<&Dense> for Target {
    fn from(layer: &Dense) -> Self {
        let (weight, bias, slot) = (Weight::F32(layer.weight.clone()), layer.bias.clone(), layer.adapters.clone());
        Target { name: weight.module(), weight, bias, transposed: true, slot }
    }
}

impl Adaptable for Gpt2 {
    fn base_params(&self) -> Vec<Param> {
        self.params()
    }

    fn targets(&self) -> Vec<Target> {
        self.linears().map(Target::from).collect()
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

    fn targets(&self) -> Vec<Target> {
        self.layers.iter().map(Target::from).collect()
    }
}
