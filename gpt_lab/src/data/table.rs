//! Rows of a data set's file, whatever format it has: one JSON object a line, one JSON list of objects, or Parquet.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use parquet::basic::ConvertedType;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row as ParquetRow};
use serde_json::{Map, Value};

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
/// something that is not supported; [`Error::InvalidConfig`] names the line that is not JSON; [`Error::EmptyInput`] for
/// a file without rows.
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

fn from_parquet(path: &Path, file: File) -> Result<Vec<Row>> {
    let broken = |e: ParquetError| Error::TruncatedFile {
        path: path.to_path_buf(),
        detail: format!("not a whole Parquet file that can be read here: {e}"),
    };
    let reader = SerializedFileReader::new(file).map_err(broken)?;
    let columns = reader.metadata().file_metadata().schema_descr();
    if let Some(column) = columns.columns().iter().find(|column| column.converted_type() == ConvertedType::INTERVAL) {
        return Err(broken(ParquetError::NYI(format!("column `{}` holds intervals", column.name()))));
    }
    let mut rows = Vec::new();
    for (row, n) in reader.get_row_iter(None).map_err(broken)?.zip(1..) {
        let json = object(&row.map_err(broken)?);
        rows.push(Row { place: format!("{}, row {n}", path.display()), json });
    }
    Ok(rows)
}

fn object(row: &ParquetRow) -> Value {
    Value::Object(row.get_column_iter().map(|(name, field)| (name.clone(), value(field))).collect::<Map<_, _>>())
}

/// The value as JSON, and bytes that are text as a string; null for the rest (dates, decimals), which no schema here
/// asks for.
fn value(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(x) => Value::from(*x),
        Field::Byte(x) => Value::from(*x),
        Field::Short(x) => Value::from(*x),
        Field::Int(x) => Value::from(*x),
        Field::Long(x) => Value::from(*x),
        Field::UByte(x) => Value::from(*x),
        Field::UShort(x) => Value::from(*x),
        Field::UInt(x) => Value::from(*x),
        Field::ULong(x) => Value::from(*x),
        Field::Float(x) => Value::from(*x),
        Field::Double(x) => Value::from(*x),
        Field::Str(text) => Value::from(text.as_str()),
        Field::Group(row) => object(row),
        Field::ListInternal(list) => Value::Array(list.elements().iter().map(value).collect()),
        Field::Bytes(bytes) => std::str::from_utf8(bytes.data()).map_or(Value::Null, Value::from),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::data::{Comparisons, Instruction};

    /// Written by pyarrow 26 with snappy: `pq.write_table(pa.Table.from_pylist(rows), path, compression="snappy")`.
    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
    }

    #[test]
    fn what_pyarrow_wrote_is_read() {
        let rows = Instruction::read(fixture("alpaca.parquet")).unwrap();
        let first = Instruction { input: "1 and 2".into(), output: "3".into(), ..Instruction::ask("Add.") };
        assert_eq!(rows, [first, Instruction { output: "Grüße".into(), ..Instruction::ask("Say “Grüße”.") }]);
        let comparisons = Comparisons::load(fixture("webgpt.parquet")).unwrap();
        let sides: Vec<_> = comparisons.rows.iter().map(|row| (&row.question[..], &row.chosen[..])).collect();
        assert_eq!((sides, comparisons.ties), (vec![("question 1?", "good"), ("question 3?", "better")], 1));
        let nested = &rows_of("webgpt.parquet")[0].json;
        assert_eq!(nested["quotes_0"]["title"][0], "A page");
        assert_eq!((nested["tokens_0"]["prefix"].clone(), nested["score_0"].clone()), ([1, 2].into(), 0.5.into()));
    }

    #[test]
    fn a_mark_of_the_byte_order_is_no_part_of_the_text() {
        for text in ["\u{feff}{\"a\": 1}\r\n", "\u{feff}[{\"a\": 1}]"] {
            assert_eq!(from_json(Path::new("x"), text).unwrap()[0].json["a"], 1);
        }
    }

    fn rows_of(name: &str) -> Vec<Row> {
        rows(&fixture(name)).unwrap()
    }

    #[test]
    fn a_file_that_is_cut_off_or_another_schema_is_refused_by_name() {
        let whole = std::fs::read(fixture("alpaca.parquet")).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let cut = folder.path().join("cut.parquet");
        for length in [5, 100, whole.len() - 3] {
            std::fs::write(&cut, &whole[..length]).unwrap();
            let error = rows(&cut).unwrap_err();
            assert!(matches!(error, Error::TruncatedFile { .. }), "{length} bytes: {error}");
            assert!(error.to_string().contains("cut.parquet"), "{error}");
        }
        let error = Comparisons::load(fixture("alpaca.parquet")).unwrap_err().to_string();
        assert!(
            error.contains("alpaca.parquet, row 1") && error.contains("`question.full_text` is missing"),
            "{error}"
        );
    }
}
