//! A cell that moves an old variable somewhere, cut before the statement that does: what happens before it, a panic
//! too, leaves the variable where it was.
//!
//! ```text
//! let x: T = host.take("x");
//! let end = 'cell: {
//!     let (a, mut b,) = match catch(|| {      the first stage borrows `x`
//!         let a = f(&x); let mut b = 2;
//!         Ok((a, b,))                         its variables are the next stage's
//!     }) {
//!         Ok(values) => values,
//!         Err(end) => { host.put_back("x", x); break 'cell Err(end) }
//!     };
//!     catch(|| { drop(x); … })                the second takes it along
//! };
//! <put back what is never moved>
//! ```
//!
//! If a stage borrows what another has made, that does not compile, and the cell stays in one piece.

use super::Range;
use super::generate::{Cell, Choices, Known, OLD};
use super::parse::Let;
use super::source::{Origin, Source};
use std::collections::{BTreeSet, HashSet};

impl Choices {
    /// For a cell that cannot be cut: what one part of it makes, another borrows.
    pub fn in_one_piece(&self) -> Choices {
        Choices { uncut: true, moved: self.moved.clone(), ..Choices::default() }
    }

    /// True if a variable is kept at the end, or at the place of this number.
    pub(super) fn keeps(&self, name: &str, site: Option<u32>) -> bool {
        !self.not_kept.contains(&(name.to_owned(), site))
    }
}

impl Cell<'_> {
    /// True if the number of a place that may leave the cell is that of the end of a stage.
    pub fn is_cut_at(&self, site: u32) -> bool {
        site >= self.first_stage()
    }

    /// The number of the end of the first stage, after those of `?` and `return`.
    fn first_stage(&self) -> u32 {
        (self.code.questions.len() + self.code.returns.len()) as u32
    }

    /// True if the cell is cut into stages.
    pub fn is_cut(&self, choices: &Choices) -> bool {
        self.stages(choices).len() > 1
    }

    /// The parts of the cell, each but the first beginning with a statement that moves an old variable.
    fn stages(&self, choices: &Choices) -> Vec<Range> {
        let in_one = choices.uncut || choices.plain || self.wants_runtime();
        let moves = choices.moved.values().filter(|_| !in_one);
        let statement = |at: &usize| self.code.statements.iter().rev().find(|begin| *begin <= at);
        let first = self.code.statements.first();
        let cuts: BTreeSet<usize> = moves.filter_map(statement).filter(|cut| Some(*cut) != first).copied().collect();
        let begins = std::iter::once(self.whole.start).chain(cuts.iter().copied());
        let ends = cuts.iter().copied().chain([usize::MAX]);
        begins.zip(ends).map(|(begin, end)| begin..end).collect()
    }

    /// The code of the cell, stage by stage, with what becomes of the old variables.
    pub(super) fn in_stages(&self, source: &mut Source, choices: &Choices, taken: &[(&String, &Known)]) {
        let stages = self.stages(choices);
        let stage_of = |name: &String| {
            let at = choices.moved.get(name)?;
            stages.iter().position(|stage| stage.contains(at)).or(Some(0))
        };
        let of_stage = |wanted: &dyn Fn(usize) -> bool| -> Vec<_> {
            taken.iter().filter(|(name, _)| stage_of(name).is_some_and(wanted)).copied().collect()
        };
        let (last, before) = stages.split_last().expect("a cell has a stage");
        source.kernel("let __gpt_lab_end = '__gpt_lab: {\n");
        for (number, stage) in before.iter().enumerate() {
            self.stage(source, choices, &of_stage(&|at| at == number), (number, stage));
            // What is still to be moved has not been hidden by a new variable yet.
            put_back(source, choices, &of_stage(&|at| at > number));
            source.kernel("break '__gpt_lab ::core::result::Result::Err(__gpt_lab_end) } };\n");
        }
        let moved = of_stage(&|at| at == before.len());
        source.kernel("::gpt_lab_cell::catch(|| -> ::gpt_lab_cell::Ended {\n");
        self.runtime(source, |source| {
            self.body(source, choices, &moved, last);
            self.keep(source, choices, &moved, usize::MAX, None);
            source.kernel("::core::result::Result::Ok(())\n");
        });
        source.kernel("}) };\n");
        // Out here, where no new variable hides an old one.
        let left: Vec<_> = taken.iter().filter(|(name, _)| stage_of(name).is_none()).copied().collect();
        put_back(source, choices, &left);
        source.kernel("__gpt_lab_end ");
    }

    /// A stage that is not the last, up to where its failure is handled.
    fn stage(&self, source: &mut Source, choices: &Choices, moved: &[(&String, &Known)], stage: (usize, &Range)) {
        let (number, range) = stage;
        let site = self.first_stage() + number as u32;
        let made = self.made_before(range.end, Some(site), choices);
        let pattern = |binding: &&Let| format!("{}{}, ", if binding.is_mut { "mut " } else { "" }, binding.name);
        let patterns: String = made.iter().map(pattern).collect();
        source.kernel(&format!(
            "#[allow(unused_mut, unused_variables)]\nlet ({patterns}) = \
             match ::gpt_lab_cell::catch(|| -> ::gpt_lab_cell::Ended<_> {{\n"
        ));
        self.body(source, choices, moved, range);
        source.kernel("::core::result::Result::Ok((");
        for Let { name, .. } in &made {
            source.push(name, Origin::Keep { name: name.clone(), site: Some(site) });
            source.kernel(", ");
        }
        source.kernel(
            "))\n}) { ::core::result::Result::Ok(__gpt_lab_values) => __gpt_lab_values, \
             ::core::result::Result::Err(__gpt_lab_end) => {\n",
        );
    }

    /// The variables that the cell has made before a byte, the last of each name.
    pub(super) fn made_before(&self, end: usize, site: Option<u32>, choices: &Choices) -> Vec<&Let> {
        let mut seen = HashSet::new();
        let bindings = self.code.lets.iter().rev().filter(|binding| binding.end <= end);
        bindings.filter(|binding| seen.insert(binding.name.as_str()) && choices.keeps(&binding.name, site)).collect()
    }
}

/// Gives back the old variables that the cell has not moved, even if it has failed.
fn put_back(source: &mut Source, choices: &Choices, left: &[(&String, &Known)]) {
    for (name, known) in left {
        let old = format!("{OLD}{name}");
        if known.anew.is_none() && choices.keeps(&old, None) {
            source.push(&format!("__gpt_lab.put_back({name:?}, {name});"), Origin::Keep { name: old, site: None });
            source.kernel("\n");
        }
    }
}
