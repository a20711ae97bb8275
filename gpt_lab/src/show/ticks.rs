//! Round numbers for axes, and where they stand on a y axis that plotters draws.

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
    /// An axis with at most so many numbers. Those of an axis of logarithms (to base 10) are round after the power,
    /// unless it spans so many powers that the logarithms themselves have to be.
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

/// The logarithms of at most so many round numbers in this range of logarithms: 1, 2, 5, 10 …, or fewer of them; in a
/// range too short for two of those, numbers at equal distances.
fn round_powers(range: &Range<f64>, most: usize) -> Vec<f64> {
    let powers = || range.start.floor() as i32..=range.end.ceil() as i32;
    let of_digits = |digits: &[f64]| {
        let ticks = powers().flat_map(|power| digits.iter().map(move |digit| f64::from(power) + digit.log10()));
        ticks.filter(|tick| range.contains(tick)).collect::<Vec<_>>()
    };
    let sets: [&[f64]; 3] = [&[1.0, 2.0, 5.0], &[1.0, 3.0], &[1.0]];
    let ticks = sets.iter().map(|digits| of_digits(digits)).find(|ticks| ticks.len() <= most).unwrap_or_default();
    if ticks.len() > 1 || range.end - range.start > 1.0 {
        return ticks;
    }
    let (low, high) = (10f64.powf(range.start), 10f64.powf(range.end));
    let step = step((high - low) / most as f64);
    (1..=most)
        .map(|at| ((low / step).floor() + at as f64) * step)
        .take_while(|tick| *tick < high)
        .map(f64::log10)
        .collect()
}

/// The least of 1, 2, 5, 10, 20 … (or 0.1 …) that is not below this.
pub(super) fn step(least: f64) -> f64 {
    let power = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0].into_iter().map(|digit| digit * power).find(|step| *step >= 0.999 * least).unwrap_or(10.0 * power)
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
    }

    #[test]
    fn a_short_logarithmic_axis_has_round_numbers_too() {
        assert_eq!(numbers(0.45, 0.9, 6), ["0.5", "0.6", "0.7", "0.8"]);
        assert_eq!(numbers(0.94, 1.06, 4), ["0.95", "1", "1.05"]);
        assert_eq!(numbers(2.1, 4.9, 4), ["3", "4"]);
    }
}
