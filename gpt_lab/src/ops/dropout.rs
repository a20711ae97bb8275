//! Dropout (Srivastava et al. 2014, <https://jmlr.org/papers/v15/srivastava14a.html>), with the kept values scaled up
//! so that the expectation stays the same.

use candle_core::Tensor;
use gpt_lab_cpu::dropout::Mask;

use super::custom::{Op, fast};
use super::{Dropout, reference};
use crate::{Error, Result};

impl Dropout {
    /// The mask, or an error for a `p` that is no probability.
    pub(super) fn mask(self) -> Result<Mask> {
        if !(0.0..=1.0).contains(&self.p) {
            return Err(Error::argument("dropout p", self.p, "a probability between 0 and 1"));
        }
        Ok(Mask::new(self.p, self.seed))
    }
}

/// `x` with each element set to zero with probability `p` and the others multiplied by `1 / (1 − p)`; any shape.
///
/// Element `i` is dropped or kept by a hash of `(seed, i)`: the mask depends neither on threads nor on what was drawn
/// before, and the backward pass draws it again instead of keeping it.
///
/// # Errors
/// `p` outside `[0, 1]`.
///
/// ```
/// # use gpt_lab::{candle_core::{DType, Device, Tensor}, ops};
/// let y = ops::dropout(&Tensor::ones(1000, DType::F32, &Device::Cpu)?, 0.5, 7)?.to_vec1::<f32>()?;
/// assert!(y.iter().all(|y| [0.0, 2.0].contains(y)));
/// assert!((900.0..1100.0).contains(&y.iter().sum::<f32>()));
/// # Ok::<(), gpt_lab::Error>(())
/// ```
pub fn dropout(x: &Tensor, p: f64, seed: u64) -> Result<Tensor> {
    if !fast(&[x]) || p == 0.0 {
        return reference::dropout(x, p, seed);
    }
    let mask = Dropout { p, seed }.mask()?;
    let op = Op::new(
        "dropout",
        x.shape(),
        move |[x]| Ok((mask.apply(x), ())),
        move |pass| Ok([Some(mask.apply(pass.grad))]),
    );
    op.apply([x])
}
