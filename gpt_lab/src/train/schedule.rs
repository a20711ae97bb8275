//! The learning rate over a run.

use serde::{Deserialize, Serialize};

/// A factor on the way from the configured (peak) learning rate to that of a step.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Schedule {
    /// The same all the time.
    #[default]
    Constant,
    /// Rises linearly during `warmup` steps, then falls along half a cosine until `decay_end`, and stays at `min_lr`.
    WarmupCosine {
        /// Steps before the peak; step `s` of them has `lr · (s + 1) / (warmup + 1)`.
        warmup: usize,
        /// The step from which on the rate is `min_lr`.
        decay_end: usize,
        /// The rate at the end.
        min_lr: f64,
    },
}

impl Schedule {
    /// The usual one for a run of this many steps: a twentieth of them to warm up, then a cosine down to a tenth of
    /// `lr`.
    pub fn warmup_cosine(lr: f64, steps: usize) -> Self {
        Schedule::WarmupCosine { warmup: steps / 20, decay_end: steps, min_lr: lr / 10.0 }
    }

    /// The learning rate of step `step` (from 0) for this peak:
    /// `min_lr + ½ (1 + cos(π (s − warmup) / (decay_end − warmup))) (lr − min_lr)` after the warm-up.
    pub fn at(&self, peak: f64, step: usize) -> f64 {
        match *self {
            Schedule::Constant => peak,
            Schedule::WarmupCosine { warmup, .. } if step < warmup => peak * (step + 1) as f64 / (warmup + 1) as f64,
            Schedule::WarmupCosine { decay_end, min_lr, .. } if step >= decay_end => min_lr,
            Schedule::WarmupCosine { warmup, decay_end, min_lr } => {
                let done = (step - warmup) as f64 / (decay_end - warmup) as f64;
                min_lr + 0.5 * (1.0 + (std::f64::consts::PI * done).cos()) * (peak - min_lr)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warm_up_cosine_floor_by_hand() {
        let schedule = Schedule::WarmupCosine { warmup: 3, decay_end: 7, min_lr: 0.1 };
        let rates: Vec<f64> = (0..9).map(|step| schedule.at(1.0, step)).collect();
        let eighth = std::f64::consts::FRAC_1_SQRT_2;
        let expected = [0.25, 0.5, 0.75, 1.0, 0.1 + 0.45 * (1.0 + eighth), 0.55, 0.1 + 0.45 * (1.0 - eighth), 0.1, 0.1];
        for (step, (rate, expected)) in rates.iter().zip(expected).enumerate() {
            assert!((rate - expected).abs() < 1e-12, "step {step}: {rate}, expected {expected}");
        }
        assert_eq!(Schedule::Constant.at(0.3, 1000), 0.3);
        let no_room = Schedule::WarmupCosine { warmup: 5, decay_end: 5, min_lr: 0.1 };
        assert_eq!(no_room.at(1.0, 5), 0.1);
    }

    /// The rates that PyTorch used for the golden case `lora_training`.
    #[test]
    fn agrees_with_the_golden_case() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/parity/lora_training/case.json");
        let case: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let number = |name: &str| case["hyper"][name].as_f64().unwrap();
        let schedule = Schedule::WarmupCosine {
            warmup: number("warmup") as usize,
            decay_end: number("decay_end") as usize,
            min_lr: number("min_lr"),
        };
        let expected = case["hyper"]["lr_per_step"].as_array().unwrap();
        assert!(!expected.is_empty());
        for (step, rate) in expected.iter().enumerate() {
            let error = (schedule.at(number("lr"), step) - rate.as_f64().unwrap()).abs();
            assert!(error < 1e-9, "step {step}: off by {error}");
        }
    }
}
