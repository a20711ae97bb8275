//! Layer norm as a layer.

use candle_core::Tensor;

use super::source::{Source, param};
use crate::{Param, Result, ops};

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

impl LayerNorm {
    pub(crate) fn build(name: &str, width: usize, eps: f64, source: Source) -> Result<Self> {
        let weight = param(format!("{name}.weight"), &[width], source)?;
        let bias = param(format!("{name}.bias"), &[width], source)?;
        Ok(LayerNorm { weight, bias, eps })
    }

    /// `[…, C]` → `[…, C]`. The same in every pass.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        ops::layer_norm(x, &self.weight.tensor(), &self.bias.tensor(), self.eps)
    }

    /// Weight, then bias.
    pub fn params(&self) -> Vec<Param> {
        vec![self.weight.clone(), self.bias.clone()]
    }

    /// The same layer with frozen copies of its parameters.
    pub(crate) fn frozen_copy(&self) -> Result<Self> {
        Ok(LayerNorm { weight: self.weight.frozen_copy()?, bias: self.bias.frozen_copy()?, eps: self.eps })
    }
}
