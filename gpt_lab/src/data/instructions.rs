//! Instructions with good responses, in the schema of Alpaca.

use std::path::Path;

use serde::Serialize;

use super::right_answer::names_one_of;
use super::table::{self, Row};
use crate::Result;

/// An instruction with a good response. The fields are those of the Alpaca data set (Taori et al. 2023,
/// <https://github.com/tatsu-lab/stanford_alpaca>), and one more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Instruction {
    /// The task.
    pub instruction: String,
    /// The text or numbers that it is about; often empty.
    pub input: String,
    /// A good response.
    pub output: String,
    /// The answers of which a right response names one. Empty where nobody could list every right response; such a row
    /// is learnt from, but no answer to it is judged. Alpaca itself has no such field.
    pub answers: Vec<String>,
}

impl Instruction {
    /// An instruction of one's own, without a response.
    pub fn ask(instruction: impl Into<String>) -> Self {
        Instruction { instruction: instruction.into(), ..Default::default() }
    }

    /// The rows of a file: one JSON object a line, one JSON list of objects, which is how Alpaca was first published,
    /// or Parquet, as the Hub has it. An `input` and `answers` may be missing, fields of other names are passed over.
    ///
    /// # Errors
    /// [`FileNotFound`](crate::Error::FileNotFound), [`Io`](crate::Error::Io),
    /// [`TruncatedFile`](crate::Error::TruncatedFile); [`InvalidConfig`](crate::Error::InvalidConfig) names the file,
    /// the line (in a list and in Parquet, the row) and the field; [`EmptyInput`](crate::Error::EmptyInput) for a file
    /// without rows.
    pub fn read(path: impl AsRef<Path>) -> Result<Vec<Self>> {
        Self::read_from(path.as_ref())
    }

    fn read_from(path: &Path) -> Result<Vec<Self>> {
        table::rows(path)?.iter().map(Self::from_row).collect()
    }

    fn from_row(row: &Row) -> Result<Self> {
        let instruction = row.text("instruction")?;
        if instruction.trim().is_empty() {
            return Err(row.invalid("field `instruction` is empty"));
        }
        let input = row.optional_text("input")?.unwrap_or_default();
        Ok(Instruction { instruction, input, output: row.text("output")?, answers: row.texts("answers")? })
    }

    /// Alpaca's own prompt, up to the place where the response begins.
    pub fn prompt(&self) -> String {
        let Instruction { instruction, input, .. } = self;
        if input.is_empty() {
            return format!(
                "Below is an instruction that describes a task. Write a response that appropriately completes the \
                 request.\n\n### Instruction:\n{instruction}\n\n### Response:\n"
            );
        }
        format!(
            "Below is an instruction that describes a task, paired with an input that provides further context. \
             Write a response that appropriately completes the request.\n\n\
             ### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n"
        )
    }

    /// `Some(true)` for a right response; `None` where the row does not say what is right.
    ///
    /// Right is a response whose first line holds one of [`answers`](Self::answers), word for word but for case and
    /// punctuation, and asks nothing back. So a sentence that names the answer among wrong ones counts as well: only
    /// the fact is looked for.
    pub fn is_answered_by(&self, response: &str) -> Option<bool> {
        names_one_of(&self.answers, response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    fn read(name: &str, text: &str) -> Result<Vec<Instruction>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        Instruction::read(&path)
    }

    #[test]
    fn both_layouts_are_read() {
        let row = r#"{"instruction":"Add.","input":"1 and 2","output":"3","text":"…","answers":["3"]}"#;
        let lines = read("lines", &format!("{row}\n\n{{\"instruction\":\"Sing.\",\"output\":\"\"}}\n")).unwrap();
        assert_eq!(lines[0].input, "1 and 2");
        assert_eq!(lines[0].answers, ["3"]);
        assert_eq!(lines[1], Instruction::ask("Sing."));
        assert_eq!(read("list", &format!("[\n{row},\n{row}]")).unwrap(), vec![lines[0].clone(); 2]);
    }

    #[test]
    fn errors_name_file_line_and_field() {
        let good = r#"{"instruction":"Add.","output":"3"}"#;
        for (bad, detail) in [
            (r#"{"instruction":"Add."}"#, "line 2: field `output` is missing"),
            (r#"{"instruction":7,"output":"3"}"#, "line 2: field `instruction` is 7, expected a text"),
            (r#"{"instruction":" ","output":"3"}"#, "line 2: field `instruction` is empty"),
            (r#"{"instruction":"a","output":"b","answers":"c"}"#, "line 2: field `answers` is \"c\", expected a list"),
            ("[1]", "line 2: not a JSON object"),
            ("{", "line 2: not a JSON object"),
        ] {
            let error = read("bad", &format!("{good}\n{bad}\n")).unwrap_err().to_string();
            assert!(error.contains(&format!("bad, {detail}")), "{error}");
        }
        let error = read("bad-list", &format!("[{good}, 3]")).unwrap_err().to_string();
        assert!(error.contains("row 2: not a JSON object"), "{error}");
        assert!(matches!(read("empty", "\n"), Err(Error::EmptyInput { .. })));
        assert!(matches!(Instruction::read("/no/such"), Err(Error::FileNotFound { .. })));
    }

    #[test]
    fn the_prompt_is_alpacas_and_the_shipped_outputs_are_right() {
        let without = "Below is an instruction that describes a task. Write a response that appropriately completes \
                       the request.\n\n### Instruction:\nSing.\n\n### Response:\n";
        assert_eq!(Instruction::ask("Sing.").prompt(), without);
        let with = "Below is an instruction that describes a task, paired with an input that provides further \
                    context. Write a response that appropriately completes the request.\n\n\
                    ### Instruction:\nAdd.\n\n### Input:\n1 and 2\n\n### Response:\n";
        assert_eq!(Instruction { input: "1 and 2".into(), ..Instruction::ask("Add.") }.prompt(), with);
        let rows = Instruction::read(crate::assets::path("instructions/validation.jsonl").unwrap()).unwrap();
        let mut kinds = [0, 0];
        for row in &rows {
            assert_ne!(row.is_answered_by(&row.output), Some(false), "its own output must be right: {row:?}");
            kinds[usize::from(row.input.is_empty())] += 1;
        }
        assert!(kinds[0] > 20 && kinds[1] > 20, "{kinds:?}");
        assert!(rows.iter().filter(|row| !row.answers.is_empty()).count() > 400);
    }
}
