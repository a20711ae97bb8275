//! Evaluation of trained models: the share of instructions that one answers ([`answer_rate`]), its ranking of pairs of
//! answers ([`judge`], [`DpoModel::measure`](crate::align::DpoModel::measure)), scores ([`score_completions`]) and the
//! distance from its reference ([`answer_kl`]).

mod answers;
mod judge;
mod preferences;

pub(crate) use answers::end_tokens;
pub use answers::{AnswerRate, Response, answer_rate, respond};
pub use judge::{CalibrationBin, Judgements, judge, score_answers, score_completions};
pub use preferences::{DpoReport, answer_kl};
