//! The exercises of `notebooks/gpt2.ipynb`.

use super::Verdict;
use super::verdict::{all_close, answer, ensure, verdict};

/// Tokens, pair, what must come out, and why.
type MergeCase = (&'static [u32], (u32, u32), &'static [u32], &'static str);
/// Logits, tokens seen, what must come out, and why.
type PenaltyCase = (&'static [f64], &'static [usize], &'static [f64], &'static str);

/// Exercise 1: one step of byte-pair encoding.
pub fn check_merge(merge: impl Fn(&[u32], (u32, u32), u32) -> Option<Vec<u32>>) -> Verdict {
    verdict("right, overlaps and ends included: repeat it with the most frequent pair and you have BPE", || {
        let cases: [MergeCase; 6] = [
            (&[1, 2, 3], (1, 2), &[9, 3], "the pair becomes one token"),
            (&[3, 1, 2], (1, 2), &[3, 9], "the pair may stand at the very end"),
            (&[1, 2, 1, 2], (1, 2), &[9, 9], "every occurrence counts"),
            (&[1, 1, 1], (1, 1), &[9, 1], "from left to right: a token that was merged cannot be merged again"),
            (&[2, 1, 3], (1, 2), &[2, 1, 3], "(1, 2) is not (2, 1)"),
            (&[], (1, 2), &[], "an empty text stays empty"),
        ];
        for (tokens, pair, want, hint) in cases {
            let got = answer(merge(tokens, pair, 9))?;
            ensure(got == want, || format!("merge({tokens:?}, {pair:?}, 9) is {got:?}, should be {want:?}: {hint}"))?;
        }
        Ok(())
    })
}

/// Exercise 2: the tokens that top-p sampling keeps.
pub fn check_nucleus(nucleus: impl Fn(&[f64], f64) -> Option<Vec<bool>>) -> Verdict {
    verdict("right: never fewer than one, never more than needed", || {
        let cases: [(&[f64], f64, &[bool], &str); 5] = [
            (&[0.1, 0.6, 0.3], 0.8, &[false, true, true], "0.6 + 0.3 reaches 0.8"),
            (&[0.1, 0.6, 0.3], 0.5, &[false, true, false], "0.6 alone reaches 0.5"),
            (&[0.25, 0.5, 0.25], 0.5, &[false, true, false], "a sum equal to p has reached it"),
            (&[0.1, 0.6, 0.3], 1e-9, &[false, true, false], "at least one token stays"),
            (&[0.5, 0.25, 0.25], 1.0, &[true, true, true], "p = 1 keeps all"),
        ];
        for (probabilities, p, want, hint) in cases {
            let got = answer(nucleus(probabilities, p))?;
            ensure(got.len() == want.len(), || format!("{} tokens went in, {} came out", want.len(), got.len()))?;
            ensure(got == want, || format!("nucleus({probabilities:?}, {p}) is {got:?}: {hint}"))?;
        }
        Ok(())
    })
}

/// Exercise 3: a beam search over two tokens.
pub fn check_best_pair(search: impl Fn(&[f64], &[Vec<f64>], usize) -> Option<(usize, usize)>) -> Verdict {
    verdict("right: a beam of two finds what the greedy choice walks past", || {
        // Greedy takes 0 (0.5) and then at best 0.5 · 0.4 = 0.2; 1 leads to 0.4 · 0.9 = 0.36.
        let first = [0.5, 0.4, 0.1];
        let second = [vec![0.3, 0.4, 0.3], vec![0.05, 0.05, 0.9], vec![0.98, 0.01, 0.01]];
        let greedy = answer(search(&first, &second, 1))?;
        ensure(greedy == (0, 1), || {
            format!("width 1 must be greedy: the likeliest first token is 0, then 1, not {greedy:?}")
        })?;
        for width in [2, 3, 7] {
            let pair = answer(search(&first, &second, width))?;
            ensure(pair == (1, 2), || {
                format!(
                    "width {width}: {pair:?} has probability {:.2}; 0.4 · 0.9 is more",
                    first[pair.0.min(2)] * second[pair.0.min(2)][pair.1.min(2)]
                )
            })?;
        }
        // Token 2 leads to the best pair here, and a beam of two never sees it.
        let second = [vec![0.2; 5], vec![0.2; 5], vec![1.0, 0.0, 0.0, 0.0, 0.0]];
        let narrow = answer(search(&[0.4, 0.35, 0.25], &second, 2))?;
        ensure(narrow.0 == 0, || {
            format!("width 2 keeps the first tokens 0 and 1 only, the answer came from {}", narrow.0)
        })?;
        let wide = answer(search(&[0.4, 0.35, 0.25], &second, 3))?;
        ensure(wide == (2, 0), || format!("width 3 sees all pairs; the best is (2, 0), not {wide:?}"))
    })
}

/// Exercise 4: positions computed without and with a key/value cache.
pub fn check_positions(positions: impl Fn(usize, usize) -> Option<(usize, usize)>) -> Verdict {
    verdict("right: a square without the cache, a line with it", || {
        for (prompt, new) in [(5, 1), (5, 2), (1, 3), (100, 100), (7, 0)] {
            let (without, with) = answer(positions(prompt, new))?;
            let want = new * prompt + new * new.saturating_sub(1) / 2;
            ensure(without == want, || {
                format!(
                    "without a cache, {new} tokens after {prompt}: {without}, should be {want}; the texts grow by \
                     one each time"
                )
            })?;
            let want = if new == 0 { 0 } else { prompt + new - 1 };
            ensure(with == want, || {
                format!(
                    "with a cache, {new} tokens after {prompt}: {with}, should be {want}; the prompt once, then each \
                     token but the last"
                )
            })?;
        }
        Ok(())
    })
}

/// Exercise 5: the repetition penalty.
pub fn check_penalise(penalise: impl Fn(&[f64], &[usize], f64) -> Option<Vec<f64>>) -> Verdict {
    verdict("right: always down, whatever the sign", || {
        let cases: [PenaltyCase; 4] = [
            (&[2.0, 1.0], &[0], &[1.0, 1.0], "a positive logit is divided"),
            (
                &[-2.0, 1.0],
                &[0],
                &[-4.0, 1.0],
                "a negative logit is multiplied: dividing would make the token likelier",
            ),
            (&[2.0, 1.0], &[0, 0, 0], &[1.0, 1.0], "seen three times, punished once"),
            (&[2.0, -1.0], &[], &[2.0, -1.0], "what was not seen stays"),
        ];
        for (logits, seen, want, hint) in cases {
            let got = answer(penalise(logits, seen, 2.0))?;
            ensure(got.len() == logits.len(), || format!("{} logits went in, {} came out", logits.len(), got.len()))?;
            ensure(all_close(&got, want), || {
                format!("penalise({logits:?}, {seen:?}, 2) is {got:?}, should be {want:?}: {hint}")
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
        assert_eq!(check_merge(|_, _, _| None), Verdict::Waiting);
        assert_eq!(check_nucleus(|_, _| None), Verdict::Waiting);
        assert_eq!(check_best_pair(|_, _, _| None), Verdict::Waiting);
        assert_eq!(check_positions(|_, _| None), Verdict::Waiting);
        assert_eq!(check_penalise(|_, _, _| None), Verdict::Waiting);
    }

    #[test]
    fn the_usual_mistakes_are_named() {
        let overlapping = |tokens: &[u32], pair: (u32, u32), new: u32| {
            let hit = |i: usize| i + 1 < tokens.len() && (tokens[i], tokens[i + 1]) == pair;
            Some(
                (0..tokens.len())
                    .filter(|&i| i == 0 || !hit(i - 1) || hit(i))
                    .map(|i| if hit(i) { new } else { tokens[i] })
                    .collect(),
            )
        };
        assert!(check_merge(overlapping).to_string().contains("cannot be merged again"));
        let one_short = |probabilities: &[f64], p: f64| {
            let mut order: Vec<usize> = (0..probabilities.len()).collect();
            order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
            let (mut kept, mut sum) = (vec![false; probabilities.len()], 0.0);
            for i in order {
                sum += probabilities[i];
                kept[i] = sum <= p;
            }
            Some(kept)
        };
        assert!(!check_nucleus(one_short).is_right());
        let greedy = |first: &[f64], second: &[Vec<f64>], _: usize| {
            let best = |xs: &[f64]| (0..xs.len()).max_by(|&a, &b| xs[a].total_cmp(&xs[b])).unwrap();
            let a = best(first);
            Some((a, best(&second[a])))
        };
        assert!(check_best_pair(greedy).to_string().contains("0.4 · 0.9"));
        assert!(
            check_positions(|prompt, new| Some((prompt * new, prompt + new - 1))).to_string().contains("grow by one")
        );
        let divided = |logits: &[f64], seen: &[usize], penalty: f64| {
            Some(logits.iter().enumerate().map(|(id, x)| if seen.contains(&id) { x / penalty } else { *x }).collect())
        };
        assert!(check_penalise(divided).to_string().contains("make the token likelier"));
    }
}
