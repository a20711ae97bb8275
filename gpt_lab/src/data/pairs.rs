//! Batches of comparisons.

use candle_core::Tensor;

/// A batch of comparisons: row `i` of the one side was preferred to row `i` of the other. All are `[N, T]`, the two sides may differ
/// in T; the masks are 1 for real tokens and 0 for padding.
#[derive(Debug, Clone)]
pub struct Pairs {
    /// Ids of the preferred texts.
    pub chosen: Tensor,
    /// Which of them are real.
    pub chosen_mask: Tensor,
    /// Ids of the other texts.
    pub rejected: Tensor,
    /// Which of them are real.
    pub rejected_mask: Tensor,
}
