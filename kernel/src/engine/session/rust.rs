//! The Rust of a cell: understood, compiled, run.

use super::{Loss, Outcome, Session, masked};
use crate::cells::ToCells;
use crate::code::generate::{Cell as Generated, Known};
use crate::code::parse::Code;
use crate::code::source::Source;
use crate::code::{Range, items, parse, split};
use crate::compile::attempt::{Attempt, Ready};
use crate::compile::report::Reporter;
use crate::failure::Failure;
use crate::protocol::Stream;
use crate::sys::lock;
use ra_ap_syntax::ast;
use ra_ap_syntax::ast::HasName;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

impl Session {
    pub(super) fn rust(
        &mut self,
        number: usize,
        range: Range,
        allow_stdin: bool,
        is_last: bool,
        quiet: bool,
    ) -> Outcome {
        let begin = Instant::now();
        let text = lock(&self.notebook).texts[number].clone();
        let masked = masked(&text, &range);
        let Some(code) = self.understood(number, &text, &masked, &range)? else { return Ok(()) };
        self.extern_crates(&code)?;
        let rebuilt = self.refresh()?;
        let (ready, outdated) = self.compile(number, &text, &code, range)?;
        let compile_time = begin.elapsed();
        let mut lost = rebuilt;
        lost.extend(self.commit(number, &ready, &outdated));
        for note in &ready.notes {
            self.say(Stream::Stderr, note.clone());
        }
        self.hints(&code);
        lock(&self.output).begin(quiet, is_last);
        lock(&self.notebook).remember(&ready.file, ready.made.source.clone());
        let began = Instant::now();
        let finished = self.run(&ready.library, allow_stdin);
        if self.timing {
            self.tell_time(compile_time, began.elapsed());
        }
        self.finish(number, &code, &ready, finished, lost)
    }

    /// The code taken apart, or what is wrong with it.
    pub(super) fn understood(
        &self,
        number: usize,
        text: &str,
        masked: &str,
        range: &Range,
    ) -> Result<Option<Code>, Vec<Failure>> {
        if split::unbalanced(masked).is_some() {
            // As a file of its own, so that the compiler speaks of the learner's brackets only.
            return Err(self.syntax_errors(number, range, ["", ""]));
        }
        if split::is_blank(masked) {
            return Ok(None);
        }
        if masked.trim_start().starts_with('?') {
            let words = "this is how IPython is asked; here Shift-Tab behind a name shows its documentation";
            return Err(vec![self.failure_at("error", words, number, range.clone())]);
        }
        let Some(code) = parse::parse(masked) else {
            return Err(self.syntax_errors(number, range, ["fn cell() {\n", "\n}"]));
        };
        if let Some(ending) = code.returns.iter().find(|ending| ending.has_value) {
            let words = "a cell has nobody to return a value to; write the value as the last line, without `return`";
            return Err(vec![self.failure_at("error", words, number, ending.range.clone())]);
        }
        if code.awaits && !lock(&self.notebook).settings.tokio {
            let place = text[range.clone()]
                .find(".await")
                .map_or(range.clone(), |at| range.start + at + 1..range.start + at + 6);
            let words = "a cell that waits with `.await` needs a runtime: \
                         `:dep tokio = { version = \"1\", features = [\"full\"] }`";
            return Err(vec![self.failure_at("error[E0728]", words, number, place)]);
        }
        Ok(Some(code))
    }

    /// What the compiler says about code that is no Rust.
    pub(super) fn syntax_errors(&self, number: usize, range: &Range, [before, after]: [&str; 2]) -> Vec<Failure> {
        let notebook = lock(&self.notebook);
        let text = &notebook.texts[number];
        let mut source = Source::default();
        source.kernel(before);
        source.cell(number, text, range.clone());
        source.kernel(after);
        let no_match = || vec![Failure::new("error", "this cell is no Rust, and the compiler does not say why")];
        let Ok(compiled) = self.compiler.check(source.text()) else { return no_match() };
        let missing = |_: &str| None;
        let reporter = Reporter { cells: notebook.cells(), source: &source, file: &compiled.file, missing: &missing };
        let errors =
            compiled.messages.iter().filter(|message| message.is_error() && !message.message.starts_with("aborting"));
        let mut reports: Vec<Failure> = errors.map(|message| reporter.report(message)).take(2).collect();
        if reports.is_empty() {
            reports = no_match();
        }
        if let Some(hint) = foreign(&text[range.clone()])
            && let Some(first) = reports.first_mut()
        {
            first.traceback.push(format!(
                "  {}note:{} {hint}",
                crate::failure::colour::BOLD,
                crate::failure::colour::PLAIN
            ));
        }
        reports
    }

    /// `extern crate x;` of a crate that is not there yet is a `:dep`.
    pub(super) fn extern_crates(&mut self, code: &Code) -> Result<(), Vec<Failure>> {
        let wanted = code.items.iter().filter_map(|item| match item {
            ast::Item::ExternCrate(item) => item.name_ref().map(|name| name.text().to_string()),
            _ => None,
        });
        let known = ["std", "core", "alloc", "proc_macro", "test", "self"];
        for name in wanted.filter(|name| !known.contains(&name.as_str())) {
            if !self.compiler.kit.named.contains_key(&name) {
                self.depend(&name)?;
            }
        }
        Ok(())
    }

    pub(super) fn compile(
        &self,
        number: usize,
        text: &str,
        code: &Code,
        whole: Range,
    ) -> Result<(Ready, HashMap<String, String>), Vec<Failure>> {
        let mut notebook = lock(&self.notebook);
        let new = items::of(code, text, number);
        let names: HashSet<String> =
            new.iter().flat_map(|item| item.declared().map(str::to_owned).collect::<Vec<_>>()).collect();
        let mut items = notebook.items.with(new);
        items.take_up(&names);
        let outdated: HashMap<String, String> = notebook.outdated(&items, number).into_iter().collect();
        let generation = notebook.generation + u64::from(notebook.items.changes_a_type(&items));
        let mut variables: BTreeMap<String, Known> = notebook.known(generation);
        variables.retain(|name, _| !outdated.contains_key(name));
        let notebook = &*notebook;
        let missing = |name: &str| {
            let reason = outdated.get(name).map(|reason| format!("`{name}` would be lost: {reason} in this cell"));
            reason.or_else(|| notebook.missing(name))
        };
        let control = &self.control;
        let attempt = Attempt {
            compiler: &self.compiler,
            generation,
            cells: notebook.cells(),
            missing: &missing,
            is_stopped: &|| control.is_stopped(),
        };
        let cell = Generated {
            number,
            texts: &notebook.texts,
            code,
            items: &items,
            variables: &variables,
            settings: &notebook.settings,
            whole,
        };
        match attempt.run(&cell) {
            Ok(Ok(ready)) => Ok((ready, outdated)),
            Ok(Err(refused)) => Err(refused),
            Err(error) => Err(vec![Failure::new("error", format!("{error:#}"))]),
        }
    }

    /// Takes over the items of a cell; returns the lines about variables that are lost by it.
    pub(super) fn commit(&self, number: usize, ready: &Ready, outdated: &HashMap<String, String>) -> Vec<Loss> {
        let mut notebook = lock(&self.notebook);
        let lost = notebook.commit(ready.items.clone(), number);
        let names: Vec<String> = outdated.keys().cloned().collect();
        if !names.is_empty() {
            self.process.send(&ToCells::Forget { names }, None);
        }
        lost.into_iter().map(|(name, reason)| (name, format!("{reason} in this cell"))).collect()
    }

    /// What a learner may not expect of some items.
    pub(super) fn hints(&self, code: &Code) {
        let is_test_module = |item: &ast::Item| {
            let mut attributes = ast::HasAttrs::attrs(item);
            attributes.any(|attribute| ra_ap_syntax::AstNode::syntax(&attribute).text() == "#[cfg(test)]")
        };
        if code.items.iter().any(is_test_module) {
            self.say(
                Stream::Stderr,
                "note: what is for tests only (`#[cfg(test)]`) is left out in a notebook\n".to_owned(),
            );
        }
        let functions =
            code.items.iter().filter_map(|item| if let ast::Item::Fn(item) = item { Some(item) } else { None });
        for function in functions {
            let Some(name) = function.name().map(|name| name.text().to_string()) else { continue };
            let is_test = ast::HasAttrs::attrs(function)
                .any(|attribute| ra_ap_syntax::AstNode::syntax(&attribute).text() == "#[test]");
            if is_test {
                self.say(
                    Stream::Stderr,
                    format!("note: tests are not run by themselves in a notebook: call `{name}()`\n"),
                );
            } else if name == "main" && !code.words.contains("main") {
                self.say(Stream::Stderr, "note: a notebook does not run `main` by itself: call `main()`\n".to_owned());
            }
        }
    }

    pub(super) fn tell_time(&self, compile: Duration, run: Duration) {
        let text = format!("compiled in {:.2} s, ran for {:.2} s\n", compile.as_secs_f64(), run.as_secs_f64());
        self.say(Stream::Stderr, text);
    }
}

/// A word on habits of other languages.
fn foreign(code: &str) -> Option<&'static str> {
    let first = code.trim_start();
    let has = |word: &str| code.lines().any(|line| line.trim_start().starts_with(word));
    if first.starts_with('?') || first.trim_end().ends_with('?') && !first.contains(';') && !first.contains('(') {
        return Some("Shift-Tab behind a name shows its documentation");
    }
    if has("import ") || has("from ") {
        return Some("in Rust it is `use`, and `:dep NAME` for a crate that is not there yet");
    }
    if has("def ") {
        return Some("in Rust a function is `fn name(x: i32) -> i32 { … }`");
    }
    if has("# ") {
        return Some("comments begin with // in Rust");
    }
    None
}
