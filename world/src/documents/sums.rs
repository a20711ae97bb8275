//! Arithmetic with small numbers, in digits and in words. Some sums are held back for evaluation.

use gpt_lab::Rng;

use crate::relations::pick;
use crate::wording::{capitalised, number};

/// The largest summand.
const MOST: usize = 20;

/// Two numbers whose sum (or difference) is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sum {
    /// The first summand.
    pub a: usize,
    /// The second summand.
    pub b: usize,
}

impl Sum {
    /// About a tenth of the pairs, in both orders, never occurs in the training text.
    pub fn is_held(self) -> bool {
        let (low, high) = (self.a.min(self.b), self.a.max(self.b));
        low > 1 && (7 * low + high) % 10 == 4
    }

    /// Both numbers.
    pub fn summands(self) -> (usize, usize) {
        (self.a, self.b)
    }

    /// In digits.
    pub fn digits(self) -> String {
        format!("{} + {} = {}", self.a, self.b, self.a + self.b)
    }
}

/// Every sum that is held back.
pub fn held_sums() -> Vec<Sum> {
    let all = (0..=MOST).flat_map(|a| (0..=MOST).map(move |b| Sum { a, b }));
    all.filter(|sum| sum.is_held()).collect()
}

fn any_sum(rng: &mut Rng) -> Sum {
    loop {
        let sum = Sum { a: rng.below(MOST + 1), b: rng.below(MOST + 1) };
        if !sum.is_held() {
            return sum;
        }
    }
}

/// The styles of [`line`]; sums in words are three times as common, because instructions ask for these.
const STYLES: [usize; 10] = [0, 1, 1, 1, 2, 3, 4, 5, 5, 5];

/// Some sums in one style.
pub fn sums(rng: &mut Rng) -> String {
    let style = *pick(&STYLES, rng);
    let lines: Vec<String> = (0..4 + rng.below(7)).map(|_| line(style, any_sum(rng), rng)).collect();
    let between = if style == 3 { " " } else { "\n" };
    lines.join(between)
}

fn line(style: usize, sum: Sum, rng: &mut Rng) -> String {
    let Sum { a, b } = sum;
    let (x, y, z) = (number(a), number(b), number(a + b));
    match style {
        0 => sum.digits(),
        1 => capitalised(&format!("{x} plus {y} is {z}.")),
        2 => format!("{} - {b} = {a}", a + b),
        3 => capitalised(&format!("{z} minus {y} is {x}.")),
        4 => {
            let things = *pick(&["apples", "coins", "books", "pears", "stamps", "buttons", "cards"], rng);
            let thing = |n| if n == 1 { &things[..things.len() - 1] } else { things };
            let name = pick(&["Ada", "Leo", "Maya", "Ben", "Olga", "Ravi", "Zoe"], rng);
            let (verb, sum) = (if a + b == 1 { "is" } else { "are" }, a + b);
            format!("{name} has {a} {} and gets {b} more. Now there {verb} {sum} {}.", thing(a), thing(sum))
        }
        _ => format!("Question: What is {x} plus {y}?\nAnswer: {}", capitalised(&z)),
    }
}
