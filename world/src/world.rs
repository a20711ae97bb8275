//! Everything that documents are made of, loaded once.

use std::collections::BTreeMap;

use gpt_lab::Rng;

use crate::facts::{Row, Table, tables};
use crate::grammar::{Bindings, Grammar};
use crate::relations::{Fact, Phrasing, Relation, pick, relations};

/// Facts, relations and grammars.
#[derive(Debug, Clone)]
pub struct World {
    /// All relations.
    pub relations: Vec<Relation>,
    /// The facts of each relation.
    pub facts: Vec<Vec<Fact>>,
    /// All that is known about one thing, across relations that can go on with "it".
    pub subjects: Vec<Subject>,
    /// Short stories.
    pub stories: Grammar,
    /// What stands around facts.
    pub prose: Grammar,
    tables: BTreeMap<&'static str, Table>,
}

/// A thing with several facts.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Its name, as facts write it.
    pub name: String,
    /// The table of its facts; borders count as countries.
    pub family: &'static str,
    /// Its facts.
    pub facts: Vec<Fact>,
}

/// A question with all its true answers.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The question.
    pub question: String,
    /// The fact it asks for.
    pub fact: Fact,
}

impl World {
    /// Loads the files of the crate.
    pub fn new() -> Self {
        let (relations, tables) = (relations(), tables());
        let facts: Vec<Vec<Fact>> = relations
            .iter()
            .enumerate()
            .map(|(i, relation)| relation.facts(i, &tables[relation.table.as_str()]))
            .collect();
        let subjects = subjects(&relations, &facts);
        let stories = Grammar::parse(include_str!("../templates/stories.txt"));
        let prose = Grammar::parse(include_str!("../templates/prose.txt"));
        World { relations, facts, subjects, stories, prose, tables }
    }

    /// The relation of a fact.
    pub fn relation(&self, fact: &Fact) -> &Relation {
        &self.relations[fact.relation]
    }

    /// A relation that may be asked about, drawn by its number of facts (at most 60 count, so that small ones have a
    /// chance).
    pub fn asked_relation(&self, rng: &mut Rng) -> usize {
        let weight = |i: usize| if self.relations[i].unasked { 0 } else { self.facts[i].len().clamp(12, 60) };
        let total: usize = (0..self.relations.len()).map(weight).sum();
        let mut left = rng.below(total);
        for i in 0..self.relations.len() {
            match left.checked_sub(weight(i)) {
                Some(rest) => left = rest,
                None => return i,
            }
        }
        unreachable!("the draw is below the sum of the weights")
    }

    /// A question of the training text about anything.
    pub fn ask(&self, rng: &mut Rng) -> Asked {
        let relation = self.asked_relation(rng);
        self.ask_about(relation, rng)
    }

    /// A question of the training text about this relation.
    pub fn ask_about(&self, relation: usize, rng: &mut Rng) -> Asked {
        let fact = pick(&self.facts[relation], rng).clone();
        let question = self.relations[relation].any_question(&fact, Phrasing::Seen, rng);
        Asked { question: question.expect("what may be asked has questions"), fact }
    }

    /// An object of another subject that is not true of this one; `None` where one cannot know.
    pub fn wrong_object(&self, fact: &Fact, rng: &mut Rng) -> Option<String> {
        if self.relation(fact).open {
            return None;
        }
        let facts = &self.facts[fact.relation];
        (0..50).map(|_| pick(&pick(facts, rng).objects, rng)).find(|object| self.is_wrong(fact, object)).cloned()
    }

    fn is_wrong(&self, fact: &Fact, object: &String) -> bool {
        !fact.objects.contains(object) && *object != fact.subject
    }

    /// Who and what a text is about: two people, a country, an animal, a job, a tool, all drawn at random.
    pub fn cast(&self, rng: &mut Rng) -> Bindings {
        let mut cast = Bindings::new();
        let names = &self.tables["names"].rows;
        let one = rng.below(names.len());
        let other = (one + 1 + rng.below(names.len() - 1)) % names.len();
        for (key, row, column) in [
            ("hero", one, "name"),
            ("they", one, "they"),
            ("them", one, "them"),
            ("their", one, "their"),
            ("friend", other, "name"),
            ("fthey", other, "they"),
            ("ftheir", other, "their"),
        ] {
            cast.insert(key.into(), names[row][column][0].clone());
        }
        let mut bind = |table: &str, pairs: &[(&str, &str)]| {
            let complete = |row: &&Row| pairs.iter().all(|(_, column)| !row[*column].is_empty());
            let rows: Vec<&Row> = self.tables[table].rows.iter().filter(complete).collect();
            let row = pick(&rows, rng);
            for (key, column) in pairs {
                cast.insert(key.to_string(), row[*column][0].clone());
            }
        };
        let same = |columns: &[&'static str]| columns.iter().map(|column| (*column, *column)).collect::<Vec<_>>();
        bind(
            "countries",
            &[&[("country", "name")][..], &same(&["capital", "adjective", "language", "currency"])].concat(),
        );
        bind("animals", &[&[("animal", "name")][..], &same(&["plural", "class", "food", "home"])].concat());
        bind("jobs", &[("job", "name"), ("does", "does"), ("place", "place")]);
        bind("uses", &[("tool", "name"), ("use", "use")]);
        let day = pick(&self.tables["weekdays"].rows, rng)["name"][0].clone();
        cast.insert("weekday".into(), day);
        cast
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

/// Groups the facts whose relation can go on with "it".
fn subjects(relations: &[Relation], facts: &[Vec<Fact>]) -> Vec<Subject> {
    let mut subjects: BTreeMap<(&'static str, String), Vec<Fact>> = BTreeMap::new();
    for (relation, facts) in relations.iter().zip(facts) {
        let family = match relation.table.as_str() {
            "countries" | "borders" if relation.id != "capital_of" => "countries",
            "landmarks" => "landmarks",
            "rivers" => "rivers",
            "mountains" => "mountains",
            "elements" if relation.id != "element" => "elements",
            "animals" => "animals",
            "planets" => "planets",
            "months" => "months",
            "works" => "works",
            "jobs" if relation.id != "who_does" => "jobs",
            _ => continue,
        };
        for fact in facts {
            subjects.entry((family, fact.subject.clone())).or_default().push(fact.clone());
        }
    }
    subjects.into_iter().map(|((family, name), facts)| Subject { name, family, facts }).collect()
}
