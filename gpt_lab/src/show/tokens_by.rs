//! A text with a number for each of its tokens.

use super::paint::{BLUE, MONO, ORANGE, brief, short, tint, visible};
use super::{Picture, escape};
use crate::core::format::thousands;
use crate::lab::el;
use crate::text::Tokenizer;

/// More chips than this are counted, not drawn.
const MOST: usize = 1000;
/// Longer tokens are cut.
const LONGEST: usize = 40;

/// The tokens of a text as chips, whitespace as `␣ ⏎ ⇥`, each on a background that tells its value: blue above zero,
/// orange below, the stronger the farther away. Pointing at a chip shows the value, in `unit`. Tokens without a value
/// and values without a token are left out; an id that the tokenizer does not know is shown as a number. At most 1000
/// are drawn.
pub fn tokens_by(title: &str, tokenizer: &dyn Tokenizer, ids: &[u32], values: &[f32], unit: &str) -> Picture {
    let count = ids.len().min(values.len());
    let named = |id: u32| tokenizer.decode(&[id]).unwrap_or_else(|_| format!("⟨{id}⟩"));
    let pairs = ids.iter().zip(values).take(MOST).map(|(id, value)| (named(*id), f64::from(*value)));
    let pairs: Vec<(String, f64)> = pairs.collect();
    let largest = pairs.iter().map(|(_, value)| value.abs()).filter(|size| size.is_finite()).fold(0.0, f64::max);
    let rest = match count - pairs.len() {
        _ if count == 0 => "nothing to show".to_string(),
        0 => String::new(),
        rest => format!("… and {} more", thousands(rest)),
    };
    let chips: String = pairs.iter().map(|(text, value)| chip(text, *value, largest, unit)).collect();
    let head = el("div", "font-weight:600;margin-bottom:4px", escape(title));
    let body = el("div", &format!("font-family:{MONO};font-size:13px;line-height:1.25"), chips + &rest);
    let html = el("div", "max-width:680px", head + &body + &scale(largest, unit));
    let plain = pairs.iter().map(|(text, value)| format!("\"{}\" {}", name(text), signed(*value)));
    let heading = if unit.is_empty() { title.to_string() } else { format!("{title} ({unit})") };
    let lines = [heading].into_iter().chain(plain).chain([rest]).filter(|line| !line.is_empty());
    Picture::of_html(lines.collect::<Vec<_>>().join("\n"), html)
}

fn name(text: &str) -> String {
    short(&visible(text), LONGEST)
}

/// `+1.2`, `−1.2`, `0`
fn signed(value: f64) -> String {
    if value > 0.0 { format!("+{}", brief(value)) } else { brief(value) }
}

/// Blue above zero, orange below.
fn background(value: f64, largest: f64) -> String {
    let strength = if largest > 0.0 { value.abs() / largest } else { 0.0 };
    tint(if value < 0.0 { ORANGE } else { BLUE }, if strength.is_nan() { 0.0 } else { strength })
}

/// A chip, and after a line break in the text one on the page.
fn chip(text: &str, value: f64, largest: f64, unit: &str) -> String {
    let end = if text.ends_with('\n') { "<br>" } else { "" };
    let style = format!(
        "display:inline-block;margin:0 2px 4px 0;padding:2px 4px;border-radius:4px;\
         box-shadow:inset 0 0 0 1px rgba(128,128,128,0.25);background:{}",
        background(value, largest)
    );
    let title = format!("{} {unit}", signed(value));
    format!("<span title=\"{}\" style=\"{style}\">{}</span>{end}", escape(title.trim()), escape(&name(text)))
}

/// What the colours mean: `−1.2 … 0 … +1.2 nats`.
fn scale(largest: f64, unit: &str) -> String {
    let sample = |value: f64| {
        let style = format!("background:{};padding:1px 6px;border-radius:3px", background(value, largest));
        el("span", &style, signed(value))
    };
    let values = if largest > 0.0 { vec![-largest, 0.0, largest] } else { vec![0.0] };
    let samples: Vec<String> = values.into_iter().map(sample).collect();
    el("div", "font-size:12px;margin-top:2px", format!("{} {}", samples.join(" … "), escape(unit)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::CharTokenizer;

    #[test]
    fn colour_and_strength_follow_the_value() {
        let tokenizer = CharTokenizer::from_text("<a\n");
        let ids = tokenizer.encode("a<\na").unwrap();
        let picture = tokens_by("credit", &tokenizer, &ids, &[1.2, -0.6, 0.0, f32::NAN], "nats");
        assert_eq!(picture.text, "credit (nats)\n\"a\" +1.2\n\"<\" −0.6\n\"⏎\" 0\n\"a\" NaN");
        let html = picture.html.unwrap();
        assert!(html.contains("title=\"+1.2 nats\" style=\"display"), "{html}");
        for colour in [tint(BLUE, 1.0), tint(ORANGE, 0.5), tint(ORANGE, 1.0)] {
            assert!(html.contains(&colour), "{colour} is missing in {html}");
        }
        assert!(html.contains(">−1.2</span> … ") && html.contains(">+1.2</span> nats"), "a scale: {html}");
        assert!(html.contains(">&lt;</span>") && html.contains("⏎</span><br>"), "{html}");
    }

    #[test]
    fn other_lengths_unknown_tokens_and_hostile_units() {
        let tokenizer = CharTokenizer::from_text("ab");
        let a = tokenizer.encode("a").unwrap()[0];
        let picture = tokens_by("t", &tokenizer, &[a, 99, a], &[1.0, 2.0], "\"><script>");
        assert!(picture.text.ends_with("\"a\" +1\n\"⟨99⟩\" +2"), "{}", picture.text);
        assert!(!picture.html.unwrap().contains("<script"));
        assert_eq!(tokens_by("t", &tokenizer, &[], &[1.0], "").text, "t\nnothing to show");
        let many = tokens_by("t", &tokenizer, &vec![a; 50_000], &vec![0.0; 50_000], "nats");
        assert!(many.text.ends_with("… and 49,000 more") && many.html.unwrap().len() < 400_000);
    }
}
