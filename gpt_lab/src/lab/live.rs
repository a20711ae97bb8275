//! Displays that change in place.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Picture;
use super::channel::{Place, place, print_content_blocks, send_or_print};

/// How often a display changes at most; faster would not be seen.
const BETWEEN_UPDATES: Duration = Duration::from_millis(100);
/// How often a line of text is printed where nothing can change in place.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// A picture that is updated while a cell runs. Without a kernel that can, it prints a line of its text now and then and
/// the whole picture at the end.
#[derive(Debug)]
pub struct Live {
    id: String,
    next: Instant,
    shown: bool,
}

impl Live {
    /// A display that is not shown until its first update.
    pub fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Live { id: format!("live-{}-{number}", std::process::id()), next: Instant::now(), shown: false }
    }

    /// Whether an update would be shown now. Ask before making a picture that takes work.
    pub fn is_due(&self) -> bool {
        Instant::now() >= self.next
    }

    /// Shows the picture in place of the one before.
    pub fn update(&mut self, picture: &Picture) {
        let wait = match place() {
            Place::Kernel => {
                send_or_print(Some(&self.id), picture);
                BETWEEN_UPDATES
            }
            Place::PlainEvcxr | Place::Terminal => {
                println!("{}", picture.text.lines().next().unwrap_or_default());
                BETWEEN_LINES
            }
        };
        self.shown = true;
        self.next = Instant::now() + wait;
    }

    /// Shows the last picture, whenever the one before was.
    pub fn finish(&mut self, picture: &Picture) {
        match place() {
            Place::Kernel => send_or_print(Some(&self.id), picture),
            Place::PlainEvcxr => print_content_blocks(picture),
            Place::Terminal => println!("{}", picture.text),
        }
        self.shown = true;
    }

    /// Whether anything was shown yet.
    pub fn is_shown(&self) -> bool {
        self.shown
    }
}

impl Default for Live {
    fn default() -> Self {
        Self::new()
    }
}
