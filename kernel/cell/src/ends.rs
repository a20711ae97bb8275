//! The ways in which a cell ends: by itself, by a `?`, by a panic.

use crate::host::{Host, Text};
use std::any::{Any, type_name};
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The outcome of a cell's code, as long as it did not panic.
pub type Ended<T = ()> = Result<T, Failure>;

/// Why a cell does not get to its last line.
#[derive(Debug)]
pub enum Failure {
    /// By a `return`.
    Return,
    /// By an error, which has been reported when this was made.
    Error,
}

/// The number of the place of a `?` that the kernel has left as it is.
const NO_PLACE: u32 = u32::MAX;

impl Failure {
    fn report<E: Display>(place: u32, error: &E) -> Failure {
        if let Some(host) = Host::current() {
            // SAFETY: the texts live during the call.
            unsafe { (host.failed)(place, Text::of(type_name::<E>()), Text::of(&error.to_string())) };
        }
        Failure::Error
    }
}

impl<E: Display> From<E> for Failure {
    #[track_caller]
    fn from(error: E) -> Failure {
        let line = std::panic::Location::caller().line();
        Failure::report(NO_PLACE - line, &error)
    }
}

/// What a `?` at a numbered place makes of a result.
///
/// # Errors
///
/// The error, reported.
pub fn branch<T, E: Display>(result: Result<T, E>, place: u32) -> Result<T, Failure> {
    result.map_err(|error| Failure::report(place, &error))
}

/// A cell that has ended, and how: 0 well, 1 by an error, 2 by a panic.
pub type Over = u32;

/// Runs the learner's code.
///
/// # Errors
///
/// If it did not get to its end.
pub fn catch<T>(code: impl FnOnce() -> Ended<T>) -> Result<T, Over> {
    match catch_unwind(AssertUnwindSafe(code)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(Failure::Return)) => Err(0),
        Ok(Err(Failure::Error)) => Err(1),
        Err(payload) => {
            tell(&*payload);
            Err(2)
        }
    }
}

/// Tells what a panic said: the learner may have taken the hook away that has told it with its place.
fn tell(payload: &(dyn Any + Send)) {
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    if let (Some(host), Some(text)) = (Host::current(), text) {
        // SAFETY: the text lives during the call.
        unsafe { (host.caught)(Text::of(text)) };
    }
}

/// Runs a cell and says how it ended: as [`Over`] says, or 3: not begun, because a variable is not of the type that the
/// kernel took it for.
pub fn run(host: &'static Host, fits: bool, cell: impl FnOnce() -> Result<(), Over>) -> u32 {
    if !fits {
        return 3;
    }
    host.install();
    // Also what is around the learner's code may panic: destructors of variables that the cell has replaced.
    let ended = catch_unwind(AssertUnwindSafe(cell));
    crate::show::flush();
    match ended {
        Ok(Ok(())) => 0,
        Ok(Err(over)) => over,
        Err(_) => 2,
    }
}
