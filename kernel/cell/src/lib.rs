//! What the code of a notebook cell calls: the variables of the session, the value of the last expression, the ends of
//! a cell.
//!
//! Each cell is a shared object of its own. The kernel writes the code around the learner's, the compiler links this
//! crate into it, and the process of the cells hands over a [`Host`]: a table of C functions. So two worlds that do not
//! share a standard library (the kernel's program and the cells) agree on nothing but the C calling convention.
//!
//! A variable travels as a [`Value`]: a box of any type, taken apart. Whoever takes it out again says the type, and
//! [`Host::fits`] compares it with what was put in before anything is touched.

mod ends;
mod host;
mod panics;
mod show;

pub use ends::{Ended, Failure, Over, branch, catch, run};
pub use host::{Host, Text, Value};
pub use panics::begin;
pub use show::{ByDebug, show_text, value_follows};
