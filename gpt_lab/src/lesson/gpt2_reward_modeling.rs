//! The exercises of `notebooks/gpt2_reward_modeling.ipynb`.

use super::Verdict;
use super::verdict::{answer, close, ensure, verdict};

/// A mask, the place of its last real token, and why.
type LastCase = (&'static [u8], Option<usize>, &'static str);
/// Lengths of preferred and other answers, the share that must come out, and why.
type LongerCase = (&'static [(usize, usize)], f64, &'static str);
/// Bins of (predicted, observed, pairs), the error that must come out, and why.
type CalibrationCase = (&'static [(f64, f64, usize)], f64, &'static str);

/// Exercise 1: the pairwise loss of a batch.
pub fn check_pairwise_loss(loss: impl Fn(&[f64], &[f64]) -> Option<f64>) -> Verdict {
    verdict("right, also where exp would overflow", || {
        let cases: [(&[f64], &[f64], f64, &str); 4] = [
            (&[0.0], &[0.0], std::f64::consts::LN_2, "equal scores cost ln 2"),
            (&[2.0], &[1.0], (1.0 + (-1f64).exp()).ln(), "the difference counts: preferred minus other"),
            (&[1.0], &[2.0], (1.0 + 1f64.exp()).ln(), "the wrong way round costs more than ln 2"),
            (
                &[1.0, 5.0],
                &[0.0, 5.0],
                ((1.0 + (-1f64).exp()).ln() + 2f64.ln()) / 2.0,
                "the mean over pairs, not the sum",
            ),
        ];
        for (chosen, rejected, want, hint) in cases {
            let got = answer(loss(chosen, rejected))?;
            ensure(close(got, want), || {
                format!("loss({chosen:?}, {rejected:?}) is {got:.6}, should be {want:.6}: {hint}")
            })?;
        }
        let got = answer(loss(&[-900.0], &[900.0]))?;
        ensure(close(got, 1800.0), || {
            format!(
                "scores −900 and 900 cost 1800, not {got}: exp(1800) is infinite, so rewrite ln(1 + exp x) for large x"
            )
        })
    })
}

/// Exercise 2: where a padded row's last real token is.
pub fn check_last_real(last: impl Fn(&[u8]) -> Option<Option<usize>>) -> Verdict {
    verdict("right: padding left or right, or none at all", || {
        let cases: [LastCase; 5] = [
            (&[1, 1, 1, 0, 0], Some(2), "padding on the right"),
            (&[0, 0, 1, 1, 1], Some(4), "padding on the left: the number of ones is not the place"),
            (&[1, 1], Some(1), "no padding"),
            (&[0, 1, 0], Some(1), "padding on both sides"),
            (&[0, 0], None, "no real token at all"),
        ];
        for (mask, want, hint) in cases {
            let got = answer(last(mask))?;
            ensure(got == want, || format!("last_real({mask:?}) is {got:?}, should be {want:?}: {hint}"))?;
        }
        Ok(())
    })
}

/// Exercise 3: how often the longer answer wins.
pub fn check_longer_wins(share: impl Fn(&[(usize, usize)]) -> Option<f64>) -> Verdict {
    verdict("right: measure this before you train on anybody's comparisons", || {
        let cases: [LongerCase; 4] = [
            (&[(5, 2), (9, 1)], 1.0, "(preferred, other): the longer one won twice"),
            (&[(5, 2), (1, 9), (1, 2), (3, 4)], 0.25, "once in four"),
            (&[(3, 3), (5, 2)], 1.0, "equal lengths say nothing and are left out"),
            (&[(3, 3)], 0.5, "nothing to judge by: say one half"),
        ];
        for (pairs, want, hint) in cases {
            let got = answer(share(pairs))?;
            ensure(close(got, want), || format!("longer_wins({pairs:?}) is {got}, should be {want}: {hint}"))?;
        }
        Ok(())
    })
}

/// Exercise 4: the calibration error.
pub fn check_calibration_error(error: impl Fn(&[(f64, f64, usize)]) -> Option<f64>) -> Verdict {
    verdict("right: large bins count more", || {
        let cases: [CalibrationCase; 4] = [
            (&[(0.75, 0.75, 10)], 0.0, "as sure as right"),
            (&[(0.75, 0.5, 10)], 0.25, "a quarter too sure"),
            (&[(0.5, 0.75, 10), (1.0, 0.75, 10)], 0.25, "too timid and too sure do not cancel: take absolute values"),
            (&[(0.75, 0.5, 30), (1.0, 1.0, 10)], 0.1875, "weigh each bin by its number of pairs"),
        ];
        for (bins, want, hint) in cases {
            let got = answer(error(bins))?;
            ensure(close(got, want), || format!("calibration_error({bins:?}) is {got}, should be {want}: {hint}"))?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stubs_wait() {
        assert_eq!(check_pairwise_loss(|_, _| None), Verdict::Waiting);
        assert_eq!(check_last_real(|_| None), Verdict::Waiting);
        assert_eq!(check_longer_wins(|_| None), Verdict::Waiting);
        assert_eq!(check_calibration_error(|_| None), Verdict::Waiting);
    }

    #[test]
    fn the_usual_mistakes_are_named() {
        let plain = |c: &[f64], r: &[f64]| {
            Some(c.iter().zip(r).map(|(c, r)| (1.0 + (r - c).exp()).ln()).sum::<f64>() / c.len() as f64)
        };
        assert!(check_pairwise_loss(plain).to_string().contains("exp(1800)"));
        let sum = |c: &[f64], r: &[f64]| plain(c, r).map(|mean| mean * c.len() as f64);
        assert!(check_pairwise_loss(sum).to_string().contains("not the sum"));
        let counted = |mask: &[u8]| Some(mask.iter().filter(|m| **m == 1).count().checked_sub(1));
        assert!(check_last_real(counted).to_string().contains("padding on the left"));
        let strict =
            |pairs: &[(usize, usize)]| Some(pairs.iter().filter(|(a, b)| a > b).count() as f64 / pairs.len() as f64);
        assert!(check_longer_wins(strict).to_string().contains("left out"));
        let signed = |bins: &[(f64, f64, usize)]| {
            let n: usize = bins.iter().map(|bin| bin.2).sum();
            Some((bins.iter().map(|(p, o, n)| (p - o) * *n as f64).sum::<f64>() / n as f64).abs())
        };
        assert!(check_calibration_error(signed).to_string().contains("do not cancel"));
    }
}
