//! What a set-up can do before the kernel is built: have cargo build `gpt_lab` and its crates for the cells.
//!
//! The kernel goes on from there ([`crates::build`] finds everything built), and uses the same folders, copies and
//! lists.

pub mod config;
pub mod copy;
pub mod crates;
pub mod files;
pub mod layout;
pub mod lock_file;
pub mod manifest;
pub mod sources;

pub use copy::clone_tree;
pub use layout::Layout;
