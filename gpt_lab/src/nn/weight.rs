//! The matrix of a linear layer or of an embedding: in 32 bits, or in 8 bits for writing.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use crate::ops::{self, Int8Matrix, Projection};
use crate::{Error, Param, Result};

/// A matrix of a model. Clones share it.
#[derive(Debug, Clone)]
pub enum Weight {
    /// In 32 bits. It may train.
    F32(Param),
    /// In 8 bits, for writing: a model that writes one token reads all of its weights and does next to nothing with
    /// each, so that the speed of memory decides, and a quarter of the bytes is a quarter of the reading. It costs
    /// accuracy and cannot train.
    Int8(Int8Weight),
}

/// A matrix in 8 bits, `[n_out, n_in]`.
#[derive(Debug, Clone)]
pub struct Int8Weight {
    name: String,
    dims: [usize; 2],
    matrix: Arc<Int8Matrix>,
}

impl Weight {
    /// Name in Hugging Face's layout, for instance `transformer.wte.weight`.
    pub fn name(&self) -> &str {
        match self {
            Weight::F32(param) => param.name(),
            Weight::Int8(weight) => &weight.name,
        }
    }

    /// The module that it belongs to: its name without the last part.
    pub fn module(&self) -> String {
        self.name().rsplit_once('.').map_or(String::new(), |(module, _)| module.to_string())
    }

    /// Number of rows and of columns.
    pub fn dims(&self) -> &[usize] {
        match self {
            Weight::F32(param) => param.dims(),
            Weight::Int8(weight) => &weight.dims,
        }
    }

    /// Number of bytes in memory.
    pub fn bytes(&self) -> usize {
        match self {
            Weight::F32(param) => param.count() * DType::F32.size_in_bytes(),
            Weight::Int8(weight) => weight.matrix.bytes(),
        }
    }

    /// The parameter, if the matrix is in 32 bits.
    pub fn param(&self) -> Option<&Param> {
        match self {
            Weight::F32(param) => Some(param),
            Weight::Int8(_) => None,
        }
    }

    /// The numbers to compute with; those of 8 bits after rounding, in a copy.
    pub fn tensor(&self) -> Tensor {
        match self {
            Weight::F32(param) => param.tensor(),
            Weight::Int8(Int8Weight { dims: [n_out, n_in], matrix, .. }) => {
                let numbers: Vec<f32> = (0..*n_out).flat_map(|row| matrix.row(row)).collect();
                Tensor::from_vec(numbers, (*n_out, *n_in), &Device::Cpu).expect("each row has n_in numbers")
            }
        }
    }

    /// The same matrix in 8 bits, output first. `transposed` tells whether it is stored output first now.
    pub(crate) fn to_int8(&self, transposed: bool) -> Result<Self> {
        let Weight::F32(param) = self else { return Ok(self.clone()) };
        let weight = param.var().as_detached_tensor();
        let weight = if transposed { weight } else { weight.t()? }; // [n_out, n_in]
        let (dims, matrix) = (weight.dims2()?.into(), Arc::new(Int8Matrix::new(&weight)?));
        Ok(Weight::Int8(Int8Weight { name: param.name().to_string(), dims, matrix }))
    }

    /// `x W + b`, or `x Wᵀ + b` for a matrix that is stored output first (`transposed`); `[…, n_in]` → `[…, n_out]`.
    pub(crate) fn project(&self, x: &Tensor, bias: Option<&Param>, transposed: bool) -> Result<Tensor> {
        let bias = bias.map(Param::tensor);
        match self {
            Weight::F32(param) => Projection { weight: param.tensor(), bias, transposed }.forward(x),
            Weight::Int8(weight) => weight.project(x, bias.as_ref()),
        }
    }

    /// The rows with these numbers: `[B, T]` → `[B, T, n_in]`.
    pub(crate) fn rows(&self, ids: &Tensor) -> Result<Tensor> {
        match self {
            Weight::F32(param) => ops::embedding(&param.tensor(), ids),
            Weight::Int8(weight) => weight.rows(ids),
        }
    }
}

impl Int8Weight {
    /// `x Wᵀ + b`, `[…, n_in]` → `[…, n_out]`.
    fn project(&self, x: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        let ([n_out, n_in], mut shape) = (self.dims, x.dims().to_vec());
        if shape.last() != Some(&n_in) {
            return Err(Error::argument("x", format!("shape {shape:?}"), format!("a last axis of {n_in}")));
        }
        let mut y = self.matrix.multiply(&x.flatten_all()?.to_vec1::<f32>()?);
        if let Some(bias) = bias {
            let bias = bias.to_vec1::<f32>()?;
            y.chunks_exact_mut(n_out).for_each(|row| row.iter_mut().zip(&bias).for_each(|(y, b)| *y += b));
        }
        *shape.last_mut().expect("x has a last axis") = n_out;
        Ok(Tensor::from_vec(y, shape, &Device::Cpu)?)
    }

    /// The rows with these numbers: `[B, T]` → `[B, T, n_in]`.
    fn rows(&self, ids: &Tensor) -> Result<Tensor> {
        let ((b, t), [vocab_size, n_in]) = (ids.dims2()?, self.dims);
        let mut rows = Vec::with_capacity(b * t * n_in);
        for (at, id) in ops::ids_to_vec(ids)?.into_iter().enumerate() {
            let known = usize::try_from(id).ok().filter(|id| *id < vocab_size);
            let id = known.ok_or(Error::TokenOutOfRange { id, row: at / t, position: at % t, vocab_size })?;
            rows.extend(self.matrix.row(id));
        }
        Ok(Tensor::from_vec(rows, (b, t, n_in), &Device::Cpu)?)
    }
}
