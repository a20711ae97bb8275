//! A model that scores texts, and how it learns from comparisons.
//!
//! Reading order: [`model`], [`loss`].

pub mod loss;
pub mod model;

pub use loss::{accuracy, margin, pairwise_loss};
pub use model::ScoreModel;
