//! Displays that change in place.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::display::{display, send_or_print};
use super::frontend::{Frontend, frontend};
use super::picture::Picture;

/// The least time between two changes of a display; faster would not be seen.
const BETWEEN_UPDATES: Duration = Duration::from_millis(100);
/// The least time between two lines of text where nothing can change in place.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// A picture that is updated while a cell runs. Without a kernel that can, it prints a line of its text now and then
/// and the whole picture at the end.
#[derive(Debug)]
pub struct Live {
    id: String,
    next: Instant,
}

impl Live {
    /// A display that is not shown until its first update.
    pub fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Live { id: format!("live-{}-{number}", std::process::id()), next: Instant::now() }
    }

    /// `true` if an update would be shown now. Ask before making a picture that takes work.
    pub fn is_due(&self) -> bool {
        Instant::now() >= self.next
    }

    /// Shows the picture in place of the one before.
    pub fn update(&mut self, picture: &Picture) {
        let wait = match frontend() {
            Frontend::Kernel => {
                send_or_print(Some(&self.id), picture);
                BETWEEN_UPDATES
            }
            Frontend::PlainEvcxr | Frontend::Terminal => {
                println!("{}", picture.text.lines().next().unwrap_or_default());
                BETWEEN_LINES
            }
        };
        self.next = Instant::now() + wait;
    }

    /// Shows the last picture, however recent the one before it is.
    pub fn finish(&mut self, picture: &Picture) {
        match frontend() {
            Frontend::Kernel => send_or_print(Some(&self.id), picture),
            Frontend::PlainEvcxr | Frontend::Terminal => display(picture),
        }
    }
}

impl Default for Live {
    fn default() -> Self {
        Self::new()
    }
}
