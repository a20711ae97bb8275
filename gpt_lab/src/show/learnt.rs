//! A row of a batch as training sees it: what is learnt from, what is only read, what is padding.

use super::paint::{MONO, short, visible};
use super::{Picture, escape};
use crate::core::format::thousands;
use crate::data::Batch;
use crate::lab::el;
use crate::ops::IGNORE_INDEX;
use crate::text::Tokenizer;
use crate::{Error, Result};

/// More chips than this are counted, not drawn.
const MOST: usize = 600;
/// Longer tokens are cut.
const LONGEST: usize = 40;

/// The use that training makes of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is a target: the model is asked to guess it.
    Learnt,
    /// The model only reads it.
    Read,
    /// It fills the row up.
    Padding,
}

const FATES: [(Fate, &str, &str); 3] = [
    (Fate::Learnt, "learnt from", "background:rgba(46,160,67,0.40)"),
    (Fate::Read, "read, not learnt from", "background:rgba(128,128,128,0.16)"),
    (Fate::Padding, "padding", "border:1px dashed rgba(128,128,128,0.6)"),
];

/// The tokens of one row of a batch, coloured by what training does with them: learnt from (green), only read (grey),
/// padding (dashed, drawn as one chip).
///
/// # Errors
/// [`Error::InvalidArgument`] for a row that the batch lacks; [`Error::TokenOutOfRange`] for ids that the tokenizer
/// does not know.
pub fn learnt(tokenizer: &dyn Tokenizer, batch: &Batch, row: usize) -> Result<Picture> {
    let rows = batch.inputs.dim(0)?;
    if row >= rows {
        return Err(Error::argument("row", row, format!("a row below {rows}")));
    }
    let tokens = fates(&batch.inputs.get(row)?.to_vec1()?, &batch.targets.get(row)?.to_vec1()?);
    let count = |fate: Fate| tokens.iter().filter(|token| token.1 == fate).count();
    let padding = count(Fate::Padding);
    let mut plain = Vec::new();
    for (fate, name, _) in FATES {
        let ids: Vec<u32> = tokens.iter().filter(|token| token.1 == fate).map(|token| token.0).collect();
        let text = if fate == Fate::Padding { String::new() } else { format!(": {:?}", tokenizer.decode(&ids)?) };
        plain.push(format!("{} tokens {name}{text}", thousands(ids.len())));
    }
    let mut chips = String::new();
    let shown: Vec<_> = tokens.iter().filter(|token| token.1 != Fate::Padding).collect();
    for (id, fate) in shown.iter().take(MOST) {
        let text = tokenizer.decode(&[*id])?;
        chips.push_str(&chip(&short(&visible(&text), LONGEST), *fate));
        if text.ends_with('\n') {
            chips.push_str("<br>");
        }
    }
    if shown.len() > MOST {
        chips.push_str(&format!(" … {} more", thousands(shown.len() - MOST)));
    }
    if padding > 0 {
        chips.push_str(&chip(&format!("{} × padding", thousands(padding)), Fate::Padding));
    }
    let legend: String = FATES.map(|(fate, name, style)| legend(name, style, count(fate))).concat();
    let head = el("div", "font-size:13px;margin-bottom:6px", legend);
    let body = el("div", &format!("font-family:{MONO};font-size:13px;line-height:1.25"), chips);
    let html = el("div", "max-width:680px", head + &body);
    Ok(Picture::of_html(plain.join("\n"), html))
}

/// `■ learnt from: 12`
fn legend(name: &str, style: &str, count: usize) -> String {
    let sample = format!("display:inline-block;width:14px;height:11px;margin-right:5px;border-radius:3px;{style}");
    el("span", "margin-right:18px", el("span", &sample, "") + &format!("{name}: {}", thousands(count)))
}

/// Every token of the row: the inputs, and one more if the last target counts. Whatever follows the last token that is
/// learnt fills the row up.
fn fates(inputs: &[u32], targets: &[i64]) -> Vec<(u32, Fate)> {
    let last = targets.iter().rposition(|&target| target != IGNORE_INDEX);
    let mut tokens: Vec<(u32, Fate)> = inputs.iter().map(|&id| (id, Fate::Read)).collect();
    for (place, &target) in (1..).zip(targets) {
        let learnt = u32::try_from(target).ok().map(|id| (id, Fate::Learnt));
        match (learnt, tokens.get_mut(place)) {
            (Some(learnt), Some(token)) => *token = learnt,
            (Some(learnt), None) => tokens.push(learnt),
            (None, Some(token)) if last.is_some_and(|last| place > last + 1) => token.1 = Fate::Padding,
            (None, _) => {}
        }
    }
    tokens
}

fn chip(text: &str, fate: Fate) -> String {
    let style = FATES.iter().find(|one| one.0 == fate).map_or("", |one| one.2);
    let style = format!("display:inline-block;margin:0 2px 3px 0;padding:1px 4px;border-radius:4px;{style}");
    el("span", &style, escape(text))
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;
    use crate::text::CharTokenizer;

    #[test]
    fn fates_by_hand() {
        // "ab" is the prompt, "c" the answer, 0 the mark, then two of padding.
        let tokens = fates(&[1, 2, 3, 0, 0], &[-100, 3, 0, -100, -100]);
        let (read, learnt, padding) = (Fate::Read, Fate::Learnt, Fate::Padding);
        assert_eq!(tokens, [(1, read), (2, read), (3, learnt), (0, learnt), (0, padding)]);
        assert_eq!(fates(&[1, 2], &[-100, 3]), [(1, read), (2, read), (3, learnt)], "the last target is a token too");
        assert_eq!(fates(&[1, 2], &[-100, -100]), [(1, read), (2, read)]);
    }

    #[test]
    fn the_legend_counts_and_markup_is_text() {
        let tokenizer = CharTokenizer::from_text("<b>");
        let ids = tokenizer.encode("<b>").unwrap();
        let targets = vec![-100i64, i64::from(ids[2]), 0];
        let batch = Batch {
            inputs: Tensor::from_vec(ids, (1, 3), &Device::Cpu).unwrap(),
            targets: Tensor::from_vec(targets, (1, 3), &Device::Cpu).unwrap(),
        };
        let picture = learnt(&tokenizer, &batch, 0).unwrap();
        assert!(picture.text.starts_with("2 tokens learnt from: \"><|e|>\"\n2 tokens read"), "{}", picture.text);
        let html = picture.html.unwrap();
        assert!(html.contains("learnt from: 2") && html.contains("&lt;") && !html.contains("<b>"), "{html}");
        assert!(learnt(&tokenizer, &batch, 1).is_err());
    }
}
