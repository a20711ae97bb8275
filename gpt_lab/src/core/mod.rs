//! The basis of everything else, which knows nothing of it: errors, parameters, random numbers, files, threads.

pub mod assets;
mod error;
pub(crate) mod files;
pub(crate) mod format;
pub(crate) mod hash;
mod param;
pub(crate) mod rng;
pub(crate) mod safetensors;
pub(crate) mod stop;
pub(crate) mod threads;

pub use error::{Error, Result};
pub use files::write_atomically;
pub use gpt_lab_cpu::process;
pub use param::Param;
pub use rng::Rng;
