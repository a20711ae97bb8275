//! The roles that evcxr and cargo start this binary in, and what they do to evcxr's files and calls.

pub mod cargo;
pub mod cell;
mod crates;
mod variables;
pub mod wrapper;
