//! The roles that evcxr and cargo start this binary in, and what they do to evcxr's files and calls.

mod call;
pub mod cargo;
pub mod cell;
mod crates;
pub mod learner;
pub mod loaded;
mod patch;
pub mod tools;
mod variables;
pub mod wrapper;
