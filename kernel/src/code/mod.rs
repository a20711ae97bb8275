//! What a cell says, without running or compiling anything: its commands and its Rust, its items and variables, the
//! names of types, and the crate that is compiled for it.

pub mod generate;
pub mod imports;
pub mod items;
pub mod names;
pub mod parse;
pub mod source;
pub mod split;
mod stages;
pub mod types;
pub mod words;

/// A range of bytes of a cell.
pub type Range = std::ops::Range<usize>;
