//! Rows of a data set's file, whatever format it has: one JSON object a line, one JSON list of objects, or Parquet.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::Value;

use crate::core::files;
use crate::{Error, Result};

/// The first and the last four bytes of a Parquet file.
const PARQUET: &[u8; 4] = b"PAR1";

/// A row, and its place for messages: `train.jsonl, line 7`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub place: String,
    pub json: Value,
}

/// Reading fields. A dot in a name leads into an object: `question.full_text`.
///
/// # Errors
/// [`Error::InvalidConfig`] names place and field of a value that is missing or of another type.
impl Row {
    /// An error about this row.
    pub fn invalid(&self, detail: impl Into<String>) -> Error {
        Error::InvalidConfig { context: self.place.clone(), detail: detail.into() }
    }

    /// The text of a field, which must be there.
    pub fn text(&self, field: &str) -> Result<String> {
        self.optional_text(field)?.ok_or_else(|| self.missing(field))
    }

    /// The text of a field; `None` if it is missing or null.
    pub fn optional_text(&self, field: &str) -> Result<Option<String>> {
        match self.field(field)? {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text.clone())),
            other => Err(self.invalid(format!("field `{field}` is {other}, expected a text"))),
        }
    }

    /// The number of a field, which must be there.
    pub fn number(&self, field: &str) -> Result<f64> {
        match self.field(field)? {
            Value::Null => Err(self.missing(field)),
            value => {
                value.as_f64().ok_or_else(|| self.invalid(format!("field `{field}` is {value}, expected a number")))
            }
        }
    }

    /// The texts of a field that is a list; none if it is missing or null.
    pub fn texts(&self, field: &str) -> Result<Vec<String>> {
        match self.field(field)? {
            Value::Null => Ok(Vec::new()),
            list => serde_json::from_value(list.clone())
                .map_err(|_| self.invalid(format!("field `{field}` is {list}, expected a list of texts"))),
        }
    }

    /// The value of a field, null if it is missing.
    fn field(&self, field: &str) -> Result<&Value> {
        if !self.json.is_object() {
            return Err(self.invalid("not a JSON object"));
        }
        Ok(field.split('.').fold(&self.json, |value, name| &value[name]))
    }

    fn missing(&self, field: &str) -> Error {
        self.invalid(format!("field `{field}` is missing"))
    }
}

/// The rows of a file. Its format is seen from its first bytes; empty lines are skipped.
///
/// # Errors
/// [`Error::FileNotFound`], [`Error::Io`]; [`Error::TruncatedFile`] for a Parquet file that ends too early or uses
/// something that is not supported, [`Error::InvalidConfig`] for one where the feature `parquet` is off;
/// [`Error::InvalidConfig`] names the line that is not JSON; [`Error::EmptyInput`] for a file without rows.
pub(super) fn rows(path: &Path) -> Result<Vec<Row>> {
    let mut file = File::open(path).map_err(|e| Error::io(path, "reading", e))?;
    let mut start = [0; 4];
    let is_parquet = file.read_exact(&mut start).is_ok() && start == *PARQUET;
    let found = if is_parquet { from_parquet(path, file)? } else { from_json(path, &files::read_text(path)?)? };
    if found.is_empty() {
        return Err(Error::empty(path.display().to_string()));
    }
    Ok(found)
}

fn from_json(path: &Path, text: &str) -> Result<Vec<Row>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let place = |what: &str, n: usize| format!("{}, {what} {n}", path.display());
    if text.trim_start().starts_with('[') {
        let context = path.display().to_string();
        let list: Vec<Value> = serde_json::from_str(text)
            .map_err(|e| Error::InvalidConfig { context, detail: format!("not a list of JSON objects: {e}") })?;
        return Ok(list.into_iter().zip(1..).map(|(json, n)| Row { place: place("row", n), json }).collect());
    }
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    let row = |(line, n): (&str, usize)| {
        let place = place("line", n);
        match serde_json::from_str(line) {
            Ok(json) => Ok(Row { place, json }),
            Err(e) => Err(Error::InvalidConfig { context: place, detail: format!("not a JSON object: {e}") }),
        }
    };
    lines.map(row).collect()
}

#[cfg(feature = "parquet")]
fn from_parquet(path: &Path, file: File) -> Result<Vec<Row>> {
    let rows = super::parquet::rows(path, file)?;
    Ok(rows.into_iter().zip(1..).map(|(json, n)| Row { place: format!("{}, row {n}", path.display()), json }).collect())
}

#[cfg(not(feature = "parquet"))]
fn from_parquet(path: &Path, _: File) -> Result<Vec<Row>> {
    Err(without_parquet(path))
}

/// The error of a build without the feature `parquet`: cells do not have it unless their `:dep` line asks for it.
#[cfg(any(test, not(feature = "parquet")))]
fn without_parquet(path: &Path) -> Error {
    let detail = "this build of gpt_lab has no reader for Parquet files; in a notebook, restart the kernel and let the \
                  first cell begin with `:dep gpt_lab = { path = \"../gpt_lab\", features = [\"parquet\"] }`, which \
                  compiles it (once, some minutes); in a crate, turn on gpt_lab's feature `parquet`";
    Error::InvalidConfig { context: path.display().to_string(), detail: detail.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_of_the_byte_order_is_no_part_of_the_text() {
        for text in ["\u{feff}{\"a\": 1}\r\n", "\u{feff}[{\"a\": 1}]"] {
            assert_eq!(from_json(Path::new("x"), text).unwrap()[0].json["a"], 1);
        }
    }

    #[test]
    fn a_build_without_parquet_says_how_to_get_it() {
        let error = without_parquet(Path::new("train.parquet")).to_string();
        let line = r#":dep gpt_lab = { path = "../gpt_lab", features = ["parquet"] }"#;
        assert!(error.contains("train.parquet") && error.contains(line), "{error}");
    }
}
