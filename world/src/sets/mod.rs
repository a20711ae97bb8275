//! Small data sets made of the same facts: instructions in the schema of Alpaca, comparisons in the schema of WebGPT.

mod comparisons;
mod instructions;

pub use comparisons::{Comparison, Question, SLICES, comparisons};
pub use instructions::instructions;

use gpt_lab::Rng;

use crate::World;
use crate::relations::{Fact, Phrasing, pick};

/// One fact in so many is never in the instructions to learn from.
const HELD_FACTS: usize = 8;

/// The part of a data set that a row is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// To learn from.
    Train,
    /// To judge by: wordings that were held back, about facts that training rows tell in other words.
    Validation,
    /// To judge by: wordings that were held back, about facts that no training row tells.
    NewFacts,
}

/// True for a fact that is held back from tuning.
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
