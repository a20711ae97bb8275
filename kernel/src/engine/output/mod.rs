//! What a cell prints: reading it, telling it from evcxr's lines, gathering and capping it.

pub mod gather;
mod markers;
pub mod panic;
pub mod pump;
mod utf8;
