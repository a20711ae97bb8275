//! The position of a run in its steps, its record and its clock: the part that every loop of training has.

use std::time::Instant;

use super::{Event, History, Listener, Progress};
use crate::{Error, Param, Result};

/// A run seen from outside: how far it is, and its record.
#[derive(Debug)]
pub(crate) struct Tracker<R> {
    /// Steps made.
    pub step: usize,
    /// Steps of the whole run.
    pub total_steps: usize,
    /// All numbers so far.
    pub history: History<R>,
    trainable_parameters: usize,
    /// The time at which this call began, and its first step.
    began: (Instant, usize),
}

impl<R> Tracker<R> {
    /// A run of so many steps that trains these parameters, at its beginning.
    pub fn new(total_steps: usize, params: &[Param]) -> Self {
        let trainable_parameters = params.iter().filter(|p| p.trainable()).map(Param::count).sum();
        let history = History::default();
        Tracker { step: 0, total_steps, history, trainable_parameters, began: (Instant::now(), 0) }
    }

    /// Goes on after so many steps, which left this record.
    pub fn resume(&mut self, step: usize, history: History<R>) {
        (self.step, self.began.1) = (step, step);
        self.history = history;
    }

    /// `true` before the first step of this call.
    pub fn is_fresh(&self) -> bool {
        self.step == self.began.1
    }

    /// `true` after the last step.
    pub fn is_over(&self) -> bool {
        self.step >= self.total_steps
    }

    /// Notes a step that was made, with the number of its tokens and the time at which it began.
    pub fn record(&mut self, record: R, tokens: usize, began: Instant) {
        self.step += 1;
        self.history.steps.push(record);
        self.history.tokens += tokens;
        self.history.seconds += began.elapsed().as_secs_f64();
    }

    /// Refuses a number of the coming step that is not finite.
    pub fn require_finite(&self, what: &str, value: f32) -> Result<()> {
        let step = self.step + 1;
        if value.is_finite() { Ok(()) } else { Err(Error::NotFinite { what: what.into(), value, step }) }
    }

    /// Tells the listener about an event.
    pub fn tell(&self, event: Event, listener: &mut dyn Listener<R>) {
        let elapsed = self.began.0.elapsed();
        let made = (self.step - self.began.1) as u32;
        let left = self.total_steps.saturating_sub(self.step) as u32;
        let progress = Progress {
            history: &self.history,
            step: self.step,
            total_steps: self.total_steps,
            trainable_parameters: self.trainable_parameters,
            elapsed,
            remaining: (made > 0).then(|| elapsed / made * left),
        };
        listener.on(&event, &progress);
    }
}
