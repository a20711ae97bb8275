//! Dropout as a layer.

use candle_core::Tensor;

use super::Pass;
use crate::Result;
use crate::ops::{self, Dropout};

/// Drops elements with probability `p` in a training pass, none in evaluation.
pub(crate) fn dropout(x: &Tensor, p: f64, pass: &mut Pass) -> Result<Tensor> {
    match pass.draw(p) {
        Some(Dropout { p, seed }) => ops::dropout(x, p, seed),
        None => Ok(x.clone()),
    }
}
