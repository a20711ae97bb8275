//! The bytes that the tokens of a vocabulary stand for.

use std::collections::BTreeSet;

use tokenizers::{Model, Tokenizer as HfTokenizer};

use super::byte_symbols::{byte_of, bytes_of};
use crate::{Error, Result};

/// More ids than any vocabulary has.
const MAX_VOCAB: usize = 1 << 24;

/// The bytes of every id, end to end.
#[derive(Clone)]
pub(super) struct Pieces {
    bytes: Vec<u8>,
    /// The end of the bytes of each id.
    ends: Vec<usize>,
    /// For each of the 256 bytes, whether no token stands for it: text with it cannot be written.
    lacking: Vec<bool>,
}

impl Pieces {
    /// The bytes of all tokens, special ones included, or the reason why they are no vocabulary.
    pub fn of(tokenizer: &HfTokenizer) -> std::result::Result<Self, String> {
        let added = tokenizer.get_added_tokens_decoder();
        let model = tokenizer.get_model().get_vocab();
        let from_model = model.iter().map(|(piece, &id)| (id, bytes_of(piece), piece));
        let from_added = added.iter().map(|(&id, token)| (id, token.content.clone().into_bytes(), &token.content));
        let size = model.values().chain(added.keys()).max().map_or(0, |&id| id as usize + 1);
        if size == 0 || size > MAX_VOCAB {
            return Err(format!("the ids go up to {}, which is no vocabulary", size.saturating_sub(1)));
        }
        let mut table: Vec<Option<(Vec<u8>, &String)>> = vec![None; size];
        for (id, bytes, piece) in from_model.chain(from_added) {
            if let Some((_, other)) = table[id as usize].replace((bytes, piece)).filter(|(_, other)| *other != piece) {
                return Err(format!("the id {id} stands for both {other:?} and {piece:?}"));
            }
        }
        let symbols: BTreeSet<u8> = model.keys().filter_map(|piece| only_char(piece)).filter_map(byte_of).collect();
        let lacking = (0..=255).map(|byte| !symbols.contains(&byte)).collect();
        let mut pieces = Pieces { bytes: Vec::new(), ends: Vec::with_capacity(size), lacking };
        for entry in table {
            pieces.bytes.extend(entry.map(|(bytes, _)| bytes).unwrap_or_default());
            pieces.ends.push(pieces.bytes.len());
        }
        Ok(pieces)
    }

    /// Number of ids.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The bytes of an id; `position` is its place in a text, for the error.
    pub fn get(&self, id: u32, position: usize) -> Result<&[u8]> {
        let at = id as usize;
        let Some(&end) = self.ends.get(at) else {
            let vocab_size = self.ends.len();
            return Err(Error::TokenOutOfRange { id: i64::from(id), row: 0, position, vocab_size });
        };
        let begin = if at == 0 { 0 } else { self.ends[at - 1] };
        Ok(&self.bytes[begin..end])
    }

    /// Fails at the first character that needs a byte without a token; `tokenizers` would drop the byte in silence.
    pub fn check(&self, text: &str) -> Result<()> {
        if !text.bytes().any(|byte| self.lacking[usize::from(byte)]) {
            return Ok(());
        }
        let lost = |c: &char| c.encode_utf8(&mut [0; 4]).bytes().any(|byte| self.lacking[usize::from(byte)]);
        let (position, character) = text.chars().enumerate().find(|(_, c)| lost(c)).expect("some byte is lost");
        Err(Error::UnknownCharacter { character, position, vocab_size: self.ends.len() })
    }
}

/// The character of a piece that has one character.
fn only_char(piece: &str) -> Option<char> {
    let mut chars = piece.chars();
    chars.next().filter(|_| chars.next().is_none())
}
