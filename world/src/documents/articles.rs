//! Encyclopedia paragraphs, lists and essays.

use gpt_lab::Rng;

use crate::World;
use crate::grammar::Bindings;
use crate::relations::{Fact, pick};
use crate::wording::{capitalised, sentences};
use crate::world::Subject;

/// One to three paragraphs about things of one family, or about one relation.
pub fn encyclopedia(world: &World, rng: &mut Rng) -> String {
    if rng.below(10) < 3 {
        return survey(world, rng);
    }
    let family = pick(&world.subjects, rng).family;
    let of_family: Vec<&Subject> = world.subjects.iter().filter(|subject| subject.family == family).collect();
    let titled = rng.below(3) == 0;
    let paragraphs: Vec<String> = (0..1 + rng.below(4))
        .map(|_| {
            let subject = pick(&of_family, rng);
            let text = paragraph(world, subject, rng);
            if titled { format!("{}\n{text}", capitalised(&subject.name)) } else { text }
        })
        .collect();
    paragraphs.join("\n\n")
}

/// Sentences about one thing: the first names it, the others may say "it".
pub fn paragraph(world: &World, subject: &Subject, rng: &mut Rng) -> String {
    let mut facts: Vec<&Fact> = subject.facts.iter().collect();
    rng.shuffle(&mut facts);
    let wanted = 2 + rng.below(5);
    let mut lines = Vec::new();
    for fact in facts.into_iter().take(wanted) {
        let relation = world.relation(fact);
        let continuation = if lines.is_empty() || rng.below(4) == 0 { None } else { relation.continuation(fact, rng) };
        lines.push(continuation.unwrap_or_else(|| relation.statement(fact, rng)));
    }
    if rng.below(3) == 0 {
        lines.extend(colour(world, subject, rng));
    }
    lines.join(" ")
}

/// A sentence that is no fact of a table and true all the same.
fn colour(world: &World, subject: &Subject, rng: &mut Rng) -> Option<String> {
    let rule = match subject.family {
        "countries" => "country_colour",
        "animals" => "animal_colour",
        "elements" => "element_colour",
        _ => return None,
    };
    let bindings = subject.facts.iter().flat_map(Fact::columns).collect::<Bindings>();
    Some(sentences(&world.prose.tell(rule, &bindings, rng)?))
}

/// Statements of one relation about many subjects.
fn survey(world: &World, rng: &mut Rng) -> String {
    let relation = rng.below(world.relations.len());
    let facts = distinct(&world.facts[relation], 3 + rng.below(7), rng);
    let lines: Vec<String> = facts.iter().map(|fact| world.relations[relation].statement(fact, rng)).collect();
    lines.join(*pick(&[" ", " ", "\n"], rng))
}

/// Pairs or statements below each other.
pub fn list(world: &World, rng: &mut Rng) -> String {
    let relation = rng.below(world.relations.len());
    let facts = distinct(&world.facts[relation], 4 + rng.below(8), rng);
    let relation = &world.relations[relation];
    let mark = *pick(&["- ", "* ", ""], rng);
    let style = rng.below(3);
    let line = |fact: &Fact, rng: &mut Rng| match style {
        0 => format!("{mark}{}: {}", capitalised(&fact.subject), fact.objects.join(", ")),
        1 => format!("{mark}{} - {}", capitalised(&fact.subject), pick(&fact.objects, rng)),
        _ => format!("{mark}{}", relation.statement(fact, rng)),
    };
    let title = pick(&["A list", "To remember", "Notes", "Facts", "Learned today", "For the notebook"], rng);
    let lines: Vec<String> = facts.iter().map(|fact| line(fact, rng)).collect();
    if rng.below(2) == 0 { format!("{title}:\n{}", lines.join("\n")) } else { lines.join("\n") }
}

/// Three paragraphs about one thing, with a beginning and an end.
pub fn essay(world: &World, rng: &mut Rng) -> String {
    let many: Vec<&Subject> = world.subjects.iter().filter(|subject| subject.facts.len() > 2).collect();
    let subject = pick(&many, rng);
    let topic = match subject.family {
        "animals" => {
            subject.facts[0].columns().into_iter().find(|(column, _)| column == "plural").map(|(_, value)| value)
        }
        "rivers" => Some(format!("the {}", subject.name)),
        "works" => Some(format!("\"{}\"", subject.name)),
        "jobs" => Some(format!("the work of {} {}", crate::wording::article(&subject.name), subject.name)),
        _ => None,
    };
    let bindings = Bindings::from([("topic".to_string(), topic.unwrap_or_else(|| subject.name.clone()))]);
    let mut tell = |rule: &str| world.prose.tell(rule, &bindings, rng).expect("essays need a topic only");
    let (open, mid, end) = (tell("essay_open"), tell("essay_mid"), tell("essay_end"));
    let (first, second) = (paragraph(world, subject, rng), paragraph(world, subject, rng));
    sentences(&format!("{open} {first}\n\n{mid} {second}\n\n{end}"))
}

/// Up to `n` of these, each once, in random order.
fn distinct(facts: &[Fact], n: usize, rng: &mut Rng) -> Vec<Fact> {
    let mut order: Vec<usize> = (0..facts.len()).collect();
    rng.shuffle(&mut order);
    order.into_iter().take(n).map(|i| facts[i].clone()).collect()
}
