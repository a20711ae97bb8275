//! A model that scores texts, and its loss on comparisons.

mod loss;
mod model;

pub use loss::{accuracy, margin, pairwise_loss};
pub use model::ScoreModel;
