//! Linear layers, in GPT-2's layout and in PyTorch's.

use candle_core::Tensor;
use gpt_lab_cpu::linear::{Weight, backward, forward};

use super::custom::{Op, fast};
use super::reference;
use crate::Result;

/// `y = x W + b` with the weight as GPT-2 stores it (`Conv1D`), input first.
///
/// Shapes: `x` is `[…, n_in]`, `weight` is `[n_in, n_out]`, `bias` is `[n_out]`, the result is `[…, n_out]`.
/// A frozen weight costs no gradient: the backward pass computes only what is tracked (candle's own `matmul` always
/// makes both).
///
/// # Errors
/// Shapes that do not fit together.
///
/// ```
/// # use gpt_lab::{candle_core::{Device, Tensor}, ops};
/// let weight = Tensor::new(&[[1f32, 0.0, 2.0], [0.0, 1.0, 3.0]], &Device::Cpu)?;
/// let y = ops::linear(&Tensor::new(&[1f32, 10.0], &Device::Cpu)?, &weight, None)?;
/// assert_eq!(y.to_vec1::<f32>()?, [1.0, 10.0, 32.0]);
/// # Ok::<(), gpt_lab::Error>(())
/// ```
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    if !suits(x, weight, bias, 0) {
        return reference::linear(x, weight, bias);
    }
    apply(x, weight, bias, false)
}

/// `y = x Wᵀ + b` with the weight as PyTorch's `nn.Linear` and embedding tables store it, output first.
///
/// Shapes: `x` is `[…, n_in]`, `weight` is `[n_out, n_in]`, `bias` is `[n_out]`, the result is `[…, n_out]`.
///
/// # Errors
/// Shapes that do not fit together.
///
/// ```
/// # use gpt_lab::{candle_core::{Device, Tensor}, ops};
/// let weight = Tensor::new(&[[1f32, 0.0], [0.0, 1.0], [2.0, 3.0]], &Device::Cpu)?;
/// let y = ops::linear_transposed(&Tensor::new(&[1f32, 10.0], &Device::Cpu)?, &weight, None)?;
/// assert_eq!(y.to_vec1::<f32>()?, [1.0, 10.0, 32.0]);
/// # Ok::<(), gpt_lab::Error>(())
/// ```
pub fn linear_transposed(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    if !suits(x, weight, bias, 1) {
        return reference::linear(x, &weight.t()?, bias);
    }
    apply(x, weight, bias, true)
}

/// A check whether the fast version can do this; what it cannot, a wrong shape for instance, the reference does or
/// refuses.
fn suits(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, input_axis: usize) -> bool {
    let fits = weight.rank() == 2 && x.rank() >= 1 && x.dims().last() == weight.dims().get(input_axis);
    let bias_fits = bias.is_none_or(|bias| fast(&[bias]) && bias.dims() == [weight.dims()[1 - input_axis]]);
    fits && fast(&[x, weight]) && bias_fits && x.elem_count() > 0 && weight.elem_count() > 0
}

fn apply(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, transposed: bool) -> Result<Tensor> {
    let (rows, columns) = weight.dims2()?;
    let (n_in, n_out) = if transposed { (columns, rows) } else { (rows, columns) };
    let sizes = Sizes { n_in, n_out, transposed };
    let shape = [&x.dims()[..x.rank() - 1], &[n_out]].concat();
    let Some(bias) = bias else {
        let op = Op::new(
            "linear",
            shape,
            move |[x, w]| Ok((forward(x, sizes.weight(w), None), ())),
            move |pass| {
                let ([x, w], [wants_x, wants_w]) = (pass.args, pass.wanted);
                let [dx, dw, _] = backward(x, sizes.weight(w), pass.grad, [wants_x, wants_w, false]);
                Ok([dx, dw])
            },
        );
        return op.apply([x, weight]);
    };
    let op = Op::new(
        "linear",
        shape,
        move |[x, w, bias]| Ok((forward(x, sizes.weight(w), Some(bias)), ())),
        move |pass| Ok(backward(pass.args[0], sizes.weight(pass.args[1]), pass.grad, pass.wanted)),
    );
    op.apply([x, weight, bias])
}

/// A weight without its values.
#[derive(Clone, Copy)]
struct Sizes {
    n_in: usize,
    n_out: usize,
    transposed: bool,
}

impl Sizes {
    fn weight(self, values: &[f32]) -> Weight<'_> {
        let Sizes { n_in, n_out, transposed } = self;
        Weight { values, n_in, n_out, transposed }
    }
}
