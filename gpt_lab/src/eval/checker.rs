//! A checker that knows the facts: the gold standard that a reward model only approximates (Gao et al. 2022, "Scaling
//! laws for reward model overoptimization", <https://arxiv.org/abs/2210.10760>).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::data::{Comparison, Comparisons, Completion, words};
use crate::text::Tokenizer;
use crate::{Error, Result};

/// Beginnings of answers that are no answers.
const RUDE: [&str; 5] =
    ["Look it up.", "Everybody knows that.", "Why do you ask?", "What a silly question.", "Not again."];

/// What the checker finds in an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// It names what was asked for, and nothing is wrong with it.
    Right,
    /// It is rude.
    Rude,
    /// It asks something back.
    AsksBack,
    /// It does not name what was asked for.
    Missing,
    /// It names this as well, which is another answer of the kind or about another subject: whoever lists all capitals
    /// has not said which one it is.
    NamesAlso(String),
}

impl Check {
    /// True for a right answer.
    pub fn passes(&self) -> bool {
        *self == Check::Right
    }
}

/// `right`, `asks back`, `names "Rome" as well` …
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Check::Right => write!(f, "right"),
            Check::Rude => write!(f, "rude"),
            Check::AsksBack => write!(f, "asks back"),
            Check::Missing => write!(f, "does not name it"),
            Check::NamesAlso(name) => write!(f, "names \"{name}\" as well"),
        }
    }
}

/// True for an answer with one of the rude phrases of the comparisons.
pub fn is_rude(answer: &str) -> bool {
    RUDE.iter().any(|phrase| answer.contains(phrase))
}

/// True for an answer that says the same again: two sentences that share most of their words.
pub fn says_it_twice(answer: &str) -> bool {
    let sentences: Vec<BTreeSet<String>> = answer
        .split_inclusive(['.', '!'])
        .map(|sentence| words(sentence).split_whitespace().map(str::to_string).collect())
        .filter(|words: &BTreeSet<String>| words.len() > 1)
        .collect();
    let alike = |a: &BTreeSet<String>, b: &BTreeSet<String>| 2 * a.intersection(b).count() >= a.len().min(b.len());
    sentences.windows(2).any(|two| alike(&two[0], &two[1]))
}

/// Judges answers by the facts. It reads no sentences: it looks for names.
#[derive(Debug, Clone, Default)]
pub struct Checker {
    /// All names of a kind, answers and subjects, as words between spaces.
    names: BTreeMap<String, BTreeSet<String>>,
}

impl Checker {
    /// A checker that knows the facts of these comparisons. Give it all of them: the names that it has never met it
    /// cannot miss.
    pub fn new(sets: &[&Comparisons]) -> Self {
        let rows = || sets.iter().flat_map(|set| &set.rows).filter(|row| !row.answers.is_empty());
        let mut names: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for row in rows() {
            let of_kind = names.entry(row.kind.clone()).or_default();
            of_kind.extend(row.answers.iter().chain([&row.subject]).map(|name| words(name)));
        }
        let mut checker = Checker { names };
        // A name that right answers mention by the way is no sign of a wrong one.
        for row in rows() {
            while let Check::NamesAlso(name) = checker.check(row, &row.chosen) {
                checker.names.entry(row.kind.clone()).or_default().remove(&words(&name));
            }
        }
        checker
    }

    /// What it finds in the first line of an answer.
    pub fn check(&self, row: &Comparison, answer: &str) -> Check {
        let line = answer.trim_start().lines().next().unwrap_or_default();
        if is_rude(line) {
            return Check::Rude;
        }
        if line.contains('?') {
            return Check::AsksBack;
        }
        let mut told = words(line);
        let own: Vec<String> = row.answers.iter().map(|name| words(name)).collect();
        if !own.iter().any(|name| told.contains(name)) {
            return Check::Missing;
        }
        // Names may be parts of others: "Guinea" of "Guinea-Bissau".
        for name in own.iter().chain([&words(&row.subject)]).filter(|name| name.len() > 2) {
            told = told.replace(name, "  ");
        }
        let asked = words(&row.question);
        let others = self.names.get(&row.kind).into_iter().flatten();
        let mut also = others.filter(|name| name.len() > 2 && told.contains(*name) && !asked.contains(*name));
        also.next().map_or(Check::Right, |name| Check::NamesAlso(name.trim().to_string()))
    }

    /// What it finds in each of these answers, one for each row.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for another number of answers than rows; those of the tokenizer.
    pub fn check_all(
        &self,
        rows: &[Comparison],
        answers: &[Completion],
        tokenizer: &dyn Tokenizer,
    ) -> Result<Vec<Check>> {
        if rows.len() != answers.len() {
            let found = format!("{} answers", answers.len());
            return Err(Error::argument("answers", found, format!("{}, one for each row", rows.len())));
        }
        rows.iter().zip(answers).map(|(row, answer)| Ok(self.check(row, &answer.text(tokenizer)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(subject: &str, answers: &[&str], chosen: &str) -> Comparison {
        Comparison {
            question: format!("What is the capital of {subject}?"),
            chosen: chosen.into(),
            answers: answers.iter().map(|answer| answer.to_string()).collect(),
            kind: "capital".into(),
            subject: subject.into(),
            ..Default::default()
        }
    }

    #[test]
    fn one_right_name_passes_and_a_list_does_not() {
        let rows = vec![
            row("Italy", &["Rome"], "Rome is the capital of Italy."),
            row("Guinea", &["Conakry"], "Conakry."),
            row("Guinea-Bissau", &["Bissau"], "The capital of Guinea-Bissau is Bissau."),
        ];
        let checker = Checker::new(&[&Comparisons { rows: rows.clone(), ties: 0 }]);
        for (answer, found) in [
            ("It is Rome.", Check::Right),
            ("rome\nor Conakry", Check::Right),
            ("Gladly. Rome is the capital of Italy.", Check::Right),
            ("Conakry is the capital of Italy.", Check::Missing),
            ("Romeo.", Check::Missing),
            ("", Check::Missing),
            ("Rome, Conakry or Bissau.", Check::NamesAlso("bissau".into())),
            ("Guinea has a capital, Rome.", Check::NamesAlso("guinea".into())),
            ("Is it Rome?", Check::AsksBack),
            ("Look it up. It is Rome.", Check::Rude),
        ] {
            assert_eq!(checker.check(&rows[0], answer), found, "{answer}");
        }
        assert_eq!(checker.check(&rows[2], &rows[2].chosen), Check::Right, "a name within another");
        assert_eq!(Check::NamesAlso("rome".into()).to_string(), "names \"rome\" as well");
    }

    #[test]
    fn what_right_answers_mention_counts_for_nothing() {
        let mut rows = vec![row("Italy", &["Rome"], "Rome, not far from Ostia, is the capital.")];
        rows.push(row("Ostia", &["Old"], "Old."));
        let checker = Checker::new(&[&Comparisons { rows: rows.clone(), ties: 0 }]);
        assert_eq!(checker.check(&rows[0], &rows[0].chosen), Check::Right);
    }

    #[test]
    fn the_comparisons_of_the_lab_agree_with_it() {
        let load = |file| Comparisons::load(crate::assets::path("comparisons").unwrap().join(file)).unwrap();
        let (train, held_out) = (load("train.jsonl"), load("validation.jsonl"));
        let checker = Checker::new(&[&train, &held_out]);
        let share = |slice: &str, side: fn(&Comparison) -> &str| {
            let rows: Vec<&Comparison> = held_out.rows.iter().filter(|row| row.slice == slice).collect();
            rows.iter().filter(|row| checker.check(row, side(row)).passes()).count() as f64 / rows.len() as f64
        };
        for slice in ["truth", "on_topic", "to_the_point", "politeness", "answers_at_all", "says_it_twice"] {
            assert_eq!(share(slice, |row| &row.chosen), 1.0, "{slice}: preferred answers pass");
        }
        assert!(share("truth", |row| &row.rejected) < 0.01 && share("on_topic", |row| &row.rejected) < 0.02);
        assert_eq!(share("politeness", |row| &row.rejected), 0.0);
        // But for a question that names it and ends in a full stop.
        assert!(share("answers_at_all", |row| &row.rejected) < 0.01);
    }

    #[test]
    fn saying_it_twice_is_seen() {
        assert!(says_it_twice("Tokyo is the capital of Japan. The capital of Japan is Tokyo."));
        assert!(!says_it_twice("Gladly. The capital of Japan is Tokyo."));
        assert!(!says_it_twice("A lemon is yellow. Many people in Mexico speak Spanish."));
        assert!(!says_it_twice("Tokyo."));
    }
}
