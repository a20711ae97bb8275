//! Runs of PPO: what the policy earns, how far it has gone for it, and how long its answers are.

use super::Picture;
use super::histories::draw;
use super::plot::{Line, PALETTE, Plot, Stroke};
use super::training::smoothed;
use crate::align::{PpoHistory, PpoListener};
use crate::core::format::clock;
use crate::lab::Live;
use crate::train::Stopped;

/// Runs side by side: the score of what they wrote, its distance from the reference and the length of the answers, one panel under
/// the other over the same iterations. Each run has one colour in all panels.
pub fn ppo_histories(runs: &[(&str, &PpoHistory)]) -> Picture {
    panels(runs, None, None)
}

/// A listener for [`train_ppo`](crate::align::train_ppo) that shows the run as it goes.
#[derive(Debug, Default)]
pub struct LivePpo {
    live: Live,
}

impl LivePpo {
    /// A display that appears after the first iteration.
    pub fn new() -> Self {
        Self::default()
    }
}

impl PpoListener for LivePpo {
    fn on(&mut self, history: &PpoHistory, iterations: usize) {
        let ends = history.stopped != Stopped::Running;
        if !ends && !self.live.is_due() {
            return;
        }
        let (lines, share) = (status(history, iterations), history.records.len() as f64 / iterations.max(1) as f64);
        let picture = panels(&[("this run", history)], Some((share, lines.clone())), Some(iterations as f64));
        let picture = Picture { text: format!("{}\n{}", lines.join("; "), picture.text), ..picture };
        if ends { self.live.finish(&picture) } else { self.live.update(&picture) }
    }
}

/// Two lines of numbers: where the run is, and how well it does.
fn status(history: &PpoHistory, iterations: usize) -> Vec<String> {
    let made = history.records.len();
    let time = |seconds: f64| clock(std::time::Duration::from_secs_f64(seconds));
    let state = match history.stopped {
        Stopped::Finished | Stopped::NoProgress => format!("done in {}", time(history.seconds)),
        Stopped::Interrupted => {
            format!("stopped after {}; the policy keeps what it learnt", time(history.seconds))
        }
        Stopped::Running => {
            let left = history.seconds / made.max(1) as f64 * iterations.saturating_sub(made) as f64;
            format!("{} so far, about {} left", time(history.seconds), time(left))
        }
    };
    let mut lines = vec![format!("iteration {made} of {iterations} · {state}")];
    if let Some(last) = history.records.last() {
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

fn panels(runs: &[(&str, &PpoHistory)], progress: Option<(f64, Vec<String>)>, x_until: Option<f64>) -> Picture {
    let [mut scores, mut kls, mut lengths] = [(); 3].map(|()| Vec::new());
    let (mut legend, mut text) = (Vec::new(), Vec::new());
    for ((name, history), colour) in runs.iter().zip(PALETTE.iter().cycle()) {
        let line = |points, stroke| Line { name: String::new(), points, colour: *colour, stroke };
        for (panel, points) in
            [(&mut scores, history.scores()), (&mut kls, history.kls()), (&mut lengths, history.lengths())]
        {
            panel.push(line(points.clone(), Stroke::Pale));
            panel.push(line(smoothed(&points), Stroke::Strong));
        }
        legend.push(Line { name: name.to_string(), ..line(Vec::new(), Stroke::Strong) });
        text.push(format!("{name}: {history}"));
    }
    let ends = runs.iter().map(|(_, history)| history.records.len() as f64);
    let x_until = x_until.into_iter().chain(ends).fold(1.0, f64::max);
    let panel = |y_label: &str, lines| Plot {
        y_label: y_label.into(),
        lines,
        x_from: Some(0.0),
        x_until: Some(x_until),
        ..Plot::default()
    };
    let panels = [
        panel("score of a text", scores),
        panel("KL (nats a text)", kls),
        Plot { x_label: "iteration".into(), ..panel("tokens an answer", lengths) },
    ];
    match draw(&Plot { lines: legend, progress, ..Plot::default() }, &panels) {
        Some(svg) => Picture::of_svg(text.join("\n"), svg),
        None => Picture::of_text(text.join("\n")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::align::PpoRecord;

    fn history(n: usize) -> PpoHistory {
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
        PpoHistory { records: (1..=n).map(record).collect(), seconds: 20.0, stopped: Stopped::Running }
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
        assert!(ppo_histories(&[("new", &PpoHistory::default())]).svg.is_some());
    }

    #[test]
    fn the_status_says_what_is_left() {
        let lines = status(&history(10), 40);
        assert_eq!(lines[0], "iteration 10 of 40 · 20 s so far, about 1 min 00 s left");
        assert!(lines[1].contains("25 % of tokens held back"), "{}", lines[1]);
        let stopped = PpoHistory { stopped: Stopped::Interrupted, ..history(10) };
        assert!(status(&stopped, 40)[0].contains("keeps what it learnt"));
    }
}
