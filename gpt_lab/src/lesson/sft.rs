//! The exercises of `notebooks/gpt2_lora.ipynb` and `notebooks/gpt2_lora_optimum.ipynb`.

use super::Verdict;
use super::verdict::{answer, ensure, judge};

/// Tokens, length of the prompt, width of the row, targets that must come out, and why.
type TargetsCase = (&'static [u32], usize, usize, &'static [i64], &'static str);

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9 * (1.0 + b.abs())
}

/// Clipping by norm.
pub fn check_clip(clip: impl Fn(&[f64], f64) -> Option<Vec<f64>>) -> Verdict {
    judge("right: the direction stays, only the length changes", || {
        let cases: [(&[f64], f64, &[f64], &str); 4] = [
            (&[3.0, 4.0], 1.0, &[0.6, 0.8], "its norm is 5, so every number is divided by 5"),
            (&[0.3, 0.4], 1.0, &[0.3, 0.4], "its norm is 0.5: a short gradient stays as it is"),
            (&[-6.0, 8.0], 5.0, &[-3.0, 4.0], "its norm is 10, and it may be 5"),
            (&[0.0, 0.0], 1.0, &[0.0, 0.0], "a gradient of zeros stays zero; nothing may be divided by its norm"),
        ];
        for (gradient, most, want, hint) in cases {
            let got = answer(clip(gradient, most))?;
            let same = got.len() == want.len() && got.iter().zip(want).all(|(a, b)| close(*a, *b));
            ensure(same, || format!("clip({gradient:?}, {most}) is {got:?}, should be {want:?}: {hint}"))?;
        }
        Ok(())
    })
}

/// Linear warm-up, then linear decay.
pub fn check_linear(rate: impl Fn(f64, usize, usize, usize) -> Option<f64>) -> Verdict {
    judge("right, from the first step to long after the end", || {
        let cases = [
            (0, 0.25, "the first of three warm-up steps has a quarter of the peak"),
            (2, 0.75, "the last warm-up step is just below the peak"),
            (3, 1.0, "the peak is reached after the warm-up"),
            (5, 0.5, "half of the way down"),
            (7, 0.0, "at the end it is 0"),
            (100, 0.0, "and stays 0, not below"),
        ];
        for (step, want, hint) in cases {
            let got = answer(rate(2.0, step, 3, 7))?;
            ensure(close(got, 2.0 * want), || {
                format!("linear(2.0, {step}, 3, 7) is {got}, should be {}: {hint}", 2.0 * want)
            })?;
        }
        Ok(())
    })
}

/// Parameters of LoRA beside one layer of every block.
pub fn check_trainable(count: impl Fn(usize, usize, usize, usize) -> Option<usize>) -> Verdict {
    judge("right: 147,456 for the chapter's adapter", || {
        for (r, n_in, n_out, layers) in [(4, 768, 2304, 12), (1, 768, 768, 1), (16, 192, 768, 6), (2, 3, 5, 0)] {
            let (got, want) = (answer(count(r, n_in, n_out, layers))?, layers * r * (n_in + n_out));
            ensure(got == want, || {
                format!(
                    "trainable({r}, {n_in}, {n_out}, {layers}) is {got}, should be {want}: A has r × n_in numbers, B n_out × r"
                )
            })?;
        }
        Ok(())
    })
}

/// Targets with the prompt and the padding masked.
pub fn check_targets(targets: impl Fn(&[u32], usize, usize) -> Option<Vec<i64>>) -> Verdict {
    judge("right: the last token of the prompt guesses the first of the response", || {
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
    judge("right: what does not count is neither in the sum nor in the number", || {
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
    fn stubs_wait_and_usual_mistakes_are_found() {
        assert_eq!(check_clip(|_, _| None), Verdict::Waiting);
        let always = |g: &[f64], most: f64| {
            let norm = g.iter().map(|g| g * g).sum::<f64>().sqrt();
            Some(g.iter().map(|g| g * most / norm).collect())
        };
        assert!(!check_clip(always).is_right());
        assert!(check_trainable(|r, a, b, l| Some(l * r * (a + b))).is_right());
        assert!(!check_trainable(|r, a, b, l| Some(l * r * a * b)).is_right());
        let unshifted = |tokens: &[u32], prompt: usize, width: usize| {
            Some(
                (0..width)
                    .map(|i| if i < prompt { -100 } else { tokens.get(i).map_or(-100, |&t| i64::from(t)) })
                    .collect(),
            )
        };
        assert!(!check_targets(unshifted).is_right());
        assert!(!check_masked_mean(|losses, _| Some(losses.iter().sum::<f64>() / losses.len() as f64)).is_right());
        assert!(!check_linear(|peak, step, _, end| Some(peak * (end as f64 - step as f64) / end as f64)).is_right());
    }
}
