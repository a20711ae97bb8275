//! Questions about code that is not run: completion, documentation, checks.

use crate::protocol::{Completion, FromEngine};
use evcxr::{CommandContext, CompilationError};
use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Completions at a byte offset.
pub fn completions(context: &mut CommandContext, code: &str, offset: usize) -> FromEngine {
    let Ok(Ok(found)) = catch_unwind(AssertUnwindSafe(|| context.completions(code, offset))) else {
        return FromEngine::Completions { items: Vec::new(), start: offset, end: offset };
    };
    let items = found.completions.into_iter();
    FromEngine::Completions {
        items: items.map(|c| Completion { text: c.code, label: c.label, kind: c.kind.to_owned() }).collect(),
        start: found.start_offset,
        end: found.end_offset,
    }
}

/// Documentation of the word at a byte offset.
pub fn documentation(context: &mut CommandContext, code: &str, offset: usize) -> FromEngine {
    let found = catch_unwind(AssertUnwindSafe(|| context.hover_at(code, word_end(code, offset))));
    let data = match found {
        Ok(Ok((plain, html))) if plain != "No documentation found" => {
            let formats = [("text/plain", plain), ("text/html", html)];
            Some(formats.into_iter().map(|(mime, text)| (mime.to_owned(), Value::String(text))).collect())
        }
        _ => None,
    };
    FromEngine::Inspected { data }
}

/// The compiler's opinion of the code.
pub fn check(context: &mut CommandContext, code: &str) -> FromEngine {
    let errors = catch_unwind(AssertUnwindSafe(|| context.check(code).unwrap_or_default()));
    FromEngine::Checked { problems: errors.unwrap_or_default().iter().filter_map(problem).collect() }
}

/// The end of the word at a byte offset: evcxr looks at the text before the cursor and is to see the whole word.
fn word_end(code: &str, offset: usize) -> usize {
    let word = code[offset..].find(|c: char| !c.is_alphanumeric() && c != '_');
    offset + word.unwrap_or(code.len() - offset)
}

fn problem(error: &CompilationError) -> Option<Value> {
    let primary = error.primary_spanned_message()?;
    let span = primary.span.as_ref()?;
    let parts = [primary.label.clone(), error.message()];
    let helps = error.help().into_iter().map(|help| format!("help: {help}"));
    let message = parts.into_iter().filter(|part| !part.is_empty()).chain(helps).collect::<Vec<_>>().join("\n");
    Some(json!({
        "message": message, "severity": error.level(), "start_line": span.start_line, "start_column": span.start_column,
        "end_column": span.end_column, "end_line": span.end_line,
    }))
}
