//! The exercises of `notebooks/gpt2_dpo.ipynb`.

use super::Verdict;
use super::verdict::{answer, close, ensure, verdict};

/// Exercise 1: the probability of an answer from those of its tokens.
pub fn check_answer_log_prob(sum: impl Fn(&[f64], usize) -> Option<f64>) -> Verdict {
    verdict("right: the prompt is given, only the answer is judged", || {
        // log_probs[i] is log p(token i + 1 | tokens 0..=i): the first token has none.
        let cases: [(&[f64], usize, f64, &str); 4] = [
            (&[-1.0, -2.0, -4.0], 2, -6.0, "tokens 2 and 3 are the answer, at the places 1 and 2 of the list"),
            (&[-1.0, -2.0, -4.0], 1, -7.0, "after a prompt of one token everything is the answer"),
            (&[-1.0, -2.0, -4.0], 3, -4.0, "one token of answer"),
            (&[-1.0, -2.0, -4.0], 4, 0.0, "an empty answer is certain"),
        ];
        for (log_probs, prompt, want, hint) in cases {
            let got = answer(sum(log_probs, prompt))?;
            ensure(close(got, want), || {
                format!("answer_log_prob({log_probs:?}, {prompt}) is {got}, should be {want}: {hint}")
            })?;
        }
        Ok(())
    })
}

/// Exercise 2: how hard a pair pulls.
pub fn check_pull(pull: impl Fn(f64, f64) -> Option<f64>) -> Verdict {
    verdict("right: what is ordered well already pulls no more", || {
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        for (beta, margin, hint) in [
            (0.5, 0.0, "σ(0) is one half"),
            (1.0, 3.0, "a pair in good order pulls little: mind the sign"),
            (1.0, -3.0, "a pair in wrong order pulls with nearly all of β"),
            (0.1, 10.0, "β stands before the pull and in it"),
        ] {
            let (got, want) = (answer(pull(beta, margin))?, beta * sigmoid(-beta * margin));
            ensure(close(got, want), || format!("pull({beta}, {margin}) is {got:.6}, should be {want:.6}: {hint}"))?;
        }
        Ok(())
    })
}

/// Exercise 3: the distance of two distributions.
pub fn check_kl(kl: impl Fn(&[f64], &[f64]) -> Option<f64>) -> Verdict {
    verdict("right: never negative, and not the same both ways", || {
        let ln = f64::ln;
        let cases: [(&[f64], &[f64], f64, &str); 4] = [
            (&[0.5, 0.5], &[0.5, 0.5], 0.0, "a distribution is at distance 0 from itself"),
            (
                &[0.5, 0.5],
                &[0.25, 0.75],
                0.5 * ln(2.0) + 0.5 * ln(2.0 / 3.0),
                "the logarithm of the quotient, weighed with p",
            ),
            (&[0.25, 0.75], &[0.5, 0.5], 0.25 * ln(0.5) + 0.75 * ln(1.5), "the other way round is another number"),
            (&[1.0, 0.0], &[0.5, 0.5], ln(2.0), "what p never does costs nothing: 0 · ln 0 is 0 here"),
        ];
        for (p, q, want, hint) in cases {
            let got = answer(kl(p, q))?;
            ensure(close(got, want), || format!("kl({p:?}, {q:?}) is {got:.6}, should be {want:.6}: {hint}"))?;
        }
        let got = answer(kl(&[0.5, 0.5], &[1.0, 0.0]))?;
        ensure(got == f64::INFINITY, || format!("what q calls impossible and p does is infinitely far, not {got}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stubs_wait() {
        assert_eq!(check_answer_log_prob(|_, _| None), Verdict::Waiting);
        assert_eq!(check_pull(|_, _| None), Verdict::Waiting);
        assert_eq!(check_kl(|_, _| None), Verdict::Waiting);
    }

    #[test]
    fn the_usual_mistakes_are_named() {
        let unshifted = |log_probs: &[f64], prompt: usize| Some(log_probs[prompt.min(log_probs.len())..].iter().sum());
        assert!(check_answer_log_prob(unshifted).to_string().contains("places 1 and 2"));
        let wrong_sign = |beta: f64, margin: f64| Some(beta / (1.0 + (-beta * margin).exp()));
        assert!(check_pull(wrong_sign).to_string().contains("mind the sign"));
        let naive = |p: &[f64], q: &[f64]| Some(p.iter().zip(q).map(|(p, q)| p * (p / q).ln()).sum());
        assert!(check_kl(naive).to_string().contains("0 · ln 0"));
    }
}
