//! The exercises of `notebooks/chat.ipynb`.

use super::Verdict;
use super::verdict::{answer, close, ensure, verdict};

/// Exchanges, question, answer, context; what fits, and why.
type FittingCase = (&'static [usize], usize, usize, usize, usize, &'static str);

/// Exercise 1: a prompt with a memory.
pub fn check_prompt(prompt_of: impl Fn(&[(&str, &str)], usize, &str) -> Option<String>) -> Verdict {
    verdict("right: the last exchanges in their order, then the question", || {
        let said = [("a?", "one."), ("b?", "two."), ("c?", "three.")];
        let (b, c) =
            ("### Instruction:\nb?\n\n### Response:\ntwo.\n\n", "### Instruction:\nc?\n\n### Response:\nthree.\n\n");
        let last = "### Instruction:\nd?\n\n### Response:\n";
        for (count, memory, want, hint) in [
            (3, 0, last.to_string(), "no memory: the question alone"),
            (3, 1, format!("{c}{last}"), "the last exchange is the newest"),
            (3, 2, format!("{b}{c}{last}"), "two exchanges, the older one first"),
            (0, 5, last.to_string(), "nothing was said yet"),
        ] {
            let got = answer(prompt_of(&said[..count], memory, "d?"))?;
            ensure(got == want, || format!("with a memory of {memory} it is {got:?}, should be {want:?}: {hint}"))?;
        }
        let got = answer(prompt_of(&said[..1], 9, "d?"))?;
        ensure(got.starts_with("### Instruction:\na?"), || format!("a memory longer than the talk gives {got:?}"))
    })
}

/// Exercise 2: what fits into the context.
pub fn check_fitting(fitting: impl Fn(&[usize], usize, usize, usize) -> Option<usize>) -> Verdict {
    verdict("right: the newest first, without gaps, and room for the answer", || {
        let cases: [FittingCase; 5] = [
            (&[10, 20, 30], 10, 10, 100, 3, "all of them fit"),
            (&[10, 20, 30], 10, 10, 60, 1, "30 fits into the 40 that are left, 20 more does not"),
            (&[5, 50, 5], 10, 10, 40, 1, "the oldest would fit, but the one after it does not: no gaps"),
            (&[10, 20, 30], 10, 10, 80, 3, "what fits exactly fits"),
            (&[1], 50, 60, 100, 0, "question and answer alone are too long already"),
        ];
        for (exchanges, question, free, context, want, hint) in cases {
            let got = answer(fitting(exchanges, question, free, context))?;
            ensure(got == want, || {
                format!("fitting({exchanges:?}, {question}, {free}, {context}) is {got}, should be {want}: {hint}")
            })?;
        }
        Ok(())
    })
}

/// Exercise 3: wins among decided questions.
pub fn check_win_rate(win_rate: impl Fn(&[bool], &[bool]) -> Option<f64>) -> Verdict {
    verdict("right: draws say nothing about who is better", || {
        let cases: [(&[bool], &[bool], f64, &str); 4] = [
            (&[true, true, true, false], &[false, false, true, true], 2.0 / 3.0, "two wins, one loss, one draw"),
            (&[false, false], &[true, false], 0.0, "one loss, and a draw where nobody passed"),
            (&[true, false], &[true, false], 0.5, "nothing was decided"),
            (&[], &[], 0.5, "nothing was asked"),
        ];
        for (first, second, want, hint) in cases {
            let got = answer(win_rate(first, second))?;
            ensure(close(got, want), || format!("win_rate({first:?}, {second:?}) is {got}, should be {want}: {hint}"))?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stubs_wait() {
        assert_eq!(check_prompt(|_, _, _| None), Verdict::Waiting);
        assert_eq!(check_fitting(|_, _, _, _| None), Verdict::Waiting);
        assert_eq!(check_win_rate(|_, _| None), Verdict::Waiting);
    }

    #[test]
    fn the_usual_mistakes_are_named() {
        let reversed = |said: &[(&str, &str)], memory: usize, question: &str| {
            let told: String = said
                .iter()
                .rev()
                .take(memory)
                .map(|(q, a)| format!("### Instruction:\n{q}\n\n### Response:\n{a}\n\n"))
                .collect();
            Some(format!("{told}### Instruction:\n{question}\n\n### Response:\n"))
        };
        assert!(check_prompt(reversed).to_string().contains("the older one first"));
        let with_gaps = |exchanges: &[usize], question: usize, free: usize, context: usize| {
            let mut room = context.saturating_sub(question + free);
            let fits = |tokens: &&usize| {
                let fits = **tokens <= room;
                room -= if fits { **tokens } else { 0 };
                fits
            };
            Some(exchanges.iter().rev().filter(fits).count())
        };
        assert!(check_fitting(with_gaps).to_string().contains("20 more does not"));
        let of_all = |a: &[bool], b: &[bool]| {
            Some(a.iter().zip(b).filter(|(a, b)| **a && !**b).count() as f64 / a.len().max(1) as f64)
        };
        assert!(check_win_rate(of_all).to_string().contains("one draw"));
    }
}
