//! What can be said and asked about facts: `templates/relations.txt` applied to the tables.

use std::collections::BTreeMap;

use gpt_lab::Rng;

use crate::facts::{Row, Table};
use crate::grammar::{Bindings, fill};
use crate::wording::{capitalised, sentences};

const RELATIONS: &str = include_str!("../templates/relations.txt");
const FRAMES: &str = include_str!("../templates/frames.txt");

/// Who may see a phrasing of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phrasing {
    /// The training text.
    Seen,
    /// Instruction tuning, not the training text.
    Instruction,
    /// Nobody: evaluation only.
    Held,
}

impl Phrasing {
    /// The letter before such a line in the template files.
    fn letter(self) -> char {
        match self {
            Phrasing::Seen => 'q',
            Phrasing::Instruction => 'i',
            Phrasing::Held => 'h',
        }
    }
}

/// One thing that subjects have: a capital, an author, a colour.
#[derive(Debug, Clone)]
pub struct Relation {
    /// Its name.
    pub id: String,
    /// The table that holds it.
    pub table: String,
    subject: String,
    object: String,
    only: Option<(String, Vec<String>)>,
    both: bool,
    /// It is told and never asked about, neither in the training text nor in the instructions to learn from.
    pub unasked: bool,
    /// Other answers than those listed may be true.
    pub open: bool,
    lines: BTreeMap<char, Vec<String>>,
}

/// One subject of a relation and everything that is true of it.
#[derive(Debug, Clone)]
pub struct Fact {
    /// The relation's place in the list of all.
    pub relation: usize,
    /// The subject.
    pub subject: String,
    /// Every listed object; at least one.
    pub objects: Vec<String>,
    /// Other columns of the row.
    row: Bindings,
}

/// All relations, in the order of the file.
pub fn relations() -> Vec<Relation> {
    let mut relations: Vec<Relation> = Vec::new();
    for line in RELATIONS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if line.starts_with('[') {
            relations.push(Relation::parse_header(line));
        } else {
            let (letter, text) = (line.chars().next().expect("not empty"), line[1..].trim());
            let relation = relations.last_mut().expect("a relation begins with its header");
            relation.lines.entry(letter).or_default().push(text.to_string());
        }
    }
    for relation in &mut relations {
        relation.apply_frames();
    }
    relations
}

impl Relation {
    /// `[id] table: subject -> object where column = value, value unasked open both`
    fn parse_header(line: &str) -> Self {
        let parse = || {
            let (id, rest) = line.strip_prefix('[')?.split_once(']')?;
            let (table, rest) = rest.split_once(':')?;
            let (subject, rest) = rest.split_once("->")?;
            let mut words: Vec<&str> = rest.split_whitespace().collect();
            let mut flag = |name| {
                let before = words.len();
                words.retain(|word| *word != name);
                words.len() < before
            };
            let (unasked, open, both) = (flag("unasked"), flag("open"), flag("both"));
            let rest = words.join(" ");
            let (object, only) = match rest.split_once(" where ") {
                None => (rest.clone(), None),
                Some((object, condition)) => {
                    let (column, values) = condition.split_once(" = ")?;
                    let values = values.split(", ").map(str::to_string).collect();
                    (object.to_string(), Some((column.to_string(), values)))
                }
            };
            let (id, table, subject) = (id.to_string(), table.trim().to_string(), subject.trim().to_string());
            Some(Relation { id, table, subject, object, only, both, unasked, open, lines: BTreeMap::new() })
        };
        parse().unwrap_or_else(|| panic!("templates/relations.txt: `{line}`"))
    }

    /// Questions made of the noun phrases.
    fn apply_frames(&mut self) {
        for noun in self.lines.get(&'n').cloned().unwrap_or_default() {
            for frame in FRAMES.lines().filter(|line| !line.starts_with('#')) {
                let (letter, text) = (frame.chars().next().expect("not empty"), frame[1..].trim());
                let lines = self.lines.entry(letter).or_default();
                let question = text.replace("{n}", &noun);
                if !lines.contains(&question) {
                    lines.push(question);
                }
            }
        }
    }

    /// Its lines of one letter of the file.
    fn of(&self, letter: char) -> &[String] {
        self.lines.get(&letter).map_or(&[], Vec::as_slice)
    }

    /// The templates of its questions.
    pub fn questions(&self, phrasing: Phrasing) -> &[String] {
        self.of(phrasing.letter())
    }

    /// Its facts, by subject in the order of the table.
    pub fn facts(&self, number: usize, table: &Table) -> Vec<Fact> {
        let mut facts: Vec<Fact> = Vec::new();
        for row in table.rows.iter().filter(|row| self.concerns(row)) {
            let mut add = |subject: &str, object: &str| {
                for subject in &row[subject] {
                    for object in &row[object] {
                        match facts.iter_mut().find(|fact| fact.subject == *subject) {
                            Some(fact) => fact.objects.push(object.clone()),
                            None => facts.push(Fact {
                                relation: number,
                                subject: subject.clone(),
                                objects: vec![object.clone()],
                                row: others(row),
                            }),
                        }
                    }
                }
            };
            add(&self.subject, &self.object);
            if self.both {
                add(&self.object, &self.subject);
            }
        }
        facts
    }

    fn concerns(&self, row: &Row) -> bool {
        self.only.as_ref().is_none_or(|(column, values)| row[column].iter().any(|value| values.contains(value)))
    }

    /// A sentence about the fact that stands alone.
    pub fn statement(&self, fact: &Fact, rng: &mut Rng) -> String {
        let object = pick(&fact.objects, rng).clone();
        self.statement_with(fact, &object, rng)
    }

    /// The same with an object of the caller's choice, be it true or not.
    pub fn statement_with(&self, fact: &Fact, object: &str, rng: &mut Rng) -> String {
        let line = pick(self.of('s'), rng);
        sentences(&fact.fill(line, object))
    }

    /// The beginning of a statement up to the place of its object, if one of the relation's statements ends with it.
    pub fn beginning(&self, fact: &Fact, rng: &mut Rng) -> Option<String> {
        let cut = |line: &String| {
            let (before, last) = line.rsplit_once(' ')?;
            match (last, before.strip_suffix("{a")) {
                ("{o}.", _) => Some(before.to_string()),
                ("o}.", Some(before)) => Some(before.trim_end().to_string()),
                _ => None,
            }
        };
        let lines: Vec<String> = self.of('s').iter().filter_map(cut).collect();
        (!lines.is_empty()).then(|| sentences(&fact.fill(pick(&lines, rng).as_str(), "")))
    }

    /// A sentence that goes on about the subject ("Its capital is …"), if the relation has such.
    pub fn continuation(&self, fact: &Fact, rng: &mut Rng) -> Option<String> {
        let lines = self.of('p');
        (!lines.is_empty()).then(|| sentences(&fact.fill(pick(lines, rng).as_str(), pick(&fact.objects, rng).as_str())))
    }

    /// A question about the fact, by the number of its template.
    pub fn question(&self, fact: &Fact, phrasing: Phrasing, template: usize) -> String {
        sentences(&fact.fill(&self.questions(phrasing)[template], &fact.objects[0]))
    }

    /// A question about the fact in any wording of this kind; `None` if the relation has none.
    pub fn any_question(&self, fact: &Fact, phrasing: Phrasing, rng: &mut Rng) -> Option<String> {
        let n = self.questions(phrasing).len();
        (n > 0).then(|| self.question(fact, phrasing, rng.below(n)))
    }

    /// A short answer.
    pub fn answer(&self, fact: &Fact, rng: &mut Rng) -> String {
        let object = pick(&fact.objects, rng);
        self.answer_with(fact, object, rng)
    }

    /// A short answer with an object of the caller's choice.
    pub fn answer_with(&self, fact: &Fact, object: &str, rng: &mut Rng) -> String {
        let filled = fact.fill(pick(self.of('a'), rng).as_str(), object);
        if self.id == "keyword_for" { filled } else { capitalised(&filled) }
    }
}

impl Fact {
    /// The first value of each column of its row, and the subject as `s`.
    pub fn columns(&self) -> Bindings {
        let mut columns = self.row.clone();
        columns.insert("s".into(), self.subject.clone());
        columns
    }

    fn fill(&self, line: &str, object: &str) -> String {
        let mut bindings = self.columns();
        bindings.insert("o".into(), object.to_string());
        fill(line, &bindings).unwrap_or_else(|| panic!("a slot of `{line}` is not filled for {}", self.subject))
    }
}

/// The first value of every column.
fn others(row: &Row) -> Bindings {
    row.iter().filter_map(|(column, values)| Some((column.clone(), values.first()?.clone()))).collect()
}

/// Any of these.
pub fn pick<'a, T>(items: &'a [T], rng: &mut Rng) -> &'a T {
    &items[rng.below(items.len())]
}
