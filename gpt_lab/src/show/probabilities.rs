//! The probability that a model gave to each token of a text.

use super::paint::{BLUE, MONO, RED, number, short, tint, visible};
use super::{Picture, escape};
use crate::core::format::thousands;
use crate::generate::Token;
use crate::lab::el;

/// More tokens than this are counted, not drawn.
const MOST: usize = 2000;
/// Number of alternatives that are listed.
const ALTERNATIVES: usize = 5;

/// A text on a background that says how likely the model found each token: blue, it expected it; red, it was surprised.
/// Pointing at a token shows its probability and what the model would rather have had. At most 2000 tokens are drawn.
pub fn probabilities(tokens: &[Token]) -> Picture {
    let drawn = &tokens[..tokens.len().min(MOST)];
    let caption = caption(tokens);
    let rest = match tokens.len() - drawn.len() {
        0 => String::new(),
        rest => format!(" … and {} more", thousands(rest)),
    };
    let spans: String = drawn.iter().map(span).collect();
    let style = format!(
        "font-family:{MONO};font-size:13px;line-height:1.7;white-space:pre-wrap;overflow-wrap:anywhere;margin:4px 0"
    );
    let head = el("div", "font-size:12px;opacity:0.8", &caption);
    let html = el("div", "max-width:680px", head + &el("div", &style, spans + &rest) + &legend());
    let plain: String = drawn.iter().map(|token| format!("{}\n", line(token))).collect();
    Picture::of_html(format!("{caption}\n{plain}{rest}").trim_end(), html)
}

/// Count, mean −ln p, and what that means: the model is as unsure as among so many equally likely tokens.
fn caption(tokens: &[Token]) -> String {
    let count = format!("{} token{}", thousands(tokens.len()), if tokens.len() == 1 { "" } else { "s" });
    let surprise = tokens.iter().map(|token| -f64::from(token.probability).ln()).sum::<f64>() / tokens.len() as f64;
    match surprise {
        _ if tokens.is_empty() => count,
        mean => format!("{count} · mean −ln p {} · perplexity {}", number(mean), number(mean.exp())),
    }
}

/// Colours by the logarithm: 1 is blue, about a tenth has no colour, a hundredth and less is red.
fn background(probability: f64) -> String {
    if probability.is_nan() {
        return tint(RED, 1.0);
    }
    let height = probability.max(1e-12).log10() + 1.0;
    tint(if height < 0.0 { RED } else { BLUE }, 0.75 * height.abs().min(1.0))
}

fn percent(probability: f32) -> String {
    match 100.0 * f64::from(probability) {
        p if p.is_finite() && p > 0.0 && p < 0.01 => "<0.01%".to_string(),
        p if p.is_finite() => format!("{p:.*}%", if p < 1.0 { 2 } else { 1 }),
        p => number(p),
    }
}

fn described(token: &Token) -> String {
    let named = |text: &str, p: f32| format!("{} {}", short(&visible(text), 24), percent(p));
    let others = token.alternatives.iter().take(ALTERNATIVES).map(|(_, text, p)| named(text, *p)).collect::<Vec<_>>();
    let others = if others.is_empty() { String::new() } else { format!("\nlikeliest: {}", others.join(", ")) };
    format!("{}{others}", named(&token.text, token.probability))
}

fn line(token: &Token) -> String {
    described(token).replace('\n', "  ")
}

/// A token as it stands in the text; one that would be invisible is drawn as a sign.
fn span(token: &Token) -> String {
    let text = match token.text.as_str() {
        "" => "∅".to_string(),
        text => escape(text).replace('\n', "⏎\n").replace('\t', "⇥\t"),
    };
    format!(
        "<span title=\"{}\" style=\"background:{};border-radius:2px\">{text}</span>",
        escape(&described(token)),
        background(f64::from(token.probability))
    )
}

fn legend() -> String {
    let chip = |p: f64| {
        let style = format!("background:{};padding:1px 7px;margin-right:3px;border-radius:3px", background(p));
        el("span", &style, number(p))
    };
    let chips: String = [1.0, 0.5, 0.1, 0.03, 0.01].map(chip).concat();
    el("div", "font-size:12px", el("span", "opacity:0.8", "probability ") + &chips)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str, probability: f32) -> Token {
        Token { id: 0, text: text.into(), probability, alternatives: vec![(1, "<i>\"".into(), 0.25)] }
    }

    #[test]
    fn a_token_says_how_likely_it_was() {
        let picture = probabilities(&[token("a", 0.5), token("\n", 0.125)]);
        assert!(
            picture.text.starts_with("2 tokens · mean −ln p 1.386 · perplexity 4\na 50.0%  likeliest: <i>\" 25.0%"),
            "{picture}"
        );
        let html = picture.html.unwrap();
        assert!(html.contains("title=\"a 50.0%\nlikeliest: &lt;i&gt;&quot; 25.0%\""), "{html}");
        assert!(html.contains(">⏎\n</span>"), "line breaks are both drawn and made: {html}");
    }

    #[test]
    fn colours_follow_the_logarithm() {
        assert_eq!(background(1.0), tint(BLUE, 0.75));
        assert_eq!(background(0.1), tint(BLUE, 0.0));
        assert_eq!((background(0.01), background(0.0)), (tint(RED, 0.75), tint(RED, 0.75)));
        assert_eq!(
            (percent(0.00001), percent(0.5), percent(f32::NAN)),
            ("<0.01%".into(), "50.0%".into(), "NaN".into())
        );
    }

    #[test]
    fn hostile_empty_long_and_not_a_number() {
        let picture = probabilities(&[token("<script>'\"", f32::NAN), token("", 0.0)]);
        let html = picture.html.unwrap();
        assert!(!html.contains("<script") && !html.contains("<i>") && html.contains("∅"), "{html}");
        assert_eq!(probabilities(&[]).text, "0 tokens");
        let long = probabilities(&vec![token("a", 0.5); 10_000]);
        assert!(long.text.ends_with("… and 8,000 more") && long.html.unwrap().len() < 500_000);
    }
}
