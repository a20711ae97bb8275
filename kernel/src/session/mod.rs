//! The directories of the kernel: what all sessions compile against, and one for each session.
//!
//! ```text
//! .lab/.cargo/config.toml   how cargo builds what cells use
//! .lab/base/STAMP/          gpt_lab and its crates, compiled for one state of the sources ("kernel prepare")
//! .lab/cells/               compiled cells, to be used again
//! .lab/sessions/ID/         the files of one engine, gone with it
//! .lab/sessions/ID.lock     held by that engine as long as it lives
//! ```

pub mod base;
mod directory;
mod kept;
pub mod start;

pub use directory::{Session, collect_garbage};
pub use gpt_lab_prepare::{Layout, clone_tree};
pub use kept::kept_cells;
