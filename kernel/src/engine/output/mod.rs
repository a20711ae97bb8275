//! The output of a cell: read, told from evcxr's own lines, gathered and capped.

mod cap;
pub mod gather;
mod markers;
pub mod panic;
pub mod pump;
pub mod record;
mod utf8;
