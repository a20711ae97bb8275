//! Comparisons of two answers: files in the schema of WebGPT, and their ids.

use std::cmp::Ordering;
use std::path::Path;

use super::right_answer::names_one_of;
use super::table::{self, Row};
use super::{Completion, TokenPair, TokenPairs};
use crate::text::Tokenizer;
use crate::{Error, Result};

/// A question and two answers, of which somebody preferred the first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// The question.
    pub question: String,
    /// The answer with the higher score.
    pub chosen: String,
    /// The other answer.
    pub rejected: String,
    /// The reason, if the file says so (the lab's own does, WebGPT's does not).
    pub slice: String,
    /// A right answer names one of these; empty if the file does not say (the lab's own does, WebGPT's does not).
    pub answers: Vec<String>,
    /// What was asked for (`capital`, `author` …); empty if the file does not say.
    pub kind: String,
    /// Whom or what the question is about; empty if the file does not say.
    pub subject: String,
    /// True where the file says that no row to learn from is about this fact.
    pub new_fact: bool,
}

/// Comparisons of which one answer was preferred.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparisons {
    /// In the order of the file.
    pub rows: Vec<Comparison>,
    /// Number of rows that were dropped because both answers had the same score.
    pub ties: usize,
}

impl Comparison {
    /// The text before the answer: Alpaca's headings without its two sentences of introduction, which say nothing about
    /// the question and would be most of the tokens.
    pub fn prompt(question: &str) -> String {
        format!("### Instruction:\n{question}\n\n### Response:\n")
    }

    /// `Some(true)` for a text that names the fact that was asked for, in its first line and without asking back;
    /// `None` where the file does not say what is right. Only the fact counts, not manners and style.
    pub fn is_answered_by(&self, text: &str) -> Option<bool> {
        names_one_of(&self.answers, text)
    }
}

impl Comparisons {
    /// Reads JSON lines (or one list) or Parquet in WebGPT's schema: `question.full_text`, `answer_0`, `score_0`,
    /// `answer_1`, `score_1`; other fields are left alone. Rows with equal scores are dropped and counted; empty lines
    /// are skipped.
    ///
    /// # Errors
    /// [`Error::FileNotFound`], [`Error::Io`], [`Error::TruncatedFile`]; [`Error::InvalidConfig`] names file, line (or
    /// row) and field of a value that is missing or of another type; [`Error::EmptyInput`] if no comparison is left.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::load_from(path.as_ref())
    }

    fn load_from(path: &Path) -> Result<Self> {
        let mut comparisons = Comparisons::default();
        for row in table::rows(path)? {
            match parse(&row)? {
                Some(row) => comparisons.rows.push(row),
                None => comparisons.ties += 1,
            }
        }
        if comparisons.rows.is_empty() {
            return Err(Error::empty(format!("{} (ties: {})", path.display(), comparisons.ties)));
        }
        Ok(comparisons)
    }

    /// Number of comparisons.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// `true` without comparisons.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The comparisons that fulfil a condition.
    pub fn filter(&self, keep: impl Fn(&Comparison) -> bool) -> Self {
        Comparisons { rows: self.rows.iter().filter(|row| keep(row)).cloned().collect(), ties: self.ties }
    }

    /// The ids: the prompt, the answer, the end-of-text mark. Rows of which a side has more than
    /// `limit` tokens are dropped and counted.
    ///
    /// # Errors
    /// [`Error::UnknownCharacter`]; [`Error::EmptyInput`] if no row is left.
    pub fn encode(&self, tokenizer: &dyn Tokenizer, limit: usize) -> Result<TokenPairs> {
        let mut pairs = TokenPairs::default();
        for row in &self.rows {
            let prompt = tokenizer.encode(&Comparison::prompt(&row.question))?;
            let side = |answer: &str| -> Result<Completion> {
                let ended = tokenizer.end_of_text().is_some();
                Ok(Completion { ended, ..Completion::ended(&prompt, &encode_answer(tokenizer, answer)?) })
            };
            let pair = TokenPair { chosen: side(&row.chosen)?, rejected: side(&row.rejected)? };
            if pair.chosen.ids.len().max(pair.rejected.ids.len()) > limit {
                pairs.over_long += 1;
            } else {
                pairs.rows.push(pair);
            }
        }
        if pairs.rows.is_empty() {
            return Err(Error::empty(format!("the comparisons of at most {limit} tokens")));
        }
        Ok(pairs)
    }
}

/// The ids of an answer and the end-of-text mark, as they follow a [prompt](Comparison::prompt).
///
/// # Errors
/// [`Error::UnknownCharacter`].
pub fn encode_answer(tokenizer: &dyn Tokenizer, answer: &str) -> Result<Vec<u32>> {
    let mut ids = tokenizer.encode(answer)?;
    ids.extend(tokenizer.end_of_text());
    Ok(ids)
}

/// One row; `None` for a tie.
fn parse(row: &Row) -> Result<Option<Comparison>> {
    let (question, first, second) = (row.text("question.full_text")?, row.text("answer_0")?, row.text("answer_1")?);
    let order = row.number("score_0")?.partial_cmp(&row.number("score_1")?);
    let (chosen, rejected) = match order {
        Some(Ordering::Greater) => (first, second),
        Some(Ordering::Less) => (second, first),
        Some(Ordering::Equal) | None => return Ok(None),
    };
    let slice = row.json["slice"].as_str().unwrap_or_default().to_string();
    let (kind, subject) = (row.optional_text("kind")?.unwrap_or_default(), row.optional_text("subject")?);
    let new_fact = row.json["new_fact"].as_bool().unwrap_or_default();
    let answers = row.texts("answers")?;
    let subject = subject.unwrap_or_default();
    Ok(Some(Comparison { question, chosen, rejected, slice, answers, kind, subject, new_fact }))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::text::CharTokenizer;

    fn line(scores: (f64, f64), first: &str, second: &str) -> String {
        let (score_0, score_1) = scores;
        serde_json::json!({ "question": { "full_text": "q" }, "answer_0": first, "score_0": score_0,
                            "answer_1": second, "score_1": score_1, "quotes_0": {} })
        .to_string()
    }

    fn load(name: &str, text: &str) -> Result<Comparisons> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        Comparisons::load(&path)
    }

    #[test]
    fn the_higher_score_is_chosen_and_ties_are_counted() {
        let text =
            [line((0.5, -0.5), "a", "b"), line((0.0, -0.0), "c", "d"), String::new(), line((-1.0, 1.0), "e", "f")];
        let found = load("good", &text.join("\n")).unwrap();
        let sides: Vec<(&str, &str)> = found.rows.iter().map(|row| (&row.chosen[..], &row.rejected[..])).collect();
        assert_eq!((sides, found.ties), (vec![("a", "b"), ("f", "e")], 1));
        assert_eq!(found.filter(|row| row.chosen == "f").len(), 1);
        let only_ties = load("ties", &line((0.25, 0.25), "a", "b")).unwrap_err().to_string();
        assert!(only_ties.contains("ties: 1"), "{only_ties}");
    }

    #[test]
    fn errors_name_file_line_and_field() {
        let good = line((1.0, 0.0), "a", "b");
        for (name, bad, words) in [
            ("missing", good.replace("answer_1", "answer_2"), "field `answer_1` is missing"),
            ("type", good.replace("\"b\"", "7"), "field `answer_1` is 7, expected a text"),
            ("score", good.replace("1.0", "\"1\""), "field `score_0` is \"1\", expected a number"),
            ("question", good.replace("full_text", "text"), "field `question.full_text` is missing"),
            ("answers", good.replace("\"answer_0\"", "\"answers\":[1],\"answer_0\""), "field `answers` is [1]"),
            ("json", good[1..].to_string(), "not a JSON object"),
        ] {
            let error = load(name, &format!("{good}\n{bad}\n")).unwrap_err().to_string();
            assert!(error.contains(&format!("{name}, line 2: ")), "{error}");
            assert!(error.contains(words), "{error}");
        }
        assert!(matches!(Comparisons::load("no/such/file"), Err(Error::FileNotFound { .. })));
    }

    #[test]
    fn the_fact_is_looked_for_where_the_file_knows_it() {
        let known = line((1.0, 0.0), "a", "b").replace("\"answer_0\"", "\"answers\":[\"New Delhi\"],\"answer_0\"");
        let found = load("answers", &[known, line((1.0, 0.0), "a", "b")].join("\n")).unwrap();
        let right = |row: usize, text: &str| found.rows[row].is_answered_by(text);
        assert_eq!(right(0, " Gladly. It is new delhi."), Some(true));
        assert_eq!(right(0, "Delhi."), Some(false));
        assert_eq!(right(0, "Is it New Delhi?"), Some(false));
        assert_eq!(right(1, "New Delhi"), None);
    }

    #[test]
    fn over_long_rows_are_counted() {
        let row = |chosen: &str| Comparison {
            question: "q".into(),
            chosen: chosen.into(),
            rejected: "b".into(),
            ..Comparison::default()
        };
        let comparisons = Comparisons { rows: vec![row("a"), row("a long answer")], ties: 0 };
        let tokenizer = CharTokenizer::ascii();
        let prompt = Comparison::prompt("q").len();
        let pairs = comparisons.encode(&tokenizer, prompt + 2).unwrap(); // letter, end
        assert_eq!((pairs.rows.len(), pairs.over_long), (1, 1));
        assert_eq!(pairs.rows[0].chosen.ids.last().copied(), tokenizer.end_of_text());
        assert!(matches!(comparisons.encode(&tokenizer, prompt + 1), Err(Error::EmptyInput { .. })));
    }
}
