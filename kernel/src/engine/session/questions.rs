//! Questions about code and values that are no cells: expressions of a client, checks, completion.

use super::{Session, masked};
use crate::code::generate::{Cell as Generated, Choices};
use crate::code::split::Part;
use crate::code::{items, parse, split};
use crate::compile::diagnostic::Diagnostic;
use crate::compile::report::Reporter;
use crate::engine::assist;
use crate::engine::assist::Assist;
use crate::engine::notebook::Notebook;
use crate::failure::Failure;
use crate::protocol::Cell;
use crate::sys::lock;
use serde_json::{Map, Value, json};

impl Session {
    /// The value of an expression, as a Jupyter client wants it in its `user_expressions`.
    pub fn evaluate(&mut self, expression: &str, name: &str) -> Value {
        let number = lock(&self.notebook).add(expression, name);
        match self.rust(number, 0..expression.len(), false, true, true) {
            Ok(()) => {
                let value = self.last_value.take();
                json!({"status": "ok", "data": value.unwrap_or_default(), "metadata": {}})
            }
            Err(failures) => {
                let failure = failures.into_iter().next().unwrap_or_else(|| Failure::new("error", "it failed"));
                let Failure { ename, evalue, traceback } = failure;
                json!({"status": "error", "ename": ename, "evalue": evalue, "traceback": traceback})
            }
        }
    }

    /// Asks for completion or documentation; the answer comes from elsewhere.
    pub fn ask(&mut self, assist: &Assist, id: u64, is_documentation: bool, code: &str, offset: usize) {
        let own = format!("gpt_lab = {{ path = {:?} }}", self.layout.gpt_lab().display().to_string());
        let lines = [vec![own], self.dependencies.lines()].concat();
        let question = assist::question(&mut lock(&self.notebook), &lines, id, is_documentation, code, offset);
        assist.ask(question);
    }

    /// What the compiler says about code that is not run.
    pub fn check(&mut self, code: &str) -> Vec<Value> {
        let mut notebook = lock(&self.notebook);
        let number = notebook.add(code, "cell");
        let mut problems = Vec::new();
        for part in split::parts(code) {
            let Part::Rust(range) = part else { continue };
            let masked = masked(code, &range);
            let Some(parsed) = parse::parse(&masked) else { continue };
            let items = notebook.items.with(items::of(&parsed, code, number));
            let generation = notebook.generation + u64::from(notebook.items.changes_a_type(&items));
            let variables = notebook.known(generation);
            let Notebook { texts, settings, .. } = &*notebook;
            let generated = Generated {
                number,
                texts,
                code: &parsed,
                items: &items,
                variables: &variables,
                settings,
                whole: range,
            };
            let choices = Choices { plain: true, ..Default::default() };
            let made = generated.make(&choices);
            let Ok(compiled) = self.compiler.check(made.source.text()) else { continue };
            let missing = |name: &str| notebook.missing(name);
            let reporter =
                Reporter { cells: notebook.cells(), source: &made.source, file: &compiled.file, missing: &missing };
            for message in compiled.messages.iter().filter(|message| message.is_error()) {
                problems.extend(problem(&reporter, &notebook, number, message));
            }
        }
        notebook.texts.pop();
        notebook.names.pop();
        problems
    }
}

/// A problem as the client of a check wants it.
fn problem(reporter: &Reporter, notebook: &Notebook, cell: usize, message: &Diagnostic) -> Option<Value> {
    let span = message.spans.iter().find(|span| span.is_primary)?;
    let place = reporter.place(span).filter(|place| place.cell == cell)?;
    let (start_line, start_column) = notebook.cells().position(cell, place.range.start);
    let (end_line, end_column) = notebook.cells().position(cell, place.range.end);
    let helps =
        message.children.iter().filter(|child| child.level == "help").map(|child| format!("help: {}", child.message));
    let parts = [span.label.clone().unwrap_or_default(), message.message.clone()].into_iter().chain(helps);
    let text = parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n");
    Some(json!({
        "message": text, "severity": message.level, "start_line": start_line, "start_column": start_column,
        "end_line": end_line, "end_column": end_column,
    }))
}

/// Expressions that a client wants, evaluated.
pub fn expressions(session: &mut Session, cell: &Cell) -> Map<String, Value> {
    let mut values = Map::new();
    for (key, expression) in &cell.expressions {
        let value = session.evaluate(expression.as_str().unwrap_or_default(), &cell.name);
        values.insert(key.clone(), value);
    }
    values
}
