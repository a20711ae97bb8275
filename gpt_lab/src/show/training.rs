//! Loss curves, of runs that are over and of the one that is going on.

use super::Picture;
use super::histories;
use super::panels::{Panels, smoothed};
use super::plot::{Line, PALETTE, Plot, Stroke};
use crate::core::format::{clock, thousands};
use crate::lab::{Live, checkpoint_saved};
use crate::train::{Event, History, Listener, Progress, Stopped};

/// The losses of several runs in one plot, for comparing them: the smoothed training loss of each, dashed, and its
/// validation loss.
pub fn loss_curves(runs: &[(&str, &History)]) -> Picture {
    let mut lines = Vec::new();
    for ((name, history), colour) in runs.iter().zip(PALETTE.iter().cycle()) {
        let line =
            |what: &str, points, stroke| Line { name: format!("{name}, {what}"), points, colour: *colour, stroke };
        lines.push(line("train", smoothed(&history.losses()), Stroke::Dashed));
        let validation = history.validation_losses();
        if !validation.is_empty() {
            lines.push(line("validation", validation, Stroke::Dots));
        }
    }
    Plot { x_label: "step".into(), y_label: "loss (nats per token)".into(), lines, ..Plot::default() }.picture()
}

/// A listener for [`train`](crate::train::train), [`train_ppo`](crate::align::train_ppo) and
/// [`train_grpo`](crate::align::train_grpo) that shows the run as it goes: progress, numbers, and the moving curves.
///
/// ```text
/// train(&model, &data, &config, &mut show::LiveTraining::new())?
/// ```
#[derive(Debug)]
pub struct LiveTraining {
    pub(super) live: Live,
    baseline: Option<(String, f64)>,
    detailed: bool,
    unit: &'static str,
}

impl LiveTraining {
    /// A display that appears when training begins.
    pub fn new() -> Self {
        LiveTraining { live: Live::new(), baseline: None, detailed: false, unit: "nats per token" }
    }

    /// A dashed line to beat, such as the loss of a simpler model (of PPO a score, of GRPO a reward).
    pub fn with_baseline(self, name: &str, loss: f64) -> Self {
        LiveTraining { baseline: Some((name.to_string(), loss)), ..self }
    }

    /// For a loss of pairs, which is in nats per pair.
    pub fn of_pairs(self) -> Self {
        LiveTraining { unit: "nats per pair", ..self }
    }

    /// With the gradient's norm and the learning rate under the loss, over the same steps.
    pub fn with_details(self) -> Self {
        LiveTraining { detailed: true, ..self }
    }

    fn picture(&self, progress: &Progress<'_>) -> Picture {
        let lines = status(progress);
        if self.detailed {
            return self.panels(histories::panels(&[("this run", progress.history)]), progress, lines);
        }
        let mut plot = self.loss_plot(progress);
        plot.lines.extend(self.baseline(progress.total_steps));
        let text = lines.join("; ");
        plot.progress = Some((share(progress), lines));
        let picture = plot.picture();
        Picture { text: format!("{text}\n{}", picture.text), ..picture }
    }

    /// The panels of the run, with lines of text under a progress bar, and the line to beat in the first panel.
    pub(super) fn panels<R>(&self, mut panels: Panels, progress: &Progress<'_, R>, lines: Vec<String>) -> Picture {
        if let Some(line) = self.baseline(progress.total_steps) {
            panels.legend.push((line.name.clone(), line.colour));
            panels.panels[0].lines.push(line);
        }
        panels.x_until = panels.x_until.max(progress.total_steps as f64);
        Panels { progress: Some((share(progress), lines)), ..panels }.picture()
    }

    fn loss_plot(&self, progress: &Progress<'_>) -> Plot {
        let line = |name: &str, points, colour, stroke| Line { name: name.to_string(), points, colour, stroke };
        let losses = progress.history.losses();
        let lines = vec![
            line("", losses.clone(), PALETTE[0], Stroke::Pale),
            line("train (smoothed)", smoothed(&losses), PALETTE[0], Stroke::Strong),
            line("validation", progress.history.validation_losses(), PALETTE[1], Stroke::Dots),
        ];
        let (y_label, x_until) = (format!("loss ({})", self.unit), Some(progress.total_steps as f64));
        Plot { x_label: "step".into(), y_label, lines, x_until, ..Plot::default() }
    }

    /// The line to beat, if there is one.
    fn baseline(&self, total_steps: usize) -> Option<Line> {
        let (name, height) = self.baseline.as_ref()?;
        let points = vec![(0.0, *height), (total_steps as f64, *height)];
        Some(Line { name: name.clone(), points, colour: PALETTE[2], stroke: Stroke::Dashed })
    }

    /// Shows the picture of an event, if it is due.
    pub(super) fn show<R>(
        &mut self,
        event: &Event,
        progress: &Progress<'_, R>,
        picture: impl FnOnce(&Self) -> Picture,
    ) {
        match event {
            Event::Ended => {
                let picture = picture(self);
                self.live.finish(&picture);
            }
            Event::Saved(path) => checkpoint_saved(path, progress.step),
            Event::Started | Event::Step | Event::Evaluated if self.live.is_due() => {
                let picture = picture(self);
                self.live.update(&picture);
            }
            Event::Started | Event::Step | Event::Evaluated => {}
        }
    }
}

impl Default for LiveTraining {
    fn default() -> Self {
        Self::new()
    }
}

impl Listener for LiveTraining {
    fn on(&mut self, event: &Event, progress: &Progress<'_>) {
        self.show(event, progress, |live| live.picture(progress));
    }
}

/// The part of the run that is done, 0 to 1.
fn share<R>(progress: &Progress<'_, R>) -> f64 {
    progress.step as f64 / progress.total_steps.max(1) as f64
}

/// `step 5 of 20 · 20 s so far, about 1 min 00 s left`; `unit` is the name of a step, `learner` of what learns.
pub(super) fn position<R>(unit: &str, learner: &str, progress: &Progress<'_, R>) -> String {
    let elapsed = clock(progress.elapsed);
    let state = match (progress.history.stopped, progress.remaining) {
        (Stopped::Finished, _) => format!(" · done in {elapsed}"),
        (Stopped::NoProgress, _) => format!(" · ended after {elapsed}, as it got no better"),
        (Stopped::Interrupted, _) => format!(" · stopped after {elapsed}; the {learner} keeps what it learnt"),
        (Stopped::Running, Some(left)) => format!(" · {elapsed} so far, about {} left", clock(left)),
        (Stopped::Running, None) => String::new(),
    };
    format!("{unit} {} of {}{state}", progress.step, progress.total_steps)
}

/// Two lines of numbers: the position of the run, and its losses.
fn status(progress: &Progress<'_>) -> Vec<String> {
    let history = progress.history;
    let mut first = position("step", "model", progress);
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
        assert!(loss_curves(&[("one", &history), ("two", &history)]).text.contains("two, validation: 3.0000 → 2.0000"));
        assert!(loss_curves(&[("new", &History::default())]).text.contains("no points yet"));
    }
}
