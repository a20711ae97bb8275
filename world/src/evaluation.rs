//! The knowledge of the trained model, and its behaviour before any tuning.

use std::collections::BTreeMap;

use gpt_lab::data::{Instruction, names_one_of};
use gpt_lab::eval::respond;
use gpt_lab::generate::{GenerateConfig, generate};
use gpt_lab::gpt2::Gpt2;
use gpt_lab::{Result, Rng};

use crate::World;
use crate::bpe::Bpe;
use crate::documents::{few_shot, held_sums};
use crate::relations::{Fact, Phrasing, pick};
use crate::wording::{capitalised, number};
use crate::world::Asked;

/// Tokens that an answer may take.
const LONGEST: usize = 24;

/// A prompt and its right answers.
#[derive(Debug, Clone)]
pub struct Probe {
    /// The prompt.
    pub prompt: String,
    /// Any of these answers it.
    pub objects: Vec<String>,
    /// The relation asked for.
    pub relation: String,
}

/// Answers of one kind of prompt.
#[derive(Debug, Clone, Default)]
pub struct Rate {
    /// By relation: right answers and prompts.
    pub by_relation: BTreeMap<String, (usize, usize)>,
    /// Some prompts with their continuations, in order.
    pub examples: Vec<(String, String)>,
}

impl Rate {
    /// Right answers and prompts in all.
    pub fn total(&self) -> (usize, usize) {
        self.by_relation.values().fold((0, 0), |(right, all), one| (right + one.0, all + one.1))
    }

    /// `87 % (140 of 161)`
    pub fn percent(&self) -> String {
        let (right, all) = self.total();
        format!("{:.0} % ({right} of {all})", 100.0 * right as f64 / all.max(1) as f64)
    }
}

/// The kinds of prompts, each with its name.
pub fn probes(world: &World, per_relation: usize, seed: u64) -> Vec<(&'static str, Vec<Probe>)> {
    let mut rng = Rng::new(seed).stream(1);
    let mut groups: Vec<(&'static str, Vec<Probe>)> = vec![
        ("a statement begun", Vec::new()),
        ("a bare question", Vec::new()),
        ("a question in Alpaca's template", Vec::new()),
        ("two solved pairs, then a question in a wording of the training text", Vec::new()),
        ("two solved pairs, then a question in a wording that was held back", Vec::new()),
        ("two solved pairs, then a question of a relation that was never asked about", Vec::new()),
    ];
    for (number, relation) in world.relations.iter().enumerate() {
        for _ in 0..per_relation {
            let fact = pick(&world.facts[number], &mut rng).clone();
            let probe = |prompt: String| Probe { prompt, objects: fact.objects.clone(), relation: relation.id.clone() };
            if let Some(beginning) = relation.beginning(&fact, &mut rng) {
                groups[0].1.push(probe(beginning));
            }
            let seen = relation.any_question(&fact, Phrasing::Seen, &mut rng).expect("every relation has questions");
            let held = relation.any_question(&fact, Phrasing::Held, &mut rng).expect("every relation has questions");
            let examples = solved(world, number, &fact, &mut rng);
            if relation.unasked {
                groups[5].1.push(probe(few_shot(world, &examples, &seen, &mut rng)));
                continue;
            }
            groups[1].1.push(probe(seen.clone()));
            groups[2].1.push(probe(Instruction::ask(&seen).prompt()));
            groups[3].1.push(probe(few_shot(world, &examples, &seen, &mut rng)));
            groups[4].1.push(probe(few_shot(world, &examples, &held, &mut rng)));
        }
    }
    groups.push(("two solved sums, then a sum that was held back", sums(6 * per_relation, &mut rng)));
    groups
}

/// Two questions of the relation about other subjects.
fn solved(world: &World, number: usize, fact: &Fact, rng: &mut Rng) -> Vec<Asked> {
    let others: Vec<&Fact> = world.facts[number].iter().filter(|other| other.subject != fact.subject).collect();
    let first = rng.below(others.len());
    let second = (first + 1 + rng.below(others.len() - 1)) % others.len();
    let ask = |other: &Fact, rng: &mut Rng| {
        let question = world.relations[number].any_question(other, Phrasing::Seen, rng);
        Asked { question: question.expect("every relation has questions"), fact: other.clone() }
    };
    [first, second].map(|i| ask(others[i], rng)).to_vec()
}

fn sums(count: usize, rng: &mut Rng) -> Vec<Probe> {
    let mut held = held_sums();
    rng.shuffle(&mut held);
    let before =
        "Question: What is two plus three?\nAnswer: Five\n\nQuestion: What is ten plus six?\nAnswer: Sixteen\n\n";
    let probe = |a: usize, b: usize| Probe {
        prompt: format!("{before}Question: What is {} plus {}?\nAnswer:", number(a), number(b)),
        objects: vec![number(a + b)],
        relation: "sum".into(),
    };
    held.into_iter().take(count).map(|sum| probe(sum.a, sum.b)).collect()
}

/// The rate of right answers when the model continues every prompt greedily.
///
/// # Errors
/// Those of the model.
pub fn measure(model: &Gpt2, bpe: &Bpe, probes: &[Probe]) -> Result<Rate> {
    let mut rate = Rate::default();
    let prompts: Vec<String> = probes.iter().map(|probe| probe.prompt.clone()).collect();
    for (probe, continuation) in probes.iter().zip(respond(model, bpe, &prompts, LONGEST)?) {
        let count = rate.by_relation.entry(probe.relation.clone()).or_default();
        count.0 += usize::from(names_one_of(&probe.objects, &continuation) == Some(true));
        count.1 += 1;
        rate.examples.push((probe.prompt.clone(), continuation));
    }
    Ok(rate)
}

/// Continuations of these beginnings as the model draws them, one seed each, none left out.
///
/// # Errors
/// Those of the model.
pub fn samples(model: &Gpt2, bpe: &Bpe) -> Result<Vec<(String, String)>> {
    const PROMPTS: [&str; 8] = [
        "",
        "Once upon a time",
        "The capital of China",
        "What is the capital of China?",
        "Dear Ada,\n",
        "Ben: Good morning",
        "In Rust, a variable",
        "A list:\n",
    ];
    let sample = |(seed, prompt): (usize, &&str)| {
        let seed = seed as u64;
        let config =
            GenerateConfig { max_new_tokens: 90, do_sample: true, temperature: 0.9, seed, ..Default::default() };
        Ok((prompt.to_string(), generate(model, bpe, prompt, &config)?))
    };
    PROMPTS.iter().enumerate().map(sample).collect()
}

/// The prompt of the open question in the chapter, in three forms, and the model's greedy words.
///
/// # Errors
/// Those of the model.
pub fn capital_of_china(model: &Gpt2, bpe: &Bpe) -> Result<Vec<(String, String)>> {
    let question = "What is the capital of China?";
    let solved = "Question: What is the capital of France?\nAnswer: Paris\n\n\
        Question: What is the capital of Japan?\nAnswer: Tokyo\n\n";
    let prompts = [
        question.to_string(),
        Instruction::ask(question).prompt(),
        format!("{solved}Question: {}\nAnswer:", capitalised(question)),
    ];
    let config = GenerateConfig { max_new_tokens: 40, ..Default::default() };
    let tell = |prompt: String| {
        let text = generate(model, bpe, &prompt, &config)?;
        Ok((prompt, text))
    };
    prompts.into_iter().map(tell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_cover_every_relation_and_fit_the_context() {
        let world = World::new();
        let groups = probes(&world, 2, 1);
        for (name, probes) in &groups {
            assert!(probes.len() >= 6, "{name}: {} probes", probes.len());
            assert!(probes.iter().all(|probe| probe.prompt.len() < 500), "{name}");
        }
        let asked = world.relations.iter().filter(|relation| !relation.unasked).count();
        assert_eq!(groups[4].1.len(), 2 * asked);
        assert!(groups[4].1.iter().all(|probe| probe.prompt.ends_with("Answer:")));
    }
}
