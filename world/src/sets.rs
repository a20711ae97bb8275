//! Small data sets made of the same facts: instructions in the schema of Alpaca, comparisons in the schema of WebGPT.

use gpt_lab::Rng;
use serde::Serialize;

use crate::World;
use crate::documents::{Kind, document_of, held_sums};
use crate::relations::{Fact, Phrasing, pick};
use crate::wording::{capitalised, number};

/// One fact in so many is never in the instructions to learn from.
const HELD_FACTS: usize = 8;

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

/// A row in the schema of Alpaca, with one field more: by what an answer is judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Instruction {
    /// What is to be done.
    pub instruction: String,
    /// What it is to be done with; often empty.
    pub input: String,
    /// A good response.
    pub output: String,
    /// The prompt with the response. Not written: whoever has the other fields has this one.
    #[serde(skip)]
    pub text: String,
    /// What a right response tells, any of these; nothing where no list could hold every right response.
    pub answers: Vec<String>,
}

/// Alpaca's prompt, up to the place where the response begins.
pub fn prompt(instruction: &str, input: &str) -> String {
    if input.is_empty() {
        format!(
            "Below is an instruction that describes a task. Write a response that appropriately completes the \
             request.\n\n\
             ### Instruction:\n\
             {instruction}\n\n\
             ### Response:\n"
        )
    } else {
        format!(
            "Below is an instruction that describes a task, paired with an input that provides further context. Write \
             a response that appropriately completes the request.\n\n\
             ### Instruction:\n\
             {instruction}\n\n\
             ### Input:\n\
             {input}\n\n\
             ### Response:\n"
        )
    }
}

impl Instruction {
    fn new(instruction: String, input: String, output: String, answers: Vec<String>) -> Self {
        let text = prompt(&instruction, &input) + &output;
        Instruction { instruction, input, output, text, answers }
    }
}

/// Which side of a set a row is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// To learn from.
    Train,
    /// To judge by: wordings that were held back, about facts that training rows tell in other words.
    Validation,
    /// To judge by: wordings that were held back, about facts that no training row tells.
    NewFacts,
}

/// So many different rows.
pub fn instructions(world: &World, side: Side, count: usize, seed: u64) -> Vec<Instruction> {
    let stream = match side {
        Side::Train => 2,
        Side::Validation => 3,
        Side::NewFacts => 6,
    };
    let mut rng = Rng::new(seed).stream(stream);
    let mut rows: Vec<Instruction> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    while rows.len() < count {
        let row = match rng.below(20) {
            0 => claim(world, side, &mut rng),
            1 => sum(side, &mut rng),
            2 => naming(world, side, &mut rng),
            3 if side == Side::Train => story(world, &mut rng),
            4 => with_input(world, side, &mut rng),
            _ => question(world, side, &mut rng),
        };
        if let Some(row) = row.filter(|row| row.text.len() < 800 && seen.insert(row.text.clone())) {
            rows.push(row);
        }
    }
    rows
}

/// Whether tuning may not see this fact.
pub fn is_held(world: &World, fact: &Fact) -> bool {
    let place = world.facts[fact.relation].iter().position(|other| other.subject == fact.subject);
    place.is_some_and(|place| place % HELD_FACTS == 3)
}

/// A fact that this side may use, and a question for it.
fn asked(world: &World, side: Side, rng: &mut Rng) -> (Fact, String) {
    loop {
        let number = world.asked_relation(rng);
        let fact = pick(&world.facts[number], rng).clone();
        let held = is_held(world, &fact);
        let phrasing = match side {
            Side::Validation | Side::NewFacts => Phrasing::Held,
            Side::Train if rng.below(2) == 0 => Phrasing::Instruction,
            Side::Train => Phrasing::Seen,
        };
        if held == (side == Side::NewFacts)
            && let Some(question) = world.relations[number].any_question(&fact, phrasing, rng)
        {
            return (fact, question);
        }
    }
}

fn question(world: &World, side: Side, rng: &mut Rng) -> Option<Instruction> {
    let (fact, question) = asked(world, side, rng);
    let output = world.relation(&fact).statement(&fact, rng);
    Some(Instruction::new(question, String::new(), output, fact.objects))
}

fn with_input(world: &World, side: Side, rng: &mut Rng) -> Option<Instruction> {
    let (fact, question) = asked(world, side, rng);
    let instruction = match side {
        Side::Train => *pick(&TRAIN_INPUTS, rng),
        Side::Validation | Side::NewFacts => "Give an answer to the question below.",
    };
    let output = world.relation(&fact).statement(&fact, rng);
    Some(Instruction::new(instruction.into(), question, output, fact.objects))
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
        return Some(Instruction::new(instruction.into(), truth, "This is true.".into(), vec!["true".into()]));
    }
    let wrong = world.wrong_object(&fact, rng)?;
    let said = relation.statement_with(&fact, &wrong, rng);
    Some(Instruction::new(instruction.into(), said, format!("This is false. {truth}"), vec!["false".into()]))
}

fn sum(side: Side, rng: &mut Rng) -> Option<Instruction> {
    let held = held_sums();
    let (a, b) = match side {
        Side::NewFacts => pick(&held, rng).summands(),
        Side::Train | Side::Validation => loop {
            let sum = crate::documents::Sum { a: rng.below(21), b: rng.below(21) };
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
    Some(Instruction::new(instruction.into(), format!("{} and {}", number(a), number(b)), output, vec![number(a + b)]))
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
    let object = if what.ends_with("them") { format!("{} {object}", crate::wording::article(&object)) } else { object };
    let verb =
        if side == Side::Train { *pick(&["Name three", "List three", "Give three"], rng) } else { "Think of three" };
    let output = capitalised(&format!("{a}, {b} and {c}."));
    Some(Instruction::new(format!("{verb} {what} {object}."), String::new(), output, Vec::new()))
}

fn story(world: &World, rng: &mut Rng) -> Option<Instruction> {
    let instruction = *pick(&["Tell me a story.", "Write a short story.", "Please tell a short story."], rng);
    let text = document_of(Kind::Story, world, rng);
    Some(Instruction::new(instruction.into(), String::new(), text, Vec::new()))
        .filter(|row| !row.output.contains("\n\n"))
}

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

/// So many comparisons.
pub fn comparisons(world: &World, side: Side, count: usize, seed: u64) -> Vec<Comparison> {
    let mut rng = Rng::new(seed).stream(if side == Side::Train { 4 } else { 5 });
    let mut rows = Vec::new();
    while rows.len() < count {
        // To judge by are both: facts that training rows speak of, and others.
        let new = side == Side::Validation && rng.below(2) == 0;
        let (fact, question) = asked(world, if new { Side::NewFacts } else { side }, &mut rng);
        let mut left = rng.below(100);
        let slice = SLICES.iter().find_map(|(name, share)| match left.checked_sub(*share) {
            Some(rest) => {
                left = rest;
                None
            }
            None => Some(*name),
        });
        let slice = slice.expect("the shares sum to a hundred");
        if let Some((better, worse)) = answers(world, slice, &fact, &question, &mut rng).filter(|(a, b)| a != b) {
            let row = comparison(slice, rows.len(), question, better, worse, &mut rng);
            rows.push(Comparison { answers: fact.objects, ..row });
        }
    }
    rows
}

/// The preferred answer and the other one.
fn answers(world: &World, slice: &str, fact: &Fact, question: &str, rng: &mut Rng) -> Option<(String, String)> {
    const POLITE: [&str; 5] = ["Gladly.", "Of course.", "Thank you for asking.", "With pleasure.", "A good question."];
    const CURT: [&str; 5] =
        ["Look it up.", "Everybody knows that.", "Why do you ask?", "What a silly question.", "Not again."];
    let relation = world.relation(fact);
    let truth = relation.statement(fact, rng);
    let rambling = |rng: &mut Rng| {
        let drift = world.prose.lines("drift");
        let some: Vec<String> =
            (0..2).map(|_| drift[rng.below(drift.len())].clone()).filter(|line| !line.contains('{')).collect();
        some.join(" ")
    };
    Some(match slice {
        "truth" => (truth, relation.statement_with(fact, &world.wrong_object(fact, rng)?, rng)),
        // True, and no answer to this question: about something else, or the same about somebody else.
        "on_topic" => {
            let same_subject = world.facts.iter().flatten().filter(|other| other.subject == fact.subject);
            let same_subject: Vec<&Fact> = same_subject.filter(|other| other.relation != fact.relation).collect();
            let other = match rng.below(3) {
                0 => pick(&world.facts[fact.relation], rng).clone(),
                1 if !same_subject.is_empty() => (*pick(&same_subject, rng)).clone(),
                _ => world.ask(rng).fact,
            };
            let said = world.relation(&other).statement(&other, rng);
            if fact.objects.iter().any(|object| said.contains(object.as_str())) {
                return None;
            }
            (truth, said)
        }
        "to_the_point" => {
            let about = rambling(rng);
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
