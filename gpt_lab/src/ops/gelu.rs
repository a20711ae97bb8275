//! The Gaussian error linear unit, GELU (Hendrycks and Gimpel 2016, <https://arxiv.org/abs/1606.08415>, section 2), in
//! both of its forms. They differ by up to 5e-4, enough to spoil a model that was trained with the other one.

use candle_core::Tensor;
use gpt_lab_cpu::gelu::{backward, backward_exact, forward, forward_exact};

use super::custom::{Op, fast};
use super::reference;
use crate::Result;

/// GPT-2's GELU (`gelu_new`): `½ x (1 + tanh(√(2/π) (x + 0.044715 x³)))`, element by element, any shape.
///
/// ```
/// # use gpt_lab::{candle_core::{Device, Tensor}, ops};
/// let y = ops::gelu(&Tensor::new(&[0f32, 1.0, -30.0], &Device::Cpu)?)?.to_vec1::<f32>()?;
/// assert!(y[0] == 0.0 && (y[1] - 0.841_192).abs() < 1e-6 && y[2].abs() < 1e-30);
/// # Ok::<(), gpt_lab::Error>(())
/// ```
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    if !fast(&[x]) {
        return reference::gelu(x);
    }
    let op =
        Op::new("gelu", x.shape(), |[x]| Ok((forward(x), ())), |pass| Ok([Some(backward(pass.args[0], pass.grad))]));
    op.apply([x])
}

/// The exact GELU (`gelu` in Hugging Face's configurations): `½ x (1 + erf(x / √2))`, element by element, any shape.
///
/// ```
/// # use gpt_lab::{candle_core::{Device, Tensor}, ops};
/// let y = ops::gelu_exact(&Tensor::new(&[0f32, 1.0], &Device::Cpu)?)?.to_vec1::<f32>()?;
/// assert!(y[0] == 0.0 && (y[1] - 0.841_345).abs() < 1e-6);
/// # Ok::<(), gpt_lab::Error>(())
/// ```
pub fn gelu_exact(x: &Tensor) -> Result<Tensor> {
    if !fast(&[x]) {
        return reference::gelu_exact(x);
    }
    let op = Op::new(
        "gelu_exact",
        x.shape(),
        |[x]| Ok((forward_exact(x), ())),
        |pass| Ok([Some(backward_exact(pass.args[0], pass.grad))]),
    );
    op.apply([x])
}
