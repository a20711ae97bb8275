//! GPT-2's tokenizer: byte-level BPE (Sennrich et al. 2016; on bytes: Radford et al. 2019, section 2.2).
//!
//! A text is cut into words; a word is a row of bytes; and neighbours are joined as long as the pair is in the list of
//! merges, the earliest in the list first. So any text can be written, and frequent words are one token. The work is
//! done by Hugging Face's `tokenizers`; here are its files, its special tokens and exact bytes.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tokenizers::{AddedToken, Tokenizer as HfTokenizer};

use super::Tokenizer;
use super::bpe_files::{check_kind, read_json, read_vocab_and_merges};
use super::pieces::Pieces;
use super::special_tokens::{self, Declared, GPT2_END_OF_TEXT};
use crate::hub::{Hub, Repo};
use crate::text::shared::Shared;
use crate::{Error, Result, assets};

/// Byte-level BPE as GPT-2 has it.
///
/// ```
/// use gpt_lab::text::{BpeTokenizer, Tokenizer};
/// let tokenizer = BpeTokenizer::gpt2()?;
/// assert_eq!(tokenizer.encode("What is the capital of China?")?, [2061, 318, 262, 3139, 286, 2807, 30]);
/// assert_eq!(tokenizer.decode(&[2061, 318, 50256])?, "What is<|endoftext|>");
/// # Ok::<(), gpt_lab::Error>(())
/// ```
#[derive(Clone)]
pub struct BpeTokenizer {
    /// Takes special tokens in a text for text.
    plain: Shared<HfTokenizer>,
    /// The same, but finds special tokens; made when it is first needed.
    marking: OnceLock<Shared<HfTokenizer>>,
    pieces: Pieces,
    /// In ascending order. A list, because cells compile the destructor of what they hold.
    special: Vec<u32>,
    end_of_text: Option<u32>,
    source: PathBuf,
}

impl BpeTokenizer {
    /// GPT-2's own vocabulary of 50,257 tokens, which comes with the lab.
    ///
    /// # Errors
    /// [`Error::FileNotFound`] where the lab's folder `assets` cannot be found ([`assets::path`]).
    pub fn gpt2() -> Result<Self> {
        Self::load(assets::path("gpt2_tokenizer")?)
    }

    /// The tokenizer of a model folder: `tokenizer.json`, or `vocab.json` with `merges.txt`. Special tokens are those
    /// that these and `tokenizer_config.json`, `special_tokens_map.json` and `added_tokens.json` name; the end of a
    /// text is `eos_token`, or `<|endoftext|>` where no file names one and the vocabulary has it.
    ///
    /// # Errors
    /// [`Error::FileNotFound`]; [`Error::InvalidConfig`] for a file that is no byte-level BPE.
    pub fn load(dir: impl AsRef<Path>) -> Result<Self> {
        Self::load_from(dir.as_ref())
    }

    fn load_from(dir: &Path) -> Result<Self> {
        let (json, vocab) = (dir.join("tokenizer.json"), dir.join("vocab.json"));
        let declared = Declared::read(dir)?;
        if json.exists() {
            return Self::build(read_json(&json)?, &declared, &json);
        }
        if dir.is_dir() && !vocab.exists() {
            let hint = "; and no vocab.json with merges.txt either: no tokenizer is here".into();
            return Err(Error::FileNotFound { path: json, hint });
        }
        let inner = read_vocab_and_merges(&vocab, &dir.join("merges.txt"), declared.add_prefix_space)?;
        Self::build(inner, &declared, &vocab)
    }

    /// The tokenizer of a `tokenizer.json`. Errors: as [`load`](Self::load).
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::build(read_json(path)?, &Declared::default(), path)
    }

    /// The tokenizer of a `vocab.json` and a `merges.txt`. Errors: as [`load`](Self::load).
    pub fn from_vocab_and_merges(vocab: impl AsRef<Path>, merges: impl AsRef<Path>) -> Result<Self> {
        let vocab = vocab.as_ref();
        Self::build(read_vocab_and_merges(vocab, merges.as_ref(), false)?, &Declared::default(), vocab)
    }

    /// The tokenizer of a model on the Hugging Face Hub, from the cache or by download:
    /// `BpeTokenizer::from_hub("openai-community/gpt2")`. See [`Hub`].
    pub fn from_hub(repo: impl Into<Repo>) -> Result<Self> {
        Self::from_hub_with(repo, &Hub::from_env())
    }

    /// [`from_hub`](Self::from_hub) with settings of one's own.
    pub fn from_hub_with(repo: impl Into<Repo>, hub: &Hub) -> Result<Self> {
        let mut snapshot = hub.snapshot(repo)?;
        if snapshot.optional("tokenizer.json")?.is_none() {
            snapshot.file("vocab.json")?;
            snapshot.file("merges.txt")?;
        }
        for name in special_tokens::FILES {
            snapshot.optional(name)?;
        }
        Self::load(snapshot.folder()?)
    }

    /// Adds the special tokens and looks up everything that is needed later.
    fn build(mut inner: HfTokenizer, declared: &Declared, source: &Path) -> Result<Self> {
        let invalid = |detail: String| Error::InvalidConfig { context: source.display().to_string(), detail };
        check_kind(&inner).map_err(invalid)?;
        // Hugging Face's tokenizers cut or fill texts only when asked to, whatever the file says.
        inner.with_truncation(None).map_err(|e| invalid(e.to_string()))?.with_padding(None);
        for (&id, token) in &declared.with_id {
            add(&mut inner, token.clone()).map_err(invalid)?;
            if let Some(found) = inner.token_to_id(&token.content).filter(|&found| found != id) {
                return Err(invalid(format!("the added token {:?} has id {found}, expected {id}", token.content)));
            }
        }
        for token in &declared.special {
            add(&mut inner, token.clone()).map_err(invalid)?;
        }
        let end_of_text = declared.end_of_text.clone().unwrap_or_else(|| Some(GPT2_END_OF_TEXT.to_string()));
        let end_of_text = end_of_text.and_then(|content| Some((inner.token_to_id(&content)?, content)));
        let is_special = |inner: &HfTokenizer, content: &str| inner.get_added_vocabulary().is_special_token(content);
        if let Some((_, content)) = end_of_text.as_ref().filter(|(_, content)| !is_special(&inner, content)) {
            add(&mut inner, AddedToken::from(content.clone(), true)).map_err(invalid)?;
        }
        let added = inner.get_added_tokens_decoder();
        let mut special: Vec<u32> = added.iter().filter(|(_, token)| token.special).map(|(&id, _)| id).collect();
        special.sort_unstable();
        let pieces = Pieces::of(&inner).map_err(invalid)?;
        inner.set_encode_special_tokens(true);
        let end_of_text = end_of_text.map(|(id, _)| id);
        let marking = OnceLock::new();
        Ok(BpeTokenizer {
            plain: Shared::new(inner),
            marking,
            pieces,
            special,
            end_of_text,
            source: source.to_path_buf(),
        })
    }

    /// The ids of a text in which special tokens such as `<|endoftext|>` mean themselves. For text of one's own;
    /// [`encode`](Tokenizer::encode) takes them for ordinary text.
    ///
    /// # Errors
    /// As [`encode`](Tokenizer::encode).
    pub fn encode_with_marks(&self, text: &str) -> Result<Vec<u32>> {
        let marking = self.marking.get_or_init(|| {
            let mut marking = HfTokenizer::clone(&self.plain);
            marking.set_encode_special_tokens(false);
            Shared::new(marking)
        });
        self.encode_by(marking, text)
    }

    /// The text of these ids without the special tokens among them.
    ///
    /// # Errors
    /// As [`decode`](Tokenizer::decode).
    pub fn decode_without_marks(&self, ids: &[u32]) -> Result<String> {
        let text: Vec<u32> = ids.iter().copied().filter(|id| self.special.binary_search(id).is_err()).collect();
        self.decode(&text)
    }

    /// The ids of the special tokens.
    pub fn special_tokens(&self) -> Vec<u32> {
        self.special.clone()
    }

    /// The id of a token by the way the vocabulary writes it: `"Ġthe"`, `"<|endoftext|>"`.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.plain.token_to_id(token)
    }

    /// Checks that a model with a vocabulary of this size knows every id. A model may know more: some tables are
    /// rounded up.
    ///
    /// # Errors
    /// [`Error::VocabMismatch`].
    pub fn check_fits(&self, model_vocab: usize) -> Result<()> {
        let tokenizer = self.vocab_size();
        if tokenizer <= model_vocab {
            return Ok(());
        }
        Err(Error::VocabMismatch { path: self.source.clone(), tokenizer, model: model_vocab })
    }

    fn encode_by(&self, tokenizer: &HfTokenizer, text: &str) -> Result<Vec<u32>> {
        self.pieces.check(text)?;
        let encoding = tokenizer.encode_fast(text, false).map_err(|e| Error::InvalidConfig {
            context: self.source.display().to_string(),
            detail: format!("a text cannot be split: {e}"),
        })?;
        Ok(encoding.get_ids().to_vec())
    }
}

impl Tokenizer for BpeTokenizer {
    fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.encode_by(&self.plain, text)
    }

    fn decode(&self, ids: &[u32]) -> Result<String> {
        let mut bytes = Vec::with_capacity(4 * ids.len());
        for (position, &id) in ids.iter().enumerate() {
            bytes.extend_from_slice(self.pieces.get(id, position)?);
        }
        // What a model makes need not be UTF-8.
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn token_bytes(&self, id: u32) -> Result<Vec<u8>> {
        Ok(self.pieces.get(id, 0)?.to_vec())
    }

    fn vocab_size(&self) -> usize {
        self.pieces.len()
    }

    fn end_of_text(&self) -> Option<u32> {
        self.end_of_text
    }
}

impl fmt::Debug for BpeTokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BpeTokenizer({} tokens, {})", self.vocab_size(), self.source.display())
    }
}

fn add(tokenizer: &mut HfTokenizer, token: AddedToken) -> std::result::Result<(), String> {
    tokenizer.add_tokens([token]).map(|_| ()).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::byte_symbols::byte_of;

    /// A tokenizer's folder, gone at the end of the test.
    struct Files(tempfile::TempDir);

    impl Files {
        /// A vocabulary of the 256 bytes and the word `ab`.
        fn new() -> Self {
            let symbols = ('!'..='\u{143}').filter(|&c| byte_of(c).is_some()).map(String::from);
            let vocab: std::collections::BTreeMap<String, usize> =
                symbols.chain(["ab".to_string()]).enumerate().map(|(id, piece)| (piece, id)).collect();
            let folder = Files(tempfile::tempdir().unwrap());
            folder.write("vocab.json", &serde_json::to_string(&vocab).unwrap());
            folder.write("merges.txt", "#version: 0.2\na b\n");
            folder
        }

        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.0.path().join(name), text).unwrap();
        }

        fn error(&self) -> String {
            BpeTokenizer::load(&self.0).unwrap_err().to_string()
        }
    }

    #[test]
    fn gpt2s_vocabulary_gives_gpt2s_ids() {
        let tokenizer = BpeTokenizer::gpt2().unwrap();
        assert_eq!((tokenizer.vocab_size(), tokenizer.end_of_text()), (50257, Some(50256)));
        assert_eq!(tokenizer.special_tokens(), [50256]);
        for (text, ids) in [
            ("What is the capital of China?", &[2061, 318, 262, 3139, 286, 2807, 30][..]),
            ("Hello world", &[15496, 995]),
            (" Hello\n\n  world's", &[18435, 628, 220, 995, 338]),
            ("", &[]),
        ] {
            assert_eq!(tokenizer.encode(text).unwrap(), ids, "{text:?}");
            assert_eq!(tokenizer.decode(ids).unwrap(), text);
        }
        assert_eq!(tokenizer.encode_with_marks("Hello<|endoftext|>").unwrap(), [15496, 50256]);
        let as_text = tokenizer.encode("Hello<|endoftext|>").unwrap();
        assert!(as_text.len() > 2 && !as_text.contains(&50256), "{as_text:?}");
        assert_eq!(tokenizer.decode(&as_text).unwrap(), "Hello<|endoftext|>");
        assert_eq!(tokenizer.decode_without_marks(&[15496, 50256, 995]).unwrap(), "Hello world");
        assert_eq!(tokenizer.id("Ġworld"), Some(995));
    }

    #[test]
    fn any_text_comes_back() {
        let tokenizer = BpeTokenizer::gpt2().unwrap();
        let mut rng = crate::Rng::new(1);
        let letters: Vec<char> = "ab Z09'.\n\t\u{a0}é中🚲\u{200d}\u{fffd}\0Ġ".chars().collect();
        for _ in 0..300 {
            let text: String = (0..rng.below(40)).map(|_| letters[rng.below(letters.len())]).collect();
            let ids = tokenizer.encode(&text).unwrap();
            assert_eq!(tokenizer.decode(&ids).unwrap(), text);
            let mut decoder = super::super::StreamDecoder::new();
            let pieces: String = ids.iter().map(|&id| decoder.push(&tokenizer, id).unwrap()).collect();
            assert_eq!(pieces + &decoder.finish(), text);
        }
    }

    #[test]
    fn special_tokens_are_those_that_the_files_name() {
        let folder = Files::new();
        let plain = BpeTokenizer::load(&folder.0).unwrap();
        assert_eq!((plain.vocab_size(), plain.end_of_text(), plain.special_tokens()), (257, None, vec![]));

        folder.write(
            "special_tokens_map.json",
            r#"{"eos_token": {"content": "</s>", "lstrip": false}, "pad_token": "<pad>"}"#,
        );
        folder.write("added_tokens.json", r#"{"<pad>": 258, "</s>": 257}"#);
        let tokenizer = BpeTokenizer::load(&folder.0).unwrap();
        assert_eq!((tokenizer.vocab_size(), tokenizer.end_of_text()), (259, Some(257)));
        assert_eq!(tokenizer.special_tokens(), [257, 258]);
        assert_eq!(tokenizer.encode_with_marks("ab</s><pad>").unwrap(), [256, 257, 258]);
        assert_eq!(tokenizer.encode("ab</s>").unwrap().len(), 5);
        assert_eq!(tokenizer.decode(&[256, 257]).unwrap(), "ab</s>");

        // The newest file counts most.
        folder.write("tokenizer_config.json", r#"{"eos_token": "<pad>", "add_prefix_space": true}"#);
        let tokenizer = BpeTokenizer::load(&folder.0).unwrap();
        assert_eq!(tokenizer.end_of_text(), Some(258));
        assert_eq!(tokenizer.decode(&tokenizer.encode("ab").unwrap()).unwrap(), " ab");
        folder.write("tokenizer_config.json", r#"{"eos_token": null}"#);
        assert_eq!(BpeTokenizer::load(&folder.0).unwrap().end_of_text(), None);

        folder.write("added_tokens.json", r#"{"</s>": 300}"#);
        assert!(folder.error().contains("\"</s>\" has id 257, expected 300"), "{}", folder.error());
    }

    #[test]
    fn what_cannot_be_written_or_read_is_refused() {
        let folder = Files::new();
        let tokenizer = BpeTokenizer::load(&folder.0).unwrap();
        let error = tokenizer.decode(&[1, 257]).unwrap_err();
        assert!(matches!(error, Error::TokenOutOfRange { id: 257, position: 1, vocab_size: 257, .. }), "{error}");
        assert!(tokenizer.check_fits(257).is_ok() && tokenizer.check_fits(300).is_ok());
        let error = tokenizer.check_fits(256).unwrap_err().to_string();
        assert!(error.contains("vocab.json") && error.contains("257") && error.contains("256"), "{error}");

        folder.write("vocab.json", r#"{"a": 0, "b": 1, "ab": 2, "Ġ": 3}"#);
        let tokenizer = BpeTokenizer::load(&folder.0).unwrap();
        assert_eq!(tokenizer.encode("ab a").unwrap(), [2, 3, 0]);
        let error = tokenizer.encode("ab é").unwrap_err();
        assert!(matches!(error, Error::UnknownCharacter { character: 'é', position: 3, .. }), "{error}");
    }

    #[test]
    fn files_that_are_no_byte_level_bpe_are_refused() {
        let folder = Files::new();
        let refused = |says: &[&str]| {
            let error = folder.error();
            assert!(says.iter().all(|word| error.contains(word)), "{says:?}: {error}");
        };
        folder.write("vocab.json", r#"{"a": 0, "b": 0, "ab": 1}"#);
        refused(&["vocab.json", "the id 0 stands for both"]);
        folder.write("vocab.json", r#"{"a": 0, "b": "one"}"#);
        refused(&["vocab.json", "expected u32"]);
        folder.write("vocab.json", r#"{"a": 0, "b": 4294967295, "ab": 1}"#);
        refused(&["vocab.json", "4294967295"]);
        folder.write("vocab.json", r#"{"a": 0}"#);
        refused(&["merges.txt", "b"]);
        folder.write("vocab.json", r#"{"a": 0, "b": 1}"#);
        refused(&["merges.txt", "merge 1 makes `ab`", "lacks"]);
        std::fs::remove_file(folder.0.path().join("merges.txt")).unwrap();
        refused(&["merges.txt", "no such file"]);
        std::fs::remove_file(folder.0.path().join("vocab.json")).unwrap();
        refused(&["tokenizer.json", "no such file", "vocab.json"]);
        folder.write("tokenizer.json", "{");
        refused(&["tokenizer.json", "not a tokenizer"]);
        let model = r#""model": {"type": "BPE", "vocab": {"a": 0}, "merges": []"#;
        folder.write("tokenizer.json", &format!("{{{model}}}}}"));
        refused(&["tokenizer.json", "ByteLevel"]);
        let decoder = r#""decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true}"#;
        folder.write("tokenizer.json", &format!("{{{decoder}, {model}, \"dropout\": 0.1}}}}"));
        refused(&["tokenizer.json", "dropout is 0.1"]);
        for merges in [r#"["a b"]"#, r#"[["a", "b"]]"#] {
            let model = format!(r#""model": {{"type": "BPE", "vocab": {{"a": 0, "b": 1}}, "merges": {merges}}}"#);
            folder.write("tokenizer.json", &format!("{{{decoder}, {model}}}"));
            refused(&["tokenizer.json", "merge 1 makes `ab`"]);
        }
        folder.write("tokenizer.json", r#"{"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}}"#);
        refused(&["tokenizer.json", "not BPE"]);
    }
}
