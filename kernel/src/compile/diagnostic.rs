//! The compiler's messages, as it prints them with `--error-format=json`.

use serde::Deserialize;

/// A message, or a part of one.
#[derive(Debug, Clone, Deserialize)]
pub struct Diagnostic {
    /// The words.
    pub message: String,
    /// The number, if there is one.
    pub code: Option<Code>,
    /// `error`, `warning`, `note`, `help` …
    pub level: String,
    /// The places.
    pub spans: Vec<Span>,
    /// Notes and proposals.
    pub children: Vec<Diagnostic>,
}

/// A number such as E0308, or the name of a lint.
#[derive(Debug, Clone, Deserialize)]
pub struct Code {
    /// The number.
    pub code: String,
}

/// A place in a file.
#[derive(Debug, Clone, Deserialize)]
pub struct Span {
    /// The file.
    pub file_name: String,
    /// The first byte.
    pub byte_start: usize,
    /// The byte after the last.
    pub byte_end: usize,
    /// The line, from 1.
    pub line_start: usize,
    /// True for the place that the message is about.
    pub is_primary: bool,
    /// The words at this place.
    pub label: Option<String>,
    /// What should stand here instead.
    pub suggested_replacement: Option<String>,
    /// The call of the macro from which this place comes.
    pub expansion: Option<Box<Expansion>>,
}

/// The call of a macro.
#[derive(Debug, Clone, Deserialize)]
pub struct Expansion {
    /// Its place.
    pub span: Span,
}

impl Diagnostic {
    /// True for an error.
    pub fn is_error(&self) -> bool {
        self.level.starts_with("error")
    }

    /// The number, or nothing.
    pub fn number(&self) -> &str {
        self.code.as_ref().map_or("", |code| &code.code)
    }

    /// All places, those of notes and proposals too.
    pub fn all_spans(&self) -> Vec<&Span> {
        let own = self.spans.iter();
        own.chain(self.children.iter().flat_map(Diagnostic::all_spans)).collect()
    }
}

impl Span {
    /// This place, or the call of the macro around it, in the file of that name.
    pub fn within(&self, file: &str) -> Option<&Span> {
        let mut span = self;
        // The outermost call counts: the learner wrote that one.
        let mut found = (span.file_name == file).then_some(span);
        while let Some(expansion) = &span.expansion {
            span = &expansion.span;
            found = (span.file_name == file).then_some(span).or(found);
        }
        found
    }
}
