//! What the generator writes, judged as a reader would: no odd facts, no slips of language, nothing that was held back.

use std::collections::HashSet;

use gpt_lab::Rng;
use gpt_lab_world::World;
use gpt_lab_world::documents::{MIX, document, document_of, held_sums};
use gpt_lab_world::relations::Phrasing;

/// Documents of every kind.
fn documents(world: &World, count: usize) -> Vec<String> {
    let mut rng = Rng::new(11);
    let mut texts: Vec<String> = (0..count).map(|_| document(world, &mut rng).1).collect();
    for (kind, _) in MIX {
        texts.extend((0..40).map(|_| document_of(kind, world, &mut rng)));
    }
    texts
}

fn questions(world: &World, phrasing: Phrasing, unasked: bool) -> HashSet<String> {
    let mut all = HashSet::new();
    for (number, relation) in world.relations.iter().enumerate().filter(|(_, relation)| relation.unasked == unasked) {
        for fact in &world.facts[number] {
            all.extend((0..relation.questions(phrasing).len()).map(|i| relation.question(fact, phrasing, i)));
        }
    }
    all
}

#[test]
fn the_mix_is_whole_and_the_same_seed_tells_the_same() {
    assert_eq!(MIX.iter().map(|(_, share)| share).sum::<usize>(), 100);
    let world = World::new();
    assert_eq!(documents(&world, 50), documents(&world, 50));
}

#[test]
fn every_relation_has_facts_and_each_way_to_ask() {
    let world = World::new();
    for (relation, facts) in world.relations.iter().zip(&world.facts) {
        assert!(facts.len() >= 5, "{}: {} facts", relation.id, facts.len());
        for phrasing in [Phrasing::Seen, Phrasing::Held] {
            assert!(!relation.questions(phrasing).is_empty(), "{}: {phrasing:?}", relation.id);
        }
        assert!(relation.unasked || !relation.questions(Phrasing::Instruction).is_empty(), "{}", relation.id);
    }
    assert!(world.relations.iter().filter(|relation| relation.unasked).count() >= 3);
}

#[test]
fn nothing_is_said_of_a_thing_by_its_own_name() {
    let world = World::new();
    for (relation, facts) in world.relations.iter().zip(&world.facts) {
        for fact in facts {
            assert!(!fact.objects.contains(&fact.subject), "{}: {}", relation.id, fact.subject);
            let different: HashSet<&String> = fact.objects.iter().collect();
            assert_eq!(different.len(), fact.objects.len(), "{}: {} has an object twice", relation.id, fact.subject);
        }
    }
}

#[test]
fn texts_have_no_slips() {
    for text in documents(&World::new(), 4000) {
        for slip in ["  ", "{", "}", " .", " ,", "..", " ?", "\n\n\n"] {
            assert!(!text.contains(slip), "`{slip}` in: {text}");
        }
        assert!(text.trim() == text && text.is_ascii() && text.len() > 10, "{text}");
        let lines = text.split('\n').map(|line| line.split(' ').map(|word| word.trim_start_matches('"')));
        let pairs: Vec<[&str; 2]> =
            lines.flat_map(|words| words.clone().zip(words.skip(1)).map(|(a, b)| [a, b])).collect();
        let twice = pairs.iter().find(|pair| pair[0] == pair[1] && pair[0].len() > 1);
        assert!(twice.is_none(), "{twice:?} in: {text}");
        for pair in pairs.iter().filter(|pair| ["a", "an", "A", "An"].contains(&pair[0])) {
            let vowel = pair[1].starts_with(['a', 'e', 'i', 'o', 'u', 'A', 'E', 'I', 'O', 'U']);
            let sounds_otherwise =
                ["hour", "European", "one", "use", "unit"].iter().any(|word| pair[1].starts_with(word));
            let is_symbol = pair[1].len() < 3;
            assert!(sounds_otherwise || is_symbol || vowel == (pair[0].len() == 2), "{pair:?} in: {text}");
        }
    }
}

#[test]
fn what_is_held_back_is_not_in_the_text() {
    let world = World::new();
    let seen = questions(&world, Phrasing::Seen, false);
    let mut held = questions(&world, Phrasing::Held, false);
    held.extend(questions(&world, Phrasing::Instruction, false));
    for phrasing in [Phrasing::Seen, Phrasing::Instruction, Phrasing::Held] {
        held.extend(questions(&world, phrasing, true));
    }
    let both: Vec<&String> = seen.intersection(&held).collect();
    assert!(both.is_empty(), "seen and held back: {both:?}");
    let sums: HashSet<String> = held_sums().iter().map(|sum| sum.digits()).collect();
    assert!(sums.len() > 30, "{} sums are held back", sums.len());
    for text in documents(&world, 3000) {
        // A question of a document is what stands between some beginning and the end of a sentence.
        for line in text.split('\n') {
            assert!(!sums.contains(line), "{line}");
            let starts = line.char_indices().filter(|&(i, _)| i == 0 || line[..i].ends_with(' ')).map(|(i, _)| i);
            let ends: Vec<usize> =
                line.char_indices().filter(|(_, c)| ['?', '.'].contains(c)).map(|(i, _)| i + 1).collect();
            for start in starts {
                let candidates = ends.iter().filter(|&&end| end > start).map(|&end| &line[start..end]);
                let found = candidates.clone().find(|text| held.contains(*text));
                assert!(found.is_none(), "{found:?} in: {line}");
            }
        }
    }
}
