//! The compiler: calling it, what it says, and how a learner reads it.

pub mod attempt;
pub mod diagnostic;
pub mod kit;
pub mod report;
pub mod rustc;
