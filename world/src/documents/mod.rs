//! The kinds of documents and their mix.
//!
//! The mix makes the base model behave as GPT-2 does: sheets of bare questions are common, so that a question is
//! likeliest followed by more questions; solved sheets are common too, so that two solved pairs call up an answer.

mod articles;
mod questions;
mod sums;
mod told;

use gpt_lab::Rng;

use crate::World;

pub use questions::few_shot;
pub use sums::{Sum, held_sums};

/// A kind of document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Paragraphs about one thing or one relation.
    Encyclopedia,
    /// Questions with answers.
    Quiz,
    /// A short story.
    Story,
    /// Questions without answers.
    Exam,
    /// Two people talking.
    Dialogue,
    /// Lists and tables.
    List,
    /// True and false claims.
    Claims,
    /// Thoughts around a question that stays open.
    Musing,
    /// Arithmetic.
    Sums,
    /// Several paragraphs with a beginning and an end.
    Essay,
    /// A letter or a page of a diary.
    Letter,
}

/// Each kind with its share of the documents, in per cent.
pub const MIX: [(Kind, usize); 11] = [
    (Kind::Encyclopedia, 31),
    (Kind::Quiz, 14),
    (Kind::Story, 13),
    (Kind::Exam, 11),
    (Kind::Dialogue, 8),
    (Kind::List, 6),
    (Kind::Claims, 5),
    (Kind::Musing, 3),
    (Kind::Sums, 5),
    (Kind::Essay, 2),
    (Kind::Letter, 2),
];

/// A document of a kind drawn from the mix.
pub fn document(world: &World, rng: &mut Rng) -> (Kind, String) {
    let mut left = rng.below(100);
    for (kind, share) in MIX {
        match left.checked_sub(share) {
            Some(rest) => left = rest,
            None => return (kind, document_of(kind, world, rng)),
        }
    }
    unreachable!("the shares sum to a hundred")
}

/// A document of this kind.
pub fn document_of(kind: Kind, world: &World, rng: &mut Rng) -> String {
    match kind {
        Kind::Encyclopedia => articles::encyclopedia(world, rng),
        Kind::Quiz => questions::quiz(world, rng),
        Kind::Story => told::story(world, rng),
        Kind::Exam => questions::exam(world, rng),
        Kind::Dialogue => told::dialogue(world, rng),
        Kind::List => articles::list(world, rng),
        Kind::Claims => questions::claims(world, rng),
        Kind::Musing => told::musing(world, rng),
        Kind::Sums => sums::sums(rng),
        Kind::Essay => articles::essay(world, rng),
        Kind::Letter => told::letter(world, rng),
    }
}
