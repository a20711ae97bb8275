//! `log σ(x)`, the logarithm of a probability given as a difference of scores.

use candle_core::Tensor;

use crate::Result;

/// `log σ(x) = −m − log(exp(−m) + exp(−x − m))` with `m = max(−x, 0)`, element by element, any shape: neither `exp` overflows nor
/// does the logarithm meet zero, whatever `x` is. Its gradient is `σ(−x)`.
///
/// m is a constant for the gradient, which does not depend on it. (The usual `min(x, 0) − log(1 + exp(−|x|))` has two corners
/// at 0 that cancel in theory; candle's gradients there add up to 1, not ½, and preferences begin at 0.) There is no
/// faster version: losses take it of one number a text.
pub fn log_sigmoid(x: &Tensor) -> Result<Tensor> {
    let m = x.neg()?.relu()?.detach();
    let sum = (m.neg()?.exp()? + (x + &m)?.neg()?.exp()?)?;
    Ok((m + sum.log()?)?.neg()?)
}
