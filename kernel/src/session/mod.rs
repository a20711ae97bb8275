//! The directories of the kernel: a template built once, and a copy of it for every session.
//!
//! ```text
//! .lab/.cargo/config.toml   how cargo builds cells and what they use
//! .lab/template/            crate directory with everything built ("kernel prepare")
//! .lab/sessions/ID/         the crate directory of one engine, gone with it
//! .lab/sessions/ID.lock     held by that engine as long as it lives
//! ```

mod config;
mod copy;
mod directory;
mod layout;
pub mod lock_file;
mod manifest;
pub mod spare;
pub mod start;
pub mod template;

pub use directory::{Session, collect_garbage};
pub use layout::Layout;
