//! Rows of a Parquet file, the format in which the Hub keeps data sets.

use std::fs::File;
use std::path::Path;

use parquet::basic::ConvertedType;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row as ParquetRow};
use serde_json::{Map, Value};

use crate::{Error, Result};

/// The rows of a whole file.
///
/// # Errors
/// [`Error::TruncatedFile`] for a file that ends too early or uses something that is not supported.
pub(super) fn rows(path: &Path, file: File) -> Result<Vec<Value>> {
    let broken = |e: ParquetError| Error::TruncatedFile {
        path: path.to_path_buf(),
        detail: format!("not a whole Parquet file that can be read here: {e}"),
    };
    let reader = SerializedFileReader::new(file).map_err(broken)?;
    let columns = reader.metadata().file_metadata().schema_descr();
    if let Some(column) = columns.columns().iter().find(|column| column.converted_type() == ConvertedType::INTERVAL) {
        return Err(broken(ParquetError::NYI(format!("column `{}` holds intervals", column.name()))));
    }
    reader.get_row_iter(None).map_err(broken)?.map(|row| Ok(object(&row.map_err(broken)?))).collect()
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
    use crate::data::{Comparisons, Instruction, table};

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

    fn rows_of(name: &str) -> Vec<table::Row> {
        table::rows(&fixture(name)).unwrap()
    }

    #[test]
    fn a_file_that_is_cut_off_or_another_schema_is_refused_by_name() {
        let whole = std::fs::read(fixture("alpaca.parquet")).unwrap();
        let cut = std::env::temp_dir().join(format!("gpt_lab-cut-{}.parquet", std::process::id()));
        for length in [5, 100, whole.len() - 3] {
            std::fs::write(&cut, &whole[..length]).unwrap();
            let error = table::rows(&cut).unwrap_err();
            assert!(matches!(error, Error::TruncatedFile { .. }), "{length} bytes: {error}");
            assert!(error.to_string().contains("gpt_lab-cut-"), "{error}");
        }
        std::fs::remove_file(cut).unwrap();
        let error = Comparisons::load(fixture("alpaca.parquet")).unwrap_err().to_string();
        assert!(
            error.contains("alpaca.parquet, row 1") && error.contains("`question.full_text` is missing"),
            "{error}"
        );
    }
}
