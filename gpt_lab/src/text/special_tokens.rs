//! The special tokens that the files of a model folder declare.
//!
//! Hugging Face keeps them in up to three files beside the vocabulary: `tokenizer_config.json`,
//! `special_tokens_map.json` and `added_tokens.json`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};
use tokenizers::AddedToken;

use crate::core::files;

use crate::{Error, Result};

/// GPT-2's only special token, which ends a text and begins the next.
pub(super) const GPT2_END_OF_TEXT: &str = "<|endoftext|>";

/// The files that may say something, the most important first.
pub(super) const FILES: [&str; 3] = ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"];

/// The roles of a special token other than that of the end of a text.
const OTHER_ROLES: [&str; 6] = ["bos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// The declarations of the files.
#[derive(Debug, Default)]
pub(super) struct Declared {
    /// Tokens with ids that are spelled out.
    pub with_id: BTreeMap<u32, AddedToken>,
    /// Special tokens by name, whose ids the vocabulary knows or that come after all others.
    pub special: Vec<AddedToken>,
    /// The token that ends a text; `Some(None)` if a file says that there is none.
    pub end_of_text: Option<Option<String>>,
    /// A text is treated as if it began with a space.
    pub add_prefix_space: bool,
}

impl Declared {
    /// Reads those of the files that this folder has.
    pub fn read(dir: &Path) -> Result<Self> {
        let mut declared = Declared::default();
        for name in FILES {
            let path = dir.join(name);
            if !path.exists() {
                continue;
            }
            let fields = read_object(&path)?;
            let done = if name == "added_tokens.json" { declared.ids(&fields) } else { declared.roles(&fields) };
            done.map_err(|detail| Error::InvalidConfig { context: path.display().to_string(), detail })?;
        }
        Ok(declared)
    }

    /// `added_tokens.json`: `{"<pad>": 50257}`.
    fn ids(&mut self, fields: &Map<String, Value>) -> std::result::Result<(), String> {
        for (content, id) in fields {
            let id = id.as_u64().and_then(|id| u32::try_from(id).ok());
            let id = id.ok_or_else(|| format!("the id of {content:?} is {}, expected a number", fields[content]))?;
            self.with_id.entry(id).or_insert_with(|| AddedToken::from(content.clone(), false).normalized(false));
        }
        Ok(())
    }

    /// The two other files, which have the same fields.
    fn roles(&mut self, fields: &Map<String, Value>) -> std::result::Result<(), String> {
        if let Some(Value::Object(tokens)) = fields.get("added_tokens_decoder") {
            for (id, token) in tokens {
                let number =
                    id.parse().map_err(|_| format!("added_tokens_decoder has the key {id:?}, expected an id"))?;
                self.with_id.insert(number, added_token(token, false)?);
            }
        }
        if let (None, Some(token)) = (&self.end_of_text, fields.get("eos_token")) {
            let token = if token.is_null() { None } else { Some(added_token(token, true)?) };
            self.end_of_text = Some(token.as_ref().map(|token| token.content.clone()));
            self.special.extend(token);
        }
        let several = fields.get("additional_special_tokens").and_then(Value::as_array).into_iter().flatten();
        let others = OTHER_ROLES.iter().filter_map(|role| fields.get(*role)).chain(several);
        for token in others.filter(|token| !token.is_null()) {
            self.special.push(added_token(token, true)?);
        }
        self.add_prefix_space |= fields.get("add_prefix_space") == Some(&Value::Bool(true));
        Ok(())
    }
}

/// A token written as a string or as an object with its content and flags.
fn added_token(value: &Value, special: bool) -> std::result::Result<AddedToken, String> {
    let flag = |name: &str| value.get(name).and_then(Value::as_bool);
    let content = value.as_str().or_else(|| value.get("content")?.as_str());
    let content =
        content.ok_or_else(|| format!("{value} is no token, expected a string or an object with `content`"))?;
    Ok(AddedToken::from(content, flag("special").unwrap_or(special))
        .normalized(flag("normalized").unwrap_or(false))
        .lstrip(flag("lstrip").unwrap_or(false))
        .rstrip(flag("rstrip").unwrap_or(false))
        .single_word(flag("single_word").unwrap_or(false)))
}

fn read_object(path: &Path) -> Result<Map<String, Value>> {
    let invalid =
        |e: serde_json::Error| Error::InvalidConfig { context: path.display().to_string(), detail: e.to_string() };
    serde_json::from_str(&files::read_text(path)?).map_err(invalid)
}
