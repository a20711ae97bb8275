//! Comparisons of two answers: files in the schema of WebGPT, and rows of tokens for the models that learn from them.
//!
//! [`Comparisons`] (texts, ties dropped) → [`TokenPairs`] (ids, over-long rows dropped) → batches: [`Pairs`] for a reward model,
//! [`Preferences`](crate::align::Preferences) for DPO, [`Answers`] for fine-tuning on the preferred answers.

use std::path::Path;

use candle_core::{Device, Tensor};
use serde_json::Value;

use super::instructions::names_one_of;
use super::table;
use super::{Batch, Examples, Pairs};
use crate::core::hash::fnv1a;
use crate::text::Tokenizer;
use crate::{Error, Result};

/// A question and two answers, of which somebody preferred the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// What was asked.
    pub question: String,
    /// The answer with the higher score.
    pub chosen: String,
    /// The other answer.
    pub rejected: String,
    /// Why, if the file says so (the lab's own does, WebGPT's does not).
    pub slice: String,
    /// A right answer names one of these; empty if the file does not say (the lab's own does, WebGPT's does not).
    pub answers: Vec<String>,
}

/// Comparisons that say something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparisons {
    /// In the order of the file.
    pub rows: Vec<Comparison>,
    /// How many rows were dropped because both answers had the same score.
    pub ties: usize,
}

impl Comparison {
    /// The text before the answer: `Question: …⏎Answer:`.
    pub fn prompt(question: &str) -> String {
        format!("Question: {question}\nAnswer:")
    }

    /// Whether a text names the fact that was asked for, in its first line and without asking back; `None` where the file does
    /// not say what is right. It looks for the fact alone: manners and style count nothing.
    pub fn is_answered_by(&self, text: &str) -> Option<bool> {
        names_one_of(&self.answers, text)
    }
}

impl Comparisons {
    /// Reads JSON lines (or one list) or Parquet in WebGPT's schema: `question.full_text`, `answer_0`, `score_0`, `answer_1`, `score_1`;
    /// other fields are left alone. Rows with equal scores are dropped and counted; empty lines are skipped.
    ///
    /// # Errors
    /// [`Error::FileNotFound`], [`Error::Io`], [`Error::TruncatedFile`]; [`Error::InvalidConfig`] names file, line (or row) and field of
    /// what is missing or of another type; [`Error::EmptyInput`] if no comparison is left.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::load_from(path.as_ref())
    }

    fn load_from(path: &Path) -> Result<Self> {
        let mut comparisons = Comparisons::default();
        for row in table::rows(path)? {
            match parse(&row.json).map_err(|detail| Error::InvalidConfig { context: row.place, detail })? {
                Some(row) => comparisons.rows.push(row),
                None => comparisons.ties += 1,
            }
        }
        if comparisons.rows.is_empty() {
            return Err(Error::EmptyInput { what: format!("{} (ties: {})", path.display(), comparisons.ties) });
        }
        Ok(comparisons)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Those that fulfil a condition.
    pub fn filter(&self, keep: impl Fn(&Comparison) -> bool) -> Self {
        Comparisons { rows: self.rows.iter().filter(|row| keep(row)).cloned().collect(), ties: self.ties }
    }

    /// As ids: the prompt, then a space and the answer, then the end-of-text mark. Rows of which a side has more than `limit`
    /// tokens are dropped and counted.
    ///
    /// # Errors
    /// [`Error::UnknownCharacter`]; [`Error::EmptyInput`] if no row is left.
    pub fn encode(&self, tokenizer: &dyn Tokenizer, limit: usize) -> Result<TokenPairs> {
        let mut pairs = TokenPairs::default();
        for row in &self.rows {
            let pair = TokenPair {
                prompt: tokenizer.encode(&Comparison::prompt(&row.question))?,
                chosen: encode_answer(tokenizer, &row.chosen)?,
                rejected: encode_answer(tokenizer, &row.rejected)?,
            };
            if pair.prompt.len() + pair.chosen.len().max(pair.rejected.len()) > limit {
                pairs.over_long += 1;
            } else {
                pairs.rows.push(pair);
            }
        }
        if pairs.rows.is_empty() {
            return Err(Error::EmptyInput { what: format!("the comparisons of at most {limit} tokens") });
        }
        Ok(pairs)
    }
}

/// The ids of a space, an answer and the end-of-text mark, as they follow a [prompt](Comparison::prompt).
///
/// # Errors
/// [`Error::UnknownCharacter`].
pub fn encode_answer(tokenizer: &dyn Tokenizer, answer: &str) -> Result<Vec<u32>> {
    let mut ids = tokenizer.encode(&format!(" {answer}"))?;
    ids.extend(tokenizer.end_of_text());
    Ok(ids)
}

/// One row; `None` for a tie, the complaint for what cannot be read.
fn parse(json: &Value) -> Result<Option<Comparison>, String> {
    let text = |field: &str| match json.pointer(&format!("/{}", field.replace('.', "/"))) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(format!("field `{field}` is {other}, expected a text")),
        None => Err(format!("field `{field}` is missing")),
    };
    let score = |field: &str| match &json[field] {
        Value::Number(number) => number.as_f64().ok_or_else(|| format!("field `{field}` is {number}")),
        Value::Null => Err(format!("field `{field}` is missing")),
        other => Err(format!("field `{field}` is {other}, expected a number")),
    };
    let (question, first, second) = (text("question.full_text")?, text("answer_0")?, text("answer_1")?);
    let (score_0, score_1) = (score("score_0")?, score("score_1")?);
    let slice = json["slice"].as_str().unwrap_or_default().to_string();
    let answers = match &json["answers"] {
        Value::Null => Vec::new(),
        list => serde_json::from_value(list.clone())
            .map_err(|_| format!("field `answers` is {list}, expected a list of texts"))?,
    };
    let (chosen, rejected) = match score_0.total_cmp(&score_1) {
        _ if score_0 == score_1 => return Ok(None), // also 0 and −0
        std::cmp::Ordering::Greater => (first, second),
        _ => (second, first),
    };
    Ok(Some(Comparison { question, chosen, rejected, slice, answers }))
}

/// The ids of one comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenPair {
    /// What both answers follow.
    pub prompt: Vec<u32>,
    /// The preferred answer with its end.
    pub chosen: Vec<u32>,
    /// The other answer with its end.
    pub rejected: Vec<u32>,
}

/// Comparisons as ids. As [`Examples`] they give [`Pairs`], padded on the right with id 0 and a mask that says so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenPairs {
    /// In the order of the file.
    pub rows: Vec<TokenPair>,
    /// How many rows were dropped because a side was too long.
    pub over_long: usize,
}

impl TokenPairs {
    /// Prompts with the preferred answers, to fine-tune on.
    pub fn chosen_answers(&self) -> Answers {
        let row = |pair: &TokenPair| (pair.prompt.clone(), pair.chosen.clone());
        Answers { rows: self.rows.iter().map(row).collect() }
    }

    /// These rows, after a look whether there are such.
    pub(crate) fn pick(&self, rows: &[usize]) -> Result<Vec<&TokenPair>> {
        pick(&self.rows, rows)
    }
}

impl Examples for TokenPairs {
    type Batch = Pairs;

    fn count(&self) -> usize {
        self.rows.len()
    }

    fn batch(&self, rows: &[usize]) -> Result<Pairs> {
        let pairs = self.pick(rows)?;
        let chosen = Padded::of(pairs.iter().map(|pair| (&pair.prompt[..], &pair.chosen[..])))?;
        let rejected = Padded::of(pairs.iter().map(|pair| (&pair.prompt[..], &pair.rejected[..])))?;
        Ok(Pairs { chosen: chosen.ids, chosen_mask: chosen.mask, rejected: rejected.ids, rejected_mask: rejected.mask })
    }

    fn tokens(&self, rows: &[usize]) -> usize {
        let pairs = rows.iter().filter_map(|&row| self.rows.get(row));
        pairs.map(|pair| 2 * pair.prompt.len() + pair.chosen.len() + pair.rejected.len()).sum()
    }

    fn fingerprint(&self) -> u64 {
        fnv1a(self.rows.iter().flat_map(|pair| [&pair.prompt, &pair.chosen, &pair.rejected]).flat_map(|ids| bytes(ids)))
    }
}

/// Prompts and answers. As [`Examples`] they give a [`Batch`] in which the answers' tokens are learnt and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    /// Prompt and answer of each row.
    pub rows: Vec<(Vec<u32>, Vec<u32>)>,
}

impl Examples for Answers {
    type Batch = Batch;

    fn count(&self) -> usize {
        self.rows.len()
    }

    fn batch(&self, rows: &[usize]) -> Result<Batch> {
        let rows = pick(&self.rows, rows)?;
        let padded = Padded::of(rows.iter().map(|(prompt, answer)| (&prompt[..], &answer[..])))?;
        let width = padded.ids.dim(1)?;
        let mut targets = vec![crate::ops::IGNORE_INDEX; rows.len() * width];
        for ((prompt, answer), targets) in rows.iter().zip(targets.chunks_exact_mut(width)) {
            for (target, id) in targets[prompt.len() - 1..].iter_mut().zip(answer) {
                *target = i64::from(*id);
            }
        }
        Ok(Batch { inputs: padded.ids, targets: Tensor::from_vec(targets, (rows.len(), width), &Device::Cpu)? })
    }

    fn tokens(&self, rows: &[usize]) -> usize {
        rows.iter().filter_map(|&row| self.rows.get(row)).map(|(prompt, answer)| prompt.len() + answer.len()).sum()
    }

    fn fingerprint(&self) -> u64 {
        fnv1a(self.rows.iter().flat_map(|(prompt, answer)| [prompt, answer]).flat_map(|ids| bytes(ids)))
    }
}

/// A list's length and its ids, for a fingerprint.
fn bytes(ids: &[u32]) -> Vec<u8> {
    let length = (ids.len() as u32).to_le_bytes();
    length.into_iter().chain(ids.iter().flat_map(|id| id.to_le_bytes())).collect()
}

fn pick<'a, T>(all: &'a [T], rows: &[usize]) -> Result<Vec<&'a T>> {
    let bad = |argument, value: usize, expected: String| Error::InvalidArgument {
        argument,
        value: value.to_string(),
        expected,
    };
    if rows.is_empty() {
        return Err(bad("rows", 0, "at least one row a batch".into()));
    }
    let one = |&row: &usize| all.get(row).ok_or_else(|| bad("row", row, format!("a row below {}", all.len())));
    rows.iter().map(one).collect()
}

/// Prompts with answers in one rectangle, `[N, T]` each, filled up on the right.
#[derive(Debug)]
pub(crate) struct Padded {
    /// Ids, 0 for padding.
    pub ids: Tensor,
    /// 1 for real tokens.
    pub mask: Tensor,
    /// 1 for the answer's tokens.
    pub answer: Tensor,
}

impl Padded {
    /// # Errors
    /// [`Error::EmptyInput`] for an empty prompt: the answer's first token needs something before it.
    pub fn of<'a>(rows: impl Iterator<Item = (&'a [u32], &'a [u32])>) -> Result<Self> {
        let rows: Vec<(&[u32], &[u32])> = rows.collect();
        let width = rows.iter().map(|(prompt, answer)| prompt.len() + answer.len()).max().unwrap_or(0);
        let (mut ids, mut mask, mut answers) = (Vec::new(), Vec::new(), Vec::new());
        for (prompt, answer) in &rows {
            if prompt.is_empty() {
                return Err(Error::EmptyInput { what: "the prompt of a row".into() });
            }
            let (before, real) = (prompt.len(), prompt.len() + answer.len());
            ids.extend(prompt.iter().chain(*answer).copied().chain(std::iter::repeat_n(0, width - real)));
            mask.extend((0..width).map(|at| u8::from(at < real)));
            answers.extend((0..width).map(|at| u8::from(before <= at && at < real)));
        }
        let shape = (rows.len(), width);
        Ok(Padded {
            ids: Tensor::from_vec(ids, shape, &Device::Cpu)?,
            mask: Tensor::from_vec(mask, shape, &Device::Cpu)?,
            answer: Tensor::from_vec(answers, shape, &Device::Cpu)?,
        })
    }
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
        let path = std::env::temp_dir().join(format!("gpt_lab-comparisons-{name}-{}.jsonl", std::process::id()));
        fs::write(&path, text).unwrap();
        let found = Comparisons::load(&path);
        fs::remove_file(path).unwrap();
        found
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
            assert!(error.contains(&format!("-{name}-")) && error.contains("line 2: "), "{error}");
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

    /// Prompt `ab` (ids 1 2) with answers of different lengths.
    fn pairs() -> TokenPairs {
        let row = |chosen: &[u32], rejected: &[u32]| TokenPair {
            prompt: vec![1, 2],
            chosen: chosen.to_vec(),
            rejected: rejected.to_vec(),
        };
        TokenPairs { rows: vec![row(&[3, 0], &[4, 5, 0]), row(&[6, 7, 8, 0], &[0])], over_long: 0 }
    }

    #[test]
    fn batches_are_padded_and_masked() {
        let batch = pairs().batch(&[1, 0]).unwrap();
        let ids = |tensor: &Tensor| tensor.to_vec2::<u32>().unwrap();
        let marks = |tensor: &Tensor| tensor.to_vec2::<u8>().unwrap();
        assert_eq!(ids(&batch.chosen), [[1, 2, 6, 7, 8, 0], [1, 2, 3, 0, 0, 0]]);
        assert_eq!(marks(&batch.chosen_mask), [[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]]); // a real 0, then padding
        assert_eq!(ids(&batch.rejected), [[1, 2, 0, 0, 0], [1, 2, 4, 5, 0]]);
        assert_eq!(marks(&batch.rejected_mask), [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]);
        assert_eq!(pairs().tokens(&[0, 1]), 4 + 5 + 6 + 3);
        assert!(pairs().batch(&[2]).is_err() && pairs().batch(&[]).is_err());
        let mut other = pairs();
        other.rows[0].prompt = vec![1];
        other.rows[0].chosen = vec![2, 3, 0]; // the same ids, cut elsewhere
        assert_ne!(other.fingerprint(), pairs().fingerprint());
    }

    #[test]
    fn answers_are_learnt_and_prompts_are_not() {
        let batch = pairs().chosen_answers().batch(&[0, 1]).unwrap();
        let targets = batch.targets.to_vec2::<i64>().unwrap();
        assert_eq!(targets, [[-100, 3, 0, -100, -100, -100], [-100, 6, 7, 8, 0, -100]]);
    }

    #[test]
    fn over_long_rows_are_counted() {
        let row = |chosen: &str| Comparison {
            question: "q".into(),
            chosen: chosen.into(),
            rejected: "b".into(),
            slice: String::new(),
            answers: vec![],
        };
        let comparisons = Comparisons { rows: vec![row("a"), row("a long answer")], ties: 0 };
        let tokenizer = CharTokenizer::ascii();
        let prompt = Comparison::prompt("q").len();
        let pairs = comparisons.encode(&tokenizer, prompt + 3).unwrap(); // space, letter, end
        assert_eq!((pairs.rows.len(), pairs.over_long), (1, 1));
        assert_eq!(pairs.rows[0].chosen.last().copied(), tokenizer.end_of_text());
        assert!(matches!(comparisons.encode(&tokenizer, prompt + 2), Err(Error::EmptyInput { .. })));
    }
}
