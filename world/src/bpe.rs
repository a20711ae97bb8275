//! The tokenizer: byte-level BPE as GPT-2's, trained on the training text, in a file that `transformers` loads too.

use std::path::Path;

use gpt_lab::text::Tokenizer;
use gpt_lab::{Error, Result, write_atomically};
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, TokenizerBuilder};

/// The mark between documents.
pub const END_OF_TEXT: &str = "<|endoftext|>";

type Inner = tokenizers::TokenizerImpl<BPE, NormalizerWrapper, ByteLevel, ByteLevel, ByteLevel>;

/// A trained tokenizer.
#[derive(Debug, Clone)]
pub struct Bpe {
    inner: tokenizers::Tokenizer,
    end_of_text: u32,
}

impl Bpe {
    /// Learns a vocabulary of this size from documents and writes `tokenizer.json`.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] with what the tokenizers crate says; those of writing.
    pub fn train(documents: &[String], vocab_size: usize, path: &Path) -> Result<Self> {
        let failed = |error: tokenizers::Error| Error::InvalidConfig {
            context: "training the tokenizer".into(),
            detail: error.to_string(),
        };
        let bytes = || ByteLevel::default().add_prefix_space(false);
        let mut tokenizer: Inner = TokenizerBuilder::new()
            .with_model(BPE::default())
            .with_normalizer(None)
            .with_pre_tokenizer(Some(bytes()))
            .with_post_processor(Some(bytes().trim_offsets(false)))
            .with_decoder(Some(bytes()))
            .build()
            .map_err(failed)?;
        let mut trainer = BpeTrainer::builder()
            .show_progress(false)
            .vocab_size(vocab_size)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .special_tokens(vec![AddedToken::from(END_OF_TEXT, true)])
            .build();
        tokenizer.train(&mut trainer, documents.iter()).map_err(failed)?;
        let json = tokenizer.to_string(true).map_err(failed)?;
        write_atomically(path, json.as_bytes())?;
        Self::load(path)
    }

    /// Reads `tokenizer.json`.
    ///
    /// # Errors
    /// [`Error::FileNotFound`], [`Error::InvalidConfig`].
    pub fn load(path: &Path) -> Result<Self> {
        let json = std::fs::read(path).map_err(|e| Error::io(path, "reading", e))?;
        let invalid = |detail: String| Error::InvalidConfig { context: path.display().to_string(), detail };
        let inner = tokenizers::Tokenizer::from_bytes(json).map_err(|e| invalid(e.to_string()))?;
        let end_of_text =
            inner.token_to_id(END_OF_TEXT).ok_or_else(|| invalid(format!("it lacks the token {END_OF_TEXT}")))?;
        Ok(Bpe { inner, end_of_text })
    }

    /// All documents in a row, each followed by the end-of-text mark.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] with what the tokenizers crate says.
    pub fn encode_documents(&self, documents: &[String]) -> Result<Vec<u32>> {
        let mut ids = Vec::new();
        for some in documents.chunks(4096) {
            let texts: Vec<&str> = some.iter().map(String::as_str).collect();
            for encoding in self.inner.encode_batch_fast(texts, false).map_err(encoding_failed)? {
                ids.extend_from_slice(encoding.get_ids());
                ids.push(self.end_of_text);
            }
        }
        Ok(ids)
    }
}

fn encoding_failed(error: tokenizers::Error) -> Error {
    Error::InvalidConfig { context: "encoding text".into(), detail: error.to_string() }
}

impl Tokenizer for Bpe {
    fn encode(&self, text: &str) -> Result<Vec<u32>> {
        Ok(self.inner.encode_fast(text, false).map_err(encoding_failed)?.get_ids().to_vec())
    }

    fn decode(&self, ids: &[u32]) -> Result<String> {
        self.inner.decode(ids, false).map_err(encoding_failed)
    }

    fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    fn end_of_text(&self) -> Option<u32> {
        Some(self.end_of_text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trained_tokenizer_keeps_every_text() {
        let path = std::env::temp_dir().join(format!("gpt_lab_world-bpe-{}.json", std::process::id()));
        let documents: Vec<String> =
            (0..200).map(|i| format!("The capital of number {i} is the city of {}.", i * 7)).collect();
        let bpe = Bpe::train(&documents, 320, &path).unwrap();
        assert_eq!(bpe.vocab_size(), 320);
        for text in ["The capital of number 3", "ä€\u{1f600}\n\n  x", ""] {
            assert_eq!(bpe.decode(&bpe.encode(text).unwrap()).unwrap(), text);
        }
        let short = bpe.encode("The capital of number 3").unwrap().len();
        assert!(short < 12, "{short} tokens: merges were learnt");
        let ids = bpe.encode_documents(&documents[..2]).unwrap();
        assert_eq!(ids.iter().filter(|id| Some(**id) == bpe.end_of_text()).count(), 2);
        std::fs::remove_file(path).unwrap();
    }
}
