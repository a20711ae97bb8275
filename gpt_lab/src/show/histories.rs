//! Everything that a training run records, one panel under the other over the same steps.

use super::Picture;
use super::panels::{Panel, Panels, colours, line, smoothed};
use super::plot::Stroke;
use crate::core::format::thousands;
use crate::train::{History, StepRecord};

/// Values below this are drawn here on a logarithmic axis.
const LEAST: f64 = 1e-12;

/// Runs side by side: their losses (pale as they came, strong when smoothed, dots on validation rows), the norms of
/// their gradients before clipping and their learning rates, the last two on logarithmic axes. Each run has one colour
/// in all panels, and the legend says how fast it was.
pub fn histories(runs: &[(&str, &History)]) -> Picture {
    panels(runs).picture()
}

/// The panels of [`histories`].
pub(super) fn panels(runs: &[(&str, &History)]) -> Panels {
    let mut losses = Panel::new("loss (nats per token)");
    let mut norms = Panel { log_y: true, ..Panel::new("gradient norm") };
    let mut rates = Panel { log_y: true, ..Panel::new("learning rate") };
    let (mut legend, mut text) = (Vec::new(), Vec::new());
    for ((name, history), colour) in runs.iter().zip(colours(runs.len())) {
        losses.add_smoothed(history.losses(), colour);
        losses.lines.push(line(history.validation_losses(), colour, Stroke::Dots));
        norms.lines.push(line(logarithms(history, |step| step.grad_norm), colour, Stroke::Strong));
        rates.lines.push(line(logarithms(history, |step| step.lr), colour, Stroke::Strong));
        let speed = format!("{} tokens/s", thousands(history.tokens_per_second().round() as usize));
        legend.push((format!("{name} ({speed})"), colour));
        text.push(describe(name, history, &speed));
    }
    let ends = runs.iter().flat_map(|(_, history)| history.steps.last()).map(|step| step.step as f64);
    let x_until = ends.fold(1.0, f64::max);
    Panels { panels: vec![losses, norms, rates], x_label: "step", x_until, legend, text, progress: None }
}

/// A value of every step, as its logarithm to base 10.
fn logarithms(history: &History, value: impl Fn(&StepRecord) -> f64) -> Vec<(f64, f64)> {
    history.steps.iter().map(|step| (step.step as f64, value(step).max(LEAST).log10())).collect()
}

/// `collapsed: 150 steps, loss 2.41 → 7.03, gradient norm 0.51 → 0.02 (largest 91.2), learning rate up to 1.0e-1, 4,321
/// tokens/s`
fn describe(name: &str, history: &History, speed: &str) -> String {
    let (Some(first), Some(last)) = (history.steps.first(), history.steps.last()) else {
        return format!("{name}: no steps yet");
    };
    let largest = |value: &dyn Fn(&StepRecord) -> f64| history.steps.iter().map(value).fold(0.0, f64::max);
    format!(
        "{name}: {} steps, loss {:.3} → {:.3}, gradient norm {:.3} → {:.3} (largest {:.3}), learning rate up to \
         {:.1e}, {speed}",
        history.steps.len(),
        first.loss,
        smoothed(&history.losses()).last().map_or(f64::NAN, |point| point.1),
        first.grad_norm,
        last.grad_norm,
        largest(&|step| step.grad_norm),
        largest(&|step| step.lr),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::{EvalRecord, StepRecord};

    #[test]
    fn two_runs_share_three_panels() {
        let run = |steps: usize, loss: f32| History {
            steps: (1..=steps).map(|step| StepRecord { step, loss, lr: 1e-3, grad_norm: step as f64 }).collect(),
            evals: vec![EvalRecord { step: 0, train_loss: 2.0, validation_loss: 2.5 }],
            tokens: 8000,
            seconds: 2.0,
            ..Default::default()
        };
        let (long, short) = (run(90, 2.0), run(30, f32::NAN));
        let picture = histories(&[("<mended>", &long), ("collapsed", &short)]);
        assert!(
            picture.text.contains("<mended>: 90 steps, loss 2.000 → 2.000, gradient norm 1.000 → 90.000"),
            "{}",
            picture.text
        );
        let svg = picture.svg.unwrap();
        for part in
            ["gradient norm", "learning rate", "loss (nats per token)", "&lt;mended&gt; (4,000 tokens/s)", "step"]
        {
            assert!(svg.contains(part), "{part} is missing");
        }
    }

    #[test]
    fn nothing_to_draw_is_no_panic() {
        assert!(histories(&[]).svg.is_some());
        assert!(histories(&[("new", &History::default())]).text.contains("no steps yet"));
    }
}
