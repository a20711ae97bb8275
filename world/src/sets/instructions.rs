//! Instructions with good responses.

use std::collections::HashSet;

use gpt_lab::Rng;
use gpt_lab::data::Instruction;

use super::{Side, asked};
use crate::World;
use crate::documents::{Kind, Sum, document_of, held_sums};
use crate::relations::pick;
use crate::wording::{article, capitalised, number};

/// The longest prompt with its response, in bytes.
const LONGEST: usize = 800;

/// Wordings to learn from; those to judge by are others and stand where they are used.
const TRAIN_SUMS: [&str; 6] = [
    "Add the numbers.",
    "What is the sum of these numbers?",
    "Add these up.",
    "What do both numbers make?",
    "Give the total of these numbers.",
    "What do you get if you add these?",
];
const TRAIN_CLAIMS: [&str; 6] = [
    "Is this true?",
    "Check this claim.",
    "True or false?",
    "Is this claim right?",
    "Tell me whether this is true.",
    "Decide whether this is so.",
];
const TRAIN_INPUTS: [&str; 5] = [
    "Answer the question.",
    "Answer in one sentence.",
    "Reply to this question.",
    "What is the answer to this?",
    "Here is a question. Answer it.",
];

/// `count` different rows.
pub fn instructions(world: &World, side: Side, count: usize, seed: u64) -> Vec<Instruction> {
    let stream = match side {
        Side::Train => 2,
        Side::Validation => 3,
        Side::NewFacts => 6,
    };
    let mut rng = Rng::new(seed).stream(stream);
    let mut rows: Vec<Instruction> = Vec::new();
    let mut seen = HashSet::new();
    while rows.len() < count {
        let row = match rng.below(20) {
            0 => claim(world, side, &mut rng),
            1 => sum(side, &mut rng),
            2 => naming(world, side, &mut rng),
            3 if side == Side::Train => story(world, &mut rng),
            4 => with_input(world, side, &mut rng),
            _ => question(world, side, &mut rng),
        };
        let text = |row: &Instruction| row.prompt() + &row.output;
        if let Some(row) = row.filter(|row| text(row).len() < LONGEST && seen.insert(text(row))) {
            rows.push(row);
        }
    }
    rows
}

fn row(instruction: String, input: String, output: String, answers: Vec<String>) -> Instruction {
    Instruction { instruction, input, output, answers }
}

fn question(world: &World, side: Side, rng: &mut Rng) -> Option<Instruction> {
    let (fact, question) = asked(world, side, rng);
    let output = world.relation(&fact).statement(&fact, rng);
    Some(row(question, String::new(), output, fact.objects))
}

fn with_input(world: &World, side: Side, rng: &mut Rng) -> Option<Instruction> {
    let (fact, question) = asked(world, side, rng);
    let instruction = match side {
        Side::Train => *pick(&TRAIN_INPUTS, rng),
        Side::Validation | Side::NewFacts => "Give an answer to the question below.",
    };
    let output = world.relation(&fact).statement(&fact, rng);
    Some(row(instruction.into(), question, output, fact.objects))
}

fn claim(world: &World, side: Side, rng: &mut Rng) -> Option<Instruction> {
    let (fact, _) = asked(world, side, rng);
    let relation = world.relation(&fact);
    let instruction = match side {
        Side::Train => *pick(&TRAIN_CLAIMS, rng),
        Side::Validation | Side::NewFacts => "Say whether this claim holds.",
    };
    let truth = relation.statement(&fact, rng);
    if rng.below(2) == 0 {
        return Some(row(instruction.into(), truth, "This is true.".into(), vec!["true".into()]));
    }
    let wrong = world.wrong_object(&fact, rng)?;
    let said = relation.statement_with(&fact, &wrong, rng);
    Some(row(instruction.into(), said, format!("This is false. {truth}"), vec!["false".into()]))
}

fn sum(side: Side, rng: &mut Rng) -> Option<Instruction> {
    let held = held_sums();
    let (a, b) = match side {
        Side::NewFacts => pick(&held, rng).summands(),
        Side::Train | Side::Validation => loop {
            let sum = Sum { a: rng.below(21), b: rng.below(21) };
            if !sum.is_held() {
                break sum.summands();
            }
        },
    };
    let instruction = match side {
        Side::Train => *pick(&TRAIN_SUMS, rng),
        Side::Validation | Side::NewFacts => "How much is this together?",
    };
    let output = capitalised(&format!("{} plus {} is {}.", number(a), number(b), number(a + b)));
    Some(row(instruction.into(), format!("{} and {}", number(a), number(b)), output, vec![number(a + b)]))
}

/// Three things of a kind.
fn naming(world: &World, side: Side, rng: &mut Rng) -> Option<Instruction> {
    const KINDS: [(&str, &str); 5] = [
        ("continent", "countries in"),
        ("river_continent", "rivers in"),
        ("class", "animals, each of them"),
        ("category", "things, each of them"),
        ("element_kind", "elements, each of them"),
    ];
    let (id, what) = *pick(&KINDS, rng);
    let number = world.relations.iter().position(|relation| relation.id == id)?;
    let object = pick(&pick(&world.facts[number], rng).objects, rng).clone();
    let mut names: Vec<&String> =
        world.facts[number].iter().filter(|fact| fact.objects.contains(&object)).map(|fact| &fact.subject).collect();
    rng.shuffle(&mut names);
    let [a, b, c] = names.get(..3)?.try_into().ok()?;
    let object = if what.ends_with("them") { format!("{} {object}", article(&object)) } else { object };
    let verb =
        if side == Side::Train { *pick(&["Name three", "List three", "Give three"], rng) } else { "Think of three" };
    let output = capitalised(&format!("{a}, {b} and {c}."));
    Some(row(format!("{verb} {what} {object}."), String::new(), output, Vec::new()))
}

fn story(world: &World, rng: &mut Rng) -> Option<Instruction> {
    let instruction = *pick(&["Tell me a story.", "Write a short story.", "Please tell a short story."], rng);
    let text = document_of(Kind::Story, world, rng);
    Some(row(instruction.into(), String::new(), text, Vec::new())).filter(|row| !row.output.contains("\n\n"))
}
