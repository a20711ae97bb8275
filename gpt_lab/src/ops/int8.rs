//! A matrix in 8 bits: a quarter of the memory, and where each number is read once for one token, a quarter of the
//! reading.

use candle_core::Tensor;
use gpt_lab_cpu::int8;

use super::custom::Values;
use crate::Result;

/// The weight of a linear layer, rounded to whole numbers from −127 to 127 and a scale for each output.
#[derive(Debug, Clone)]
pub(crate) struct Int8Matrix(int8::Int8Matrix);

impl Int8Matrix {
    /// From a weight `[n_out, n_in]`; GPT-2's own layout must be transposed first.
    pub(crate) fn new(weight: &Tensor) -> Result<Self> {
        let (_, n_in) = weight.dims2()?;
        let weight = weight.contiguous()?;
        Ok(Int8Matrix(int8::Int8Matrix::new(&Values::of(&weight)?, n_in)))
    }

    /// Number of bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.0.bytes()
    }

    /// The weights of one output as they are after rounding.
    pub(crate) fn row(&self, output: usize) -> Vec<f32> {
        self.0.row(output)
    }

    /// `y = x Wᵀ`: `x` is `[rows, n_in]`, the result is `[rows, n_out]`. A row gives the same bits alone and among a
    /// few others.
    pub(crate) fn multiply(&self, x: &[f32]) -> Vec<f32> {
        self.0.multiply(x)
    }
}
