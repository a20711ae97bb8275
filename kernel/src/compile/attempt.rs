//! From a cell to a shared object, in as many attempts as it takes: what the compiler says about the kernel's lines
//! around the learner's decides what the next attempt leaves out.

use super::diagnostic::{Diagnostic, Span};
use super::report::{Cells, MOST_LINES, Reporter};
use super::rustc::{Compiled, Compiler};
use crate::code::generate::{Calls, Cell, Choices, Made, OLD, Showing};
use crate::code::items::Items;
use crate::code::source::Origin;
use crate::failure::Failure;
use anyhow::Result;
use std::collections::HashMap;
use std::path::PathBuf;

/// Most attempts for one cell; each decides something, so there are few.
const MOST_ATTEMPTS: usize = 12;
/// Most warnings of one cell that are shown.
const MOST_WARNINGS: usize = 3;
/// The warnings that a learner learns from.
const TEACHING: [&str; 8] = [
    "unused_must_use",
    "unreachable_code",
    "unused_variables",
    "unused_mut",
    "unconditional_recursion",
    "unused_assignments",
    "unused_comparisons",
    "let_underscore_lock",
];

/// Errors about something that is lent while it is kept.
const LOANS: [&str; 8] = ["E0505", "E0597", "E0716", "E0506", "E0502", "E0499", "E0521", "E0373"];

/// A cell that can be run.
pub struct Ready {
    /// The shared object.
    pub library: PathBuf,
    /// The name of the source file, as panics tell it.
    pub file: String,
    /// The code, to find the learner's lines again.
    pub made: Made,
    /// The items, of which some may be left out now.
    pub items: Items,
    /// What was decided.
    pub choices: Choices,
    /// Warnings and what was set aside, as text.
    pub notes: Vec<String>,
}

/// The learner's errors.
pub type Refused = Vec<Failure>;

/// What a cell is compiled with.
pub struct Attempt<'a> {
    /// The compiler.
    pub compiler: &'a Compiler,
    /// The generation of the cells' own types.
    pub generation: u64,
    /// The cells, for reports.
    pub cells: Cells<'a>,
    /// What is known of names that are gone.
    pub missing: &'a dyn Fn(&str) -> Option<String>,
    /// True once the learner has pressed stop.
    pub is_stopped: &'a dyn Fn() -> bool,
}

/// What the errors of one attempt are about.
#[derive(Default)]
struct Findings {
    /// The learner's code.
    own: Vec<usize>,
    /// Items of earlier cells, by number.
    old: HashMap<usize, usize>,
    /// The choices have changed.
    decided: bool,
}

impl Attempt<'_> {
    /// Compiles a cell.
    pub fn run(&self, cell: &Cell) -> Result<Result<Ready, Refused>> {
        let mut choices = Choices::default();
        let mut items = cell.items.clone();
        let mut aside = Vec::new();
        for _ in 0..MOST_ATTEMPTS {
            let cell = Cell { items: &items, whole: cell.whole.clone(), ..*cell };
            let made = cell.make(&choices);
            let compiled = self.compiler.compile(made.source.text(), self.generation);
            if (self.is_stopped)() {
                return Ok(Err(vec![Failure::new("Interrupted", "stopped")]));
            }
            let compiled = compiled?;
            if compiled.library.is_some() && choices.bare {
                // The learner's code is right: it was about how its value is shown.
                choices.bare = false;
                continue;
            }
            if let Some(library) = compiled.library.clone() {
                let notes = aside.into_iter().chain(self.warnings(&cell, &made, &compiled)).collect();
                return Ok(Ok(Ready { library, file: compiled.file, made, items, choices, notes }));
            }
            let findings = self.findings(&cell, &made, &compiled, &mut choices);
            if !findings.own.is_empty() || (findings.old.is_empty() && !findings.decided) {
                let misses = |number: &usize| compiled.messages[*number].number() == "E0425";
                if choices.plain && !choices.all && findings.own.iter().any(misses) {
                    choices.all = true;
                } else if choices.plain {
                    return Ok(Err(self.refusal(&made, &compiled, &findings)));
                } else if cell.is_cut(&choices) {
                    choices = choices.in_one_piece();
                } else {
                    (choices.plain, choices.bare) = (true, true);
                }
            } else if !findings.old.is_empty() {
                aside.extend(self.set_aside(&mut items, &made, &compiled, &findings));
            }
        }
        Ok(Err(vec![Failure::new("error", "this cell cannot be compiled, and the compiler does not say why")]))
    }

    fn reporter<'a>(&'a self, made: &'a Made, compiled: &'a Compiled) -> Reporter<'a> {
        Reporter { cells: self.cells, source: &made.source, file: &compiled.file, missing: self.missing }
    }

    /// Sorts the errors, and decides what those about the kernel's own lines mean.
    fn findings(&self, cell: &Cell, made: &Made, compiled: &Compiled, choices: &mut Choices) -> Findings {
        let mut findings = Findings::default();
        for (number, message) in compiled.messages.iter().enumerate().filter(|(_, message)| message.is_error()) {
            let spans = message.all_spans();
            let places: Vec<_> = spans.iter().filter_map(|span| span.within(&compiled.file)).collect();
            if places.is_empty() {
                continue;
            }
            let of = |span: &&Span| made.source.origins(&(span.byte_start..span.byte_end)).collect::<Vec<_>>();
            let origins: Vec<&Origin> = places.iter().flat_map(of).collect();
            let mut all_kept = origins.iter().filter_map(|origin| match origin {
                Origin::Keep { name, site } => Some((name.clone(), *site)),
                _ => None,
            });
            // Of a loan and its owner the loan is given up: the primary place is where the owner is kept.
            let kept = if LOANS.contains(&message.number()) { all_kept.next_back() } else { all_kept.next() };
            let shows = || origins.contains(&&Origin::Show);
            if let Some(kept) = kept {
                findings.decided |= decide(cell, choices, kept, message, moved_at(cell, made, compiled, message));
            } else if choices.showing != Showing::Debug && shows() && cell.settings.format.is_none() {
                choices.showing = match (choices.showing, message.number()) {
                    (Showing::Any, "E0034") => Showing::Method,
                    _ => Showing::Debug,
                };
                findings.decided = true;
            } else if let Some(item) = self.old_item(cell, made, compiled, message) {
                findings.old.entry(item).or_insert(number);
            } else {
                findings.own.push(number);
            }
        }
        findings
    }

    /// The number of the earlier cell's item that an error lies in.
    fn old_item(&self, cell: &Cell, made: &Made, compiled: &Compiled, message: &Diagnostic) -> Option<usize> {
        let primary = message.spans.iter().find(|span| span.is_primary)?.within(&compiled.file)?;
        let (number, _) = made.items.iter().find(|(_, range)| range.contains(&primary.byte_start))?;
        cell.items.get(*number).filter(|item| item.cell != cell.number).map(|_| *number)
    }

    /// Leaves out items of earlier cells that no longer compile; returns what is told about them.
    fn set_aside(&self, items: &mut Items, made: &Made, compiled: &Compiled, findings: &Findings) -> Vec<String> {
        let reporter = self.reporter(made, compiled);
        let mut numbers: Vec<_> = findings.old.iter().collect();
        numbers.sort_unstable();
        let (mut reasons, mut told) = (HashMap::new(), Vec::new());
        for (number, message) in numbers {
            let Some(item) = items.get(*number) else { continue };
            let name = &self.cells.names[item.cell];
            let report = reporter.report(&compiled.messages[*message]);
            reasons.insert(*number, format!("it no longer compiles: {}", report.evalue));
            let begin = format!("set aside: {} of {name}, which no longer compiles; run its cell again\n", item.title);
            told.push(begin + &report.traceback.iter().take(4).map(|line| format!("  {line}\n")).collect::<String>());
        }
        items.set_aside(&reasons);
        told
    }

    fn refusal(&self, made: &Made, compiled: &Compiled, findings: &Findings) -> Refused {
        let reporter = self.reporter(made, compiled);
        let is_own = |number: &usize| findings.own.is_empty() || findings.own.contains(number);
        let errors =
            compiled.messages.iter().enumerate().filter(|(number, message)| message.is_error() && is_own(number));
        let errors =
            errors.map(|(_, message)| message).filter(|message| !message.message.starts_with("aborting due to"));
        let mut reports: Vec<Failure> = Vec::new();
        let (mut lines, mut more) = (0, 0);
        for mut report in errors.map(|message| reporter.report(message)) {
            if reports.iter().any(|known| known.traceback == report.traceback) {
                continue;
            }
            if !reports.is_empty() && lines + report.traceback.len() > MOST_LINES {
                // What it is and where, without more.
                report.traceback.truncate(2);
            }
            if lines + report.traceback.len() <= MOST_LINES {
                lines += report.traceback.len();
                reports.push(report);
            } else {
                more += 1;
            }
        }
        if let Some(last) = reports.last_mut().filter(|_| more > 0) {
            let noun = if more == 1 { "error" } else { "errors" };
            last.traceback.push(format!("  … and {more} more {noun}"));
        }
        if reports.is_empty() {
            let why = if compiled.other.trim().is_empty() {
                "the compiler ended without saying why"
            } else {
                compiled.other.trim()
            };
            reports.push(Failure::new("error", why));
        }
        reports
    }

    /// The warnings of this cell that a learner learns from, each once.
    fn warnings(&self, cell: &Cell, made: &Made, compiled: &Compiled) -> Vec<String> {
        let reporter = self.reporter(made, compiled);
        let mut told: Vec<String> = Vec::new();
        for message in compiled.messages.iter().filter(|message| TEACHING.contains(&message.number())) {
            let Some(primary) = message.spans.iter().find(|span| span.is_primary) else { continue };
            let Some(place) = reporter.place(primary).filter(|place| place.cell == cell.number) else { continue };
            // Not what the compiler says about the code around the learner's.
            let is_learners = |span: &Span| {
                made.source
                    .origins(&(span.byte_start..span.byte_end))
                    .all(|origin| matches!(origin, Origin::Cell { .. }))
            };
            if !message.spans.iter().all(|span| span.within(&compiled.file).is_none_or(is_learners)) {
                continue;
            }
            // A variable of the cell itself is there for later cells.
            let of_cells = ["unused_variables", "unused_mut", "unused_assignments"].contains(&message.number());
            if of_cells && !cell.code.is_in_item(&place.range) {
                continue;
            }
            // A function that is still to be written does not use what it is given.
            if message.number() == "unused_variables" && cell.code.is_parameter_of_stub(&place.range) {
                continue;
            }
            let text = reporter.warning(message);
            if !told.contains(&text) {
                told.push(text);
            }
        }
        told.truncate(MOST_WARNINGS);
        told
    }
}

/// Decides about a variable from an error at a line that keeps it; true if that is new.
fn decide(
    cell: &Cell,
    choices: &mut Choices,
    (name, site): (String, Option<u32>),
    message: &Diagnostic,
    moved_at: usize,
) -> bool {
    let is_closure = cell.code.lets.iter().any(|binding| binding.name == name && binding.closure.is_some());
    if is_closure && message.number() == "E0525" {
        let next = if choices.closures.get(&name) == Some(&Calls::FnMut) { Calls::FnOnce } else { Calls::FnMut };
        if choices.closures.get(&name) != Some(&Calls::FnOnce) {
            choices.closures.insert(name, next);
            return true;
        }
    }
    // Moved somewhere in the cell: what leaves the cell before that can still keep it.
    if let Some(plain) = name.strip_prefix(OLD)
        && message.number() == "E0382"
    {
        // Without `mut` it cannot get another value afterwards: no need to ask the compiler whether it can be kept.
        if !cell.variables.get(plain).is_some_and(|known| known.is_mut)
            && !cell.code.lets.iter().any(|binding| binding.name == plain)
        {
            choices.not_kept.insert((plain.to_owned(), None));
        }
        return choices.moved.insert(plain.to_owned(), moved_at).is_none();
    }
    if site.is_some_and(|site| cell.is_cut_at(site)) {
        if message.number() != "E0382" {
            *choices = choices.in_one_piece();
            return true;
        }
        choices.reasons.insert(name.clone(), message.number().to_owned());
    }
    if site.is_none() {
        choices.reasons.entry(name.clone()).or_insert_with(|| message.number().to_owned());
    }
    choices.not_kept.insert((name, site))
}

/// The byte of the cell at which a variable is moved, by an error that says so.
fn moved_at(cell: &Cell, made: &Made, compiled: &Compiled, message: &Diagnostic) -> usize {
    let others = message.spans.iter().filter(|span| !span.is_primary);
    let places = others.filter_map(|span| span.within(&compiled.file));
    let learners = places.filter_map(|span| made.source.in_cell(&(span.byte_start..span.byte_end)));
    learners.filter(|(number, _)| *number == cell.number).map(|(_, range)| range.start).min().unwrap_or(0)
}
