//! The value of a cell's last expression.

use crate::host::{Host, Text};
use std::any::type_name;
use std::fmt::Debug;

/// Shows what cannot show itself: a type with a method `evcxr_display` of its own comes before this trait.
pub trait ByDebug {
    /// Shows the value as the value of the cell.
    fn evcxr_display(&self);
}

impl<T: Debug + ?Sized> ByDebug for T {
    fn evcxr_display(&self) {
        // The value of a loop is not worth a line.
        if type_name::<T>() != "()" {
            show_text(&format!("{self:?}"));
        }
    }
}

/// Shows a text as the value of the cell.
pub fn show_text(text: &str) {
    if let Some(host) = Host::current() {
        // SAFETY: the texts live during the call.
        unsafe { (host.value)(Text::of("text/plain"), Text::of(text)) };
    }
}

/// Says that what is displayed from now on is the value of the cell.
pub fn value_follows() {
    flush();
    if let Some(host) = Host::current() {
        // SAFETY: the texts live during the call.
        unsafe { (host.value)(Text::of(""), Text::of("")) };
    }
}

/// Sends what standard output still holds.
pub(crate) fn flush() {
    // If nobody reads it, there is nobody to be told.
    let _ = std::io::Write::flush(&mut std::io::stdout());
}
