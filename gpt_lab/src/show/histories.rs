//! Everything that a run records, one panel under the other over the same steps.

use plotters::prelude::*;

use super::Picture;
use super::plot::{Line, PALETTE, Plot, Stroke};
use super::training::smoothed;
use crate::core::format::thousands;
use crate::train::History;

const WIDTH: u32 = 680;
/// Height of one panel.
const PANEL: u32 = 175;
/// Values below this are drawn here on a logarithmic axis.
const LEAST: f64 = 1e-12;

/// Runs side by side: their losses (pale as they came, strong when smoothed, dots on validation rows), the norms of their
/// gradients before clipping and their learning rates, the last two on logarithmic axes. Each run has one colour in all
/// panels, and the legend says how fast it was.
pub fn histories(runs: &[(&str, &History)]) -> Picture {
    panels(runs, None, None)
}

/// As [`histories`], with a progress bar and lines of text above, and steps up to `x_until`.
pub(super) fn panels(runs: &[(&str, &History)], progress: Option<(f64, Vec<String>)>, x_until: Option<f64>) -> Picture {
    let [mut losses, mut norms, mut rates] = [(); 3].map(|()| Vec::new());
    let (mut legend, mut text) = (Vec::new(), Vec::new());
    for ((name, history), colour) in runs.iter().zip(PALETTE.iter().cycle()) {
        let line = |points, stroke| Line { name: String::new(), points, colour: *colour, stroke };
        let smooth = smoothed(&history.losses());
        losses.push(line(history.losses(), Stroke::Pale));
        losses.push(line(smooth.clone(), Stroke::Strong));
        losses.push(line(history.validation_losses(), Stroke::Dots));
        let by_step = |value: &dyn Fn(&crate::train::StepRecord) -> f64| -> Vec<(f64, f64)> {
            history.steps.iter().map(|step| (step.step as f64, value(step).max(LEAST).log10())).collect()
        };
        norms.push(line(by_step(&|step| step.grad_norm), Stroke::Strong));
        rates.push(line(by_step(&|step| step.lr), Stroke::Strong));
        let speed = format!("{} tokens/s", thousands(history.tokens_per_second().round() as usize));
        legend.push(Line { name: format!("{name} ({speed})"), ..line(Vec::new(), Stroke::Strong) });
        text.push(describe(name, history, &smooth, &speed));
    }
    let ends = runs.iter().flat_map(|(_, history)| history.steps.last()).map(|step| step.step as f64);
    let x_until = x_until.into_iter().chain(ends).fold(1.0, f64::max);
    let panel = |y_label: &str, lines, log_y| Plot {
        y_label: y_label.into(),
        lines,
        log_y,
        x_from: Some(0.0),
        x_until: Some(x_until),
        ..Plot::default()
    };
    let panels = [
        panel("loss (nats per token)", losses, false),
        panel("gradient norm", norms, true),
        Plot { x_label: "step".into(), ..panel("learning rate", rates, true) },
    ];
    let head = Plot { lines: legend, progress, ..Plot::default() };
    match draw(&head, &panels) {
        Some(svg) => Picture::of_svg(text.join("\n"), svg),
        None => Picture::of_text(text.join("\n")),
    }
}

/// The drawing; `None` if plotters fails.
pub(super) fn draw(head: &Plot, panels: &[Plot]) -> Option<String> {
    let mut svg = String::new();
    {
        let room = if head.progress.is_some() { 110 } else { 40 };
        let root = SVGBackend::with_string(&mut svg, (WIDTH, room + PANEL * panels.len() as u32)).into_drawing_area();
        root.fill(&WHITE).ok()?;
        let top = head.draw_head(&root)?;
        let areas = root.margin(top, 6, 6, 16).split_evenly((panels.len(), 1));
        for (panel, area) in panels.iter().zip(&areas) {
            panel.draw_lines(area)?;
        }
        root.present().ok()?;
    }
    Some(svg.replacen("<svg ", "<svg style=\"max-width:100%;height:auto\" ", 1))
}

/// `collapsed: 150 steps, loss 2.41 → 7.03, gradient norm 0.51 → 0.02 (largest 91.2), learning rate up to 1.0e-1, 4,321 tokens/s`
fn describe(name: &str, history: &History, smooth: &[(f64, f64)], speed: &str) -> String {
    let (Some(first), Some(last)) = (history.steps.first(), history.steps.last()) else {
        return format!("{name}: no steps yet");
    };
    let largest =
        |value: &dyn Fn(&crate::train::StepRecord) -> f64| history.steps.iter().map(value).fold(0.0, f64::max);
    format!(
        "{name}: {} steps, loss {:.3} → {:.3}, gradient norm {:.3} → {:.3} (largest {:.3}), learning rate up to {:.1e}, {speed}",
        history.steps.len(),
        first.loss,
        smooth.last().map_or(f64::NAN, |point| point.1),
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
