//! The settings of a training run.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{AdamWOptions, Decay, Schedule};
use crate::{Error, Result};

/// Length of a run. In JSON: `{"steps": 250}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Length {
    /// This many steps of the optimizer.
    Steps(usize),
    /// This many times through all training rows.
    Epochs(usize),
}

/// All settings of a run, with defaults for a small model; a notebook names only those it changes:
///
/// ```
/// use gpt_lab::train::{Length, TrainConfig};
/// let config = TrainConfig { length: Length::Epochs(10), batch_size: 500, ..Default::default() };
/// assert_eq!(config.lr, 1e-3);
/// ```
///
/// A file may do the same: missing fields get their defaults, and a name that is none of these is refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Length of the run.
    pub length: Length,
    /// Rows of one forward pass.
    pub batch_size: usize,
    /// Forward passes of one step, whose gradients are averaged.
    pub accumulate: usize,
    /// The (peak) learning rate.
    pub lr: f64,
    /// The learning rate over the run.
    pub schedule: Schedule,
    /// AdamW's β₁ and β₂.
    pub betas: (f64, f64),
    /// AdamW's ε.
    pub eps: f64,
    /// AdamW's weight decay.
    pub weight_decay: f64,
    /// The parameters that decay.
    pub decay: Decay,
    /// Gradients longer than this are shortened to it.
    pub clip: Option<f64>,
    /// Evaluate before the first step, every so many steps and after the last one; 0 means never.
    pub eval_every: usize,
    /// Batches of one evaluation, of each side, spread evenly over its rows; 0 means all rows.
    pub eval_batches: usize,
    /// End the run after so many evaluations in a row that are no better than the best before them.
    pub patience: Option<usize>,
    /// Decides the order of the rows and the dropout masks.
    pub seed: u64,
    /// The folder of the checkpoint, if one is to be kept.
    pub checkpoint: Option<PathBuf>,
    /// Save every so many steps; 0 means only at the end and when stopped.
    pub checkpoint_every: usize,
    /// Go on from the checkpoint if there is one. The run may be made longer or its rates changed; the data, the batch
    /// size and the seed must be those it began with.
    pub resume: bool,
}

impl Default for TrainConfig {
    fn default() -> Self {
        TrainConfig {
            length: Length::Steps(1000),
            batch_size: 32,
            accumulate: 1,
            lr: 1e-3,
            schedule: Schedule::Constant,
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.01,
            decay: Decay::Matrices,
            clip: Some(1.0),
            eval_every: 100,
            eval_batches: 10,
            patience: None,
            seed: 0,
            checkpoint: None,
            checkpoint_every: 0,
            resume: false,
        }
    }
}

impl TrainConfig {
    /// The settings of the optimizer.
    pub fn adamw(&self) -> AdamWOptions {
        AdamWOptions { betas: self.betas, eps: self.eps, weight_decay: self.weight_decay, decay: self.decay }
    }

    /// Optimizer steps of the whole run over this many rows.
    pub fn total_steps(&self, rows: usize) -> usize {
        match self.length {
            Length::Steps(steps) => steps,
            Length::Epochs(epochs) => (epochs * rows.div_ceil(self.batch_size.max(1))).div_ceil(self.accumulate.max(1)),
        }
    }

    /// Refuses impossible settings; AdamW checks its own.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`].
    pub(super) fn check(&self) -> Result<()> {
        let is_rate = |rate: f64| rate.is_finite() && rate >= 0.0;
        if self.batch_size == 0 {
            return Err(Error::argument("batch_size", 0, "at least one row a batch"));
        }
        if self.accumulate == 0 {
            return Err(Error::argument("accumulate", 0, "at least one batch a step"));
        }
        if !is_rate(self.lr) {
            return Err(Error::argument("lr", self.lr, "a learning rate that is not negative"));
        }
        if let Schedule::WarmupCosine { min_lr, .. } = self.schedule
            && !is_rate(min_lr)
        {
            return Err(Error::argument("min_lr", min_lr, "a learning rate that is not negative"));
        }
        if self.patience == Some(0) {
            return Err(Error::argument("patience", 0, "at least one evaluation, or None"));
        }
        if self.patience.is_some() && self.eval_every == 0 {
            let expected = "evaluations, by which to see whether it gets better";
            return Err(Error::argument("eval_every", "0 with patience", expected));
        }
        match self.clip {
            Some(clip) if clip.is_nan() || clip <= 0.0 => {
                Err(Error::argument("clip", clip, "a positive norm, or None"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_names_what_it_changes_and_cannot_misspell_it() {
        let file = r#"{"length": {"epochs": 3}, "clip": null, "decay": "all",
            "schedule": {"warmup_cosine": {"warmup": 5, "decay_end": 90, "min_lr": 0.0001}}}"#;
        let config: TrainConfig = serde_json::from_str(file).unwrap();
        let schedule = Schedule::WarmupCosine { warmup: 5, decay_end: 90, min_lr: 1e-4 };
        let expected =
            TrainConfig { length: Length::Epochs(3), clip: None, decay: Decay::All, schedule, ..Default::default() };
        assert_eq!(config, expected);
        let written = serde_json::to_string(&expected).unwrap();
        assert_eq!(serde_json::from_str::<TrainConfig>(&written).unwrap(), expected);
        let error = serde_json::from_str::<TrainConfig>(r#"{"batchsize": 3}"#).unwrap_err().to_string();
        assert!(error.contains("unknown field `batchsize`") && error.contains("`batch_size`"), "{error}");
    }
}
