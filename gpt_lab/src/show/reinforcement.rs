//! Runs of PPO: what the policy earns, how far it has gone for it, and how long its completions are.

use super::Picture;
use super::panels::{Panel, Panels, colours};
use super::training::{LiveTraining, position};
use crate::align::PpoRecord;
use crate::train::{Event, History, Listener, Progress};

/// Runs side by side: the score of their completions, the distance from the reference and the length of the
/// completions, one panel under the other over the same iterations. Each run has one colour in all panels.
pub fn ppo_histories(runs: &[(&str, &History<PpoRecord>)]) -> Picture {
    panels(runs).picture()
}

/// The panels of [`ppo_histories`].
fn panels(runs: &[(&str, &History<PpoRecord>)]) -> Panels {
    let [mut scores, mut kls, mut lengths] =
        ["score of a text", "KL (nats a text)", "tokens an answer"].map(Panel::new);
    let (mut legend, mut text) = (Vec::new(), Vec::new());
    for ((name, history), colour) in runs.iter().zip(colours(runs.len())) {
        scores.add_smoothed(history.scores(), colour);
        kls.add_smoothed(history.kls(), colour);
        lengths.add_smoothed(history.lengths(), colour);
        legend.push((name.to_string(), colour));
        text.push(format!("{name}: {history}"));
    }
    let x_until = runs.iter().map(|(_, history)| history.steps.len() as f64).fold(1.0, f64::max);
    Panels { panels: vec![scores, kls, lengths], x_label: "iteration", x_until, legend, text, progress: None }
}

impl Listener<PpoRecord> for LiveTraining {
    fn on(&mut self, event: &Event, progress: &Progress<'_, PpoRecord>) {
        if *event == Event::Started {
            return; // nothing to draw before the first iteration
        }
        let runs = [("this run", progress.history)];
        self.show(event, progress, |live| live.panels(panels(&runs), progress, status(progress)));
    }
}

/// Two lines of numbers: the position of the run, and its last iteration.
fn status(progress: &Progress<'_, PpoRecord>) -> Vec<String> {
    let mut lines = vec![position("iteration", "policy", progress)];
    if let Some(last) = progress.history.steps.last() {
        lines.push(format!(
            "score {:.2} · KL {:.2} nats a text · {:.1} tokens an answer · {:.0} % ended · {:.0} % of tokens held back",
            last.score,
            last.kl,
            last.length,
            100.0 * last.ended,
            100.0 * last.clip_fraction
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::train::Stopped;

    fn history(n: usize) -> History<PpoRecord> {
        let record = |iteration: usize| PpoRecord {
            iteration,
            score: iteration as f32 / 10.0,
            kl: 0.5,
            length: 9.0,
            ended: 1.0,
            policy_loss: 0.0,
            value_loss: 0.0,
            clip_fraction: 0.25,
            approx_kl: 0.0,
            grad_norm: 1.0,
        };
        History { steps: (1..=n).map(record).collect(), seconds: 20.0, ..Default::default() }
    }

    #[test]
    fn runs_share_three_panels() {
        let (short, long) = (history(3), history(20));
        let picture = ppo_histories(&[("<leash>", &short), ("none", &long)]);
        assert!(picture.text.contains("none: 20 iterations in 20 s; score 0.10 → 2.00, KL 0.5 nats a text"));
        let svg = picture.svg.unwrap();
        for part in ["score of a text", "KL (nats a text)", "tokens an answer", "iteration", "&lt;leash&gt;"] {
            assert!(svg.contains(part), "{part} is missing");
        }
        assert!(ppo_histories(&[("new", &History::default())]).svg.is_some());
    }

    #[test]
    fn the_status_says_what_is_left() {
        let at = |history: &History<PpoRecord>| {
            let (elapsed, remaining) = (Duration::from_secs(20), Some(Duration::from_secs(60)));
            let trainable_parameters = 1;
            status(&Progress { history, step: 10, total_steps: 40, trainable_parameters, elapsed, remaining })
        };
        let lines = at(&history(10));
        assert_eq!(lines[0], "iteration 10 of 40 · 20 s so far, about 1 min 00 s left");
        assert!(lines[1].contains("25 % of tokens held back"), "{}", lines[1]);
        let stopped = at(&History { stopped: Stopped::Interrupted, ..history(10) });
        assert!(stopped[0].contains("stopped after 20 s; the policy keeps what it learnt"), "{}", stopped[0]);
    }
}
