//! From text to token ids and back.
//!
//! [`CharTokenizer`] has a number for each character, [`BpeTokenizer`] one for each frequent piece of text, as GPT-2
//! has; [`AnyTokenizer`] is either. A model sees numbers. What one number stands for – a character, a piece of a word –
//! is the tokenizer's business; everything else in the crate knows the trait [`Tokenizer`] only.

mod any_tokenizer;
mod bpe_files;
mod bpe_tokenizer;
mod byte_symbols;
mod char_tokenizer;
mod pieces;
mod shared;
mod special_tokens;
mod stream;

pub use any_tokenizer::AnyTokenizer;
pub use bpe_tokenizer::BpeTokenizer;
pub use char_tokenizer::{CharTokenizer, END_OF_TEXT};
pub use stream::StreamDecoder;

use crate::Result;

/// Text to ids and ids to text.
pub trait Tokenizer {
    /// The ids of a text. Text that looks like a special token is ordinary text here, as it must be where the text is
    /// not one's own.
    ///
    /// # Errors
    /// [`Error::UnknownCharacter`](crate::Error::UnknownCharacter) where the vocabulary has no token for a character.
    fn encode(&self, text: &str) -> Result<Vec<u32>>;

    /// The text of these ids, special tokens written out.
    ///
    /// # Errors
    /// [`Error::TokenOutOfRange`](crate::Error::TokenOutOfRange) for an id that the vocabulary lacks.
    fn decode(&self, ids: &[u32]) -> Result<String>;

    /// The bytes that this id stands for, which need not be whole characters. [`StreamDecoder`] joins them to text.
    ///
    /// # Errors
    /// As [`decode`](Self::decode).
    fn token_bytes(&self, id: u32) -> Result<Vec<u8>> {
        Ok(self.decode(&[id])?.into_bytes())
    }

    /// Number of different ids; ids are `0..vocab_size`.
    fn vocab_size(&self) -> usize;

    /// The id that marks the end of a text, after which generation stops.
    fn end_of_text(&self) -> Option<u32>;
}
