//! The first code that runs in a process of cells: the report of panics, and output without a line's end.

use crate::host::{Host, Text};
use std::backtrace::Backtrace;
use std::panic::PanicHookInfo;
use std::thread::ThreadId;
use std::time::Duration;

/// The time for which standard output may hold back an unfinished line.
const FLUSH_TIME: Duration = Duration::from_millis(40);

/// Prepares the process: called once, by the thread that will run the cells.
pub fn begin(host: &'static Host) {
    host.install();
    let cells = std::thread::current().id();
    std::panic::set_hook(Box::new(move |info| report(host, info, cells)));
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(FLUSH_TIME);
            if (host.is_running)() {
                crate::show::flush();
            }
        }
    });
}

fn report(host: &Host, info: &PanicHookInfo, cells: ThreadId) {
    // What was printed before comes before.
    crate::show::flush();
    let thread = std::thread::current();
    let message = info.payload_as_str().unwrap_or("a value that is no text");
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let in_cell = thread.id() == cells;
    let trace = if in_cell { Backtrace::force_capture().to_string() } else { String::new() };
    // SAFETY: the texts live during the call.
    unsafe { (host.panicked)(Text::of(message), Text::of(&place), Text::of(&trace), in_cell) };
}
