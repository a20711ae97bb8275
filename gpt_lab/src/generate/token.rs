//! A token of a text that a model wrote or read.

use super::processors::likeliest_first;
use crate::text::{StreamDecoder, Tokenizer};
use crate::{Error, Result};

/// A token with the probability that the model gave it before it was chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// The id.
    pub id: u32,
    /// The text that it adds: empty while a character is not finished.
    pub text: String,
    /// The probability by the model itself: softmax of the logits, before temperature, top-k and top-p.
    pub probability: f32,
    /// The likeliest tokens at this place with their texts and probabilities, best first.
    pub alternatives: Vec<(u32, String, f32)>,
}

impl Token {
    /// The token `id` of a distribution, with the `n` likeliest beside it; the decoder has what came before.
    pub(super) fn of(
        id: u32,
        probabilities: &[f32],
        n: usize,
        tokenizer: &dyn Tokenizer,
        decoder: &mut StreamDecoder,
    ) -> Result<Self> {
        let probability = *probabilities.get(id as usize).ok_or(Error::TokenOutOfRange {
            id: i64::from(id),
            row: 0,
            position: 0,
            vocab_size: probabilities.len(),
        })?;
        // A model may know more ids than its tokenizer (some tables are rounded up); these mean nothing.
        let nothing_if_unknown = |text: Result<String>| match text {
            Err(Error::TokenOutOfRange { .. }) => Ok(String::new()),
            text => text,
        };
        let best = likeliest_first(probabilities, n).into_iter();
        let alternatives =
            best.map(|id| Ok((id, nothing_if_unknown(tokenizer.decode(&[id]))?, probabilities[id as usize])));
        Ok(Token {
            id,
            text: nothing_if_unknown(decoder.push(tokenizer, id))?,
            probability,
            alternatives: alternatives.collect::<Result<_>>()?,
        })
    }
}
