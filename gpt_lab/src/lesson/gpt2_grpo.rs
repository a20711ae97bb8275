//! The exercises of `notebooks/gpt2_grpo.ipynb`.

use super::Verdict;
use super::verdict::{all_close, answer, close, ensure, verdict};

/// Exercise 1: how much better than its group each answer was.
pub fn check_group_advantages(advantages: impl Fn(&[f64], usize) -> Option<Vec<f64>>) -> Verdict {
    verdict("right: each group is measured by itself, and one of one mind teaches nothing", || {
        let cases: [(&[f64], usize, &[f64], &str); 4] = [
            (&[1.0, 0.0], 2, &[0.5, -0.5], "the mean of the group is 0.5"),
            (&[1.0, 0.0, 0.0, 0.0], 4, &[0.75, -0.25, -0.25, -0.25], "the one that was right stands out"),
            (&[1.0, 0.0, 1.0, 1.0], 2, &[0.5, -0.5, 0.0, 0.0], "two groups of two: each has a mean of its own"),
            (&[], 3, &[], "no answers, no advantages"),
        ];
        for (rewards, group, want, hint) in cases {
            let got = answer(advantages(rewards, group))?;
            ensure(all_close(&got, want), || {
                format!("group_advantages({rewards:?}, {group}) is {got:?}, should be {want:?}: {hint}")
            })?;
        }
        Ok(())
    })
}

/// Exercise 2: the chance that one of k answers is right (Chen et al. 2021, <https://arxiv.org/abs/2107.03374>,
/// equation 1).
pub fn check_pass_at_k(pass_at_k: impl Fn(usize, usize, usize) -> Option<f64>) -> Verdict {
    verdict("right: one minus the chance that all k are wrong", || {
        for (right, of, k, want, hint) in [
            (4, 16, 1, 0.25, "with k = 1 it is the share"),
            (0, 16, 8, 0.0, "none is right"),
            (16, 16, 3, 1.0, "all are right"),
            (1, 4, 2, 0.5, "of the six pairs three have the right one"),
            (2, 4, 3, 1.0, "two are wrong, so among three there is a right one"),
        ] {
            let got = answer(pass_at_k(right, of, k))?;
            ensure(close(got, want), || format!("pass_at_k({right}, {of}, {k}) is {got}, should be {want}: {hint}"))?;
        }
        Ok(())
    })
}

/// Exercise 3: the groups that teach something.
pub fn check_teaching(teaching: impl Fn(&[f64], usize) -> Option<f64>) -> Verdict {
    verdict("right: only where the answers differ there is something to prefer", || {
        let cases: [(&[f64], usize, f64, &str); 4] = [
            (&[1.0, 0.0, 1.0, 1.0], 2, 0.5, "the second group is of one mind"),
            (&[0.0, 0.0, 1.0, 1.0], 2, 0.0, "all wrong or all right: neither teaches"),
            (&[0.0, 1.0, 1.0, 0.0], 2, 1.0, "both groups are mixed"),
            (&[0.0, 0.0, 1.0, 1.0], 4, 1.0, "one group of four, and it is mixed"),
        ];
        for (rewards, group, want, hint) in cases {
            let got = answer(teaching(rewards, group))?;
            ensure(close(got, want), || format!("teaching({rewards:?}, {group}) is {got}, should be {want}: {hint}"))?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn solution(rewards: &[f64], group: usize) -> Option<Vec<f64>> {
        let of_group = |group: &[f64]| {
            let mean = group.iter().sum::<f64>() / group.len() as f64;
            group.iter().map(|r| r - mean).collect::<Vec<_>>()
        };
        Some(rewards.chunks(group).flat_map(of_group).collect())
    }

    #[test]
    fn stubs_wait() {
        assert_eq!(check_group_advantages(|_, _| None), Verdict::Waiting);
        assert_eq!(check_pass_at_k(|_, _, _| None), Verdict::Waiting);
        assert_eq!(check_teaching(|_, _| None), Verdict::Waiting);
    }

    #[test]
    fn the_usual_mistakes_are_named() {
        assert!(check_group_advantages(solution).to_string().contains("right"));
        let of_all = |rewards: &[f64], _: usize| {
            let mean = rewards.iter().sum::<f64>() / rewards.len() as f64;
            Some(rewards.iter().map(|r| r - mean).collect())
        };
        assert!(check_group_advantages(of_all).to_string().contains("a mean of its own"));
        let independent = |right: usize, of: usize, k: usize| {
            let wrong = 1.0 - right as f64 / of as f64;
            Some(1.0 - wrong.powi(k as i32))
        };
        assert!(check_pass_at_k(independent).to_string().contains("of the six pairs"));
        let any_right = |rewards: &[f64], group: usize| {
            let groups = rewards.chunks(group);
            let n = groups.len() as f64;
            Some(groups.filter(|group| group.contains(&1.0)).count() as f64 / n)
        };
        assert!(check_teaching(any_right).to_string().contains("of one mind"));
    }
}
