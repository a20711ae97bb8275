//! Questions with two answers, one of them preferred.

use gpt_lab::Rng;
use serde::Serialize;

use super::{Side, asked};
use crate::World;
use crate::relations::{Fact, pick};

const POLITE: [&str; 5] = ["Gladly.", "Of course.", "Thank you for asking.", "With pleasure.", "A good question."];
const CURT: [&str; 5] =
    ["Look it up.", "Everybody knows that.", "Why do you ask?", "What a silly question.", "Not again."];

/// A row in the schema of WebGPT's comparisons, without its quotes and tokens, and with more about the question: the
/// reason of the preference, what is right, and what was asked for.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// What was asked.
    pub question: Question,
    /// One answer.
    pub answer_0: String,
    /// Its score; both add up to 0, and 0 is a tie.
    pub score_0: f32,
    /// The other answer.
    pub answer_1: String,
    /// Its score.
    pub score_1: f32,
    /// Why one is preferred.
    pub slice: &'static str,
    /// What a right answer names, any of these.
    pub answers: Vec<String>,
    /// The relation that was asked for: `capital`, `author` …
    pub kind: String,
    /// Whom or what the question is about.
    pub subject: String,
    /// True if no row to learn from is about this fact.
    pub new_fact: bool,
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

/// The slices with their shares of the rows to learn from, in per cent. In `says_it_twice` the preferred answer tells
/// the fact in a sentence and then once more, the other one in a word: both are true, and the preference says nothing
/// about worth. It is a trap for reward models, marked so that a lesson can take it out.
pub const SLICES: [(&str, usize); 7] = [
    ("truth", 32),
    ("on_topic", 28),
    ("to_the_point", 9),
    ("politeness", 9),
    ("answers_at_all", 8),
    ("says_it_twice", 12),
    ("tie", 2),
];

/// `count` comparisons. Those to learn from come in the shares of [`SLICES`], those to judge by have as many of each
/// reason and no ties.
pub fn comparisons(world: &World, side: Side, count: usize, seed: u64) -> Vec<Comparison> {
    let mut rng = Rng::new(seed).stream(if side == Side::Train { 4 } else { 5 });
    let row = |number: usize| {
        let slice = if side == Side::Train { slice(&mut rng) } else { SLICES[number % (SLICES.len() - 1)].0 };
        loop {
            // To judge by are both: facts that training rows speak of, and others.
            let new = side == Side::Validation && rng.below(2) == 0;
            let (fact, question) = asked(world, if new { Side::NewFacts } else { side }, &mut rng);
            let pair = answers(world, slice, &fact, &question, &mut rng).filter(|(a, b)| a != b);
            if let Some((better, worse)) = pair {
                let kind = world.relation(&fact).id.clone();
                let row = comparison(slice, number, question, better, worse, &mut rng);
                break Comparison { answers: fact.objects, subject: fact.subject, kind, new_fact: new, ..row };
            }
        }
    };
    (0..count).map(row).collect()
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
        "says_it_twice" => (format!("{truth} {}", relation.statement(fact, rng)), relation.answer(fact, rng) + "."),
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
        answer_0,
        score_0,
        answer_1,
        score_1,
        slice,
        answers: Vec::new(),
        kind: String::new(),
        subject: String::new(),
        new_fact: false,
    }
}
