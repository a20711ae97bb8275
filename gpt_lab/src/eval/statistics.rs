//! What a count or a mean says about more than the cases that were counted.

use std::fmt;

/// 95 % of a normal distribution lie within so many standard deviations.
const Z: f64 = 1.96;

/// A share: so many of so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Share {
    /// The cases that count.
    pub count: usize,
    /// All cases.
    pub of: usize,
}

impl Share {
    /// The share of these that are true.
    pub fn of(cases: &[bool]) -> Self {
        Share { count: cases.iter().filter(|case| **case).count(), of: cases.len() }
    }

    /// The share, 0 to 1; NaN without cases.
    pub fn value(&self) -> f64 {
        self.count as f64 / self.of as f64
    }

    /// Where the true share lies with 95 % confidence (Wilson 1927): the interval stays within 0 and 1, also for few
    /// cases.
    pub fn interval(&self) -> (f64, f64) {
        if self.of == 0 {
            return (0.0, 1.0);
        }
        let (n, p) = (self.of as f64, self.value());
        let middle = p + Z * Z / (2.0 * n);
        let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        let scale = 1.0 + Z * Z / n;
        (((middle - half) / scale).max(0.0), ((middle + half) / scale).min(1.0))
    }
}

/// `52.5 % (44–61 %, n = 120)`
impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = self.interval();
        write!(f, "{:.1} % ({:.0}–{:.0} %, n = {})", 100.0 * self.value(), 100.0 * low, 100.0 * high, self.of)
    }
}

/// Two writers on the same questions, question by question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Paired {
    /// Questions that only the new one passes.
    pub wins: usize,
    /// Questions that only the old one passes.
    pub losses: usize,
    /// Questions on which both agree.
    pub draws: usize,
}

impl Paired {
    /// The comparison of two lists of verdicts on the same questions; the longer list is cut.
    pub fn of(old: &[bool], new: &[bool]) -> Self {
        let mut found = Paired::default();
        for (old, new) in old.iter().zip(new) {
            match (old, new) {
                (false, true) => found.wins += 1,
                (true, false) => found.losses += 1,
                _ => found.draws += 1,
            }
        }
        found
    }

    /// The sign test: how often a fair coin, thrown once for each question that was decided, would be at least as far
    /// from one half, on either side.
    pub fn p_value(&self) -> f64 {
        let n = self.wins + self.losses;
        let fewer = self.wins.min(self.losses);
        // ln of the binomial coefficients, one from the other, since 2ⁿ soon has no place in a float.
        let mut ln_choose = 0.0;
        let mut tail = 0.0;
        for k in 0..=fewer {
            tail += (ln_choose - n as f64 * std::f64::consts::LN_2).exp();
            ln_choose += ((n - k) as f64 / (k + 1) as f64).ln();
        }
        (2.0 * tail).min(1.0)
    }
}

/// `43 wins, 7 losses, 70 draws (sign test: p = 2.1e-7)`
impl fmt::Display for Paired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Paired { wins, losses, draws } = self;
        let p = self.p_value();
        let p = if p < 0.001 { format!("{p:.1e}") } else { format!("{p:.3}") };
        write!(f, "{wins} wins, {losses} losses, {draws} draws (sign test: p = {p})")
    }
}

/// A mean with the half width of its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Mean {
    /// The mean; NaN without values.
    pub value: f64,
    /// The true mean lies so far from it at most, with 95 % confidence; NaN for fewer than two values.
    pub half: f64,
    /// The standard deviation of the values; NaN for fewer than two.
    pub std: f64,
}

impl Mean {
    /// The mean of these values.
    pub fn of(values: &[f32]) -> Self {
        let n = values.len() as f64;
        let value = values.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
        let variance = values.iter().map(|x| (f64::from(*x) - value).powi(2)).sum::<f64>() / (n - 1.0);
        Mean { value, half: Z * (variance / n).sqrt(), std: variance.sqrt() }
    }

    /// These values in units of this distribution: `(x − mean) / std`. Scores of a reward model have no zero and no
    /// unit of their own; taken over a reference's answers, this gives them both.
    pub fn standardise(&self, values: &[f32]) -> Vec<f32> {
        let scale = if self.std > 0.0 { self.std } else { 1.0 };
        values.iter().map(|x| ((f64::from(*x) - self.value) / scale) as f32).collect()
    }
}

/// `−2.56 ± 0.31`
impl fmt::Display for Mean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.value < 0.0 { "−" } else { "" };
        write!(f, "{sign}{:.2} ± {:.2}", self.value.abs(), self.half)
    }
}

/// The chance that the best of `n` draws is this one, for each of `scores.len()` draws of which any `n` might have been
/// made; the sum of `values` under these chances is the unbiased estimate of "best of n" (as Nakano et al. 2021,
/// "WebGPT", <https://arxiv.org/abs/2112.09332>, appendix I, make it).
///
/// # Panics
/// Never: without draws, or for `n` of 0 or more than there are, it is NaN.
pub fn best_of(n: usize, scores: &[f32], values: &[f64]) -> f64 {
    let total = scores.len();
    if n == 0 || n > total || values.len() != total {
        return f64::NAN;
    }
    let mut order: Vec<usize> = (0..total).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    // The draw of rank i (from 0) is the best of n others below it with chance C(i, n − 1) / C(total, n).
    let chance = |rank: usize| -> f64 {
        if rank + 1 < n {
            return 0.0;
        }
        let below = (0..n - 1).map(|k| (rank - k) as f64 / (total - 1 - k) as f64).product::<f64>();
        below * n as f64 / total as f64
    };
    order.iter().enumerate().map(|(rank, draw)| chance(rank) * values[*draw]).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilsons_interval_is_that_of_the_tables() {
        // 10 of 20: 0.2993 to 0.7007; 0 of 10: 0 to 0.2775 (Newcombe 1998, method 3).
        let near = |a: f64, b: f64| assert!((a - b).abs() < 5e-4, "{a} {b}");
        let (low, high) = Share { count: 10, of: 20 }.interval();
        near(low, 0.2993);
        near(high, 0.7007);
        let (low, high) = Share { count: 0, of: 10 }.interval();
        near(low, 0.0);
        near(high, 0.2775);
        assert_eq!(Share { count: 63, of: 120 }.to_string(), "52.5 % (44–61 %, n = 120)");
        assert_eq!(Share::default().interval(), (0.0, 1.0));
        assert_eq!(Share::of(&[true, false, true]), Share { count: 2, of: 3 });
    }

    #[test]
    fn the_sign_test_is_that_of_the_coin() {
        let found = Paired::of(&[true, false, false, true], &[true, true, true, false]);
        assert_eq!((found.wins, found.losses, found.draws), (2, 1, 1));
        assert_eq!(found.p_value(), 1.0);
        // 9 of 10: 2 · 11 / 1024.
        assert!((Paired { wins: 9, losses: 1, draws: 5 }.p_value() - 22.0 / 1024.0).abs() < 1e-12);
        assert!((Paired { wins: 43, losses: 7, draws: 0 }.p_value() - 2.1e-7).abs() < 2e-8);
        assert_eq!(Paired::default().p_value(), 1.0);
        assert!(Paired { wins: 4000, losses: 1000, draws: 0 }.p_value() < 1e-300);
    }

    #[test]
    fn means_and_their_units() {
        let mean = Mean::of(&[1.0, 2.0, 3.0]);
        assert_eq!((mean.value, mean.std), (2.0, 1.0));
        assert!((mean.half - 1.96 / 3f64.sqrt()).abs() < 1e-12);
        assert_eq!(mean.standardise(&[2.0, 4.0]), [0.0, 2.0]);
        assert_eq!(Mean::of(&[-2.5, -2.5]).to_string(), "−2.50 ± 0.00");
        assert_eq!(Mean::of(&[5.0, 5.0]).standardise(&[7.0]), [2.0]);
    }

    #[test]
    fn the_best_of_n_is_the_mean_over_all_choices() {
        let (scores, values) = ([0.3f32, -1.0, 2.0, 0.9], [1.0, 2.0, 4.0, 8.0]);
        assert_eq!(best_of(1, &scores, &values), 15.0 / 4.0);
        assert_eq!(best_of(4, &scores, &values), 4.0);
        // All six pairs, by hand: {0,1}→0, {0,2}→2, {0,3}→3, {1,2}→2, {1,3}→3, {2,3}→2.
        assert!((best_of(2, &scores, &values) - (1.0 + 4.0 + 8.0 + 4.0 + 8.0 + 4.0) / 6.0).abs() < 1e-12);
        assert!(best_of(5, &scores, &values).is_nan() && best_of(0, &scores, &values).is_nan());
    }
}
