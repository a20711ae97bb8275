//! What everything else stands on, and what knows nothing of it: errors, parameters, random numbers, files, threads.

pub mod assets;
mod error;
pub(crate) mod files;
pub(crate) mod format;
pub(crate) mod hash;
mod param;
pub(crate) mod rng;
pub(crate) mod stop;
pub(crate) mod threads;

pub use error::{Error, Result};
pub use files::write_atomically;
pub use gpt_lab_cpu::process;
pub use param::{Mode, Param};
pub use rng::Rng;
