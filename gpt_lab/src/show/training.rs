//! Loss curves, of runs that are over and of the one that is going on.

use super::Picture;
use super::histories::panels;
use super::plot::{Line, PALETTE, Plot, Stroke};
use crate::core::format::{clock, thousands};
use crate::lab::Live;
use crate::train::{Event, History, Listener, Progress, Stopped};

/// The loss of one run: training batches (thin as they came, strong when smoothed) and validation.
pub fn loss_curve(history: &History) -> Picture {
    Plot { title: title(history), ..loss_plot(history, None) }.picture()
}

/// The losses of several runs in one plot, for comparing them: the smoothed training loss of each, dashed, and its
/// validation loss.
pub fn loss_curves(runs: &[(&str, &History)]) -> Picture {
    let mut lines = Vec::new();
    for ((name, history), colour) in runs.iter().zip(PALETTE.iter().cycle()) {
        let line =
            |what: &str, points, stroke| Line { name: format!("{name}, {what}"), points, colour: *colour, stroke };
        lines.push(line("train", smoothed(&history.losses()), Stroke::Dashed));
        lines.push(line("validation", history.validation_losses(), Stroke::Dots));
    }
    Plot { lines, ..axes() }.picture()
}

/// A listener for [`train`](crate::train::train) that shows the run as it goes: progress, numbers, and the moving curve.
///
/// ```text
/// train(&model, &data, &config, &mut show::LiveTraining::new())?
/// ```
#[derive(Debug)]
pub struct LiveTraining {
    live: Live,
    baseline: Option<(String, f64)>,
    detailed: bool,
    unit: &'static str,
}

impl LiveTraining {
    /// A display that appears when training begins.
    pub fn new() -> Self {
        LiveTraining { live: Live::new(), baseline: None, detailed: false, unit: "nats per token" }
    }

    /// A dashed line to beat, such as the loss of a simpler model.
    pub fn with_baseline(self, name: &str, loss: f64) -> Self {
        LiveTraining { baseline: Some((name.to_string(), loss)), ..self }
    }

    /// For a loss of pairs: it is in nats per pair.
    pub fn of_pairs(self) -> Self {
        LiveTraining { unit: "nats per pair", ..self }
    }

    /// With the gradient's norm and the learning rate under the loss, over the same steps.
    pub fn with_details(self) -> Self {
        LiveTraining { detailed: true, ..self }
    }

    fn picture(&self, progress: &Progress<'_>) -> Picture {
        let history = progress.history;
        let total = progress.total_steps;
        let lines = status(progress);
        let share = progress.step as f64 / total.max(1) as f64;
        if self.detailed {
            let picture = panels(&[("this run", history)], Some((share, lines.clone())), Some(total as f64));
            return Picture { text: format!("{}\n{}", lines.join("; "), picture.text), ..picture };
        }
        let mut plot = loss_plot(history, Some(total));
        plot.y_label = format!("loss ({})", self.unit);
        if let Some((name, loss)) = &self.baseline {
            let points = vec![(0.0, *loss), (total as f64, *loss)];
            plot.lines.push(Line { name: name.clone(), points, colour: PALETTE[2], stroke: Stroke::Dashed });
        }
        plot.progress = Some((share, lines.clone()));
        let picture = plot.picture();
        Picture { text: format!("{}\n{}", lines.join("; "), picture.text), ..picture }
    }
}

impl Default for LiveTraining {
    fn default() -> Self {
        Self::new()
    }
}

impl Listener for LiveTraining {
    fn on(&mut self, event: &Event, progress: &Progress<'_>) {
        match event {
            Event::Ended => self.live.finish(&self.picture(progress)),
            Event::Saved(path) => crate::lab::checkpoint_saved(path, progress.step),
            Event::Started | Event::Step | Event::Evaluated if self.live.is_due() => {
                self.live.update(&self.picture(progress));
            }
            _ => {}
        }
    }
}

/// Two lines of numbers: where the run is, and how well it does.
fn status(progress: &Progress<'_>) -> Vec<String> {
    let history = progress.history;
    let elapsed = clock(progress.elapsed);
    let mut first = format!("step {} of {}", progress.step, progress.total_steps);
    match (history.stopped, progress.remaining) {
        (Stopped::Finished, _) => first.push_str(&format!(" · done in {elapsed}")),
        (Stopped::NoProgress, _) => first.push_str(&format!(" · ended after {elapsed}, as it got no better")),
        (Stopped::Interrupted, _) => {
            first.push_str(&format!(" · stopped after {elapsed}; the model keeps what it learnt"))
        }
        (Stopped::Running, Some(left)) => first.push_str(&format!(" · {elapsed} so far, about {} left", clock(left))),
        (Stopped::Running, None) => {}
    }
    if history.seconds > 0.0 {
        first.push_str(&format!(" · {} tokens/s", thousands(history.tokens_per_second().round() as usize)));
    }
    let mut second = Vec::new();
    if let Some((_, loss)) = smoothed(&history.losses()).last() {
        second.push(format!("train loss {loss:.3}"));
    }
    if let Some(last) = history.evals.last() {
        second.push(format!("validation loss {:.3} (step {})", last.validation_loss, last.step));
    }
    second.extend(history.steps.last().map(|last| format!("learning rate {:.1e}", last.lr)));
    let mut lines = vec![first];
    lines.extend((!second.is_empty()).then(|| second.join(" · ")));
    lines
}

fn loss_plot(history: &History, total_steps: Option<usize>) -> Plot {
    let line = |name: &str, points, colour, stroke| Line { name: name.to_string(), points, colour, stroke };
    let losses = history.losses();
    let lines = vec![
        line("", losses.clone(), PALETTE[0], Stroke::Pale),
        line("train (smoothed)", smoothed(&losses), PALETTE[0], Stroke::Strong),
        line("validation", history.validation_losses(), PALETTE[1], Stroke::Dots),
    ];
    Plot { lines, x_until: total_steps.map(|n| n as f64), ..axes() }
}

fn axes() -> Plot {
    Plot { x_label: "step".to_string(), y_label: "loss (nats per token)".to_string(), ..Plot::default() }
}

fn title(history: &History) -> String {
    match history.best() {
        Some(best) => format!("best validation loss {:.3} at step {}", best.validation_loss, best.step),
        None => String::new(),
    }
}

/// A running mean that forgets; the first values count in full, so that it starts at the first loss and not at 0.
pub(super) fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let keep = 1.0 - 1.0 / (1.0 + points.len() as f64 / 50.0).min(20.0);
    let (mut sum, mut weight) = (0.0, 0.0);
    let finite = points.iter().filter(|p| p.1.is_finite());
    finite
        .map(|&(x, y)| {
            (sum, weight) = (keep * sum + y, keep * weight + 1.0);
            (x, sum / weight)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::train::{EvalRecord, StepRecord};

    fn history() -> History {
        let step = |step: usize| StepRecord { step, loss: 4.0 / step as f32, lr: 1e-3, grad_norm: 1.0 };
        let eval = |step: usize| EvalRecord { step, train_loss: 2.0, validation_loss: 3.0 - step as f32 / 100.0 };
        History {
            steps: (1..=100).map(step).collect(),
            evals: [0, 50, 100].map(eval).to_vec(),
            tokens: 204_800,
            seconds: 10.0,
            stopped: Stopped::Interrupted,
        }
    }

    #[test]
    fn the_last_picture_says_how_the_run_ended() {
        let history = history();
        let progress = Progress {
            history: &history,
            step: 100,
            total_steps: 400,
            trainable_parameters: 1,
            elapsed: Duration::from_secs(12),
            remaining: None,
        };
        let picture = LiveTraining::new().with_baseline("<bigrams>", 2.4).picture(&progress);
        for part in ["step 100 of 400", "stopped after 12 s", "20,480 tokens/s", "validation loss 2.000"] {
            assert!(picture.text.contains(part), "{part} is not in {}", picture.text);
        }
        let svg = picture.svg.unwrap();
        assert!(svg.contains("step 100 of 400") && svg.contains("&lt;bigrams&gt;") && !svg.contains("<bigrams>"));
    }

    #[test]
    fn curves_of_finished_runs() {
        let history = history();
        assert!(loss_curve(&history).text.contains("best validation loss 2.000 at step 100"));
        assert!(loss_curves(&[("one", &history), ("two", &history)]).text.contains("two, validation: 3.0000 → 2.0000"));
        assert!(loss_curve(&History::default()).text.contains("no points yet"));
    }
}
