//! Stories, dialogues, musings and letters.

use gpt_lab::Rng;

use crate::World;
use crate::relations::pick;
use crate::wording::sentences;

/// A short story; sometimes with a title.
pub fn story(world: &World, rng: &mut Rng) -> String {
    let text = told(world, "story", rng);
    match rng.below(5) {
        0 => format!("{}\n\n{text}", pick(&["A story", "A small story", "What happened", "Read aloud"], rng)),
        1 => format!("{text}\n\n{}", told(world, "story", rng)),
        _ => text,
    }
}

/// A text of one rule of the stories.
fn told(world: &World, rule: &str, rng: &mut Rng) -> String {
    let cast = world.cast(rng);
    sentences(&world.stories.tell(rule, &cast, rng).expect("the cast fills every slot of a story"))
}

/// Two people talk: some questions are answered, others are not.
pub fn dialogue(world: &World, rng: &mut Rng) -> String {
    let mut cast = world.cast(rng);
    let mut lines = Vec::new();
    let say =
        |rule: &str, cast: &_, rng: &mut Rng| world.prose.tell(rule, cast, rng).expect("the cast fills dialogues");
    if rng.below(2) == 0 {
        lines.push(say("dialogue_open", &cast, rng));
    }
    if rng.below(2) == 0 {
        lines.push(say("dialogue_hello", &cast, rng));
    }
    for _ in 0..1 + rng.below(3) {
        let asked = world.ask(rng);
        let relation = world.relation(&asked.fact);
        cast.insert("question".into(), asked.question);
        cast.insert("answer".into(), relation.answer(&asked.fact, rng));
        cast.insert("full".into(), relation.statement(&asked.fact, rng));
        lines.push(say("dialogue_ask", &cast, rng));
        let rule = if rng.below(4) == 0 { "dialogue_unsure" } else { "dialogue_answer" };
        lines.push(say(rule, &cast, rng));
        if rule == "dialogue_answer" && rng.below(2) == 0 {
            lines.push(say("dialogue_thanks", &cast, rng));
        }
    }
    if rng.below(2) == 0 {
        lines.push(say("dialogue_bye", &cast, rng));
    }
    sentences(&lines.join("\n"))
}

/// Thoughts around a question that nobody answers.
pub fn musing(world: &World, rng: &mut Rng) -> String {
    let mut cast = world.cast(rng);
    cast.insert("question".into(), world.ask(rng).question);
    cast.insert("question2".into(), world.ask(rng).question);
    sentences(&world.prose.tell("musing", &cast, rng).expect("the cast fills every musing"))
}

/// A letter or a page of a diary.
pub fn letter(world: &World, rng: &mut Rng) -> String {
    let cast = world.cast(rng);
    let rule = pick(&["letter", "letter", "diary"], rng);
    sentences(&world.prose.tell(rule, &cast, rng).expect("the cast fills every letter"))
}
