//! Evaluation of trained models: the share of instructions that one answers ([`answer_rate`]), its ranking of pairs of
//! answers ([`judge`], [`DpoModel::measure`](crate::align::DpoModel::measure)), scores ([`score_completions`]), the
//! facts ([`Checker`]), the distance from its reference ([`distance()`]), and what such numbers are worth ([`Share`],
//! [`Paired`], [`Mean`]).

mod answers;
mod checker;
mod distance;
mod examiner;
mod judge;
mod preferences;
mod statistics;

pub(crate) use answers::end_tokens;
pub use answers::{AnswerRate, Response, answer_rate, respond};
pub use checker::{Check, Checker, is_rude, says_it_twice};
pub use distance::{Distance, answer_kl, distance};
pub use examiner::{Exam, Examiner};
pub use judge::{CalibrationBin, Judgements, judge, score_answers, score_completions};
pub use preferences::DpoReport;
pub use statistics::{Mean, Paired, Share, best_of};
