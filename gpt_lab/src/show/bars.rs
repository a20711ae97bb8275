//! Named numbers as bars.

use super::paint::{BLUE, MONO, ORANGE, number, short, tint, visible};
use super::{Picture, escape};
use crate::core::format::thousands;
use crate::lab::el;

/// More bars than this are counted, not drawn.
const MOST: usize = 100;
/// Characters of a bar in plain text.
const PLAIN_WIDTH: f64 = 40.0;

/// Longer names take room from the bars, and lines of their own.
const SHORT: usize = 24;
/// Characters of a name that are shown.
const LONGEST: usize = 96;

/// One bar for each name, for instance the likeliest next tokens. All start at zero; negative ones go to the left.
/// Whitespace in names is visible, but for the spaces between words. At most 100 are drawn; a value that is not finite
/// has no bar.
pub fn bars(title: &str, items: &[(String, f64)]) -> Picture {
    let drawn = &items[..items.len().min(MOST)];
    let finite = || drawn.iter().map(|(_, value)| *value).filter(|value| value.is_finite());
    let long = drawn.iter().any(|(name, _)| name.chars().count() > SHORT);
    let scale = Scale { low: finite().fold(0.0, f64::min), high: finite().fold(0.0, f64::max), long };
    let rest = match items.len() - drawn.len() {
        _ if items.is_empty() => "nothing to show".to_string(),
        0 => String::new(),
        rest => format!("… and {} more", thousands(rest)),
    };
    let rows: String = drawn.iter().map(|(name, value)| scale.row(name, *value)).collect();
    let head = el("div", "font-weight:600;margin-bottom:4px", escape(title));
    let table = el("table", "border-collapse:collapse;margin:0;font-size:13px", rows);
    let html = el("div", "max-width:680px", head + &table + &el("div", "font-size:12px;opacity:0.75", &rest));
    let plain: Vec<String> = drawn.iter().map(|(name, value)| scale.line(name, *value)).collect();
    let lines = [title.to_string()].into_iter().chain(plain).chain([rest]).filter(|line| !line.is_empty());
    Picture::of_html(lines.collect::<Vec<_>>().join("\n"), html)
}

/// The values at both ends of the bars' full width; 0 lies between.
struct Scale {
    low: f64,
    high: f64,
    /// Some names are sentences.
    long: bool,
}

/// A name as it is shown.
pub(super) fn label(name: &str) -> String {
    let inner = |at: usize, c: char| {
        c == ' ' && at > 0 && !name[..at].ends_with(char::is_whitespace) && !name[at + 1..].trim_start().is_empty()
    };
    let marked: String = name.char_indices().map(|(at, c)| if inner(at, c) { '\u{e000}' } else { c }).collect();
    short(&visible(&marked).replace('\u{e000}', " "), LONGEST)
}

impl Scale {
    /// Start and length of a bar, as shares of the full width.
    fn place(&self, value: f64) -> (f64, f64) {
        // Halves, so that the distance of the two largest numbers is still one.
        let width = self.high / 2.0 - self.low / 2.0;
        if !value.is_finite() || width <= 0.0 {
            return (0.0, 0.0);
        }
        let start = (value.min(0.0) / 2.0 - self.low / 2.0) / width;
        (start, value.abs() / 2.0 / width)
    }

    fn row(&self, name: &str, value: f64) -> String {
        let (start, length) = self.place(value);
        let fill = tint(if value < 0.0 { ORANGE } else { BLUE }, 1.0);
        let (wrap, width) = if self.long { ("normal;max-width:330px", 240) } else { ("nowrap", 340) };
        let right = format!("text-align:right;padding:1px 8px 1px 0;font-family:{MONO};white-space:{wrap}");
        let track = format!("width:{width}px;background:rgba(128,128,128,0.10);border-radius:2px");
        let (start, length) = (100.0 * start, 100.0 * length);
        let bar = format!("height:14px;border-radius:2px;margin-left:{start:.2}%;width:{length:.2}%;background:{fill}");
        let cells = [
            el("td", &right, escape(&label(name))),
            el("td", "padding:1px 0", el("div", &track, el("div", &bar, ""))),
            el("td", "text-align:left;padding:1px 0 1px 8px;white-space:nowrap", number(value)),
        ];
        el("tr", "background:none", cells.concat())
    }

    fn line(&self, name: &str, value: f64) -> String {
        let (start, length) = self.place(value);
        let cells = |share: f64| (PLAIN_WIDTH * share).round() as usize;
        let bar = format!("{}{}", " ".repeat(cells(start)), "█".repeat(cells(length)));
        format!("{:>SHORT$} {bar:<width$} {}", label(name), number(value), width = PLAIN_WIDTH as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(values: &[f64]) -> Vec<(String, f64)> {
        values.iter().enumerate().map(|(at, value)| (format!("n{at}"), *value)).collect()
    }

    #[test]
    fn lengths_are_shares_of_the_longest() {
        let html = bars("t", &items(&[0.5, 0.25, 0.0])).html.unwrap();
        for width in ["width:100.00%", "width:50.00%", "width:0.00%"] {
            assert!(html.contains(width), "{width} is missing in {html}");
        }
        let html = bars("t", &items(&[-1.0, 3.0])).html.unwrap();
        assert!(html.contains("margin-left:0.00%;width:25.00%"), "negative: left of zero: {html}");
        assert!(html.contains("margin-left:25.00%;width:75.00%"), "positive: right of zero: {html}");
        assert!(bars("t", &items(&[2.0, 1.0])).text.contains(&"█".repeat(40)));
    }

    #[test]
    fn whitespace_is_visible_but_for_the_spaces_between_words() {
        assert_eq!([" Par", "a b\n", "two  of", "x "].map(label), ["␣Par", "a b⏎", "two ␣of", "x␣"].map(String::from));
        let sentence = "Tokyo is the capital of Japan. The capital of Japan is Tokyo.";
        let picture = bars("t", &[(sentence.into(), 1.0)]);
        assert!(picture.html.unwrap().contains(sentence) && picture.text.contains(sentence));
    }

    #[test]
    fn odd_values_and_names() {
        let odd = [f64::NAN, f64::INFINITY, f64::MAX, f64::MIN, 0.0];
        let picture = bars("<script>", &items(&odd));
        let html = picture.html.unwrap();
        assert!(html.contains("NaN") && html.contains('∞') && html.contains("width:50.00%"), "{html}");
        assert!(!html.contains("<script") && !html.contains("NaN%") && !html.contains("inf"), "{html}");
        assert!(!bars("", &[("<b onclick='x'>".into(), 1.0)]).html.unwrap().contains("<b "));
        assert_eq!(bars("t", &[]).text, "t\nnothing to show");
        let many = bars("t", &items(&vec![1.0; 10_000]));
        assert!(many.text.ends_with("… and 9,900 more") && many.html.unwrap().len() < 100_000);
    }
}
