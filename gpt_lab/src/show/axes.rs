//! Axes of drawings that place their lines to a tenth of a pixel, on the lab's card.

use std::ops::Range;

use super::paint::{label, short};
use super::pen::{CHARACTER, WIDTH, segment};
use super::plot::open;
use super::ticks::step;

/// Room under a frame for the numbers and the name of the x axis, in pixels.
pub(super) const X_AXIS: f64 = 46.0;
const GRID: &str = "#e1e4e8";
const AXIS: &str = "#999";
/// Room for the name of the y axis, which may have two lines, and between the numbers and the axis.
const Y_AXIS: f64 = 48.0;
/// Numbers beyond this are not drawn: they would leave no room for the others.
const MOST: f64 = 1e12;

/// What an axis spans, with round numbers at equal distances.
pub(super) struct Axis {
    range: Range<f64>,
    step: f64,
}

impl Axis {
    /// An axis of these values, with `air` on both sides as a share of its length and at most about `most` numbers.
    pub fn new(values: impl Iterator<Item = f64>, air: f64, most: usize) -> Self {
        let start = (f64::INFINITY, f64::NEG_INFINITY);
        let (low, high) = values.filter(|v| v.abs() < MOST).fold(start, |(low, high), v| (low.min(v), high.max(v)));
        let range = open(low, high, air);
        Axis { step: step((range.end - range.start) / most as f64), range }
    }

    /// Where a value stands, as a share of the axis.
    fn place(&self, value: f64) -> f64 {
        (value - self.range.start) / (self.range.end - self.range.start)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let first = (self.range.start / self.step - 1e-9).ceil();
        let count = ((self.range.end / self.step + 1e-9).floor() - first).clamp(0.0, 20.0) as usize;
        (0..=count).map(move |at| (first + at as f64) * self.step)
    }

    /// A tick with the decimals that the steps need.
    fn written(&self, tick: f64) -> String {
        let decimals = (-(self.step * 1.0001).log10().floor()).clamp(0.0, 12.0) as usize;
        let digits = format!("{:.decimals$}", tick.abs());
        let is_zero = digits.bytes().all(|byte| matches!(byte, b'0' | b'.'));
        if tick < 0.0 && !is_zero { format!("−{digits}") } else { digits }
    }

    /// Width of its longest number in pixels.
    fn widest(&self) -> f64 {
        self.ticks().map(|tick| CHARACTER * self.written(tick).chars().count() as f64).fold(0.0, f64::max)
    }
}

/// Room left of the frames, the same for all of these y axes, in pixels.
pub(super) fn left(ys: &[&Axis]) -> f64 {
    Y_AXIS + ys.iter().map(|y| y.widest()).fold(0.0, f64::max)
}

/// A place in a drawing, in pixels, with its two axes.
pub(super) struct Frame<'a> {
    pub x: &'a Axis,
    pub y: &'a Axis,
    pub left: f64,
    pub top: f64,
    pub height: f64,
}

impl Frame<'_> {
    /// Its right edge: half of a number at the end of the x axis is right of it.
    pub fn right(&self) -> f64 {
        WIDTH - (self.x.widest() / 2.0 + 6.0).max(16.0)
    }

    /// The pixel of a point.
    pub fn at(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let width = self.right() - self.left;
        (self.left + width * self.x.place(x), self.top + self.height * (1.0 - self.y.place(y)))
    }

    /// Grid, axes and numbers. Where other frames follow below, `x_label` is `None`, and they have the numbers of x.
    pub fn drawn(&self, x_label: Option<&str>, y_label: &str) -> String {
        let (bottom, right) = (self.top + self.height, self.right());
        let mut drawing = String::new();
        for tick in self.y.ticks() {
            let y = self.at((0.0, tick)).1;
            drawing.push_str(&segment((self.left, y), (right, y), GRID));
            drawing.push_str(&label(self.left - 6.0, y + 4.0, "text-anchor=\"end\"", &self.y.written(tick)));
        }
        for tick in self.x.ticks() {
            let x = self.at((tick, 0.0)).0;
            drawing.push_str(&segment((x, self.top), (x, bottom), GRID));
            if x_label.is_some() {
                drawing.push_str(&label(x, bottom + 16.0, "text-anchor=\"middle\"", &self.x.written(tick)));
            }
        }
        drawing.push_str(&segment((self.left, bottom), (right, bottom), AXIS));
        drawing.push_str(&segment((self.left, self.top), (self.left, bottom), AXIS));
        if let Some(name) = x_label {
            let name = short(name, ((right - self.left) / CHARACTER) as usize);
            drawing.push_str(&label((self.left + right) / 2.0, bottom + 36.0, "text-anchor=\"middle\"", &name));
        }
        drawing + &self.y_name(y_label)
    }

    /// The name of the y axis, upwards, in at most two lines.
    fn y_name(&self, name: &str) -> String {
        let middle = self.top + self.height / 2.0;
        let line = |(at, text): (usize, String)| {
            let x = 18.0 + 14.0 * at as f64;
            label(x, middle, &format!("text-anchor=\"middle\" transform=\"rotate(-90 {x:.1} {middle:.1})\""), &text)
        };
        two_lines(name, (self.height / CHARACTER) as usize).into_iter().enumerate().map(line).collect()
    }
}

/// Text in at most two lines of so many characters, broken between words; what does not fit is cut.
fn two_lines(text: &str, limit: usize) -> Vec<String> {
    if text.chars().count() <= limit {
        return vec![text.to_string()];
    }
    let fits = |at: &usize| text[..*at].chars().count() <= limit;
    match text.match_indices(' ').map(|(at, _)| at).take_while(fits).last() {
        Some(at) => vec![text[..at].to_string(), short(&text[at + 1..], limit)],
        None => vec![short(text, limit)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(values: &[f64]) -> Vec<String> {
        let axis = Axis::new(values.iter().copied(), 0.0, 6);
        axis.ticks().map(|tick| axis.written(tick)).collect()
    }

    #[test]
    fn numbers_are_round() {
        assert_eq!(ticks(&[0.0, 1.0]), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(ticks(&[-7.0, 41.0, f64::NAN]), ["0", "10", "20", "30", "40"]);
        assert_eq!(ticks(&[-0.02, 0.02]), ["−0.02", "−0.01", "0.00", "0.01", "0.02"]);
        assert_eq!(ticks(&[3.0]), ["2.6", "2.8", "3.0", "3.2", "3.4"]);
        assert_eq!(ticks(&[]).len(), 6, "without values 0 to 1");
        assert!(ticks(&[-9e11, 9e11]).len() <= 8 && !ticks(&[0.0, 1e-11]).is_empty());
    }

    #[test]
    fn long_names_break_between_words() {
        assert_eq!(two_lines("right answers", 20), ["right answers"]);
        assert_eq!(two_lines("share of right answers", 12), ["share of", "right answe…"]);
        assert_eq!(two_lines("überraschungen", 6), ["überr…"]);
    }
}
