//! Linear layers, in GPT-2's layout and in PyTorch's.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Device, Layout, Shape, Tensor};
use rayon::prelude::*;

use super::few_rows::{FEW, multiply, multiply_transposed};
use super::kernel::{Values, fast, for_rows, sum_rows, values, vectorized};
use super::product::{self, Matrix};
use super::reference;
use super::spans::span_of;
use crate::Result;

/// `y = x W + b` with the weight as GPT-2 stores it (`Conv1D`), input first.
///
/// Shapes: `x` is `[…, n_in]`, `weight` is `[n_in, n_out]`, `bias` is `[n_out]`, the result is `[…, n_out]`.
/// A frozen weight costs no gradient: the backward pass computes only what is tracked.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    if !suits(x, weight, bias, 0) {
        return reference::linear(x, weight, bias);
    }
    apply(x, weight, bias, Linear { transposed: false })
}

/// `y = x Wᵀ + b` with the weight as PyTorch's `nn.Linear` and embedding tables store it, output first.
///
/// Shapes: `x` is `[…, n_in]`, `weight` is `[n_out, n_in]`, `bias` is `[n_out]`, the result is `[…, n_out]`.
pub fn linear_transposed(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    if !suits(x, weight, bias, 1) {
        return reference::linear(x, &weight.t()?, bias);
    }
    apply(x, weight, bias, Linear { transposed: true })
}

/// Whether the fast version can do this; what it cannot, a wrong shape for instance, the reference does or refuses.
fn suits(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, input_axis: usize) -> bool {
    let fits = weight.rank() == 2 && x.rank() >= 1 && x.dims().last() == weight.dims().get(input_axis);
    let bias_fits = bias.is_none_or(|bias| fast(&[bias]) && bias.dims() == [weight.dims()[1 - input_axis]]);
    fits && fast(&[x, weight]) && bias_fits && x.elem_count() > 0 && weight.elem_count() > 0
}

fn apply(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, op: Linear) -> Result<Tensor> {
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    match bias {
        Some(bias) => Ok(x.apply_op3(&weight, &bias.contiguous()?, op)?),
        None => Ok(x.apply_op2(&weight, op)?),
    }
}

/// Wider results (the scores of a large vocabulary) are made by all threads together, span after span would pack the matrix too often.
const WIDE: usize = 8192;

/// The fast version: the product is made for a few rows, in spans of rows, or by candle; the bias is added in place, and the
/// backward pass makes only the gradients that somebody asked for (candle's own `matmul` always makes both).
pub(super) struct Linear {
    /// The weight is `[n_out, n_in]`.
    pub transposed: bool,
}

impl Linear {
    pub fn forward(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: Option<&[f32]>,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (n_in, n_out) = self.sizes(weight_layout.dims());
        let rows = x_layout.shape().elem_count() / n_in;
        let (x_values, weight_values) = (values(x, x_layout)?, values(weight, weight_layout)?);
        let mut y = match rows {
            ..=FEW => CpuStorage::F32(self.few_rows(x_values, weight_values, n_in, n_out)),
            _ if n_out <= WIDE => CpuStorage::F32(self.in_spans(x_values, weight_values, n_in, n_out)),
            _ => {
                let x_flat = Layout::contiguous_with_offset((rows, n_in), x_layout.start_offset());
                let weight_layout =
                    if self.transposed { weight_layout.transpose(0, 1)? } else { weight_layout.clone() };
                x.matmul(weight, (1, rows, n_out, n_in), &x_flat, &weight_layout)?
            }
        };
        if let (CpuStorage::F32(y), Some(bias)) = (&mut y, bias) {
            add_to_rows(y, bias);
        }
        let mut shape = x_layout.dims().to_vec();
        shape.pop();
        shape.push(n_out);
        Ok((y, Shape::from(shape)))
    }

    // y = x W + b, so ∂x = g Wᵀ, ∂W = xᵀ g, ∂b = Σ_rows g. With the weight transposed, so is its gradient: ∂W = gᵀ x.
    fn backward(
        &self,
        x: &Tensor,
        weight: &Tensor,
        grad: &Tensor,
        with_bias: bool,
    ) -> candle_core::Result<[Option<Tensor>; 3]> {
        let (n_in, n_out) = self.sizes(weight.dims());
        let grad = grad.contiguous()?.reshape(((), n_out))?.detach();
        let (x_flat, weight_flat) = (x.detach().reshape(((), n_in))?, weight.detach());
        let dx = match (x.track_op(), self.transposed) {
            (false, _) => None,
            (true, false) => Some(grad.matmul(&weight_flat.t()?)?.reshape(x.shape())?),
            (true, true) => Some(grad.matmul(&weight_flat)?.reshape(x.shape())?),
        };
        let dw = match (weight.track_op(), self.transposed) {
            (false, _) => None,
            (true, false) => Some(x_flat.t()?.matmul(&grad)?),
            (true, true) => Some(grad.t()?.matmul(&x_flat)?),
        };
        let db = if with_bias {
            Some(Tensor::from_vec(column_sums(&Values::of(&grad)?, n_out), n_out, &Device::Cpu)?)
        } else {
            None
        };
        Ok([dx, dw, db])
    }

    fn few_rows(&self, x: &[f32], weight: &[f32], n_in: usize, n_out: usize) -> Vec<f32> {
        let product = if self.transposed { multiply_transposed } else { multiply };
        product(x, weight, n_in, n_out)
    }

    /// As the block's ops multiply, so that a model gives the same bits by ops and by layers.
    fn in_spans(&self, x: &[f32], weight: &[f32], n_in: usize, n_out: usize) -> Vec<f32> {
        let weight = match self.transposed {
            true => Matrix::new(weight, n_in).t(),
            false => Matrix::new(weight, n_out),
        };
        let rows = x.len() / n_in;
        let (span, mut y) = (span_of(rows), vec![0.0; rows * n_out]);
        let spans = y.par_chunks_mut(span * n_out).zip(x.par_chunks(span * n_in));
        spans.for_each(|(y, x)| product::multiply(Matrix::new(x, n_in), weight, y));
        y
    }

    /// `n_in`, `n_out`.
    fn sizes(&self, weight: &[usize]) -> (usize, usize) {
        if self.transposed { (weight[1], weight[0]) } else { (weight[0], weight[1]) }
    }
}

impl CustomOp2 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        w: &CpuStorage,
        wl: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        self.forward(x, xl, w, wl, None)
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let [dx, dw, _] = self.backward(x, w, grad, false)?;
        Ok((dx, dw))
    }
}

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        w: &CpuStorage,
        wl: &Layout,
        b: &CpuStorage,
        bl: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        self.forward(x, xl, w, wl, Some(values(b, bl)?))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        b: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [dx, dw, db] = self.backward(x, w, grad, b.track_op())?;
        Ok((dx, dw, db))
    }
}

/// Adds `bias` to every row.
fn add_to_rows(y: &mut [f32], bias: &[f32]) {
    for_rows(y, bias.len(), |_, y| {
        vectorized(
            #[inline(always)]
            |_| {
                for row in y.chunks_exact_mut(bias.len()) {
                    row.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
                }
            },
        );
    });
}

/// `Σ_rows x`.
fn column_sums(x: &[f32], width: usize) -> Vec<f32> {
    sum_rows(x.len() / width, width, width, |rows, sums| {
        vectorized(
            #[inline(always)]
            |_| {
                for row in x[rows.start * width..rows.end * width].chunks_exact(width) {
                    sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
                }
            },
        );
    })
}
