//! The linear layer of all models, with its low-rank adapters (Hu et al. 2021, "LoRA",
//! <https://arxiv.org/abs/2106.09685>).

use candle_core::Tensor;

use super::source::{Source, param};
use super::{Adapter, AdapterSlot, Pass, Weight};
use crate::ops::{self, LowRank, Projection};
use crate::{Error, Param, Result};

/// A linear layer. GPT-2 stores its weights input first (`Conv1D`), PyTorch's `nn.Linear` output first. Clones share
/// everything.
#[derive(Debug, Clone)]
pub struct Linear {
    /// `[n_in, n_out]`, or `[n_out, n_in]` if `transposed`.
    pub weight: Weight,
    /// `[n_out]`.
    pub bias: Option<Param>,
    /// True if the weight is stored output first.
    pub transposed: bool,
    /// The adapters, if any: see [`lora`](crate::lora).
    pub adapters: AdapterSlot,
}

impl Linear {
    /// A layer with this weight `[n_out, n_in]` and bias `[n_out]`, in PyTorch's layout.
    pub fn transposed(weight: Param, bias: Option<Param>) -> Self {
        Linear { weight: Weight::F32(weight), bias, transposed: true, adapters: AdapterSlot::default() }
    }

    /// A layer in GPT-2's layout.
    pub(crate) fn build(name: &str, n_in: usize, n_out: usize, with_bias: bool, source: Source) -> Result<Self> {
        let weight = Weight::F32(param(format!("{name}.weight"), &[n_in, n_out], source)?);
        let bias = if with_bias { Some(param(format!("{name}.bias"), &[n_out], source)?) } else { None };
        Ok(Linear { weight, bias, transposed: false, adapters: AdapterSlot::default() })
    }

    /// `x W + b + Σ s (drop(x) Aᵀ) Bᵀ`, the sum over the active adapters; `[…, n_in]` → `[…, n_out]`. A weight that is
    /// stored output first enters as `Wᵀ`.
    pub fn forward(&self, x: &Tensor, pass: &mut Pass) -> Result<Tensor> {
        let adapters = self.adapters.active();
        let Some((first, others)) = adapters.split_first() else {
            return self.weight.project(x, self.bias.as_ref(), self.transposed); // x W + b
        };
        let mut y = ops::low_rank(x, &self.projection(), &update(first, pass))?; // x W + b + s (drop(x) Aᵀ) Bᵀ
        for adapter in others {
            y = ops::low_rank::added(&y, x, &update(adapter, pass))?; // + s (drop(x) Aᵀ) Bᵀ
        }
        Ok(y)
    }

    /// Name, such as `transformer.h.0.attn.c_attn`.
    pub fn name(&self) -> String {
        self.weight.module()
    }

    /// Widths of input and output, `n_in` and `n_out`.
    pub fn sizes(&self) -> (usize, usize) {
        let (first, second) = (self.weight.dims()[0], self.weight.dims()[1]);
        if self.transposed { (second, first) } else { (first, second) }
    }

    /// Weight, then bias; a weight in 8 bits is no parameter.
    pub fn params(&self) -> Vec<Param> {
        [self.weight.param(), self.bias.as_ref()].into_iter().flatten().cloned().collect()
    }

    /// The same layer with its weight in 8 bits and a frozen copy of its bias.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a layer with active adapters: they would be lost in silence.
    pub(crate) fn to_int8(&self) -> Result<Self> {
        if self.adapters.is_in_use() {
            let value = format!("a model whose layer {} carries an adapter", self.name());
            let expected = "a model without adapters; merge them first (merge_and_unload)";
            return Err(Error::argument("model", value, expected));
        }
        let weight = self.weight.to_int8(self.transposed)?;
        let bias = self.bias.as_ref().map(Param::frozen_copy).transpose()?;
        // Weights in 8 bits are stored output first.
        Ok(Linear { weight, bias, transposed: true, adapters: AdapterSlot::default() })
    }

    /// `x W + b`, to be computed.
    fn projection(&self) -> Projection {
        let bias = self.bias.as_ref().map(Param::tensor);
        Projection { weight: self.weight.tensor(), bias, transposed: self.transposed }
    }
}

/// `s (drop(x) Aᵀ) Bᵀ` of an adapter, with the dropout of this pass, to be computed.
fn update(Adapter { a, b, scale, dropout }: &Adapter, pass: &mut Pass) -> LowRank {
    LowRank { a: a.tensor(), b: b.tensor(), scale: *scale, dropout: pass.draw_for_adapter(*dropout) }
}
