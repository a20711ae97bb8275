//! The two kinds of layers that hold parameters, and dropout as the model uses it.

use candle_core::Tensor;

use super::{AdapterSlot, Pass, Weight};
use crate::{Error, Param, Result, ops};

/// Where a model's initial values come from: the generator or a file. Gets a name and a shape.
pub(crate) type Source<'a> = &'a mut dyn FnMut(&str, &[usize]) -> Result<Tensor>;

/// A linear layer in GPT-2's layout (`Conv1D`): weight `[n_in, n_out]`, bias `[n_out]`.
#[derive(Debug, Clone)]
pub struct Linear {
    /// `[n_in, n_out]`, or `[n_out, n_in]` if `transposed`.
    pub weight: Weight,
    /// `[n_out]`.
    pub bias: Option<Param>,
    /// The weight is stored output first, as weights in 8 bits are.
    pub transposed: bool,
    /// What is added to it, if anything: see [`lora`](crate::lora).
    pub adapters: AdapterSlot,
}

/// A layer norm over the last axis.
#[derive(Debug, Clone)]
pub struct LayerNorm {
    /// `[C]`.
    pub weight: Param,
    /// `[C]`.
    pub bias: Param,
    /// Added to the variance.
    pub eps: f64,
}

impl Linear {
    pub(crate) fn build(name: &str, n_in: usize, n_out: usize, with_bias: bool, source: Source) -> Result<Self> {
        let weight = Weight::F32(param(format!("{name}.weight"), &[n_in, n_out], source)?);
        let bias = if with_bias { Some(param(format!("{name}.bias"), &[n_out], source)?) } else { None };
        Ok(Linear { weight, bias, transposed: false, adapters: AdapterSlot::default() })
    }

    /// `[…, n_in]` → `[…, n_out]`, with the adapters' dropout in a training pass.
    pub fn forward(&self, x: &Tensor, pass: &mut Pass) -> Result<Tensor> {
        if !self.adapters.is_in_use() {
            return self.weight.project(x, self.bias.as_ref(), self.transposed);
        }
        let bias = self.bias.as_ref().map(Param::tensor);
        let projection = ops::Projection { weight: self.weight.tensor(), bias, transposed: self.transposed };
        self.adapters.forward(x, &projection, pass)
    }

    /// The layer's name, such as `transformer.h.0.attn.c_attn`.
    pub fn name(&self) -> String {
        self.weight.module()
    }

    /// Weight, then bias.
    pub fn params(&self) -> Vec<Param> {
        [self.weight.param(), self.bias.as_ref()].into_iter().flatten().cloned().collect()
    }

    /// The same layer with its weight in 8 bits and a frozen copy of its bias.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a layer with active adapters: they would be lost in silence.
    pub(crate) fn to_int8(&self) -> Result<Self> {
        if self.adapters.is_in_use() {
            let value = format!("a model whose layer {} carries an adapter", self.weight.name());
            let expected = "a model without adapters; merge them first (merge_and_unload)";
            return Err(Error::argument("model", value, expected));
        }
        let weight = self.weight.to_int8(self.transposed)?;
        let bias = self.bias.as_ref().map(Param::frozen_copy).transpose()?;
        Ok(Linear { weight, bias, transposed: true, adapters: AdapterSlot::default() })
    }
}

impl LayerNorm {
    pub(crate) fn build(name: &str, width: usize, eps: f64, source: Source) -> Result<Self> {
        let weight = param(format!("{name}.weight"), &[width], source)?;
        let bias = param(format!("{name}.bias"), &[width], source)?;
        Ok(LayerNorm { weight, bias, eps })
    }

    /// The same layer with frozen copies of its parameters.
    pub(crate) fn frozen_copy(&self) -> Result<Self> {
        Ok(LayerNorm { weight: self.weight.frozen_copy()?, bias: self.bias.frozen_copy()?, eps: self.eps })
    }

    /// `[…, C]` → `[…, C]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        ops::layer_norm(x, &self.weight.tensor(), &self.bias.tensor(), self.eps)
    }

    /// Weight, then bias.
    pub fn params(&self) -> Vec<Param> {
        vec![self.weight.clone(), self.bias.clone()]
    }
}

/// A parameter whose values the source supplies.
pub(crate) fn param(name: String, shape: &[usize], source: Source) -> Result<Param> {
    let values = source(&name, shape)?;
    Param::new(name, &values)
}

/// Dropout in training, nothing in evaluation.
pub(crate) fn dropout(x: &Tensor, p: f64, pass: &mut Pass) -> Result<Tensor> {
    match pass.draw(p) {
        Some(ops::Dropout { p, seed }) => ops::dropout(x, p, seed),
        None => Ok(x.clone()),
    }
}
