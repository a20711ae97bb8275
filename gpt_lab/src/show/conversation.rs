//! What was asked and answered, as a chat.

use super::paint::{Rgb, one_line, tint};
use super::plot::PALETTE;
use super::{Picture, escape};
use crate::core::format::thousands;
use crate::lab::el;

/// More exchanges than this are counted, not drawn.
const MOST: usize = 200;

/// A chat of `(voice, question, answer)`: the questions on the right, the answers on the left under the name of the
/// voice, which has one colour throughout. At most 200 exchanges are drawn.
pub fn conversation(exchanges: &[(String, String, String)]) -> Picture {
    let drawn = &exchanges[..exchanges.len().min(MOST)];
    let mut voices: Vec<&str> = Vec::new();
    let (mut bubbles, mut lines) = (String::new(), Vec::new());
    for (voice, question, answer) in drawn {
        let at = voices.iter().position(|other| other == voice).unwrap_or(voices.len());
        if at == voices.len() {
            voices.push(voice);
        }
        bubbles.push_str(&bubble("align-self:flex-end;background:rgba(128,128,128,0.16)", question));
        bubbles.push_str(&el("div", "font-size:12px;font-weight:600;opacity:0.8;margin:0 0 -4px 10px", escape(voice)));
        bubbles.push_str(&bubble(&format!("align-self:flex-start;background:{}", tint(colour(at), 0.35)), answer));
        lines.push(format!("you: {}\n{}: {}", one_line(question), one_line(voice), one_line(answer)));
    }
    let rest = match exchanges.len() - drawn.len() {
        _ if exchanges.is_empty() => "nothing was said yet".to_string(),
        0 => String::new(),
        rest => format!("… and {} more", thousands(rest)),
    };
    let chat = el("div", "display:flex;flex-direction:column;gap:6px;font-size:14px", bubbles);
    let html = el("div", "max-width:680px", chat + &el("div", "font-size:12px;opacity:0.75", &rest));
    lines.extend((!rest.is_empty()).then_some(rest));
    Picture::of_html(lines.join("\n"), html)
}

/// The colour of the voice with this number.
fn colour(at: usize) -> Rgb {
    let colour = PALETTE[at % PALETTE.len()];
    (colour.0, colour.1, colour.2)
}

fn bubble(place: &str, text: &str) -> String {
    let style = format!(
        "{place};max-width:75%;padding:6px 12px;border-radius:12px;white-space:pre-wrap;overflow-wrap:anywhere"
    );
    el("div", &style, escape(if text.is_empty() { "∅" } else { text }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(voice: &str, question: &str, answer: &str) -> (String, String, String) {
        (voice.into(), question.into(), answer.into())
    }

    #[test]
    fn each_voice_has_one_colour() {
        let picture = conversation(&[
            exchange("<polite>", "Who?", "Ada.\nReally."),
            exchange("rude", "<b>Where?", ""),
            exchange("<polite>", "When?", "Now."),
        ]);
        assert!(picture.text.starts_with("you: Who?\n<polite>: Ada. ⏎ Really.\nyou: <b>Where?"), "{}", picture.text);
        let html = picture.html.unwrap();
        let count = |at: usize| html.matches(&tint(colour(at), 0.35)).count();
        assert_eq!((count(0), count(1)), (2, 1));
        assert!(!html.contains("<b>") && html.contains("&lt;polite&gt;") && html.contains(">∅<"), "{html}");
        assert!(html.contains(">Ada.\nReally.<"), "line breaks stay: {html}");
    }

    #[test]
    fn none_and_many() {
        assert_eq!(conversation(&[]).text, "nothing was said yet");
        assert!(conversation(&vec![exchange("v", "q", "a"); 500]).text.ends_with("… and 300 more"));
    }
}
