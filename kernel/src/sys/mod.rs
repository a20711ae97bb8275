//! The operating system: descriptors, processes.

pub mod fds;
pub mod procs;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex even if a panic has poisoned it: output is never worth losing the session.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
