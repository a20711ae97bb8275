//! Tokens to text, one at a time, without ever showing half a character.

use super::Tokenizer;
use crate::Result;

/// Takes token ids and hands out text as soon as it is certain.
///
/// A token of a byte-level vocabulary is a run of bytes, and a character outside ASCII is two to four bytes: a token
/// may end in the middle of one. The bytes of an unfinished character wait here for the next token. Bytes that can
/// never become a character give `�` at once, one for each maximal wrong sequence, as in [`String::from_utf8_lossy`]:
/// all pieces joined are what [`Tokenizer::decode`] makes of the whole.
///
/// ```
/// use gpt_lab::text::{BpeTokenizer, StreamDecoder, Tokenizer};
/// let tokenizer = BpeTokenizer::gpt2()?;
/// let mut decoder = StreamDecoder::new();
/// let mut pieces = Vec::new();
/// for id in tokenizer.encode("a 🚲")? {
///     pieces.push(decoder.push(&tokenizer, id)?);
/// }
/// assert_eq!(pieces, ["a", " ", "", "🚲"]); // the bicycle is spread over three tokens, the first with the space
/// assert_eq!(decoder.finish(), "");
/// # Ok::<(), gpt_lab::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamDecoder {
    /// The beginning of a character, three bytes at most.
    pending: Vec<u8>,
}

impl StreamDecoder {
    /// A decoder at the beginning of a text.
    pub fn new() -> Self {
        Self::default()
    }

    /// The text that is complete now that this token has come; empty if a character is still unfinished.
    ///
    /// # Errors
    /// As [`Tokenizer::token_bytes`].
    pub fn push(&mut self, tokenizer: &dyn Tokenizer, id: u32) -> Result<String> {
        self.pending.extend(tokenizer.token_bytes(id)?);
        let (text, used) = certain(&self.pending);
        self.pending.drain(..used);
        Ok(text)
    }

    /// The rest at the end: `�` if the last character never became whole, otherwise nothing. The decoder can be used
    /// again.
    pub fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.pending)).into_owned()
    }
}

/// The text at the beginning of these bytes that later bytes cannot change, and how many of them it takes.
fn certain(bytes: &[u8]) -> (String, usize) {
    let (mut text, mut used) = (String::new(), 0);
    loop {
        let rest = &bytes[used..];
        let (valid, wrong) = match std::str::from_utf8(rest) {
            Ok(_) => (rest.len(), None),
            Err(error) => (error.valid_up_to(), error.error_len()), // no length: more bytes could make it right
        };
        text.push_str(&String::from_utf8_lossy(&rest[..valid]));
        used += valid;
        // Half a surrogate of UTF-16 is wrong, but Python's decoders wait for its third byte; so do we.
        if let [0xed, 0xa0..=0xbf] = rest[valid..] {
            return (text, used);
        }
        let Some(wrong) = wrong else { return (text, used) };
        text.push(char::REPLACEMENT_CHARACTER);
        used += wrong;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::CharTokenizer;

    /// A vocabulary of the 256 bytes.
    struct Bytes;

    impl Tokenizer for Bytes {
        fn encode(&self, text: &str) -> Result<Vec<u32>> {
            Ok(text.bytes().map(u32::from).collect())
        }

        fn decode(&self, ids: &[u32]) -> Result<String> {
            let bytes: Vec<u8> = ids.iter().map(|&id| id as u8).collect();
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }

        fn token_bytes(&self, id: u32) -> Result<Vec<u8>> {
            Ok(vec![id as u8])
        }

        fn vocab_size(&self) -> usize {
            256
        }

        fn end_of_text(&self) -> Option<u32> {
            None
        }
    }

    fn pieces(bytes: &[u8]) -> (Vec<String>, String) {
        let mut decoder = StreamDecoder::new();
        let pieces = bytes.iter().map(|&byte| decoder.push(&Bytes, u32::from(byte)).unwrap()).collect();
        (pieces, decoder.finish())
    }

    #[test]
    fn characters_of_every_length_appear_when_they_are_whole() {
        let (pieces, rest) = pieces("aß語🚲".as_bytes());
        assert_eq!(pieces, ["a", "", "ß", "", "", "語", "", "", "", "🚲"]);
        assert_eq!(rest, "");
    }

    #[test]
    fn wrong_bytes_are_replaced_as_soon_as_they_are_certain() {
        // A lone continuation; a three-byte character that an `a` cuts off; one that the end cuts off.
        let (pieces, rest) = pieces(b"\x80\xe8\xaaa\xf0\x9f");
        assert_eq!(pieces, ["\u{fffd}", "", "", "\u{fffd}a", "", ""]);
        assert_eq!(rest, "\u{fffd}");
        let (surrogates, rest) = self::pieces(b"\xed\xa0\x80\xed\xbf");
        assert_eq!(surrogates, ["", "", "\u{fffd}\u{fffd}\u{fffd}", "", ""]);
        assert_eq!(rest, "\u{fffd}\u{fffd}");
    }

    #[test]
    fn the_pieces_make_the_text_of_the_whole() {
        let mut rng = crate::Rng::new(5);
        let interesting = [0x61, 0x80, 0xbf, 0xc3, 0xe2, 0xed, 0xa0, 0xf0, 0x9f, 0xf4, 0x90, 0xff, 0x7f];
        for _ in 0..2000 {
            let bytes: Vec<u8> = (0..rng.below(9)).map(|_| interesting[rng.below(interesting.len())]).collect();
            let (pieces, rest) = pieces(&bytes);
            assert_eq!(pieces.concat() + &rest, String::from_utf8_lossy(&bytes), "{bytes:x?}");
        }
    }

    #[test]
    fn any_tokenizer_can_stream() {
        let tokenizer = CharTokenizer::from_text("né");
        let mut decoder = StreamDecoder::new();
        let ids = tokenizer.encode("né").unwrap();
        let text: String = ids.iter().map(|&id| decoder.push(&tokenizer, id).unwrap()).collect();
        assert_eq!(text, "né");
    }
}
