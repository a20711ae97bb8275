//! The two kinds of layers that hold parameters, and dropout as the model uses it.

use candle_core::Tensor;

use crate::nn::AdapterSlot;
use crate::{Mode, Param, Result, ops};

/// Where a model's initial values come from: the generator or a file. Gets a name and a shape.
pub(crate) type Source<'a> = &'a mut dyn FnMut(&str, &[usize]) -> Result<Tensor>;

/// A linear layer in GPT-2's layout (`Conv1D`): weight `[n_in, n_out]`, bias `[n_out]`.
#[derive(Debug, Clone)]
pub struct Linear {
    /// `[n_in, n_out]`.
    pub weight: Param,
    /// `[n_out]`.
    pub bias: Option<Param>,
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
        let weight = param(format!("{name}.weight"), &[n_in, n_out], source)?;
        let bias = if with_bias { Some(param(format!("{name}.bias"), &[n_out], source)?) } else { None };
        Ok(Linear { weight, bias, adapters: AdapterSlot::default() })
    }

    /// `[…, n_in]` → `[…, n_out]`, in evaluation mode.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_mode(x, &mut Mode::Eval)
    }

    /// [`Linear::forward`], with the adapters' dropout if the mode says so.
    pub fn forward_mode(&self, x: &Tensor, mode: &mut Mode) -> Result<Tensor> {
        let bias = self.bias.as_ref().map(Param::tensor);
        self.adapters.forward(x, &ops::Projection { weight: self.weight.tensor(), bias, transposed: false }, mode)
    }

    /// The layer's name, such as `transformer.h.0.attn.c_attn`.
    pub fn name(&self) -> String {
        self.weight.module()
    }

    /// Weight, then bias.
    pub fn params(&self) -> Vec<Param> {
        [Some(&self.weight), self.bias.as_ref()].into_iter().flatten().cloned().collect()
    }
}

impl LayerNorm {
    pub(crate) fn build(name: &str, width: usize, eps: f64, source: Source) -> Result<Self> {
        let weight = param(format!("{name}.weight"), &[width], source)?;
        let bias = param(format!("{name}.bias"), &[width], source)?;
        Ok(LayerNorm { weight, bias, eps })
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

/// Dropout in training mode, nothing in evaluation mode.
pub(crate) fn dropout(x: &Tensor, p: f64, mode: &mut Mode) -> Result<Tensor> {
    match draw(p, mode) {
        Some(ops::Dropout { p, seed }) => ops::dropout(x, p, seed),
        None => Ok(x.clone()),
    }
}

/// What one dropout layer drops this time: nothing in evaluation mode or when `p` is zero.
pub(crate) fn draw(p: f64, mode: &mut Mode) -> Option<ops::Dropout> {
    if p == 0.0 {
        return None;
    }
    mode.dropout_seed().map(|seed| ops::Dropout { p, seed })
}
