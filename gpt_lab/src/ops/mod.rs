//! Differentiable building blocks.
//!
//! Each op has two versions. [`reference`](mod@reference) has the formulas of all of them in plain candle operations:
//! read that file first. The function that carries the op's name is what the models call: on the CPU in f32 a fast
//! version with a hand-written backward pass, elsewhere the reference. Tests hold the two together, in values and in
//! gradients.
//!
//! The fast versions' arithmetic is in the crate `gpt_lab_cpu`, on slices: forward, derivative and backward pass of an
//! op beside each other. The files here give it to candle. Two ops are whole halves of a transformer block,
//! [`attention_block`] and [`mlp_block`].
//!
//! candle-nn has fused versions of some of these (`layer_norm`, `softmax_last_dim`) that cut the gradient without a
//! word. None of them is used here.

mod arguments;
pub mod attention;
mod block;
mod cross_entropy;
mod custom;
mod dropout;
mod embedding;
mod gelu;
mod ids;
mod int8;
mod layer_norm;
mod linear;
pub mod low_rank;
mod parameters;
pub mod reference;
mod softmax;

pub use arguments::{AttentionBlock, Dropout, LowRank, MlpBlock, Projection};
pub use attention::causal_attention;
pub use block::{attention_block, mlp_block};
pub use cross_entropy::{cross_entropy, log_probs};
pub use dropout::dropout;
pub use embedding::embedding;
pub use gelu::{gelu, gelu_exact};
pub(crate) use gpt_lab_cpu::cached_attention::{KeysValues as Kept, Query};
pub(crate) use gpt_lab_cpu::few_rows::FEW;
pub(crate) use gpt_lab_cpu::softmax::exp_below_max;
pub use ids::{IGNORE_INDEX, ids_to_vec};
pub(crate) use int8::Int8Matrix;
pub use layer_norm::layer_norm;
pub use linear::{linear, linear_transposed};
pub use low_rank::low_rank;
pub(crate) use parameters::collecting;
pub use reference::log_sigmoid;
pub use softmax::softmax;

use candle_core::{DType, Tensor};

use crate::{Error, Result};

/// The largest absolute difference between two tensors of one shape, for comparing two ways to compute the same thing.
/// NaN anywhere gives NaN, so that it cannot pass for agreement.
///
/// # Errors
/// [`Error::ShapeMismatch`] for different shapes.
///
/// ```
/// # use gpt_lab::{candle_core::{Device, Tensor}, ops};
/// let of = |values: [f32; 2]| Tensor::new(&values, &Device::Cpu);
/// assert_eq!(ops::max_difference(&of([1.0, 2.0])?, &of([1.5, 2.0])?)?, 0.5);
/// # Ok::<(), gpt_lab::Error>(())
/// ```
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
