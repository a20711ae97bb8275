//! Durations of the start's parts, on request.

use crate::names::var;
use crate::sys::{lock, procs};
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

/// A stop watch of wall time, of processor time of this process, and of the programs that it has called.
pub struct Clock(Option<Mutex<[f64; 3]>>);

impl Clock {
    /// A clock that runs only if the learner has asked for it.
    pub fn new() -> Clock {
        Clock(std::env::var_os(var::TIMING).map(|_| Mutex::new(Clock::now())))
    }

    fn now() -> [f64; 3] {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
        let [own, called] = procs::processor_seconds();
        [wall, own, called]
    }

    /// Prints the time since the lap before, named `what`.
    pub fn lap(&self, what: &str) {
        let Some(last) = &self.0 else { return };
        let (now, mut last) = (Clock::now(), lock(last));
        let [wall, own, called] = std::array::from_fn(|index| now[index] - last[index]);
        eprintln!("{what}: {wall:.2} s (processor: {own:.2} s own, {called:.2} s called programs)");
        *last = now;
    }
}
