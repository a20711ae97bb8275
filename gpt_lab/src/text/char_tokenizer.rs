//! The simplest tokenizer there is: one character, one id.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Tokenizer;
use crate::core::files;

use crate::{Error, Result};

/// The end-of-text mark as text. Its id is 0.
pub const END_OF_TEXT: &str = "<|e|>";

/// One id for each character; id 0 is the mark [`END_OF_TEXT`].
///
/// ```
/// use gpt_lab::text::{CharTokenizer, Tokenizer};
/// let tokenizer = CharTokenizer::from_text("hello");
/// assert_eq!(tokenizer.vocab_size(), 5); // <|e|> e h l o
/// assert_eq!(tokenizer.encode("hello")?, [2, 1, 3, 3, 4]);
/// assert_eq!(tokenizer.decode(&[2, 4, 0])?, "ho<|e|>");
/// # Ok::<(), gpt_lab::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CharTokenizer {
    /// The character of id `i + 1`.
    characters: Vec<char>,
    ids: BTreeMap<char, u32>,
}

/// The contents of the file; the order of the characters is the order of their ids, from 1.
#[derive(Serialize, Deserialize)]
struct Saved {
    kind: String,
    end_of_text: String,
    characters: String,
}

impl CharTokenizer {
    /// A tokenizer for the characters of this text, in the order of their code points.
    pub fn from_text(text: &str) -> Self {
        Self::from_characters(text.chars())
    }

    /// A tokenizer for these characters, each counted once.
    pub fn from_characters(characters: impl IntoIterator<Item = char>) -> Self {
        let unique: BTreeSet<char> = characters.into_iter().collect();
        let characters: Vec<char> = unique.into_iter().collect();
        let ids = characters.iter().zip(1..).map(|(&c, id)| (c, id)).collect();
        CharTokenizer { characters, ids }
    }

    /// A tokenizer for source code in ASCII: tab, newline and the 95 printable characters, so 98 ids with the mark.
    pub fn ascii() -> Self {
        Self::from_characters((' '..='~').chain(['\t', '\n']))
    }

    /// The ids of a text in which `<|e|>` means the end-of-text mark.
    ///
    /// # Errors
    /// [`Error::UnknownCharacter`] names the character and its position (counted in characters, from 0).
    pub fn encode_with_marks(&self, text: &str) -> Result<Vec<u32>> {
        let mut ids = Vec::with_capacity(text.len());
        let mut position = 0;
        for (i, part) in text.split(END_OF_TEXT).enumerate() {
            if i > 0 {
                ids.push(0);
                position += END_OF_TEXT.len();
            }
            position += self.push_ids(part, position, &mut ids)?;
        }
        Ok(ids)
    }

    /// The character of an id: `None` for the mark and for ids out of range.
    pub fn character(&self, id: u32) -> Option<char> {
        self.characters.get((id as usize).checked_sub(1)?).copied()
    }

    /// The id of a character, if the vocabulary has it.
    pub fn id(&self, character: char) -> Option<u32> {
        self.ids.get(&character).copied()
    }

    /// Writes the vocabulary as JSON; an older file is replaced whole or not at all.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        files::write_atomically(path.as_ref(), self.json().as_bytes())
    }

    fn json(&self) -> String {
        let saved = Saved {
            kind: "characters".into(),
            end_of_text: END_OF_TEXT.into(),
            characters: self.characters.iter().collect(),
        };
        let mut json = serde_json::to_string_pretty(&saved).expect("strings are always JSON");
        json.push('\n');
        json
    }

    /// Reads what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// [`Error::FileNotFound`]; [`Error::InvalidConfig`] where the file is something else or a character comes twice.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::load_from(path.as_ref())
    }

    fn load_from(path: &Path) -> Result<Self> {
        let invalid = |detail: String| Error::InvalidConfig { context: path.display().to_string(), detail };
        let saved: Saved = serde_json::from_str(&files::read_text(path)?)
            .map_err(|e| invalid(format!("not a character tokenizer: {e}")))?;
        if saved.kind != "characters" || saved.end_of_text != END_OF_TEXT {
            return Err(invalid(format!(
                "kind {:?} with end of text {:?}, expected \"characters\" with {END_OF_TEXT:?}",
                saved.kind, saved.end_of_text
            )));
        }
        let tokenizer = Self::from_text(&saved.characters);
        if tokenizer.characters.iter().copied().ne(saved.characters.chars()) {
            return Err(invalid("the characters are not sorted, or one of them comes twice".into()));
        }
        Ok(tokenizer)
    }

    /// Appends the ids of `text`, which starts at `position` of the whole, and returns how many there are.
    fn push_ids(&self, text: &str, position: usize, ids: &mut Vec<u32>) -> Result<usize> {
        let before = ids.len();
        for (i, character) in text.chars().enumerate() {
            let id = self.id(character).ok_or(Error::UnknownCharacter {
                character,
                position: position + i,
                vocab_size: self.vocab_size(),
            })?;
            ids.push(id);
        }
        Ok(ids.len() - before)
    }
}

impl Tokenizer for CharTokenizer {
    fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let mut ids = Vec::with_capacity(text.len());
        self.push_ids(text, 0, &mut ids)?;
        Ok(ids)
    }

    fn decode(&self, ids: &[u32]) -> Result<String> {
        let mut text = String::with_capacity(ids.len());
        for (position, &id) in ids.iter().enumerate() {
            match self.character(id) {
                Some(character) => text.push(character),
                None if id == 0 => text.push_str(END_OF_TEXT),
                None => {
                    let vocab_size = self.vocab_size();
                    return Err(Error::TokenOutOfRange { id: i64::from(id), row: 0, position, vocab_size });
                }
            }
        }
        Ok(text)
    }

    fn vocab_size(&self) -> usize {
        self.characters.len() + 1
    }

    fn end_of_text(&self) -> Option<u32> {
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_back_and_the_mark_is_zero() {
        let tokenizer = CharTokenizer::from_text("fn main() {}\n<|e|> äß");
        for text in ["", "fn main() {}\n", "<|e|>", "ß ä"] {
            let ids = tokenizer.encode(text).unwrap();
            assert_eq!(ids.len(), text.chars().count());
            assert!(!ids.contains(&0), "ordinary text never gives the mark");
            assert_eq!(tokenizer.decode(&ids).unwrap(), text);
        }
        let ids = tokenizer.encode_with_marks("a<|e|><|e|>n").unwrap();
        assert_eq!(ids, [tokenizer.id('a').unwrap(), 0, 0, tokenizer.id('n').unwrap()]);
        assert_eq!(tokenizer.decode(&ids).unwrap(), "a<|e|><|e|>n");
    }

    #[test]
    fn the_ascii_vocabulary_has_the_size_of_the_chapters() {
        let tokenizer = CharTokenizer::ascii();
        assert_eq!(tokenizer.vocab_size(), 98);
        assert_eq!((tokenizer.id('\t'), tokenizer.id('\n'), tokenizer.id(' ')), (Some(1), Some(2), Some(3)));
        assert_eq!(tokenizer.id('~'), Some(97));
    }

    #[test]
    fn an_unknown_character_is_named_with_its_position() {
        let tokenizer = CharTokenizer::ascii();
        let error = tokenizer.encode("let x = 'é';").unwrap_err().to_string();
        assert_eq!(error, "character 'é' at position 9 is not in the vocabulary of 98 characters");
        let error = tokenizer.encode_with_marks("<|e|>ab\u{4e2d}").unwrap_err();
        assert!(matches!(error, Error::UnknownCharacter { character: '中', position: 7, .. }), "{error}");
        let error = tokenizer.decode(&[5, 98]).unwrap_err();
        assert!(matches!(error, Error::TokenOutOfRange { id: 98, position: 1, .. }), "{error}");
    }

    #[test]
    fn a_saved_tokenizer_is_the_same_and_other_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        let tokenizer = CharTokenizer::from_text("\"\\\t\n\u{1}é😀");
        tokenizer.save(&path).unwrap();
        assert_eq!(CharTokenizer::load(&path).unwrap(), tokenizer);
        for (text, says) in [
            ("{\"model\": 1}", "not a character tokenizer"),
            ("{\"kind\":\"bpe\",\"end_of_text\":\"<|e|>\",\"characters\":\"ab\"}", "bpe"),
            ("{\"kind\":\"characters\",\"end_of_text\":\"<|e|>\",\"characters\":\"aba\"}", "comes twice"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = CharTokenizer::load(&path).unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("tokenizer.json"), "{error}");
        }
    }
}
