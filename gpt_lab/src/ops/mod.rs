//! Differentiable building blocks.
//!
//! Each op has two versions. [`reference`] has the formulas of all of them in plain candle operations: read that file first.
//! The function that carries the op's name is what the models call: on the CPU in f32 a fast version with a hand-written
//! backward pass, elsewhere the reference. Tests hold the two together, in values and in gradients.
//!
//! Two ops are whole halves of a transformer block, [`attention_block()`] and [`mlp_block()`]: what lies between their steps
//! stays in the cache, and candle's backward pass, which adds every gradient to a tensor of zeros, meets one tensor instead of
//! six.
//!
//! candle-nn has fused versions of some of these (`layer_norm`, `softmax_last_dim`) that cut the gradient without a word.
//! None of them is used here.

pub mod attention;
pub mod attention_block;
mod attention_cached;
mod attention_fast;
pub mod cross_entropy;
pub mod dropout;
pub mod embedding;
mod few_rows;
pub mod gelu;
mod ids;
mod int8;
mod kernel;
mod lanes;
pub mod layer_norm;
pub mod linear;
pub mod log_probs;
pub mod low_rank;
pub mod mlp_block;
mod product;
pub mod reference;
pub mod softmax;
mod spans;
mod ties;

pub use attention::causal_attention;
pub use attention_block::{AttentionBlock, attention_block};
pub(crate) use attention_cached::{Kept, Query};
pub use cross_entropy::cross_entropy;
pub use dropout::{Dropout, dropout};
pub use embedding::embedding;
pub(crate) use few_rows::FEW;
pub use gelu::{gelu, gelu_exact};
pub use ids::{IGNORE_INDEX, ids_to_vec};
pub(crate) use int8::Int8Matrix;
pub(crate) use kernel::vectorized;
pub use layer_norm::layer_norm;
pub use linear::{linear, linear_transposed};
pub use log_probs::log_probs;
pub use low_rank::{LowRank, Projection, low_rank};
pub use mlp_block::{MlpBlock, mlp_block};
pub use reference::log_sigmoid;
pub(crate) use softmax::exp_below_max;
pub use softmax::softmax;
pub(crate) use ties::collecting;

use candle_core::{DType, Tensor};

use crate::{Error, Result};

/// The largest absolute difference between two tensors of one shape, for comparing two ways to compute the same thing. NaN
/// anywhere gives NaN, so that it cannot pass for agreement.
///
/// # Errors
/// [`Error::ShapeMismatch`] for different shapes.
pub fn max_difference(a: &Tensor, b: &Tensor) -> Result<f64> {
    if a.dims() != b.dims() {
        return Err(Error::ShapeMismatch {
            context: "max_difference".to_string(),
            name: "the second tensor".to_string(),
            expected: a.dims().to_vec(),
            found: b.dims().to_vec(),
        });
    }
    let host = |x: &Tensor| x.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>();
    let worst = |worst: f64, (a, b): (f64, f64)| if (a - b).is_nan() { f64::NAN } else { worst.max((a - b).abs()) };
    Ok(host(a)?.into_iter().zip(host(b)?).fold(0.0, |w, pair| if w.is_nan() { w } else { worst(w, pair) }))
}
