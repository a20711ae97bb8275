//! The crate that a cell is compiled as: the items of the session, and a function with the cell's code in it.
//!
//! ```text
//! <items of all cells>
//! extern "C" fn run(host) -> u32 {
//!     run(host, <do the variables fit?>, || {
//!         let x: T = host.take("x");                  an old variable that the cell mentions
//!         let end = catch(|| {
//!             let a = match branch(f(), 0) {          let a = f()?;
//!                 Ok(v) => v,
//!                 Err(e) => { <keep what is new so far> return Err(e) }
//!             };
//!             <show the value>
//!             host.put("a", a);                       a new variable
//!             Ok(())
//!         });
//!         host.put_back("x", x);                      even if the cell has failed
//!         end
//!     })
//! }
//! ```
//!
//! A cell that moves an old variable somewhere is cut before that statement ([`super::stages`]).
//!
//! What the compiler says about a line that keeps a variable decides about that variable: it was moved, or it refers to
//! something that ends with the cell. [`Choices`] holds such decisions; with each of them the code is made anew.

use super::Range;
use super::items::Items;
use super::parse::{Code, Let};
use super::source::{Origin, Source};
use std::collections::{BTreeMap, BTreeSet};

/// The name of the function of a cell in its shared object.
pub const ENTRY: &str = "__gpt_lab_run";
/// What stands before the name of an old variable in [`Origin::Keep`]: the cell may have made another of its name.
pub const OLD: &str = "old ";

/// A variable of earlier cells.
#[derive(Debug, Clone)]
pub struct Known {
    /// Its type, as a cell can write it.
    pub written: String,
    /// True after `let mut`.
    pub is_mut: bool,
    /// True if its type is, or is made of, one that cells define.
    pub is_own: bool,
    /// An expression that makes it anew, where its type has no name.
    pub anew: Option<String>,
}

/// How a cell's value is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Showing {
    /// By a method of its own or by `Debug`.
    #[default]
    Any,
    /// By the method `evcxr_display` that the learner's code has for it.
    Method,
    /// By `Debug`.
    Debug,
}

/// The ways in which a closure may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calls {
    /// Any number of times.
    Fn,
    /// Any number of times, changing what it holds.
    FnMut,
    /// Once.
    FnOnce,
}

/// What the compiler has taught about a cell so far.
#[derive(Debug, Clone, Default)]
pub struct Choices {
    /// Leave every `?` as it is and the code in a plain function: for the compiler's own words.
    pub plain: bool,
    /// Leave the value as a statement of the learner's, unseen.
    pub bare: bool,
    /// Take in all variables, so that the compiler can propose the right one for a name that it does not find.
    pub all: bool,
    /// How the value is shown.
    pub showing: Showing,
    /// Variables that are not kept, at the end or before a `?`.
    pub not_kept: BTreeSet<(String, Option<u32>)>,
    /// Old variables that the cell moves somewhere, and the byte where it does.
    pub moved: BTreeMap<String, usize>,
    /// Do not cut the cell before the statements that move old variables.
    pub uncut: bool,
    /// The number of the error for which a variable is not kept at the end.
    pub reasons: BTreeMap<String, String>,
    /// New variables that hold closures, and how they are called.
    pub closures: BTreeMap<String, Calls>,
}

/// The settings of a session that change the code of a cell.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The learner's own format for values.
    pub format: Option<String>,
    /// True if the type of a value is shown.
    pub types: bool,
    /// True if `tokio` is a dependency.
    pub tokio: bool,
}

/// Everything that the code of a cell is made of.
pub struct Cell<'a> {
    /// Its number among all of the session.
    pub number: usize,
    /// The texts of all cells.
    pub texts: &'a [String],
    /// What it says.
    pub code: &'a Code,
    /// All items, those of the cell included.
    pub items: &'a Items,
    /// The variables of the session.
    pub variables: &'a BTreeMap<String, Known>,
    /// The settings.
    pub settings: &'a Settings,
    /// The range of its Rust.
    pub whole: Range,
}

/// The code of a cell, and the place of each item in it.
pub struct Made {
    /// The code.
    pub source: Source,
    /// The numbers of the items and their places.
    pub items: Vec<(usize, Range)>,
}

/// An exchange within the learner's code.
enum Edit {
    Nothing,
    Before,
    Sign(u32),
    Leave(usize),
    Value,
    EndOfValue,
}

impl Cell<'_> {
    /// Makes the code.
    pub fn make(&self, choices: &Choices) -> Made {
        let mut source = Source::default();
        for range in &self.code.attributes {
            source.cell(self.number, self.text(), range.clone());
            source.kernel("\n");
        }
        let items = self.items.write(&mut source, self.texts);
        let taken = self.taken(choices);
        if choices.plain {
            self.plain(&mut source, choices, &taken);
        }
        source.kernel(&format!(
            "#[unsafe(no_mangle)]\n\
             pub extern \"C\" fn {ENTRY}(__gpt_lab: &'static ::gpt_lab_cell::Host) -> ::core::primitive::u32 {{\n\
             ::gpt_lab_cell::run(__gpt_lab, true"
        ));
        for (name, known) in &taken {
            if known.anew.is_none() {
                source.kernel(&format!(" && __gpt_lab.fits::<{}>({name:?}, {})", known.written, known.is_own));
            }
        }
        if choices.plain {
            source.kernel(", || ::gpt_lab_cell::catch(|| __gpt_lab_cell(__gpt_lab)))\n}\n");
            return Made { source, items };
        }
        source.kernel(", || {\n");
        taken.iter().for_each(|(name, known)| take(&mut source, name, known));
        self.in_stages(&mut source, choices, &taken);
        source.kernel("})\n}\n");
        Made { source, items }
    }

    /// The cell as a function of its own, in which the compiler says what it says in any function.
    fn plain(&self, source: &mut Source, choices: &Choices, taken: &[(&String, &Known)]) {
        source.kernel("fn __gpt_lab_cell(__gpt_lab: &'static ::gpt_lab_cell::Host) -> ::gpt_lab_cell::Ended {\n");
        taken.iter().for_each(|(name, known)| take(source, name, known));
        self.runtime(source, |source| {
            self.body(source, choices, taken, &(self.whole.start..usize::MAX));
            self.keep(source, choices, taken, usize::MAX, None);
            source.kernel("::core::result::Result::Ok(())\n");
        });
        source.kernel("}\n");
    }

    fn text(&self) -> &str {
        &self.texts[self.number]
    }

    /// The old variables that the cell may use.
    fn taken(&self, choices: &Choices) -> Vec<(&String, &Known)> {
        let is_used = |name: &String| choices.all || self.code.words.contains(name);
        self.variables.iter().filter(|(name, _)| is_used(name)).collect()
    }

    /// True if the code is run within tokio's runtime.
    pub(super) fn wants_runtime(&self) -> bool {
        self.settings.tokio && (self.code.awaits || self.code.words.contains("tokio"))
    }

    /// The code within tokio's runtime, if it wants one.
    pub(super) fn runtime(&self, source: &mut Source, code: impl FnOnce(&mut Source)) {
        if !self.wants_runtime() {
            return code(source);
        }
        // One for each cell, which outlives it for what the cell has spawned: each cell has a tokio of its own, whose
        // thread-local context the threads of another cell's runtime would not find.
        let make = "::tokio::runtime::Runtime::new().expect(\"tokio starts\")";
        let leak = format!("::std::boxed::Box::leak(::std::boxed::Box::new({make}))");
        source.kernel(&format!("let __gpt_lab_tokio: &'static ::tokio::runtime::Runtime = {leak};\n"));
        if self.code.awaits {
            source.kernel("__gpt_lab_tokio.block_on(async {\n");
            code(source);
            source.kernel("})\n");
        } else {
            source.kernel("let _gpt_lab_tokio = __gpt_lab_tokio.enter();\n");
            code(source);
        }
    }

    /// The learner's code within a stage, in which the old variables `moved` are moved somewhere.
    pub(super) fn body(&self, source: &mut Source, choices: &Choices, moved: &[(&String, &Known)], stage: &Range) {
        let mut edits = self.edits(choices);
        edits.retain(|(range, _)| stage.contains(&range.start));
        // Of two that begin at one byte the one that is farther out comes first.
        edits.sort_by_key(|(range, _)| (range.start, std::cmp::Reverse(range.end)));
        let mut at = stage.start;
        for (range, edit) in edits {
            if at < range.start {
                source.cell(self.number, self.text(), at..range.start);
            }
            at = at.max(range.start);
            match edit {
                Edit::Nothing => at = range.end.max(at),
                Edit::Before => source.kernel("(match ::gpt_lab_cell::branch("),
                Edit::Sign(site) => {
                    source.kernel(&format!(
                        ", {site}) {{ ::core::result::Result::Ok(__gpt_lab_value) => __gpt_lab_value, \
                         ::core::result::Result::Err(__gpt_lab_error) => {{ "
                    ));
                    let statement = self.code.questions[site as usize].statement;
                    self.keep(source, choices, moved, statement, Some(site));
                    source.kernel("return ::core::result::Result::Err(__gpt_lab_error) } })");
                    at = range.end;
                }
                Edit::Leave(number) => {
                    source.kernel("{ ");
                    let site = (self.code.questions.len() + number) as u32;
                    self.keep(source, choices, moved, self.code.returns[number].statement, Some(site));
                    source.kernel("return ::core::result::Result::Err(::gpt_lab_cell::Failure::Return) }");
                    at = range.end;
                }
                Edit::Value => self.before_value(source, choices),
                Edit::EndOfValue => self.after_value(source, choices),
            }
        }
        let end = stage.end.min(self.whole.end);
        source.cell(self.number, self.text(), at.min(end)..end);
        source.kernel("\n;\n");
    }

    fn edits(&self, choices: &Choices) -> Vec<(Range, Edit)> {
        let mut edits: Vec<(Range, Edit)> = Vec::new();
        let items = self.code.items.iter().map(|item| super::parse::range(ra_ap_syntax::AstNode::syntax(item)));
        let holes = items.chain(self.code.item_macros.iter().cloned()).chain(self.code.attributes.iter().cloned());
        edits.extend(holes.map(|range| (range, Edit::Nothing)));
        if let Some(tail) = self.code.tail.as_ref().filter(|_| !choices.bare) {
            edits.push((tail.start..usize::MAX, Edit::Value));
            edits.push((tail.end..tail.end, Edit::EndOfValue));
        }
        for (number, ending) in self.code.returns.iter().enumerate() {
            edits.push((ending.range.clone(), Edit::Leave(number)));
        }
        if !choices.plain {
            for (number, question) in self.code.questions.iter().enumerate() {
                edits.push((question.operand.clone(), Edit::Before));
                edits.push((question.sign.clone(), Edit::Sign(number as u32)));
            }
        }
        edits
    }

    fn before_value(&self, source: &mut Source, choices: &Choices) {
        let code = match choices.showing {
            // The block's end drops what the expression has made on its way.
            Showing::Any if self.settings.format.is_some() || self.settings.types => "{ let __gpt_lab_format = &(",
            Showing::Any => "match &(",
            Showing::Method => "match &(",
            Showing::Debug => "::gpt_lab_cell::show_text(&::std::format!(\"{:?}\", ",
        };
        source.push(code, Origin::Show);
    }

    fn after_value(&self, source: &mut Source, choices: &Choices) {
        let shown = "::gpt_lab_cell::value_follows(); (*__gpt_lab_value).evcxr_display()";
        let code = match choices.showing {
            Showing::Any if self.settings.format.is_some() || self.settings.types => self.formatted(),
            Showing::Any => {
                format!(
                    ") {{ __gpt_lab_value => {{ #[allow(unused_imports)] \
                     use ::gpt_lab_cell::ByDebug as _; {shown} }} }}"
                )
            }
            Showing::Method => format!(") {{ __gpt_lab_value => {{ {shown} }} }}"),
            Showing::Debug => "))".to_owned(),
        };
        source.push(&code, Origin::Show);
    }

    /// The value in the learner's own format, with its type if that is wanted.
    fn formatted(&self) -> String {
        let format = self.settings.format.as_deref().unwrap_or("{:?}");
        let with_type = "::std::format!(\"{}: {}\", __gpt_lab_text, ::core::any::type_name_of_val(__gpt_lab_format))";
        let text = if self.settings.types { with_type } else { "__gpt_lab_text" };
        format!(
            "); let __gpt_lab_text = ::std::format!({format:?}, __gpt_lab_format); \
             if ::core::any::type_name_of_val(__gpt_lab_format) != \"()\" {{ ::gpt_lab_cell::show_text(&{text}) }} }}"
        )
    }

    /// Keeps the variables that there are before a byte of the code.
    pub(super) fn keep(
        &self,
        source: &mut Source,
        choices: &Choices,
        moved: &[(&String, &Known)],
        before: usize,
        site: Option<u32>,
    ) {
        for Let { name, closure, .. } in self.made_before(before, site, choices) {
            let value = match (closure, choices.closures.get(name)) {
                (Some(parameters), calls) => boxed(name, parameters, calls.copied().unwrap_or(Calls::Fn)),
                (None, _) => name.clone(),
            };
            put(source, name, &value, site);
        }
        let is_hidden = |name: &str| self.code.lets.iter().any(|new| new.end <= before && new.name == name);
        let is_kept = |name: &str| choices.keeps(name, site) && !is_hidden(name);
        for (name, _) in moved.iter().filter(|(name, known)| known.anew.is_none() && is_kept(name)) {
            put(source, name, name, site);
        }
    }
}

fn put(source: &mut Source, name: &str, value: &str, site: Option<u32>) {
    source.push(&format!("__gpt_lab.put({name:?}, {value});"), Origin::Keep { name: name.to_owned(), site });
    source.kernel("\n");
}

fn take(source: &mut Source, name: &str, known: &Known) {
    let is_mut = if known.is_mut { "mut " } else { "" };
    // SAFETY of what is generated: `fits` has been asked about all variables before.
    source.kernel(&match &known.anew {
        Some(anew) => format!("let {is_mut}{name} = {anew};\n"),
        None => format!("let {is_mut}{name} = unsafe {{ __gpt_lab.take::<{}>({name:?}) }};\n", known.written),
    });
}

/// A closure in a box, whose type can be named.
fn boxed(name: &str, parameters: &[String], calls: Calls) -> String {
    format!(
        "::std::boxed::Box::new({name}) as ::std::boxed::Box<dyn ::core::ops::{calls:?}({}) -> _>",
        parameters.join(", ")
    )
}
