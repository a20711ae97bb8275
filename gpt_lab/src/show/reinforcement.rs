//! Runs of PPO and GRPO: what the policy earns, how far it has gone for it, and how its completions change.

use super::Picture;
use super::panels::{Panel, Panels, colours};
use super::training::{LiveTraining, position};
use crate::align::{GrpoRecord, PpoRecord};
use crate::train::{Event, History, Listener, Progress};

/// A value of each iteration.
type Curve<R> = fn(&History<R>) -> Vec<(f64, f64)>;

/// The panels of a run of PPO; [`GRADIENT`] has a logarithmic axis.
const PPO: [(&str, Curve<PpoRecord>); 5] = [
    ("score of a text", |run| run.scores()),
    ("KL (nats a text)", |run| run.kls()),
    ("entropy (nats a token)", |run| run.entropies()),
    (GRADIENT, |run| logarithms(run.grad_norms())),
    ("tokens an answer", |run| run.lengths()),
];
const GRADIENT: &str = "gradient norm";

/// The panels of a run of GRPO.
const GRPO: [(&str, Curve<GrpoRecord>); 4] = [
    ("reward of a text", |run| run.curve(|record| record.reward)),
    ("groups that teach (share)", |run| run.curve(|record| record.mixed)),
    ("KL (nats a text)", |run| run.curve(|record| record.kl)),
    ("entropy (nats a token)", |run| run.curve(|record| record.entropy)),
];

/// Runs of PPO side by side, one panel under the other over the same iterations: the score of their completions, the
/// distance from the reference, the entropy of the policy, the norm of the gradient before clipping (on a logarithmic
/// axis) and the length of the completions. Each run has one colour in all panels.
pub fn ppo_histories(runs: &[(&str, &History<PpoRecord>)]) -> Picture {
    panels(runs, &PPO).picture()
}

/// Runs of GRPO side by side, one panel under the other over the same iterations: the reward of their completions, the
/// share of groups whose rewards differ (the others teach nothing), the distance from the reference and the entropy of
/// the policy. Each run has one colour in all panels.
pub fn grpo_histories(runs: &[(&str, &History<GrpoRecord>)]) -> Picture {
    panels(runs, &GRPO).picture()
}

/// A panel for each curve, with all runs in it.
fn panels<R>(runs: &[(&str, &History<R>)], curves: &[(&'static str, Curve<R>)]) -> Panels
where
    History<R>: std::fmt::Display,
{
    let panel = |&(name, curve): &(&'static str, Curve<R>)| {
        let mut panel = Panel { log_y: name == GRADIENT, ..Panel::new(name) };
        for ((_, run), colour) in runs.iter().zip(colours(runs.len())) {
            panel.add_smoothed(curve(run), colour);
        }
        panel
    };
    Panels {
        panels: curves.iter().map(panel).collect(),
        x_label: "iteration",
        x_until: runs.iter().map(|(_, run)| run.steps.len() as f64).fold(1.0, f64::max),
        legend: runs.iter().zip(colours(runs.len())).map(|((name, _), colour)| (name.to_string(), colour)).collect(),
        text: runs.iter().map(|(name, run)| format!("{name}: {run}")).collect(),
        progress: None,
    }
}

/// The logarithms to base 10 of values; those of 0 are infinite and not drawn.
fn logarithms(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    points.into_iter().map(|(x, y)| (x, y.log10())).collect()
}

impl Listener<PpoRecord> for LiveTraining {
    fn on(&mut self, event: &Event, progress: &Progress<'_, PpoRecord>) {
        self.iteration(event, progress, &PPO, ppo_status);
    }
}

impl Listener<GrpoRecord> for LiveTraining {
    fn on(&mut self, event: &Event, progress: &Progress<'_, GrpoRecord>) {
        self.iteration(event, progress, &GRPO, grpo_status);
    }
}

impl LiveTraining {
    /// Shows the curves of a run and its numbers, from the first iteration on.
    fn iteration<R>(
        &mut self,
        event: &Event,
        progress: &Progress<'_, R>,
        curves: &[(&'static str, Curve<R>)],
        status: fn(&Progress<'_, R>) -> Vec<String>,
    ) where
        History<R>: std::fmt::Display,
    {
        if *event == Event::Started {
            return; // nothing to draw before the first iteration
        }
        let runs = [("this run", progress.history)];
        self.show(event, progress, |live| live.panels(panels(&runs, curves), progress, status(progress)));
    }
}

/// Three lines of numbers: the position of the run, and two about its last iteration.
fn ppo_status(progress: &Progress<'_, PpoRecord>) -> Vec<String> {
    let mut lines = vec![position("iteration", "policy", progress)];
    if let Some(last) = progress.history.steps.last() {
        lines.push(format!(
            "score {:.2} · KL {:.2} nats a text · entropy {:.2} nats a token",
            last.score, last.kl, last.entropy
        ));
        lines.push(format!(
            "{:.1} tokens an answer · {:.0} % ended · {:.0} % of tokens capped",
            last.length,
            100.0 * last.ended,
            100.0 * last.clip_fraction
        ));
    }
    lines
}

/// Two lines of numbers: the position of the run, and its last iteration.
fn grpo_status(progress: &Progress<'_, GrpoRecord>) -> Vec<String> {
    let mut lines = vec![position("iteration", "policy", progress)];
    if let Some(last) = progress.history.steps.last() {
        lines.push(format!(
            "reward {:.2} · {:.0} % of groups teach · KL {:.2} nats a text · entropy {:.2} nats a token",
            last.reward,
            100.0 * last.mixed,
            last.kl,
            last.entropy
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
            entropy: 1.5,
            length: 9.0,
            ended: 1.0,
            policy_loss: 0.0,
            value_loss: 0.0,
            clip_fraction: 0.25,
            approx_kl: 0.0,
            grad_norm: iteration as f64 - 1.0,
            optimizer_steps: 4,
        };
        History { steps: (1..=n).map(record).collect(), seconds: 20.0, ..Default::default() }
    }

    fn grpo(n: usize) -> History<GrpoRecord> {
        let record = |iteration: usize| GrpoRecord {
            iteration,
            reward: iteration as f32 / 10.0,
            mixed: 0.625,
            kl: 0.5,
            entropy: 1.5,
            ..Default::default()
        };
        History { steps: (1..=n).map(record).collect(), seconds: 20.0, ..Default::default() }
    }

    /// A tenth of the way, at the pace of [`history`].
    fn at<R>(history: &History<R>) -> Progress<'_, R> {
        let (elapsed, remaining) = (Duration::from_secs(20), Some(Duration::from_secs(60)));
        Progress { history, step: 10, total_steps: 40, trainable_parameters: 1, elapsed, remaining }
    }

    #[test]
    fn runs_of_ppo_share_five_panels() {
        let (short, long) = (history(3), history(20));
        let picture = ppo_histories(&[("<leash>", &short), ("none", &long)]);
        assert!(picture.text.contains("none: 20 iterations in 20 s; score 0.10 → 2.00, KL 0.5 nats a text"));
        let svg = picture.svg.unwrap();
        for part in PPO.map(|(name, _)| name).into_iter().chain(["iteration", "&lt;leash&gt;"]) {
            assert!(svg.contains(part), "{part} is missing");
        }
        assert!(svg.contains("height=\"554\""), "each 96 px: {}", &svg[..200]);
        assert!(ppo_histories(&[("new", &History::default())]).svg.is_some());
    }

    #[test]
    fn runs_of_grpo_share_four_panels() {
        let picture = grpo_histories(&[("<tight>", &grpo(3)), ("none", &grpo(20))]);
        assert!(picture.text.contains("none: 20 iterations in 20 s; reward 0.10 → 2.00"), "{}", picture.text);
        let svg = picture.svg.unwrap();
        for part in GRPO.map(|(name, _)| name).into_iter().chain(["iteration", "&lt;tight&gt;"]) {
            assert!(svg.contains(part), "{part} is missing");
        }
        assert!(grpo_histories(&[("new", &History::default())]).svg.is_some());
    }

    #[test]
    fn the_status_says_what_is_left() {
        let lines = ppo_status(&at(&history(10)));
        assert_eq!(lines[0], "iteration 10 of 40 · 20 s so far, about 1 min 00 s left");
        assert_eq!(lines[1], "score 1.00 · KL 0.50 nats a text · entropy 1.50 nats a token");
        assert!(lines[2].contains("25 % of tokens capped"), "{}", lines[2]);
        let stopped = ppo_status(&at(&History { stopped: Stopped::Interrupted, ..history(10) }));
        assert!(stopped[0].contains("stopped after 20 s; the policy keeps what it learnt"), "{}", stopped[0]);
        let lines = grpo_status(&at(&grpo(10)));
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1], "reward 1.00 · 62 % of groups teach · KL 0.50 nats a text · entropy 1.50 nats a token");
    }

    #[test]
    fn a_live_run_has_its_line_to_beat() {
        let live = LiveTraining::new().with_baseline("best of 4", 0.8);
        let (run, lines) = (grpo(10), grpo_status(&at(&grpo(10))));
        let picture = live.panels(panels(&[("this run", &run)], &GRPO), &at(&run), lines);
        let svg = picture.svg.unwrap();
        assert!(svg.contains("best of 4") && svg.contains("62 % of groups teach"));
    }
}
