//! Where the numbers of a y axis stand that plotters draws.

use std::ops::Range;

use plotters::coord::ranged1d::{BoldPoints, DefaultFormatting, KeyPointHint};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::Ranged;

/// A y axis with chosen numbers.
pub(super) struct Ticks {
    axis: RangedCoordf64,
    numbers: Vec<f64>,
}

impl Ticks {
    /// An axis with at most so many numbers. Those of an axis of logarithms (to base 10) are round after the power; if
    /// that leaves fewer than two, they are as on any other axis.
    pub fn new(range: Range<f64>, most: usize, log: bool) -> Self {
        let axis = RangedCoordf64::from(range.clone());
        let round = if log { round_powers(&range, most) } else { Vec::new() };
        let numbers = if round.len() > 1 { round } else { axis.key_points(BoldPoints(most)) };
        Ticks { axis, numbers }
    }
}

impl Ranged for Ticks {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.axis.map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // The lines between the numbers are not drawn.
        if hint.weight().allow_light_points() { Vec::new() } else { self.numbers.clone() }
    }

    fn range(&self) -> Range<f64> {
        self.axis.range()
    }
}

/// The logarithms of at most so many round numbers in this range of logarithms: 1, 2, 5, 10 …, or fewer of them.
fn round_powers(range: &Range<f64>, most: usize) -> Vec<f64> {
    let powers = || range.start.floor() as i32..=range.end.ceil() as i32;
    let of_digits = |digits: &[f64]| {
        let ticks = powers().flat_map(|power| digits.iter().map(move |digit| f64::from(power) + digit.log10()));
        ticks.filter(|tick| range.contains(tick)).collect::<Vec<_>>()
    };
    let sets: [&[f64]; 3] = [&[1.0, 2.0, 5.0], &[1.0, 3.0], &[1.0]];
    sets.iter().map(|digits| of_digits(digits)).find(|ticks| ticks.len() <= most).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::paint::brief;
    use super::*;

    fn numbers(low: f64, high: f64, most: usize) -> Vec<String> {
        let ticks = Ticks::new(low.log10()..high.log10(), most, true);
        ticks.numbers.into_iter().map(|tick| brief(10f64.powf(tick))).collect()
    }

    #[test]
    fn logarithmic_axes_have_round_numbers() {
        assert_eq!(numbers(0.9, 12.0, 4), ["1", "2", "5", "10"]);
        assert_eq!(numbers(0.09, 12.0, 6), ["0.1", "0.3", "1", "3", "10"]);
        assert_eq!(numbers(0.09, 120.0, 4), ["0.1", "1", "10", "100"]);
        assert!((2..=6).contains(&numbers(1e-12, 1e3, 6).len()), "so many powers have the ticks of any other axis");
        assert!(numbers(0.95, 1.04, 4).len() > 1, "and so have few");
    }
}
