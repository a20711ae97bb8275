//! The arguments of ops that have many: plain data, for the fast versions and the references alike.

use candle_core::Tensor;

/// The values to drop: each with probability `p`, drawn from `seed`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// Probability of being set to zero, in `[0, 1]`.
    pub p: f64,
    /// The same seed drops the same elements.
    pub seed: u64,
}

/// A linear layer's weight, bias and layout.
#[derive(Debug, Clone)]
pub struct Projection {
    /// `[n_in, n_out]`, or `[n_out, n_in]` if `transposed`.
    pub weight: Tensor,
    /// `[n_out]`.
    pub bias: Option<Tensor>,
    /// The weight is stored output first, as PyTorch's `nn.Linear` has it.
    pub transposed: bool,
}

/// The update of a projection, `s · (drop(x) Aᵀ) Bᵀ`.
#[derive(Debug, Clone)]
pub struct LowRank {
    /// A, `[r, n_in]`.
    pub a: Tensor,
    /// B, `[n_out, r]`.
    pub b: Tensor,
    /// s.
    pub scale: f64,
    /// The dropout of `x` on its way into A; the projection itself gets all of it.
    pub dropout: Option<Dropout>,
}

/// The parameters of [`attention_block`](super::attention_block).
#[derive(Debug, Clone)]
pub struct AttentionBlock {
    /// Of the layer norm, `[C]`.
    pub ln_weight: Tensor,
    /// Of the layer norm, `[C]`.
    pub ln_bias: Tensor,
    /// Added to the variance.
    pub eps: f64,
    /// To queries, keys and values, `[C, 3C]`.
    pub qkv_weight: Tensor,
    /// `[3C]`, if there is one.
    pub qkv_bias: Option<Tensor>,
    /// `[C, C]`, back to the residual stream.
    pub proj_weight: Tensor,
    /// `[C]`.
    pub proj_bias: Tensor,
    /// H, which divides C.
    pub n_head: usize,
    /// The factor on the scores.
    pub scale: f64,
}

/// The parameters of [`mlp_block`](super::mlp_block).
#[derive(Debug, Clone)]
pub struct MlpBlock {
    /// Of the layer norm, `[C]`.
    pub ln_weight: Tensor,
    /// Of the layer norm, `[C]`.
    pub ln_bias: Tensor,
    /// Added to the variance.
    pub eps: f64,
    /// `[C, M]`, to the width M of the middle.
    pub fc_weight: Tensor,
    /// `[M]`.
    pub fc_bias: Tensor,
    /// `[M, C]`, back to the residual stream.
    pub proj_weight: Tensor,
    /// `[C]`.
    pub proj_bias: Tensor,
}
