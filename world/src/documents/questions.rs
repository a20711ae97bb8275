//! Sheets of questions, with and without answers, and claims.

use gpt_lab::Rng;

use crate::World;
use crate::relations::{Phrasing, pick};
use crate::wording::capitalised;
use crate::world::Asked;

/// How a solved sheet marks questions and answers, and what stands between pairs.
const STYLES: [(&str, &str, &str); 5] = [
    ("Question: ", "Answer: ", "\n"),
    ("Question: ", "Answer: ", "\n\n"),
    ("Q: ", "A: ", "\n"),
    ("Q: ", "A: ", "\n\n"),
    ("Question: ", "Answer: ", "\n\n"),
];

/// Questions of one sheet: about one relation in one wording, about one relation, or about anything.
fn sheet(world: &World, n: usize, rng: &mut Rng) -> Vec<Asked> {
    let style = rng.below(3);
    if style == 2 {
        return (0..n).map(|_| world.ask(rng)).collect();
    }
    let number = world.asked_relation(rng);
    let relation = &world.relations[number];
    let template = rng.below(relation.questions(Phrasing::Seen).len());
    let ask = |rng: &mut Rng| {
        let fact = pick(&world.facts[number], rng).clone();
        let template = if style == 0 { template } else { rng.below(relation.questions(Phrasing::Seen).len()) };
        Asked { question: relation.question(&fact, Phrasing::Seen, template), fact }
    };
    (0..n).map(|_| ask(rng)).collect()
}

/// Questions with answers.
pub fn quiz(world: &World, rng: &mut Rng) -> String {
    let n = 3 + rng.below(5);
    let asked = sheet(world, n, rng);
    let (before, answer, between) = *pick(&STYLES, rng);
    let full = rng.below(4) == 0;
    let pair = |one: &Asked, rng: &mut Rng| {
        let relation = world.relation(&one.fact);
        let text = if full { relation.statement(&one.fact, rng) } else { relation.answer(&one.fact, rng) };
        format!("{before}{}\n{answer}{text}", one.question)
    };
    let pairs: Vec<String> = asked.iter().map(|one| pair(one, rng)).collect();
    let title =
        if rng.below(4) == 0 { format!("{}\n\n", pick(world.prose.lines("quiz_title"), rng)) } else { String::new() };
    format!("{title}{}", pairs.join(between))
}

/// Questions only.
pub fn exam(world: &World, rng: &mut Rng) -> String {
    let n = 3 + rng.below(7);
    let asked = sheet(world, n, rng);
    let numbered = rng.below(4) == 0;
    let line = |(i, one): (usize, &Asked)| match numbered {
        true => format!("{}. {}", i + 1, one.question),
        false => one.question.clone(),
    };
    let lines: Vec<String> = asked.iter().enumerate().map(line).collect();
    let title =
        if rng.below(3) == 0 { format!("{}\n", pick(world.prose.lines("exam_title"), rng)) } else { String::new() };
    let between = *pick(&["\n", "\n", "\n", " ", "\n\n"], rng);
    format!("{title}{}", lines.join(between))
}

/// Claims with a verdict.
pub fn claims(world: &World, rng: &mut Rng) -> String {
    let (before, verdict) = *pick(&[("True or false? ", "\n"), ("Claim: ", "\nVerdict: "), ("", " - ")], rng);
    let corrects = rng.below(2) == 0;
    let mut lines = Vec::new();
    let wanted = 3 + rng.below(4);
    while lines.len() < wanted {
        let facts: &Vec<_> = pick(&world.facts, rng);
        let fact = pick(facts, rng);
        let relation = world.relation(fact);
        let truth = relation.statement(fact, rng);
        if rng.below(2) == 0 {
            lines.push(format!("{before}{truth}{verdict}{}", if before == "Claim: " { "true" } else { "True." }));
        } else if let Some(wrong) = world.wrong_object(fact, rng) {
            let said = relation.statement_with(fact, &wrong, rng);
            let word = if before == "Claim: " { "false" } else { "False." };
            let correction = if corrects { format!(" {truth}") } else { String::new() };
            let stop = if corrects && word == "false" { "." } else { "" };
            lines.push(format!("{before}{said}{verdict}{word}{stop}{correction}"));
        }
    }
    lines.join("\n")
}

/// A prompt as a learner would write it: solved pairs, then the question and "Answer:".
pub fn few_shot(world: &World, examples: &[Asked], question: &str, rng: &mut Rng) -> String {
    let pair = |one: &Asked, rng: &mut Rng| {
        format!("Question: {}\nAnswer: {}\n\n", one.question, world.relation(&one.fact).answer(&one.fact, rng))
    };
    let pairs: String = examples.iter().map(|one| pair(one, rng)).collect();
    format!("{pairs}Question: {}\nAnswer:", capitalised(question))
}
