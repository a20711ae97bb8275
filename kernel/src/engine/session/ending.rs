//! The end of a cell: what it leaves behind, and what the learner is told.

use super::{Loss, Outcome, Session};
use crate::cells::{End, ToCells};
use crate::code::parse::Code;
use crate::compile::attempt::Ready;
use crate::engine::notebook::Notebook;
use crate::engine::output::record::{Panic, Record};
use crate::engine::running::Finished;
use crate::engine::told;
use crate::failure::Failure;
use crate::protocol::Stream;
use crate::sys::lock;
use std::mem;

impl Session {
    /// Takes over what a cell has left behind, and tells of its failure and of what is lost.
    pub(super) fn finish(
        &mut self,
        number: usize,
        code: &Code,
        ready: &Ready,
        finished: Finished,
        losses: Vec<Loss>,
    ) -> Outcome {
        let mut record = lock(&self.output).take_record();
        self.last_value = record.value.take();
        let (end, variables) = match finished {
            Finished::Ended { end, variables } => (end, variables),
            Finished::Gone => return Err(vec![self.gone(record.panic.map(|panic| panic.message))]),
        };
        let went_well = end == End::Well;
        let there = if went_well { self.without_hidden(code, ready, variables) } else { variables };
        let notebook = self.notebook.clone();
        let mut notebook = lock(&notebook);
        notebook.keep(mem::take(&mut record.put), &code.lets);
        // What the cell has made anew is no loss.
        let losses = losses.iter().filter(|(name, _)| !there.contains(name));
        let mut lost: Vec<String> = losses.map(|(name, reason)| told::lost(name, reason)).collect();
        if went_well {
            lost.extend(notebook.settle_success(number, code, ready, &there));
            drop(notebook);
            if !lost.is_empty() {
                self.say(Stream::Stderr, lost.join("\n") + "\n");
            }
            return Ok(());
        }
        lost.extend(notebook.settle_failure(number, code, &there));
        let mut failure = failure(&notebook, number, code, ready, end, record);
        failure.traceback.extend(lost);
        Err(vec![failure])
    }

    /// The variables that are there after a cell that went well: an old one whose name the cell has given to another is
    /// not, even if that other is not kept.
    pub(super) fn without_hidden(&self, code: &Code, ready: &Ready, mut variables: Vec<String>) -> Vec<String> {
        let is_hidden = |name: &String| {
            ready.choices.not_kept.contains(&(name.clone(), None))
                && code.lets.iter().any(|binding| binding.name == *name)
        };
        let names: Vec<String> = variables.iter().filter(|name| is_hidden(name)).cloned().collect();
        if !names.is_empty() {
            variables.retain(|name| !names.contains(name));
            self.process.send(&ToCells::Forget { names }, None);
        }
        variables
    }

    /// The report of the end of the process.
    pub(super) fn gone(&self, panic: Option<String>) -> Failure {
        let status = self.process.wait();
        let how = status.map_or_else(|| "for an unknown reason".to_owned(), |status| status.to_string());
        let why = panic.map(|message| format!(" ({message})")).unwrap_or_default();
        lock(&self.notebook).lose_variables("was lost when the process of the cells ended");
        Failure::new("ProcessEnded", format!("the process that runs the cells ended: {how}{why}"))
    }
}

impl Notebook {
    /// Notes which variables are gone after a cell that went well, where these are there; returns the lines about those
    /// of which the learner would not expect it.
    fn settle_success(&mut self, number: usize, code: &Code, ready: &Ready, there: &[String]) -> Vec<String> {
        let cell = self.names[number].clone();
        for gone in self.forget_all_but(there) {
            self.gone.insert(gone, format!("was moved by {cell}"));
        }
        let missing = self.not_kept(code, there);
        for gone in &missing {
            self.gone.insert(gone.clone(), not_kept(ready, gone, &cell));
        }
        let borrowed = missing.iter().filter_map(|gone| Some(told::not_kept(gone, borrowed(ready, gone)?)));
        let nameless = self.nameless(code).into_iter().map(|gone| told::not_kept(&gone, NAMELESS));
        borrowed.chain(nameless).collect()
    }

    /// Notes which variables are gone after a cell that failed, where these are there; returns the lines about them.
    fn settle_failure(&mut self, number: usize, code: &Code, there: &[String]) -> Vec<String> {
        let (cell, mut lost) = (self.names[number].clone(), Vec::new());
        for gone in self.forget_all_but(there) {
            lost.push(told::lost(&gone, "moved by this cell, which failed"));
            self.gone.insert(gone, format!("was moved by {cell}"));
        }
        let missing = self.not_kept(code, there);
        for gone in &missing {
            self.gone.insert(gone.clone(), format!("was made by {cell}, which failed"));
        }
        if !missing.is_empty() {
            lost.push(format!("not kept: {} (this cell failed before its end)", told::names(&missing)));
        }
        lost
    }
}

/// The report of a cell that did not go well.
fn failure(notebook: &Notebook, number: usize, code: &Code, ready: &Ready, end: End, record: Record) -> Failure {
    match end {
        End::Error => {
            let error = record.error.unwrap_or((0, "error".to_owned(), "a `?` ended the cell".to_owned()));
            told::question(notebook, number, code, &ready.file, &error)
        }
        End::Panic => {
            let known = record.panic.unwrap_or_else(|| Panic {
                message: record.caught.unwrap_or_else(|| "the cell panicked".to_owned()),
                place: record.printed_place.unwrap_or_default(),
                ..Panic::default()
            });
            told::panic(notebook, number, &known)
        }
        End::NotLoaded(why) => Failure::new("error", format!("the compiled cell cannot be loaded: {why}")),
        End::Well | End::Misfit => {
            Failure::new("error", "a variable is not of the type that the kernel took it for; nothing was run")
        }
    }
}

/// Why a variable of a cell that went well is not there afterwards.
fn not_kept(ready: &Ready, name: &str, cell: &str) -> String {
    match ready.choices.reasons.get(name).map(String::as_str) {
        Some("E0382" | "E0505") => format!("was moved by {cell}"),
        Some("E0381") => format!("was not given a value in {cell}"),
        Some(_) => format!("was of {cell} only: it refers to something that ended with the cell"),
        None => format!("was of {cell} only"),
    }
}

/// Why a variable is of its cell only, if it refers to something of the cell.
fn borrowed(ready: &Ready, name: &str) -> Option<&'static str> {
    let number = ready.choices.reasons.get(name)?;
    let is_other = ["E0382", "E0381"].contains(&number.as_str());
    (!is_other).then_some(
        "it refers to something that ends with this cell; keep a copy, such as `.clone()` or `.collect()` makes",
    )
}

/// Why a variable is of no use in other cells.
const NAMELESS: &str = "its type has no name that another cell could write; `.collect()` or a type annotation may help";
