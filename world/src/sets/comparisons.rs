//! Questions with two answers, one of them preferred.

use gpt_lab::Rng;
use serde::Serialize;

use super::{Side, asked};
use crate::World;
use crate::relations::{Fact, pick};

const POLITE: [&str; 5] = ["Gladly.", "Of course.", "Thank you for asking.", "With pleasure.", "A good question."];
const CURT: [&str; 5] =
    ["Look it up.", "Everybody knows that.", "Why do you ask?", "What a silly question.", "Not again."];

/// A row in the schema of WebGPT's comparisons, with two fields more: the reason of the preference, and what is right.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// What was asked.
    pub question: Question,
    /// No quotes: the answers cite nothing.
    pub quotes_0: Quotes,
    /// One answer.
    pub answer_0: String,
    /// Left empty: tokens of the original's own model.
    pub tokens_0: Tokens,
    /// Its score; both add up to 0, and 0 is a tie.
    pub score_0: f32,
    /// As for the other.
    pub quotes_1: Quotes,
    /// The other answer.
    pub answer_1: String,
    /// Left empty.
    pub tokens_1: Tokens,
    /// Its score.
    pub score_1: f32,
    /// Why one is preferred.
    pub slice: &'static str,
    /// What a right answer names, any of these.
    pub answers: Vec<String>,
}

/// The question of a comparison.
#[derive(Debug, Clone, Serialize)]
pub struct Question {
    /// Where it comes from.
    pub dataset: &'static str,
    /// Its number.
    pub id: String,
    /// Its text.
    pub full_text: String,
}

/// Quotes with their titles.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Quotes {
    title: Vec<String>,
    extract: Vec<String>,
}

/// Token ids.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Tokens {
    prefix: Vec<u32>,
    completion: Vec<u32>,
}

/// The slices with their shares in per cent. In `length_bias` the longer of two true answers wins, which says nothing
/// about its worth: a trap for reward models, marked so that a lesson can take it out.
pub const SLICES: [(&str, usize); 7] = [
    ("truth", 25),
    ("on_topic", 15),
    ("to_the_point", 15),
    ("politeness", 15),
    ("answers_at_all", 10),
    ("length_bias", 15),
    ("tie", 5),
];

/// `count` comparisons.
pub fn comparisons(world: &World, side: Side, count: usize, seed: u64) -> Vec<Comparison> {
    let mut rng = Rng::new(seed).stream(if side == Side::Train { 4 } else { 5 });
    let mut rows = Vec::new();
    while rows.len() < count {
        // To judge by are both: facts that training rows speak of, and others.
        let new = side == Side::Validation && rng.below(2) == 0;
        let (fact, question) = asked(world, if new { Side::NewFacts } else { side }, &mut rng);
        let slice = slice(&mut rng);
        if let Some((better, worse)) = answers(world, slice, &fact, &question, &mut rng).filter(|(a, b)| a != b) {
            let row = comparison(slice, rows.len(), question, better, worse, &mut rng);
            rows.push(Comparison { answers: fact.objects, ..row });
        }
    }
    rows
}

/// A slice, drawn by the shares.
fn slice(rng: &mut Rng) -> &'static str {
    let mut left = rng.below(100);
    let chosen = SLICES.iter().find(|(_, share)| match left.checked_sub(*share) {
        Some(rest) => {
            left = rest;
            false
        }
        None => true,
    });
    chosen.expect("the shares sum to a hundred").0
}

/// The preferred answer and the other one; `None` where this fact has no such pair.
fn answers(world: &World, slice: &str, fact: &Fact, question: &str, rng: &mut Rng) -> Option<(String, String)> {
    let relation = world.relation(fact);
    let truth = relation.statement(fact, rng);
    Some(match slice {
        "truth" => (truth, relation.statement_with(fact, &world.wrong_object(fact, rng)?, rng)),
        "on_topic" => (truth, off_topic(world, fact, rng)?),
        "to_the_point" => {
            let about = rambling(world, rng);
            (truth.clone(), if about.is_empty() { return None } else { format!("{about} {truth}") })
        }
        "politeness" => (format!("{} {truth}", pick(&POLITE, rng)), format!("{} {truth}", pick(&CURT, rng))),
        "answers_at_all" => {
            let other = world.ask(rng).question;
            let again = if rng.below(2) == 0 { question.to_string() } else { world.ask(rng).question };
            (truth, format!("{again} {other}"))
        }
        "length_bias" => (format!("{truth} {}", relation.statement(fact, rng)), relation.answer(fact, rng) + "."),
        _ => (truth, relation.statement(fact, rng)),
    })
}

/// A true statement that is no answer to a question for this fact: about something else, or the same about somebody
/// else.
fn off_topic(world: &World, fact: &Fact, rng: &mut Rng) -> Option<String> {
    let same_subject = world.facts.iter().flatten().filter(|other| other.subject == fact.subject);
    let same_subject: Vec<&Fact> = same_subject.filter(|other| other.relation != fact.relation).collect();
    let other = match rng.below(3) {
        0 => pick(&world.facts[fact.relation], rng).clone(),
        1 if !same_subject.is_empty() => (*pick(&same_subject, rng)).clone(),
        _ => world.ask(rng).fact,
    };
    let said = world.relation(&other).statement(&other, rng);
    (!fact.objects.iter().any(|object| said.contains(object.as_str()))).then_some(said)
}

/// Up to two sentences about nothing in particular.
fn rambling(world: &World, rng: &mut Rng) -> String {
    let drift = world.prose.lines("drift");
    let lines = (0..2).map(|_| drift[rng.below(drift.len())].clone()).filter(|line| !line.contains('{'));
    lines.collect::<Vec<String>>().join(" ")
}

fn comparison(
    slice: &'static str,
    id: usize,
    question: String,
    better: String,
    worse: String,
    rng: &mut Rng,
) -> Comparison {
    let score = if slice == "tie" { 0.0 } else { *pick(&[0.5, 0.75, 1.0], rng) };
    let first = rng.below(2) == 0;
    let ((answer_0, score_0), (answer_1, score_1)) =
        if first { ((better, score), (worse, -score)) } else { ((worse, -score), (better, score)) };
    Comparison {
        question: Question { dataset: "gpt_lab_world", id: format!("{slice}-{id}"), full_text: question },
        quotes_0: Quotes::default(),
        answer_0,
        tokens_0: Tokens::default(),
        score_0,
        quotes_1: Quotes::default(),
        answer_1,
        tokens_1: Tokens::default(),
        score_1,
        slice,
        answers: Vec::new(),
    }
}
