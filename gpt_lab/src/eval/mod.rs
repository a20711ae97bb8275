//! How good a model is: the share of instructions it answers, how well it ranks pairs of answers.

mod answers;
mod judge;

pub use answers::{AnswerRate, Response, answer_rate};
pub use judge::{CalibrationBin, Judgements, judge, score_answers};
