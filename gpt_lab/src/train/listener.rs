//! Listeners of a run: a display, a log, a test.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{History, StepRecord};
use crate::core::format::clock;

/// An event of a run; its numbers are at the end of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The run begins, or goes on from a checkpoint.
    Started,
    /// A step (of PPO, an iteration) was made: see `history.steps.last()`.
    Step,
    /// The model was evaluated: see `history.evals.last()`.
    Evaluated,
    /// A checkpoint was saved in this folder.
    Saved(PathBuf),
    /// The run is over: see `history.stopped`.
    Ended,
}

/// The state of a run.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a, R = StepRecord> {
    /// All numbers so far.
    pub history: &'a History<R>,
    /// Steps made.
    pub step: usize,
    /// Steps of the whole run.
    pub total_steps: usize,
    /// Parameters that train.
    pub trainable_parameters: usize,
    /// Time since this call began.
    pub elapsed: Duration,
    /// Estimated time for the rest, at the pace of this call so far; unknown before its first step.
    pub remaining: Option<Duration>,
}

/// Receives every event of a run whose steps leave records of type `R`.
pub trait Listener<R = StepRecord> {
    /// Called between two steps: a slow listener slows the training.
    fn on(&mut self, event: &Event, progress: &Progress<'_, R>);
}

/// A listener that does nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl<R> Listener<R> for Silent {
    fn on(&mut self, _: &Event, _: &Progress<'_, R>) {}
}

/// Progress on standard error: one moving line on a terminal, elsewhere a line every ten seconds and for each
/// evaluation.
#[derive(Debug)]
pub struct TerminalProgress {
    moving: bool,
    next: Instant,
}

impl TerminalProgress {
    /// Progress on standard error as it is now.
    pub fn new() -> Self {
        TerminalProgress { moving: io::stderr().is_terminal(), next: Instant::now() }
    }

    fn line(&mut self, text: &str, ends: bool) {
        let mut out = io::stderr().lock();
        let (before, after) = if self.moving { ("\r\x1b[2K", if ends { "\n" } else { "" }) } else { ("", "\n") };
        // There is nobody to tell that nobody can be told.
        let _ = write!(out, "{before}{text}{after}").and_then(|()| out.flush());
        self.next = Instant::now() + Duration::from_millis(if self.moving { 100 } else { 10_000 });
    }
}

impl Default for TerminalProgress {
    fn default() -> Self {
        Self::new()
    }
}

impl Listener for TerminalProgress {
    fn on(&mut self, event: &Event, progress: &Progress<'_>) {
        match event {
            Event::Started => self.line(&format!("{} parameters train", progress.trainable_parameters), true),
            Event::Step if Instant::now() >= self.next => self.line(&step_line(progress), false),
            Event::Evaluated => self.line(&eval_line(progress), true),
            Event::Saved(path) => self.line(&format!("step {}: saved in {}", progress.step, path.display()), true),
            Event::Ended => self.line(&progress.history.to_string(), true),
            Event::Step => {}
        }
    }
}

/// `step 120/1000  loss 2.345  lr 1.0e-3  3,456 tokens/s  2 min 10 s left`
fn step_line(progress: &Progress<'_>) -> String {
    let history = progress.history;
    let Some(last) = history.steps.last() else { return String::new() };
    let left = progress.remaining.map(|left| format!("  {} left", clock(left))).unwrap_or_default();
    format!(
        "step {}/{}  loss {:.3}  lr {:.1e}  {:.0} tokens/s{left}",
        progress.step,
        progress.total_steps,
        last.loss,
        last.lr,
        history.tokens_per_second()
    )
}

fn eval_line(progress: &Progress<'_>) -> String {
    let Some(last) = progress.history.evals.last() else { return String::new() };
    let (step, total) = (last.step, progress.total_steps);
    format!("step {step}/{total}  train {:.4}  validation {:.4}", last.train_loss, last.validation_loss)
}
