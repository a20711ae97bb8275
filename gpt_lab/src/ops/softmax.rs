//! Softmax over the last axis.

use candle_core::{D, Tensor};
use gpt_lab_cpu::softmax::{backward, forward};

use super::custom::{Op, fast};
use super::reference;
use crate::Result;

/// `y_i = exp(x_i − max x) / Σ_j exp(x_j − max x)` over the last axis; shapes `[…, N]` → `[…, N]`.
///
/// Subtracting the maximum changes nothing in exact arithmetic and keeps `exp` from overflowing.
///
/// ```
/// # use gpt_lab::{candle_core::{Device, Tensor}, ops};
/// let y = ops::softmax(&Tensor::new(&[1f32, 1.0, f32::NEG_INFINITY, 1.0], &Device::Cpu)?)?;
/// assert_eq!(y.to_vec1::<f32>()?, [1.0 / 3.0, 1.0 / 3.0, 0.0, 1.0 / 3.0]);
/// # Ok::<(), gpt_lab::Error>(())
/// ```
pub fn softmax(x: &Tensor) -> Result<Tensor> {
    if !fast(&[x]) || x.elem_count() == 0 || x.rank() == 0 {
        return reference::softmax(x);
    }
    let n = x.dim(D::Minus1)?;
    let op = Op::new(
        "softmax",
        x.shape(),
        move |[x]| Ok((forward(x, n), ())),
        move |pass| Ok([Some(backward(pass.y, pass.grad, n))]),
    );
    op.apply([x])
}
