//! The operating system: descriptors and processes.

pub mod fds;
pub mod procs;
