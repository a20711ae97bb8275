//! The files of a byte-level BPE, checked before they are handed to `tokenizers`, whose errors name no place.

use std::path::Path;

use serde_json::Value;
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{DecoderWrapper, ModelWrapper, Tokenizer as HfTokenizer};

use crate::core::files;
use crate::{Error, Result};

/// Only byte-level BPE gives exact bytes, and only without dropout the same ids every time.
pub(super) fn check_kind(tokenizer: &HfTokenizer) -> std::result::Result<(), String> {
    let ModelWrapper::BPE(model) = tokenizer.get_model() else {
        return Err("the tokenizer's model is not BPE".into());
    };
    if !matches!(tokenizer.get_decoder(), Some(DecoderWrapper::ByteLevel(_))) {
        return Err(
            "the tokenizer's decoder is not ByteLevel: only byte-level BPE, as GPT-2 has it, is supported".into()
        );
    }
    match model.dropout {
        Some(p) if p > 0.0 => Err(format!("dropout is {p}: a random choice of merges is not supported")),
        _ => Ok(()),
    }
}

/// The tokenizer of a `tokenizer.json`.
pub(super) fn read_json(path: &Path) -> Result<HfTokenizer> {
    let invalid = |e: tokenizers::Error| Error::InvalidConfig {
        context: path.display().to_string(),
        detail: format!("not a tokenizer: {e}"),
    };
    let text = files::read_text(path)?;
    if let Ok(json) = serde_json::from_str::<Value>(&text) {
        let model = &json["model"];
        let prefix = model["continuing_subword_prefix"].as_str().unwrap_or_default();
        let merges = model["merges"].as_array().into_iter().flatten().filter_map(halves);
        check_merges(merges, prefix, |piece| model["vocab"].get(piece).is_some())
            .map_err(|detail| Error::InvalidConfig { context: path.display().to_string(), detail })?;
    }
    HfTokenizer::from_bytes(text).map_err(invalid)
}

/// Both halves of a merge, which is a list of two or a text with a space.
fn halves(merge: &Value) -> Option<(&str, &str)> {
    match merge {
        Value::String(text) => text.split_once(' '),
        other => Some((other.get(0)?.as_str()?, other.get(1)?.as_str()?)),
    }
}

/// Refuses merges whose result is not in the vocabulary: `tokenizers` takes them for granted and panics.
fn check_merges<'a>(
    merges: impl Iterator<Item = (&'a str, &'a str)>,
    prefix: &str,
    is_known: impl Fn(&str) -> bool,
) -> std::result::Result<(), String> {
    for (number, (left, right)) in (1..).zip(merges) {
        let Some(end) = right.strip_prefix(prefix) else {
            return Err(format!("merge {number}: `{right}` does not begin with the prefix `{prefix}`"));
        };
        let merged = format!("{left}{end}");
        if !is_known(&merged) {
            return Err(format!("merge {number} makes `{merged}` of `{left}` and `{right}`: the vocabulary lacks it"));
        }
    }
    Ok(())
}

/// The tokenizer of a `vocab.json` and a `merges.txt`.
pub(super) fn read_vocab_and_merges(vocab: &Path, merges: &Path, add_prefix_space: bool) -> Result<HfTokenizer> {
    // Read here first, for errors that say which of the two files it is.
    let invalid = |path: &Path, detail: String| Error::InvalidConfig { context: path.display().to_string(), detail };
    let json = files::read_text(vocab)?;
    let known = serde_json::from_str::<std::collections::HashMap<String, u32>>(&json)
        .map_err(|e| invalid(vocab, format!("not a table of tokens and their ids: {e}")))?;
    let lines = files::read_text(merges)?;
    let pairs = lines.lines().filter(|line| !line.starts_with("#version")).filter_map(|line| line.split_once(' '));
    check_merges(pairs, "", |piece| known.contains_key(piece)).map_err(|detail| invalid(merges, detail))?;
    let (Some(vocab_path), Some(merges_path)) = (vocab.to_str(), merges.to_str()) else {
        return Err(invalid(vocab, "the path is not UTF-8".into()));
    };
    let model = BPE::from_file(vocab_path, merges_path).build().map_err(|e| invalid(merges, e.to_string()))?;
    let mut tokenizer = HfTokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(ByteLevel::new(add_prefix_space, true, true)));
    tokenizer.with_decoder(Some(ByteLevel::default()));
    Ok(tokenizer)
}
