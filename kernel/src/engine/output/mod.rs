//! The output of a cell: read, told from what is meant for the kernel, gathered and capped.

mod cap;
pub mod gather;
mod markers;
pub mod pump;
pub mod record;
mod utf8;

pub use utf8::Assembler;
