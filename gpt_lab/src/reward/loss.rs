//! Learning a score from comparisons (Bradley and Terry 1952; Stiennon et al. 2020, <https://arxiv.org/abs/2009.01325>,
//! section 3.4).

use candle_core::{DType, Tensor};

use crate::Result;
use crate::ops::log_sigmoid;

/// `mean of −log σ(r_chosen − r_rejected)`, a scalar; both are `[N]`, one pair a place. σ of the difference is the
/// probability that a judge prefers the chosen one, if judges decide by scores and noise.
pub fn pairwise_loss(chosen: &Tensor, rejected: &Tensor) -> Result<Tensor> {
    Ok(log_sigmoid(&(chosen - rejected)?)?.neg()?.mean_all()?)
}

/// The share of pairs in which the chosen one has the higher score. Equal scores count as wrong.
pub fn accuracy(chosen: &Tensor, rejected: &Tensor) -> Result<f32> {
    Ok(chosen.gt(rejected)?.to_dtype(DType::F32)?.mean_all()?.to_scalar()?)
}

/// The mean difference between the scores of chosen and rejected ones.
pub fn margin(chosen: &Tensor, rejected: &Tensor) -> Result<f32> {
    Ok((chosen - rejected)?.detach().to_dtype(DType::F32)?.mean_all()?.to_scalar()?)
}
