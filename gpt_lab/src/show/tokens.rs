//! A text as the model sees it: one chip a token.

use super::paint::{MONO, short, visible};
use super::{Picture, escape};
use crate::Result;
use crate::core::format::thousands;
use crate::lab::el;
use crate::text::Tokenizer;

/// More chips than this are counted, not drawn.
const MOST: usize = 1000;
/// Longer tokens are cut.
const LONGEST: usize = 40;
/// Neighbours differ; all are readable under light and under dark text.
const HUES: [&str; 5] = ["66,133,214", "222,122,34", "72,160,92", "170,96,190", "200,168,40"];

/// The tokens of a text as chips: what each one stands for, whitespace as `␣ ⏎ ⇥`, with its id below. At most 1000 are
/// drawn.
///
/// # Errors
/// [`Error::TokenOutOfRange`](crate::Error::TokenOutOfRange) for an id that the tokenizer does not know.
pub fn tokens(tokenizer: &dyn Tokenizer, ids: &[u32]) -> Result<Picture> {
    let drawn = &ids[..ids.len().min(MOST)];
    let pieces = drawn.iter().map(|&id| Ok((id, tokenizer.decode(&[id])?))).collect::<Result<Vec<_>>>()?;
    let plural = if ids.len() == 1 { "" } else { "s" };
    let rest = ids.len() - drawn.len();
    let caption = match rest {
        0 => format!("{} token{plural}", thousands(ids.len())),
        _ => format!("{} tokens, the first {} shown", thousands(ids.len()), thousands(drawn.len())),
    };
    let plain: Vec<String> = pieces.iter().map(|(id, text)| format!("{}:{id}", name(text))).collect();
    let chips: String = pieces.iter().enumerate().map(|(at, (id, text))| chip(at, *id, text)).collect();
    let head = el("div", "font-size:12px;opacity:0.75;margin-bottom:4px", &caption);
    let body = el("div", &format!("font-family:{MONO};font-size:13px;line-height:1.25"), chips);
    let html = el("div", "max-width:680px", head + &body);
    Ok(Picture::of_html(format!("{caption}\n{}", plain.join(" ")), html))
}

fn name(text: &str) -> String {
    short(&visible(text), LONGEST)
}

/// A chip, and after a line break in the text one on the page.
fn chip(at: usize, id: u32, text: &str) -> String {
    let hue = HUES[at % HUES.len()];
    let end = if text.ends_with('\n') { "<br>" } else { "" };
    let style = format!(
        "display:inline-block;margin:0 3px 4px 0;padding:2px 5px;border-radius:4px;text-align:center;\
         background:rgba({hue},0.25)"
    );
    let number = el("span", "font-size:11px;opacity:0.7", id.to_string());
    el("span", &style, escape(&name(text)) + "<br>" + &number) + end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::CharTokenizer;

    #[test]
    fn whitespace_is_visible_and_markup_is_text() {
        let text = "<b> \"&'\n\t";
        let tokenizer = CharTokenizer::from_text(text);
        let picture = tokens(&tokenizer, &tokenizer.encode(text).unwrap()).unwrap();
        let html = picture.html.unwrap();
        assert!(!html.contains("<b>") && html.contains("&lt;<br>") && html.contains("&amp;<br>"), "{html}");
        for sign in ["␣", "⏎", "⇥"] {
            assert!(picture.text.contains(sign) && html.contains(sign), "{sign} is missing");
        }
        assert!(picture.text.starts_with("9 tokens\n<:"), "{}", picture.text);
    }

    #[test]
    fn empty_long_and_unknown() {
        let tokenizer = CharTokenizer::from_text("ab");
        assert!(tokens(&tokenizer, &[]).unwrap().text.starts_with("0 tokens"));
        let many = tokens(&tokenizer, &vec![0; 100_000]).unwrap();
        assert!(many.text.starts_with("100,000 tokens, the first 1,000 shown"));
        assert!(many.html.unwrap().len() < 300_000);
        assert!(matches!(tokens(&tokenizer, &[99]), Err(crate::Error::TokenOutOfRange { id: 99, .. })));
    }
}
