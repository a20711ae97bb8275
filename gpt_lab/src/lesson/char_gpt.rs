//! The exercises of `notebooks/char_gpt.ipynb`.

use candle_core::{Device, IndexOp, Tensor};

use super::Verdict;
use super::verdict::{all_close, answer, close, ensure, verdict};
use crate::Rng;

/// Exercise 1: softmax of a list, also where `exp` alone would overflow.
pub fn check_softmax(softmax: impl Fn(&[f64]) -> Option<Vec<f64>>) -> Verdict {
    verdict("equal to the real one, and it survives a score of 1000 and a masked one", || {
        let probs = answer(softmax(&[1.0, 2.0, 3.0]))?;
        ensure(probs.len() == 3, || format!("three scores went in, {} numbers came out", probs.len()))?;
        let sum: f64 = probs.iter().sum();
        ensure(close(sum, 1.0), || format!("softmax([1, 2, 3]) = {probs:?} sums to {sum}, probabilities sum to 1"))?;
        let want = [0.09003057317038046, 0.24472847105479767, 0.6652409557748219];
        ensure(all_close(&probs, &want), || {
            format!("softmax([1, 2, 3]) = {probs:?}; each is exp(x) over the sum of all exp")
        })?;
        let big = answer(softmax(&[1000.0, 1001.0]))?;
        ensure(all_close(&big, &[0.2689414213699951, 0.7310585786300049]), || {
            format!(
                "softmax([1000, 1001]) = {big:?}; exp(1000) is infinite: what can be subtracted without changing the \
                 result?"
            )
        })?;
        let masked = answer(softmax(&[0.0, f64::NEG_INFINITY]))?;
        ensure(all_close(&masked, &[1.0, 0.0]), || {
            format!("softmax([0, -inf]) = {masked:?}; a masked score must get weight 0")
        })
    })
}

/// Exercise 2: may position `row` look at position `col`? At itself and at the `window - 1` positions before it.
pub fn check_window_mask(mask: impl Fn(usize, usize) -> Option<Vec<Vec<bool>>>) -> Verdict {
    verdict("right for every size: this is the sliding-window attention of several newer models", || {
        for (t, window) in [(4, 2), (5, 1), (6, 3), (3, 10), (1, 1)] {
            let got = answer(mask(t, window))?;
            ensure(got.len() == t && got.iter().all(|row| row.len() == t), || {
                format!("mask({t}, {window}) must have {t} rows of {t}")
            })?;
            for (row, allowed) in got.iter().enumerate() {
                for (col, &got) in allowed.iter().enumerate() {
                    let want = col <= row && row - col < window;
                    ensure(got == want, || {
                        let hint = match (col > row, col == row) {
                            (true, _) => "that is the future",
                            (_, true) => "a letter always sees itself",
                            _ => "count how many positions the row may see in all",
                        };
                        format!("mask({t}, {window})[{row}][{col}] is {got}, should be {want}: {hint}")
                    })?;
                }
            }
        }
        Ok(())
    })
}

/// Exercise 3: parameters of the chapter's model, for any width, depth, vocabulary and context.
pub fn check_parameter_count(count: impl Fn(usize, usize, usize, usize) -> Option<usize>) -> Verdict {
    verdict("2,408,290 for the chapter's model, and right for the others", || {
        // One layer: q, k, v without bias 3C²; projection C² + C; two layer norms 4C; feed-forward 8C² + 5C.
        let want =
            |c: usize, l: usize, v: usize, t: usize| l * (12 * c * c + 10 * c) + 2 * c + v * c + t * c + c * v + v;
        for (c, l, v, t) in [(128, 12, 98, 64), (8, 0, 5, 4), (8, 1, 5, 4), (96, 4, 98, 64)] {
            let (got, want) = (answer(count(c, l, v, t))?, want(c, l, v, t));
            ensure(got == want, || {
                let off = got as i128 - want as i128;
                let c = c as i128;
                let hint = match (l, off) {
                    (0, _) => {
                        "without any layer there remain two embeddings, the last layer norm and the head with its bias"
                    }
                    (_, off) if off == 3 * c * l as i128 => "q, k and v have no bias here",
                    (_, off) if off == -((v * 128) as i128) => "the head has a matrix of its own, not the embedding's",
                    _ => "compare with the tree above, line by line",
                };
                format!("n_embd {c}, n_layer {l}, vocabulary {v}, context {t}: {got}, off by {off}; {hint}")
            })?;
        }
        Ok(())
    })
}

/// Exercise 4: the loss by hand, mean over positions of −ln p(target).
pub fn check_cross_entropy(loss: impl Fn(&[Vec<f64>], &[usize]) -> Option<f64>) -> Verdict {
    verdict("that is the number under every loss curve in this lab", || {
        let uniform = answer(loss(&vec![vec![0.0; 98]; 3], &[0, 5, 97]))?;
        ensure(close(uniform, 98f64.ln()), || {
            format!(
                "98 equal scores must give ln 98 = {:.6}, yours is {uniform:.6} (a mean over positions, natural \
                 logarithm)",
                98f64.ln()
            )
        })?;
        let logits = [vec![2.0, 0.0, -1.0], vec![0.0, 3.0, 0.0]];
        let got = answer(loss(&logits, &[0, 2]))?;
        let row = |xs: &[f64], i: usize| xs.iter().map(|x| x.exp()).sum::<f64>().ln() - xs[i];
        let want = (row(&logits[0], 0) + row(&logits[1], 2)) / 2.0;
        ensure(close(got, want), || format!("two rows: yours {got:.6}, should be {want:.6}"))?;
        let sure = answer(loss(&[vec![800.0, 0.0]], &[1]))?;
        ensure(close(sure, 800.0), || {
            format!(
                "sure and wrong (scores 800 and 0, the second was right) costs 800, yours is {sure}: take the \
                 logarithm before the exponential can underflow"
            )
        })
    })
}

/// Exercise 5: keep the `k` best scores, softmax over them, 0 for the others; ties with the k-th stay in.
pub fn check_top_k(top_k: impl Fn(&[f64], usize) -> Option<Vec<f64>>) -> Verdict {
    verdict("as in every text generator; and a tie loses nobody", || {
        let got = answer(top_k(&[1.0, 3.0, 2.0, 0.0], 2))?;
        ensure(got.len() == 4, || "the answer has as many entries as there are scores, cut ones are 0".to_string())?;
        let want = [0.0, 0.7310585786300049, 0.2689414213699951, 0.0];
        ensure(all_close(&got, &want), || format!("top_k([1, 3, 2, 0], 2) = {got:?}, should be {want:?}"))?;
        let got = answer(top_k(&[1.0, 3.0, 2.0, 0.0], 9))?;
        ensure(got.len() == 4 && got.iter().all(|p| *p > 0.0), || {
            format!("k = 9 of 4 scores keeps all; yours {got:?}")
        })?;
        let got = answer(top_k(&[5.0, 1.0, 1.0, 0.0], 2))?;
        ensure(got.len() == 4 && got[1] > 0.0 && close(got[1], got[2]) && got[3] == 0.0, || {
            format!("two scores tie for place 2 in [5, 1, 1, 0]: both stay; yours {got:?}")
        })
    })
}

type Attend = fn(&Tensor) -> crate::Result<Tensor>;

/// Attention over `[time, channels]` with queries = keys = values = x and this mask (1 = may look).
fn attend_with(x: &Tensor, may_look: impl Fn(usize, usize) -> bool) -> crate::Result<Tensor> {
    let t = x.dim(0)?;
    let bias: Vec<f32> = (0..t * t).map(|i| if may_look(i / t, i % t) { 0.0 } else { f32::NEG_INFINITY }).collect();
    let scores = x.matmul(&x.t()?)?.broadcast_add(&Tensor::from_vec(bias, (t, t), x.device())?)?;
    Ok(crate::ops::softmax(&scores)?.matmul(x)?)
}

fn causal(x: &Tensor) -> crate::Result<Tensor> {
    attend_with(x, |row, col| col <= row)
}
fn only_itself(x: &Tensor) -> crate::Result<Tensor> {
    attend_with(x, |row, col| col == row)
}
fn no_mask(x: &Tensor) -> crate::Result<Tensor> {
    attend_with(x, |_, _| true)
}
fn one_too_far(x: &Tensor) -> crate::Result<Tensor> {
    attend_with(x, |row, col| col <= row + 1)
}
fn upside_down(x: &Tensor) -> crate::Result<Tensor> {
    attend_with(x, |row, col| col >= row)
}
/// Subtracts the mean over time: no attention weight points forward, and yet every row knows the whole sequence.
fn normalised_over_time(x: &Tensor) -> crate::Result<Tensor> {
    causal(&x.broadcast_sub(&x.mean_keepdim(0)?)?)
}
/// Masks before the softmax, but only the last column of each row's future.
fn last_column_open(x: &Tensor) -> crate::Result<Tensor> {
    let t = x.dim(0)?;
    attend_with(x, move |row, col| col <= row || col == t - 1)
}

/// Exercise 6: does this attention let an output depend on a later input? The detector is tried on seven of them.
pub fn check_leak_detector(detector: impl Fn(Attend) -> Option<bool>) -> Verdict {
    verdict("all seven judged rightly; keep such a test beside every attention you write", || {
        let suspects: [(&str, Attend, bool); 7] = [
            ("no mask at all", no_mask, true),
            ("a proper causal mask", causal, false),
            ("a mask upside down", upside_down, true),
            ("a mask that is one position too generous", one_too_far, true),
            ("each position sees only itself", only_itself, false),
            ("a mask that forgets the last column", last_column_open, true),
            ("inputs normalised over time before a proper mask", normalised_over_time, true),
        ];
        for (name, attend, leaks) in suspects {
            let said = answer(detector(attend))?;
            ensure(said == leaks, || {
                let hint = if leaks {
                    "change one input and compare every output before it; try each position"
                } else {
                    "outputs at and after the changed position may differ, only earlier ones must not"
                };
                format!("{name}: your detector says {said}, should be {leaks}; {hint}")
            })?;
        }
        Ok(())
    })
}

/// A random `[time, channels]` input for the leak detector.
pub fn random_input(time: usize, channels: usize, seed: u64) -> crate::Result<Tensor> {
    Rng::new(seed).normal_tensor(0.0, 1.0, &[time, channels])
}

/// The same input with the numbers at one position replaced by others.
pub fn change_position(x: &Tensor, position: usize, seed: u64) -> crate::Result<Tensor> {
    let (t, c) = x.dims2()?;
    if position >= t {
        return Err(crate::Error::argument("position", position, format!("below the input's {t} positions")));
    }
    let rows = (0..t)
        .map(|i| if i == position { Rng::new(seed).normal_tensor(2.0, 1.0, &[c]) } else { Ok(x.i(i)?) })
        .collect::<crate::Result<Vec<_>>>()?;
    Ok(Tensor::stack(&rows, 0)?.to_device(&Device::Cpu)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn softmax(xs: &[f64]) -> Option<Vec<f64>> {
        let max = xs.iter().cloned().fold(f64::NEG_INFINITY, f64::max);
        let e: Vec<f64> = xs.iter().map(|x| (x - max).exp()).collect();
        let sum: f64 = e.iter().sum();
        Some(e.iter().map(|e| e / sum).collect())
    }

    #[test]
    fn a_stub_waits_and_the_naive_softmax_is_told_why() {
        assert_eq!(check_softmax(|_| None), Verdict::Waiting);
        assert!(check_softmax(softmax).is_right());
        let naive = |xs: &[f64]| {
            let e: Vec<f64> = xs.iter().map(|x| x.exp()).collect();
            let sum: f64 = e.iter().sum();
            Some(e.iter().map(|e| e / sum).collect())
        };
        assert!(check_softmax(naive).to_string().contains("1000"), "{}", check_softmax(naive));
        assert!(matches!(check_softmax(|_| panic!("boom")), Verdict::Wrong(why) if why.contains("boom")));
    }

    #[test]
    fn window_masks_off_by_one_are_found() {
        let mask = |extra: usize| {
            move |t: usize, w: usize| {
                Some((0..t).map(|r| (0..t).map(|c| c <= r && r - c < w + extra).collect()).collect::<Vec<Vec<bool>>>())
            }
        };
        assert!(check_window_mask(mask(0)).is_right());
        assert!(!check_window_mask(mask(1)).is_right());
        assert_eq!(check_window_mask(|_, _| None), Verdict::Waiting);
    }

    #[test]
    fn parameters_of_the_chapter() {
        let count = |c, l, v, t| Some(l * (12 * c * c + 10 * c) + 2 * c + 2 * v * c + t * c + v);
        assert_eq!(count(128, 12, 98, 64), Some(2_408_290));
        assert!(check_parameter_count(count).is_right());
        let with_bias = |c, l, v, t| count(c, l, v, t).map(|n: usize| n + 3 * c * l);
        assert!(check_parameter_count(with_bias).to_string().contains("no bias"));
    }

    #[test]
    fn losses_and_top_k() {
        let loss = |rows: &[Vec<f64>], targets: &[usize]| {
            let one = |xs: &Vec<f64>, i: usize| {
                let max = xs.iter().cloned().fold(f64::MIN, f64::max);
                max + xs.iter().map(|x| (x - max).exp()).sum::<f64>().ln() - xs[i]
            };
            Some(rows.iter().zip(targets).map(|(r, t)| one(r, *t)).sum::<f64>() / rows.len() as f64)
        };
        assert!(check_cross_entropy(loss).is_right());
        let summed = |rows: &[Vec<f64>], targets: &[usize]| loss(rows, targets).map(|l| l * rows.len() as f64);
        assert!(!check_cross_entropy(summed).is_right());

        let top_k = |xs: &[f64], k: usize| {
            let mut sorted = xs.to_vec();
            sorted.sort_by(|a, b| b.total_cmp(a));
            let cut = sorted[k.min(xs.len()) - 1];
            softmax(&xs.iter().map(|x| if *x >= cut { *x } else { f64::NEG_INFINITY }).collect::<Vec<_>>())
        };
        assert!(check_top_k(top_k).is_right());
        assert!(!check_top_k(|xs, _| softmax(xs)).is_right());
    }

    #[test]
    fn the_leak_detector_must_try_every_position() {
        let detector = |positions: fn(usize) -> Vec<usize>| {
            move |attend: Attend| {
                let x = random_input(6, 4, 1).ok()?;
                let before = attend(&x).ok()?.to_vec2::<f32>().ok()?;
                let mut leaks = false;
                for p in positions(6) {
                    let after = attend(&change_position(&x, p, 2).ok()?).ok()?.to_vec2::<f32>().ok()?;
                    leaks |= before[..p] != after[..p];
                }
                Some(leaks)
            }
        };
        assert!(check_leak_detector(detector(|t| (0..t).collect())).is_right());
        assert!(!check_leak_detector(detector(|_| vec![0])).is_right());
        assert_eq!(check_leak_detector(|_| None), Verdict::Waiting);
        assert!(change_position(&random_input(2, 2, 0).unwrap(), 2, 0).is_err());
    }
}
