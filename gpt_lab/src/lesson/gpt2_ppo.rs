//! The exercises of `notebooks/gpt2_ppo.ipynb`.

use super::Verdict;
use super::verdict::{all_close, answer, close, ensure, verdict};

/// Log-probabilities under policy and reference, mark, weight; what each token earns, and why.
type RewardCase = (&'static [f64], &'static [f64], f64, f64, &'static [f64], &'static str);

/// Exercise 1: what the tokens of a text earn.
pub fn check_token_rewards(earn: impl Fn(&[f64], &[f64], f64, f64) -> Option<Vec<f64>>) -> Verdict {
    verdict("right: every token pays for the distance, the last one gets the mark", || {
        let cases: [RewardCase; 4] = [
            (&[-1.0, -2.0], &[-1.0, -2.0], 3.0, 0.5, &[0.0, 3.0], "policy = reference: nothing to pay"),
            (&[-1.0, -1.0], &[-3.0, -1.0], 0.0, 0.5, &[-1.0, 0.0], "what the reference finds unlikely costs"),
            (&[-3.0], &[-1.0], 1.0, 0.5, &[2.0], "what the policy says less gladly than the reference is paid back"),
            (&[], &[], 1.0, 0.5, &[], "a text without tokens earns nothing"),
        ];
        for (policy, reference, mark, weight, want, hint) in cases {
            let got = answer(earn(policy, reference, mark, weight))?;
            ensure(all_close(&got, want), || {
                format!(
                    "token_rewards({policy:?}, {reference:?}, {mark}, {weight}) is {got:?}, should be {want:?}: {hint}"
                )
            })?;
        }
        Ok(())
    })
}

/// Exercise 2: generalised advantage estimation.
pub fn check_advantages(estimate: impl Fn(&[f64], &[f64], f64, f64) -> Option<Vec<f64>>) -> Verdict {
    verdict("right: each token gets what came after it, less what was expected", || {
        let (rewards, values) = ([0.0, 0.0, 1.0], [0.5, 0.5, 0.5]);
        for (gamma, lambda, want, hint) in [
            (1.0, 0.0, [0.0, 0.0, 0.5], "λ = 0: the differences alone"),
            (1.0, 1.0, [0.5, 0.5, 0.5], "λ = 1: everything that is earned from here on, less the value"),
            (0.5, 0.0, [-0.25, -0.25, 0.5], "γ belongs to the value that comes next"),
            (1.0, 0.5, [0.125, 0.25, 0.5], "λ fades what follows, once for each token"),
        ] {
            let got = answer(estimate(&rewards, &values, gamma, lambda))?;
            ensure(all_close(&got, &want), || {
                format!("advantages({rewards:?}, {values:?}, {gamma}, {lambda}) is {got:?}, should be {want:?}: {hint}")
            })?;
        }
        let got = answer(estimate(&[], &[], 1.0, 1.0))?;
        ensure(got.is_empty(), || format!("of no tokens it is {got:?}, should be []"))
    })
}

/// Exercise 3: the derivative of the clipped gain.
pub fn check_slope(slope: impl Fn(f64, f64, f64) -> Option<f64>) -> Verdict {
    verdict("right: no slope further out, but always one on the way back", || {
        for (ratio, advantage, want, hint) in [
            (1.0, 2.0, 2.0, "in the middle nothing is clipped"),
            (1.5, 2.0, 0.0, "good and already 50 % likelier: enough for one round"),
            (0.5, 2.0, 2.0, "good and less likely than before: it must be able to come back"),
            (1.5, -2.0, -2.0, "bad and likelier than before: it must be able to come back"),
            (0.5, -2.0, 0.0, "bad and already half as likely: enough for one round"),
        ] {
            let got = answer(slope(ratio, advantage, 0.2))?;
            ensure(close(got, want), || {
                format!("slope({ratio}, {advantage}, 0.2) is {got}, should be {want}: {hint}")
            })?;
        }
        Ok(())
    })
}

/// Exercise 4: the slope of `ln π(chosen)` by each logit, where π is their softmax.
pub fn check_log_prob_slope(slope: impl Fn(&[f64], usize) -> Option<Vec<f64>>) -> Verdict {
    verdict("right: what was done gets likelier, everything else a little less likely", || {
        let third = 1.0 / 3.0;
        let cases: [(&[f64], usize, &[f64], &str); 3] = [
            (&[0.0, 0.0], 0, &[0.5, -0.5], "two equal logits: π is ½ each"),
            (&[5.0, 5.0, 5.0], 2, &[-third, -third, 1.0 - third], "only differences of logits count"),
            (&[3f64.ln(), 0.0], 1, &[-0.75, 0.75], "π is ¾ and ¼, and the second was chosen"),
        ];
        for (logits, chosen, want, hint) in cases {
            let got = answer(slope(logits, chosen))?;
            ensure(all_close(&got, want), || {
                format!("log_prob_slope({logits:?}, {chosen}) is {got:?}, should be {want:?}: {hint}")
            })?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stubs_wait() {
        assert_eq!(check_token_rewards(|_, _, _, _| None), Verdict::Waiting);
        assert_eq!(check_advantages(|_, _, _, _| None), Verdict::Waiting);
        assert_eq!(check_slope(|_, _, _| None), Verdict::Waiting);
        assert_eq!(check_log_prob_slope(|_, _| None), Verdict::Waiting);
    }

    #[test]
    fn the_usual_mistakes_are_named() {
        let mark_everywhere =
            |p: &[f64], r: &[f64], mark: f64, w: f64| Some(p.iter().zip(r).map(|(p, r)| mark - w * (p - r)).collect());
        assert!(check_token_rewards(mark_everywhere).to_string().contains("[3.0, 3.0], should be [0.0, 3.0]"));
        let no_lambda = |rewards: &[f64], values: &[f64], gamma: f64, _: f64| {
            let next = |t: usize| values.get(t + 1).copied().unwrap_or(0.0);
            Some((0..rewards.len()).map(|t| rewards[t] + gamma * next(t) - values[t]).collect())
        };
        assert!(check_advantages(no_lambda).to_string().contains("λ = 1"));
        let probabilities = |logits: &[f64], _: usize| {
            let sum: f64 = logits.iter().map(|x| x.exp()).sum();
            Some(logits.iter().map(|x| x.exp() / sum).collect())
        };
        assert!(check_log_prob_slope(probabilities).to_string().contains("[0.5, 0.5], should be [0.5, -0.5]"));
        let both_sides = |ratio: f64, a: f64, c: f64| Some(if (ratio - 1.0).abs() > c { 0.0 } else { a });
        assert!(check_slope(both_sides).to_string().contains("come back"));
    }
}
