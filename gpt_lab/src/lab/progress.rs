//! A bar over any loop.

use std::time::{Duration, Instant};

use super::live::Live;
use super::picture::{Picture, bar};
use crate::core::format::clock;
use crate::core::stop::interrupted;

/// Goes through an iterator with a bar that shows how far it is, how fast, and how long it will take. Ends early when
/// the learner presses stop.
///
/// ```
/// let sum: u32 = gpt_lab::lab::progress("adding", 0..10).sum();
/// assert_eq!(sum, 45);
/// ```
pub fn progress<I: IntoIterator>(label: &str, items: I) -> ProgressBar<I::IntoIter> {
    let items = items.into_iter();
    let (least, most) = items.size_hint();
    let total = most.filter(|&most| most == least);
    ProgressBar {
        items,
        label: label.to_string(),
        total,
        done: 0,
        began: Instant::now(),
        live: Live::new(),
        ended: false,
    }
}

/// The iterator that [`progress`] makes.
#[derive(Debug)]
pub struct ProgressBar<I> {
    items: I,
    label: String,
    total: Option<usize>,
    done: usize,
    began: Instant,
    live: Live,
    ended: bool,
}

impl<I: Iterator> Iterator for ProgressBar<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        if self.ended {
            return None;
        }
        if interrupted() {
            self.end("stopped");
            return None;
        }
        if self.live.is_due() {
            self.live.update(&self.picture(""));
        }
        let item = self.items.next();
        match item {
            Some(_) => self.done += 1,
            None => self.end("done"),
        }
        item
    }
}

impl<I> ProgressBar<I> {
    fn end(&mut self, how: &str) {
        self.ended = true;
        let picture = self.picture(how);
        self.live.finish(&picture);
    }

    fn picture(&self, ended: &str) -> Picture {
        let elapsed = self.began.elapsed();
        let rate = self.done as f64 / elapsed.as_secs_f64().max(1e-9);
        let count = match self.total {
            Some(total) => format!("{} of {total}", self.done),
            None => self.done.to_string(),
        };
        let mut text = format!("{}: {count}, {rate:.1} a second, {}", self.label, clock(elapsed));
        match self.total {
            _ if !ended.is_empty() => text.push_str(&format!(", {ended}")),
            Some(total) if self.done > 0 => {
                let left =
                    Duration::from_secs_f64(elapsed.as_secs_f64() * (total - self.done) as f64 / self.done as f64);
                text.push_str(&format!(", {} left", clock(left)));
            }
            _ => {}
        }
        let share = self.total.map_or(0.0, |total| self.done as f64 / total.max(1) as f64);
        bar(share, &text)
    }
}

/// A bar for bytes that arrive, such as a download, for those who count them themselves.
#[derive(Debug)]
pub(crate) struct ByteProgress {
    label: String,
    /// Bytes that were there before: they count for the share, not for the rate.
    before: u64,
    done: u64,
    total: u64,
    began: Instant,
    live: Live,
}

impl ByteProgress {
    pub fn new(label: &str, before: u64, total: u64) -> Self {
        ByteProgress { label: label.to_string(), before, done: before, total, began: Instant::now(), live: Live::new() }
    }

    /// Adds bytes that have come.
    pub fn add(&mut self, bytes: u64) {
        self.done += bytes;
        if self.live.is_due() {
            let picture = self.picture("");
            self.live.update(&picture);
        }
    }

    /// Restarts the count.
    pub fn restart(&mut self) {
        (self.before, self.done, self.began) = (0, 0, Instant::now());
    }

    /// Shows the last picture.
    pub fn finish(mut self, how: &str) {
        let picture = self.picture(how);
        self.live.finish(&picture);
    }

    fn picture(&self, ended: &str) -> Picture {
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let (elapsed, came) = (self.began.elapsed(), self.done - self.before);
        let rate = megabytes(came) / elapsed.as_secs_f64().max(1e-9);
        let (done, total) = (megabytes(self.done), megabytes(self.total));
        let mut text = format!("{}: {done:.1} of {total:.1} MB, {rate:.1} MB a second", self.label);
        if !ended.is_empty() {
            text.push_str(&format!(", {}, {ended}", clock(elapsed)));
        } else if came > 0 {
            let left = elapsed.mul_f64(self.total.saturating_sub(self.done) as f64 / came as f64);
            text.push_str(&format!(", {} left", clock(left)));
        }
        bar(self.done as f64 / self.total.max(1) as f64, &text)
    }
}
