//! The record of a run: the numbers behind its curves.

use std::fmt;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// One step of the optimizer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Its number, from 1: the weights have been changed this many times.
    pub step: usize,
    /// The mean loss on its batch before the change, in nats a token, with dropout.
    pub loss: f32,
    /// Its learning rate.
    pub lr: f64,
    /// The gradient's norm before clipping.
    pub grad_norm: f64,
}

/// One evaluation, without dropout.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EvalRecord {
    /// After how many steps; 0 is the untrained model.
    pub step: usize,
    /// The mean loss on rows it learns from.
    pub train_loss: f32,
    /// The mean loss on rows it never sees.
    pub validation_loss: f32,
}

/// The state of a run, and the reason for its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Stopped {
    /// It goes on.
    #[default]
    Running,
    /// All steps were made.
    Finished,
    /// The validation loss had not become better for long enough
    /// ([`TrainConfig::patience`](super::TrainConfig::patience)).
    NoProgress,
    /// The stop button was pressed; the model is as the last step left it.
    Interrupted,
}

/// The record of a run, of all its parts if it was resumed. `R` is what a step leaves behind: a [`StepRecord`] in
/// [`train`](super::train), a [`PpoRecord`](crate::align::PpoRecord) in [`train_ppo`](crate::align::train_ppo).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct History<R = StepRecord> {
    /// Every step; of PPO, every iteration.
    pub steps: Vec<R>,
    /// Every evaluation.
    pub evals: Vec<EvalRecord>,
    /// Tokens trained on.
    pub tokens: usize,
    /// Seconds spent in steps (evaluations and saving not counted).
    pub seconds: f64,
    /// The state of the run, and the reason for its end.
    pub stopped: Stopped,
}

/// A run that has not begun.
impl<R> Default for History<R> {
    fn default() -> Self {
        History { steps: Vec::new(), evals: Vec::new(), tokens: 0, seconds: 0.0, stopped: Stopped::Running }
    }
}

impl History {
    /// Reads a `history.json`, such as `gpt-lab train-char` writes.
    ///
    /// # Errors
    /// [`Error::FileNotFound`], [`Error::Io`], or [`Error::InvalidConfig`] for a file that holds something else.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::load_from(path.as_ref())
    }

    fn load_from(path: &Path) -> Result<Self> {
        let json = fs::read_to_string(path).map_err(|error| Error::io(path, "reading", error))?;
        serde_json::from_str(&json).map_err(|error| Error::InvalidConfig {
            context: path.display().to_string(),
            detail: format!("not the history of a run: {error}"),
        })
    }

    /// Training speed over the whole run; 0 before the first step.
    pub fn tokens_per_second(&self) -> f64 {
        if self.seconds > 0.0 { self.tokens as f64 / self.seconds } else { 0.0 }
    }

    /// The best evaluation on validation rows.
    pub fn best(&self) -> Option<EvalRecord> {
        self.evals.iter().copied().min_by(|a, b| a.validation_loss.total_cmp(&b.validation_loss))
    }

    /// `(step, loss)` of every training batch.
    pub fn losses(&self) -> Vec<(f64, f64)> {
        self.steps.iter().map(|record| (record.step as f64, f64::from(record.loss))).collect()
    }

    /// `(step, loss)` of every evaluation on validation rows.
    pub fn validation_losses(&self) -> Vec<(f64, f64)> {
        self.evals.iter().map(|record| (record.step as f64, f64::from(record.validation_loss))).collect()
    }
}

/// `300 steps, 0.6 million tokens at 2,500 a second; loss of the last step 1.234, validation 1.345 (best 1.340 at step
/// 250); finished`
impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tokens, rate) = (self.tokens as f64 / 1e6, self.tokens_per_second());
        write!(f, "{} steps, {tokens:.1} million tokens at {rate:.0} a second", self.steps.len())?;
        if let Some(last) = self.steps.last() {
            write!(f, "; loss of the last step {:.3}", last.loss)?;
        }
        if let (Some(last), Some(best)) = (self.evals.last(), self.best()) {
            let (now, least) = (last.validation_loss, best.validation_loss);
            write!(f, ", validation {now:.3} (best {least:.3} at step {})", best.step)?;
        }
        write!(f, "{}", self.stopped)
    }
}

/// The end of a sentence about a run: `; finished`. Empty while it runs.
impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stopped::Running => "",
            Stopped::Finished => "; finished",
            Stopped::NoProgress => "; ended, as it got no better",
            Stopped::Interrupted => "; stopped by the learner",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_keep_their_format() {
        let written =
            r#"{"steps":[{"step":1,"loss":2.5,"lr":0.001,"grad_norm":1.5}],"evals":[{"step":0,"train_loss":3.0,"#
                .to_string()
                + r#""validation_loss":3.25}],"tokens":64,"seconds":0.5,"stopped":"Finished"}"#;
        let history: History = serde_json::from_str(&written).unwrap();
        assert_eq!(
            history.to_string(),
            "1 steps, 0.0 million tokens at 128 a second; loss of the last step 2.500, validation 3.250 (best 3.250 at \
             step 0); finished"
        );
        assert_eq!(serde_json::to_string(&history).unwrap(), written);
    }
}
