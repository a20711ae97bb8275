//! Durations of the start's parts, on request.

use crate::names::var;
use crate::sys::lock;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

/// How long the parts of the start take, on request: wall time, processor time of ours, of the programs we called.
pub struct Clock(Option<Mutex<[f64; 3]>>);

impl Clock {
    /// A clock that runs only if the learner has asked for it.
    pub fn new() -> Clock {
        Clock(std::env::var_os(var::TIMING).map(|_| Mutex::new(Clock::now())))
    }

    fn now() -> [f64; 3] {
        let processor = |who| unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            libc::getrusage(who, &mut usage);
            let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 * 1e-6;
            seconds(usage.ru_utime) + seconds(usage.ru_stime)
        };
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
        [wall, processor(libc::RUSAGE_SELF), processor(libc::RUSAGE_CHILDREN)]
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
