//! The outcome of a check, and the pieces that checks are made of.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::lab::{Picture, el, escape};

/// The outcome of one exercise's check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The stub still returns `None`.
    Waiting,
    /// The call, and what is wrong with its result.
    Wrong(String),
    /// All cases passed.
    Right(String),
}

impl Verdict {
    /// `true` if the exercise is solved.
    pub fn is_right(&self) -> bool {
        matches!(self, Verdict::Right(_))
    }

    /// The verdict as a picture for a cell.
    pub fn picture(&self) -> Picture {
        let colour = match self {
            Verdict::Waiting => "128,128,128",
            Verdict::Wrong(_) => "214,69,65",
            Verdict::Right(_) => "46,160,67",
        };
        let text = self.to_string();
        let style = format!(
            "border-left:4px solid rgb({colour});background:rgba({colour},0.12);padding:6px 10px;white-space:pre-wrap"
        );
        let html = el("div", &style, escape(&text));
        Picture::of_html(text, html)
    }

    /// Called by the kernel, under evcxr's name, when a verdict is the last expression of a cell.
    pub fn evcxr_display(&self) {
        self.picture().evcxr_display();
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Waiting => write!(f, "… waiting for your answer (the function still returns None)"),
            Verdict::Wrong(why) => write!(f, "✗ not yet: {why}"),
            Verdict::Right(praise) => write!(f, "✓ {praise}"),
        }
    }
}

/// Runs a check; a panic in the learner's function becomes a verdict instead of ending the cell.
pub(super) fn verdict(praise: &str, check: impl FnOnce() -> Result<(), Verdict>) -> Verdict {
    match catch_unwind(AssertUnwindSafe(check)) {
        Ok(Ok(())) => Verdict::Right(praise.to_string()),
        Ok(Err(verdict)) => verdict,
        Err(panic) => {
            let message = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|s| s.to_string()))
                .unwrap_or_else(|| "no message".to_string());
            Verdict::Wrong(format!("your function panicked: {message}"))
        }
    }
}

/// The learner's answer, or "waiting".
pub(super) fn answer<T>(given: Option<T>) -> Result<T, Verdict> {
    given.ok_or(Verdict::Waiting)
}

/// Fails with this sentence unless the condition holds.
pub(super) fn ensure(holds: bool, why: impl FnOnce() -> String) -> Result<(), Verdict> {
    if holds { Ok(()) } else { Err(Verdict::Wrong(why())) }
}

/// `true` for numbers that are equal but for rounding, be it that of `f32`.
pub(super) fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-6 * (1.0 + b.abs())
}

/// `true` for lists of equal length whose numbers are [`close`].
pub(super) fn all_close(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| close(*a, *b))
}
