//! Layer normalisation (Ba, Kiros, Hinton 2016, <https://arxiv.org/abs/1607.06450>, section 3).

use candle_core::Tensor;
use gpt_lab_cpu::layer_norm::LayerNorm;

use super::custom::{Op, fast};
use super::reference;
use crate::Result;

/// `y = (x − mean) / √(var + eps) · weight + bias`, with mean and (biased) variance over the last axis.
///
/// Shapes: `x` is `[…, C]`, `weight` and `bias` are `[C]`, the result is `[…, C]`.
///
/// ```
/// # use gpt_lab::{candle_core::{Device, Tensor}, ops};
/// let of = |values: [f32; 2]| Tensor::new(&values, &Device::Cpu);
/// let y = ops::layer_norm(&of([3.0, 7.0])?, &of([1.0, 2.0])?, &of([0.0, 10.0])?, 0.0)?;
/// assert_eq!(y.to_vec1::<f32>()?, [-1.0, 12.0]); // mean 5, deviation 2
/// # Ok::<(), gpt_lab::Error>(())
/// ```
pub fn layer_norm(x: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    if !fast(&[x, weight, bias]) || weight.dims() != &x.dims()[x.rank().saturating_sub(1)..] || x.elem_count() == 0 {
        return reference::layer_norm(x, weight, bias, eps);
    }
    let eps = eps as f32;
    let op = Op::new(
        "layer_norm",
        x.shape(),
        move |[x, weight, bias]| Ok((LayerNorm { weight, bias, eps }.forward(x), ())),
        move |pass| {
            let [x, weight, bias] = pass.args;
            Ok(LayerNorm { weight, bias, eps }.backward(x, pass.grad, pass.wanted))
        },
    );
    op.apply([x, weight, bias])
}
