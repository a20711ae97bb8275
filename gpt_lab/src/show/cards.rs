//! Questions with what several writers answer.

use std::collections::BTreeSet;

use super::paint::{BLUE, RED, one_line, tint};
use super::{Picture, escape};
use crate::core::format::thousands;
use crate::lab::el;

/// More questions than this are counted, not drawn.
const MOST: usize = 100;

/// A question with its answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// The question.
    pub question: String,
    /// Who wrote it, an answer, and whether it is right; `None` where nobody judged it.
    pub answers: Vec<(String, String, Option<bool>)>,
}

/// Questions in bold, each with its answers below it: name, answer and ✓ or ✗. Words that the first answer of a
/// question does not have are underlined. At most 100 questions are drawn.
pub fn cards(title: &str, cards: &[Card]) -> Picture {
    let drawn = &cards[..cards.len().min(MOST)];
    let rest = match cards.len() - drawn.len() {
        _ if cards.is_empty() => "nothing to show".to_string(),
        0 => String::new(),
        rest => format!("… and {} more", thousands(rest)),
    };
    let rows: String = drawn.iter().map(rows).collect();
    let head = el("div", "font-weight:600;margin-bottom:4px", escape(title));
    let table = el("table", "border-collapse:collapse;table-layout:auto;margin:0;font-size:13px;width:100%", rows);
    let html = el("div", "max-width:680px", head + &table + &el("div", "font-size:12px;opacity:0.75", &rest));
    let plain = drawn.iter().flat_map(lines);
    let lines = [title.to_string()].into_iter().chain(plain).chain([rest]).filter(|line| !line.is_empty());
    Picture::of_html(lines.collect::<Vec<_>>().join("\n"), html)
}

fn rows(card: &Card) -> String {
    let style = "text-align:left;font-weight:600;padding:7px 4px 2px 4px;white-space:pre-wrap;overflow-wrap:anywhere;\
                 border-top:1px solid rgba(128,128,128,0.35)";
    let question = format!("<td colspan=\"3\" style=\"{style}\">{}</td>", escape(&card.question));
    let first = card.answers.first().map_or("", |(_, answer, _)| answer);
    let known: BTreeSet<String> = first.split_whitespace().map(bare).collect();
    let answers: String = card.answers.iter().map(|answer| row(answer, &known)).collect();
    el("tr", "background:none", question) + &answers
}

fn row((name, answer, verdict): &(String, String, Option<bool>), known: &BTreeSet<String>) -> String {
    let cell = "text-align:left;vertical-align:top;padding:2px 4px";
    let cells = [
        el("td", &format!("{cell};width:1%;padding-right:12px;white-space:nowrap;opacity:0.75"), escape(name)),
        el("td", &format!("{cell};white-space:pre-wrap;overflow-wrap:anywhere"), marked(answer, known)),
        el("td", &format!("{cell};width:1%"), sign(*verdict)),
    ];
    el("tr", "background:none", cells.concat())
}

/// A word without the signs around it, in small letters: `Paris.` and `paris` are one word.
fn bare(word: &str) -> String {
    word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase()
}

/// The answer with its new words underlined.
fn marked(answer: &str, known: &BTreeSet<String>) -> String {
    let piece = |piece: &str| {
        let word = piece.trim_end();
        match bare(word) {
            bare if bare.is_empty() || known.contains(&bare) => escape(piece),
            _ => el("span", "text-decoration:underline", escape(word)) + &escape(&piece[word.len()..]),
        }
    };
    answer.split_inclusive(char::is_whitespace).map(piece).collect()
}

fn sign(verdict: Option<bool>) -> String {
    let chip =
        |colour, sign| el("span", &format!("background:{};padding:0 6px;border-radius:8px", tint(colour, 0.6)), sign);
    match verdict {
        Some(true) => chip(BLUE, "✓"),
        Some(false) => chip(RED, "✗"),
        None => String::new(),
    }
}

/// The question, and `  name: answer ✓` for each answer.
fn lines(card: &Card) -> Vec<String> {
    let line = |(name, answer, verdict): &(String, String, Option<bool>)| {
        let sign = match verdict {
            Some(true) => " ✓",
            Some(false) => " ✗",
            None => "",
        };
        format!("  {}: {}{sign}", one_line(name), one_line(answer))
    };
    [one_line(&card.question)].into_iter().chain(card.answers.iter().map(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(name: &str, text: &str, verdict: Option<bool>) -> (String, String, Option<bool>) {
        (name.into(), text.into(), verdict)
    }

    #[test]
    fn new_words_are_underlined() {
        let answers =
            vec![answer("SFT", "It is Rome.", Some(false)), answer("GRPO", "it is, surely, Paris …", Some(true))];
        let picture = cards("t", &[Card { question: "Where?".into(), answers }]);
        assert_eq!(picture.text, "t\nWhere?\n  SFT: It is Rome. ✗\n  GRPO: it is, surely, Paris … ✓");
        let html = picture.html.unwrap();
        assert!(html.contains(">It is Rome.</td>"), "the first answer has none: {html}");
        let underlined = |word: &str| format!("<span style=\"text-decoration:underline\">{word}</span> ");
        assert!(html.contains(&format!(">it is, {}{}…</td>", underlined("surely,"), underlined("Paris"))), "{html}");
        assert!(html.contains(&tint(BLUE, 0.6)) && html.contains(&tint(RED, 0.6)));
    }

    #[test]
    fn hostile_unjudged_and_none() {
        let card = |answers| Card { question: "<b>\n?".into(), answers };
        let picture = cards("<i>", &[card(vec![answer("<u>", "", None), answer("x", "<s> \u{1b}[1m", None)])]);
        assert_eq!(picture.text, "<i>\n<b> ⏎ ?\n  <u>: \n  x: <s> ␛[1m");
        let html = picture.html.unwrap();
        assert!(!["<b>", "<i>", "<u>", "<s>", "✓", "✗"].iter().any(|part| html.contains(part)), "{html}");
        assert_eq!(cards("t", &[]).text, "t\nnothing to show");
        assert!(cards("t", &vec![card(Vec::new()); 1000]).text.ends_with("… and 900 more"));
    }
}
