//! The exercises of `notebooks/gpt2_lora_optimum.ipynb`.

use super::Verdict;
use super::verdict::{answer, close, ensure, verdict};

/// Tokens, length of the prompt, width of the row, targets that must come out, and why.
type TargetsCase = (&'static [u32], usize, usize, &'static [i64], &'static str);

/// Targets with the prompt and the padding masked.
pub fn check_targets(targets: impl Fn(&[u32], usize, usize) -> Option<Vec<i64>>) -> Verdict {
    verdict("right: the last token of the prompt guesses the first of the response", || {
        let cases: [TargetsCase; 4] = [
            (&[5, 6, 7, 8], 2, 3, &[-100, 7, 8], "targets are one further than inputs, and 6 belongs to the prompt"),
            (&[5, 6, 7, 8], 2, 5, &[-100, 7, 8, -100, -100], "padding is never learnt"),
            (&[5, 6, 7], 1, 2, &[6, 7], "a prompt of one token: everything after it is response"),
            (&[5, 6, 7], 3, 3, &[-100, -100, -100], "no response, nothing to learn"),
        ];
        for (tokens, prompt, width, want, hint) in cases {
            let got = answer(targets(tokens, prompt, width))?;
            ensure(got.len() == width, || format!("{} targets, the row has {width} inputs", got.len()))?;
            ensure(got == want, || {
                format!("targets({tokens:?}, {prompt}, {width}) is {got:?}, should be {want:?}: {hint}")
            })?;
        }
        Ok(())
    })
}

/// The mean over the targets that count.
pub fn check_masked_mean(mean: impl Fn(&[f64], &[i64]) -> Option<f64>) -> Verdict {
    verdict("right: what does not count is neither in the sum nor in the number", || {
        let cases: [(&[f64], &[i64], f64, &str); 3] = [
            (&[9.0, 1.0, 3.0], &[-100, 4, 5], 2.0, "the mean of 1 and 3"),
            (&[1.0, 1.0, 9.0, 9.0], &[0, 4, -100, -100], 1.0, "token 0 is a token like any other"),
            (&[2.5], &[7], 2.5, "one target"),
        ];
        for (losses, targets, want, hint) in cases {
            let got = answer(mean(losses, targets))?;
            ensure(close(got, want), || {
                format!("masked_mean({losses:?}, {targets:?}) is {got}, should be {want}: {hint}")
            })?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unshifted_targets_and_unmasked_means_are_found() {
        assert_eq!(check_targets(|_, _, _| None), Verdict::Waiting);
        assert_eq!(check_masked_mean(|_, _| None), Verdict::Waiting);
        let unshifted = |tokens: &[u32], prompt: usize, width: usize| {
            Some(
                (0..width)
                    .map(|i| if i < prompt { -100 } else { tokens.get(i).map_or(-100, |&t| i64::from(t)) })
                    .collect(),
            )
        };
        assert!(!check_targets(unshifted).is_right());
        assert!(!check_masked_mean(|losses, _| Some(losses.iter().sum::<f64>() / losses.len() as f64)).is_right());
    }
}
