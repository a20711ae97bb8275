//! The data sets: their schemas, what each side may see, and that every preference has its reason.

use std::collections::HashSet;

use gpt_lab::data::Instruction;
use gpt_lab_world::World;
use gpt_lab_world::relations::Phrasing;
use gpt_lab_world::sets::{SLICES, Side, comparisons, instructions, is_held};

#[test]
fn instructions_are_in_alpacas_schema_and_differ() {
    let world = World::new();
    let rows = instructions(&world, Side::Train, 600, 1);
    assert_eq!(rows, instructions(&world, Side::Train, 600, 1));
    let text = |row: &Instruction| row.prompt() + &row.output;
    let texts: HashSet<String> = rows.iter().map(text).collect();
    assert_eq!(texts.len(), rows.len());
    for row in &rows {
        assert!(row.output.ends_with(['.', '!', '?', '"']) && row.output.len() > 5, "{row:?}");
        assert!(!text(row).contains("  ") && !text(row).contains(['{', '}']), "{row:?}");
    }
    let json = serde_json::to_value(&rows[0]).unwrap();
    let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
    assert_eq!(keys.len(), 4);
    assert!(["instruction", "input", "output"].iter().all(|key| json[key].is_string()));
    assert!(json["answers"].is_array());
    let judged = rows.iter().filter(|row| !row.answers.is_empty()).count();
    assert!(judged > rows.len() / 2, "only {judged} of {} rows can be judged", rows.len());
}

#[test]
fn validation_asks_in_other_words_and_about_other_facts() {
    let world = World::new();
    let asked = |rows: &[Instruction]| -> HashSet<String> {
        rows.iter()
            .flat_map(|row| [row.instruction.clone(), row.input.clone()])
            .filter(|text| !text.is_empty())
            .collect()
    };
    let train = asked(&instructions(&world, Side::Train, 3000, 1));
    let validation = asked(&instructions(&world, Side::Validation, 300, 1));
    let both: Vec<&String> = train.intersection(&validation).filter(|text| text.contains('?')).collect();
    assert!(both.is_empty(), "{both:?}");
    let new_facts = asked(&instructions(&world, Side::NewFacts, 300, 1));
    let mut met = 0;
    // No question about a fact that is held from tuning, in any wording, is among the rows to learn from or to judge
    // by, but for those that are there for it.
    for (number, relation) in world.relations.iter().enumerate() {
        for fact in world.facts[number].iter().filter(|fact| is_held(&world, fact)) {
            for phrasing in [Phrasing::Seen, Phrasing::Instruction, Phrasing::Held] {
                for template in 0..relation.questions(phrasing).len() {
                    let question = relation.question(fact, phrasing, template);
                    assert!(!train.contains(&question) && !validation.contains(&question), "{question}");
                    met += usize::from(new_facts.contains(&question));
                }
            }
        }
    }
    assert!(met > 150, "only {met} questions about facts that were held back");
}

#[test]
fn comparisons_are_in_webgpts_schema_with_a_reason_each() {
    assert_eq!(SLICES.iter().map(|(_, share)| share).sum::<usize>(), 100);
    let rows = comparisons(&World::new(), Side::Train, 800, 1);
    let mut longer = 0;
    let mut biased = 0;
    for row in &rows {
        assert_eq!(row.score_0 + row.score_1, 0.0);
        assert_eq!(row.score_0 == 0.0, row.slice == "tie");
        assert_ne!(row.answer_0, row.answer_1);
        let (better, worse) =
            if row.score_0 > row.score_1 { (&row.answer_0, &row.answer_1) } else { (&row.answer_1, &row.answer_0) };
        match row.slice {
            "says_it_twice" => assert!(better.len() > worse.len(), "{row:?}"),
            "to_the_point" => assert!(better.len() < worse.len() && worse.ends_with(better.as_str()), "{row:?}"),
            "answers_at_all" => assert!(worse.ends_with(['?', '.']) && !better.contains('?'), "{row:?}"),
            _ => {}
        }
        biased += usize::from(row.slice == "says_it_twice");
        longer += usize::from(better.len() > worse.len());
    }
    assert!(biased > 60, "{biased} rows of the biased slice");
    assert!(longer < rows.len() / 2, "without that slice the better answer is not the longer one: {longer}");
    for (slice, share) in SLICES {
        let count = rows.iter().filter(|row| row.slice == slice).count();
        assert!(count * 100 > rows.len() * share / 2, "{slice}: {count}");
    }
    let first = rows.iter().filter(|row| row.score_0 > row.score_1).count();
    assert!((320..440).contains(&first), "the better answer stands first in {first} of 800");
    let json = serde_json::to_value(&rows[0]).unwrap();
    assert!(json["question"]["full_text"].is_string() && json["score_1"].is_number());
    assert!(rows.iter().all(|row| !row.new_fact && !row.kind.is_empty() && row.question.full_text.contains(' ')));
    let held = comparisons(&World::new(), Side::Validation, 600, 1);
    for (slice, _) in SLICES {
        let of_slice = held.iter().filter(|row| row.slice == slice);
        assert_eq!(of_slice.clone().count(), if slice == "tie" { 0 } else { 100 }, "{slice}");
        let new = of_slice.filter(|row| row.new_fact).count();
        assert!(slice == "tie" || (25..75).contains(&new), "{slice}: {new} of 100 about new facts");
    }
}
