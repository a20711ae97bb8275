//! The tokenizer of a model folder, whichever kind it is.

use std::path::Path;

use serde_json::Value;

use super::{BpeTokenizer, CharTokenizer, Tokenizer};
use crate::Result;
use crate::core::files;

/// A tokenizer of one of the kinds that the lab knows.
#[derive(Debug, Clone)]
pub enum AnyTokenizer {
    /// One id a character.
    Char(CharTokenizer),
    /// Byte-level BPE.
    Bpe(Box<BpeTokenizer>),
}

impl AnyTokenizer {
    /// The tokenizer of a model folder: what [`CharTokenizer::save`] wrote there as `tokenizer.json`, or else what
    /// [`BpeTokenizer::load`] finds.
    ///
    /// # Errors
    /// Those of the two.
    pub fn load(dir: impl AsRef<Path>) -> Result<Self> {
        Self::load_from(dir.as_ref())
    }

    fn load_from(dir: &Path) -> Result<Self> {
        let path = dir.join("tokenizer.json");
        let json = if path.exists() { serde_json::from_str(&files::read_text(&path)?).ok() } else { None };
        match json.is_some_and(|json: Value| json["kind"] == "characters") {
            true => Ok(AnyTokenizer::Char(CharTokenizer::load(path)?)),
            false => Ok(AnyTokenizer::Bpe(Box::new(BpeTokenizer::load(dir)?))),
        }
    }

    fn inner(&self) -> &dyn Tokenizer {
        match self {
            AnyTokenizer::Char(tokenizer) => tokenizer,
            AnyTokenizer::Bpe(tokenizer) => tokenizer.as_ref(),
        }
    }
}

impl Tokenizer for AnyTokenizer {
    fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.inner().encode(text)
    }

    fn decode(&self, ids: &[u32]) -> Result<String> {
        self.inner().decode(ids)
    }

    fn token_bytes(&self, id: u32) -> Result<Vec<u8>> {
        self.inner().token_bytes(id)
    }

    fn vocab_size(&self) -> usize {
        self.inner().vocab_size()
    }

    fn end_of_text(&self) -> Option<u32> {
        self.inner().end_of_text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_is_found_out() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path();
        assert!(matches!(AnyTokenizer::load(folder), Err(crate::Error::FileNotFound { .. })));
        CharTokenizer::from_text("abc").save(folder.join("tokenizer.json")).unwrap();
        let letters = AnyTokenizer::load(folder).unwrap();
        assert!(matches!(letters, AnyTokenizer::Char(_)));
        assert_eq!(letters.decode(&letters.encode("cab").unwrap()).unwrap(), "cab");
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/tokenizer/json_layout");
        let pieces = AnyTokenizer::load(golden).unwrap();
        assert!(matches!(pieces, AnyTokenizer::Bpe(_)));
        assert_eq!(pieces.end_of_text(), Some(pieces.vocab_size() as u32 - 1));
    }
}
