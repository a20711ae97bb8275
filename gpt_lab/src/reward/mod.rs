//! A model that scores texts, and how it learns from comparisons.
//!
//! Reading order: [`model`], [`loss`], [`judge`].

pub mod judge;
pub mod loss;
pub mod model;

pub use judge::{CalibrationBin, Judgements, judge, score_answers};
pub use loss::{accuracy, margin, pairwise_loss};
pub use model::{Pairs, ScoreModel};
