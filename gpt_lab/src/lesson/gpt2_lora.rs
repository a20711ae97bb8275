//! The exercises of `notebooks/gpt2_lora.ipynb`.

use super::Verdict;
use super::verdict::{all_close, answer, close, ensure, verdict};

/// Clipping by norm.
pub fn check_clip(clip: impl Fn(&[f64], f64) -> Option<Vec<f64>>) -> Verdict {
    verdict("right: the direction stays, only the length changes", || {
        let cases: [(&[f64], f64, &[f64], &str); 4] = [
            (&[3.0, 4.0], 1.0, &[0.6, 0.8], "its norm is 5, so every number is divided by 5"),
            (&[0.3, 0.4], 1.0, &[0.3, 0.4], "its norm is 0.5: a short gradient stays as it is"),
            (&[-6.0, 8.0], 5.0, &[-3.0, 4.0], "its norm is 10, and it may be 5"),
            (&[0.0, 0.0], 1.0, &[0.0, 0.0], "a gradient of zeros stays zero; nothing may be divided by its norm"),
        ];
        for (gradient, most, want, hint) in cases {
            let got = answer(clip(gradient, most))?;
            ensure(all_close(&got, want), || {
                format!("clip({gradient:?}, {most}) is {got:?}, should be {want:?}: {hint}")
            })?;
        }
        Ok(())
    })
}

/// Linear warm-up, then linear decay.
pub fn check_linear(rate: impl Fn(f64, usize, usize, usize) -> Option<f64>) -> Verdict {
    verdict("right, from the first step to long after the end", || {
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
    verdict("right: 147,456 for the chapter's adapter", || {
        for (r, n_in, n_out, layers) in [(4, 768, 2304, 12), (1, 768, 768, 1), (16, 192, 768, 6), (2, 3, 5, 0)] {
            let (got, want) = (answer(count(r, n_in, n_out, layers))?, layers * r * (n_in + n_out));
            ensure(got == want, || {
                format!(
                    "trainable({r}, {n_in}, {n_out}, {layers}) is {got}, should be {want}: A has r × n_in numbers, B \
                     n_out × r"
                )
            })?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stubs_wait_and_the_usual_mistakes_are_found() {
        assert_eq!(check_clip(|_, _| None), Verdict::Waiting);
        let always = |g: &[f64], most: f64| {
            let norm = g.iter().map(|g| g * g).sum::<f64>().sqrt();
            Some(g.iter().map(|g| g * most / norm).collect())
        };
        assert!(!check_clip(always).is_right());
        assert!(check_trainable(|r, a, b, l| Some(l * r * (a + b))).is_right());
        assert!(!check_trainable(|r, a, b, l| Some(l * r * a * b)).is_right());
        assert!(!check_linear(|peak, step, _, end| Some(peak * (end as f64 - step as f64) / end as f64)).is_right());
    }
}
