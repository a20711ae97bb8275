//! Errors as the learner sees them: the compiler's own words, at the learner's own lines.

use super::diagnostic::{Diagnostic, Span};
use crate::code::Range;
use crate::code::source::Source;
use crate::failure::Failure;
use crate::failure::colour::{BLUE, BOLD, PLAIN, RED, YELLOW};

/// Most lines of one report.
pub const MOST_LINES: usize = 12;
/// Most lines of one note.
const MOST_NOTE_LINES: usize = 4;
/// Words that are the kernel's own affair.
const INSIDE: [&str; 6] =
    ["__gpt_lab", "gpt_lab_cell", "for more information", "RUSTC_LOG", "rerun with", "this error originates"];

/// The cells that reports may point into.
#[derive(Clone, Copy)]
pub struct Cells<'a> {
    /// Their texts.
    pub texts: &'a [String],
    /// What the learner calls them: `cell 3`.
    pub names: &'a [String],
}

/// A place in a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Which of the session's cells.
    pub cell: usize,
    /// The bytes.
    pub range: Range,
}

/// A mark below a line.
struct Mark {
    line: usize,
    column: usize,
    width: usize,
    is_primary: bool,
    label: String,
}

/// Reports of what the compiler says about one source.
pub struct Reporter<'a> {
    /// The cells.
    pub cells: Cells<'a>,
    /// The code that was compiled.
    pub source: &'a Source,
    /// The name of its file.
    pub file: &'a str,
    /// What is known of a name that the compiler does not find.
    pub missing: &'a dyn Fn(&str) -> Option<String>,
}

impl Reporter<'_> {
    /// The place of a span in a cell.
    pub fn place(&self, span: &Span) -> Option<Place> {
        let span = span.within(self.file)?;
        if let Some((cell, range)) = self.source.in_cell(&(span.byte_start..span.byte_end)) {
            return Some(Place { cell, range });
        }
        // Nothing, directly behind the learner's code: where something is to be added.
        let (cell, at) = self.source.end_at(span.byte_start).filter(|_| span.byte_start == span.byte_end)?;
        Some(Place { cell, range: at..at })
    }

    /// The report of a message.
    pub fn report(&self, message: &Diagnostic) -> Failure {
        let ename = match message.number() {
            "" => message.level.split(':').next().unwrap_or("error").to_owned(),
            number => format!("{}[{number}]", message.level),
        };
        let mut failure = Failure::new(ename, words(&message.message));
        failure.traceback.extend(self.excerpts(&beginning(message)));
        if message.spans.iter().all(|span| self.place(span).is_none())
            && let Some(end) = self.end_of_cell(message)
        {
            failure.traceback.extend(self.cells.excerpt(&end, ""));
        }
        for child in &message.children {
            if failure.traceback.len() < MOST_LINES {
                failure.traceback.extend(self.child(child));
            }
        }
        failure.traceback.extend(self.about_crate(message).map(|hint| format!("  {BOLD}help:{PLAIN} {hint}")));
        failure.traceback.extend(self.about_name(message).map(|note| format!("  {BOLD}note:{PLAIN} {note}")));
        if let ("E0384" | "E0596", Some(name)) = (message.number(), message.message.split('`').nth(1)) {
            let hint = format!("an existing variable becomes mutable with `let mut {name} = {name};`");
            failure.traceback.push(format!("  {BOLD}help:{PLAIN} {hint}"));
        }
        failure.traceback = failure.traceback.iter().flat_map(|entry| entry.split('\n')).map(str::to_owned).collect();
        failure.traceback.truncate(MOST_LINES);
        failure
    }

    /// A warning as text.
    pub fn warning(&self, message: &Diagnostic) -> String {
        let mut lines = vec![format!("{YELLOW}warning{PLAIN}{BOLD}: {}{PLAIN}", words(&message.message))];
        lines.extend(self.excerpts(&message.spans));
        let is_told = |child: &&Diagnostic| !child.message.starts_with("`#[");
        lines.extend(message.children.iter().filter(is_told).flat_map(|child| self.child(child)).take(2));
        lines.join("\n") + "\n"
    }

    /// The lines of a message's places, cell by cell.
    fn excerpts(&self, spans: &[Span]) -> Vec<String> {
        let mut placed: Vec<(Place, &Span)> = spans.iter().filter_map(|span| Some((self.place(span)?, span))).collect();
        placed.sort_by_key(|(place, span)| (!span.is_primary, place.range.start));
        let mut cells: Vec<usize> = Vec::new();
        for (place, _) in &placed {
            if !cells.contains(&place.cell) {
                cells.push(place.cell);
            }
        }
        let of_cell = |cell: usize| -> Vec<String> {
            let own = placed.iter().filter(|(place, _)| place.cell == cell);
            let own: Vec<(Range, bool, String)> = own
                .map(|(place, span)| {
                    (place.range.clone(), span.is_primary, words(span.label.as_deref().unwrap_or_default()))
                })
                .collect();
            self.cells.lines(cell, &own)
        };
        cells.into_iter().flat_map(of_cell).collect()
    }

    /// A note or a proposal.
    fn child(&self, child: &Diagnostic) -> Vec<String> {
        if INSIDE.iter().any(|inside| child.message.contains(inside)) {
            return Vec::new();
        }
        let message = words(&child.message);
        let head = |text: &str| format!("  {BOLD}{}:{PLAIN} {}", child.level, shortened(text));
        let proposals: Vec<&Span> = child.spans.iter().filter(|span| span.suggested_replacement.is_some()).collect();
        if !proposals.is_empty() {
            return self.proposals(&message, &proposals).into_iter().map(|text| head(&text)).collect();
        }
        if child.spans.is_empty() {
            return vec![head(&message)];
        }
        let lines = self.excerpts(&child.spans);
        if lines.is_empty() || lines.iter().any(|line| INSIDE.iter().any(|inside| line.contains(inside))) {
            return Vec::new();
        }
        [vec![head(&message)], lines].concat()
    }

    /// What a proposal makes of the learner's line, or what is to be written somewhere.
    fn proposals(&self, message: &str, spans: &[&Span]) -> Vec<String> {
        let message = message.trim_end_matches(':');
        let is_choice = spans.len() > 1 && spans.iter().all(|span| span.byte_start == spans[0].byte_start);
        let text = |span: &Span| span.suggested_replacement.clone().unwrap_or_default();
        if is_choice {
            let all: Vec<String> = spans.iter().take(3).map(|span| format!("`{}`", text(span).trim())).collect();
            return vec![format!("{message}: {}", all.join(" or "))];
        }
        if spans.iter().any(|span| INSIDE.iter().any(|inside| text(span).contains(inside))) {
            return Vec::new();
        }
        let is_line =
            |span: &&&Span| text(span).trim_start_matches(' ').ends_with('\n') && !text(span).trim().is_empty();
        if let Some(line) = spans.iter().find(is_line) {
            return vec![format!("{message}: `{}`", text(line).trim())];
        }
        let edits: Option<Vec<(Place, String)>> =
            spans.iter().map(|span| Some((self.place(span)?, text(span)))).collect();
        match edits.and_then(|edits| self.cells.edited(edits)) {
            Some(line) => vec![format!("{message}: `{line}`")],
            None => vec![message.to_owned()],
        }
    }

    /// The end of the cell, for a message about what comes after it.
    fn end_of_cell(&self, message: &Diagnostic) -> Option<Place> {
        let span = message.spans.iter().find(|span| span.is_primary)?.within(self.file)?;
        let (cell, at) = self.source.last_before(span.byte_start)?;
        let text = self.cells.texts[cell][..at].trim_end();
        let last = text.chars().next_back().map_or(0, char::len_utf8);
        Some(Place { cell, range: text.len() - last..text.len() })
    }

    /// The way to a crate that is not there, where the compiler does not say more than that.
    fn about_crate(&self, message: &Diagnostic) -> Option<String> {
        let is_silent =
            message.number() == "E0432" && message.children.iter().all(|child| self.child(child).is_empty());
        let name = message.message.split('`').nth(1).filter(|name| is_silent && !name.contains("::"))?;
        Some(format!("if `{name}` is a crate, write `:dep {name} = \"*\"` on a line above"))
    }

    /// What is known about the name that the compiler does not find.
    fn about_name(&self, message: &Diagnostic) -> Option<String> {
        if !["E0425", "E0412", "E0433", "E0423", "E0432", "E0574", "E0405", "E0599"].contains(&message.number()) {
            return None;
        }
        let mut quoted = message.message.split('`').skip(1).step_by(2);
        quoted.find_map(|name| (self.missing)(name))
    }
}

/// The places of a message; of something that is never closed, where it begins.
fn beginning(message: &Diagnostic) -> Vec<Span> {
    let mut spans = message.spans.clone();
    let is_begin = |span: &Span| span.label.as_deref().is_some_and(|label| label.contains("unclosed delimiter"));
    if message.message.contains("unclosed delimiter") && spans.iter().any(is_begin) {
        spans.retain(is_begin);
        spans.iter_mut().for_each(|span| span.is_primary = true);
    }
    spans
}

/// The first lines of a long note.
fn shortened(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let mut shown = lines.iter().take(MOST_NOTE_LINES).copied().collect::<Vec<_>>();
    if lines.len() > MOST_NOTE_LINES {
        shown[MOST_NOTE_LINES - 1] = "…";
    }
    shown.join("\n        ")
}

/// The compiler's words without what is said of files and of generated code.
fn words(message: &str) -> String {
    let message =
        message.replace("this file contains", "this cell contains").replace("`gpt_lab_cell::Failure`", "an error");
    let message =
        message.replace("found `}`", "found the end of the cell").replace("found `;`", "found the end of the cell");
    let mut message = message.replace("::gpt_lab_cell::", "");
    // `{closure@cell-….rs:6:15: 6:18}`
    while let Some(at) = message.find("@cell-") {
        let end = message[at..].find('}').map_or(message.len(), |end| at + end);
        message.replace_range(at..end, "");
    }
    if let Some(name) = message.strip_prefix("you might be missing a crate named `") {
        let name = name.trim_end_matches('`');
        return format!("you might be missing a crate named `{name}`: write `:dep {name} = \"*\"` on a line above");
    }
    match message.split_once("use `cargo add ") {
        Some((before, rest)) => {
            let name = rest.split('`').next().unwrap_or_default();
            format!("{before}write `:dep {name} = \"*\"` on a line above")
        }
        None => message,
    }
}

impl Cells<'_> {
    /// Line and column, in characters from 1, of a byte of a cell.
    pub fn position(&self, cell: usize, at: usize) -> (usize, usize) {
        let before = &self.texts[cell][..at.min(self.texts[cell].len())];
        let begin = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[begin..].chars().count() + 1)
    }

    /// The lines around one place.
    pub fn excerpt(&self, place: &Place, label: &str) -> Vec<String> {
        self.lines(place.cell, &[(place.range.clone(), true, label.to_owned())])
    }

    /// A cell's lines with marks; the first place gives its name.
    pub fn lines(&self, cell: usize, places: &[(Range, bool, String)]) -> Vec<String> {
        let Some((first, ..)) = places.first() else { return Vec::new() };
        let (line, column) = self.position(cell, first.start);
        let mut lines = vec![format!("  {BLUE}-->{PLAIN} {}, line {line}, column {column}", self.names[cell])];
        let mut marks: Vec<Mark> =
            places.iter().map(|(range, is_primary, label)| self.mark(cell, range, *is_primary, label)).collect();
        marks.sort_by_key(|mark| (mark.line, mark.column));
        let mut previous = 0;
        for mark in &marks {
            let text = self.texts[cell].lines().nth(mark.line - 1).unwrap_or_default();
            if mark.line != previous {
                lines.push(format!("{BLUE}{:>4} |{PLAIN} {}", mark.line, text.replace('\t', " ")));
                previous = mark.line;
            }
            lines.push(mark.below(text));
        }
        lines
    }

    fn mark(&self, cell: usize, range: &Range, is_primary: bool, label: &str) -> Mark {
        let (line, column) = self.position(cell, range.start);
        let text = self.texts[cell].get(range.clone()).unwrap_or_default();
        let width = text.lines().next().unwrap_or_default().chars().count();
        // Some labels are whole paragraphs.
        Mark { line, column, width, is_primary, label: label.lines().next().unwrap_or_default().to_owned() }
    }

    /// The first line that some exchanges change, as it is after them.
    fn edited(&self, mut edits: Vec<(Place, String)>) -> Option<String> {
        let cell = edits.first()?.0.cell;
        if edits.iter().any(|(place, _)| place.cell != cell) {
            return None;
        }
        edits.sort_by_key(|(place, _)| place.range.start);
        let (line, _) = self.position(cell, edits[0].0.range.start);
        let mut text = self.texts[cell].clone();
        for (place, new) in edits.iter().rev() {
            text.replace_range(place.range.clone(), new);
        }
        text.lines().nth(line - 1).map(|line| line.trim().to_owned())
    }
}

impl Mark {
    fn below(&self, text: &str) -> String {
        let columns = |characters: &mut dyn Iterator<Item = char>| characters.map(display_width).sum::<usize>();
        let before = columns(&mut text.chars().take(self.column.saturating_sub(1)));
        let marked = columns(&mut text.chars().skip(self.column.saturating_sub(1)).take(self.width)).max(1);
        let (sign, colour) = if self.is_primary { ("^", RED) } else { ("-", BLUE) };
        let line = format!("{BLUE}     |{PLAIN} {}{colour}{} {}", " ".repeat(before), sign.repeat(marked), self.label);
        format!("{}{PLAIN}", line.trim_end())
    }
}

/// The number of columns of a character on a screen (good enough to keep carets below what they mark).
fn display_width(character: char) -> usize {
    match character as u32 {
        0x300..=0x36F | 0x200B..=0x200F | 0x20D0..=0x20FF | 0xFE00..=0xFE0F | 0x1F3FB..=0x1F3FF => 0,
        0x1100..=0x115F | 0x2E80..=0xA4CF | 0xAC00..=0xD7A3 | 0xF900..=0xFAFF => 2,
        0xFE30..=0xFE6F | 0xFF00..=0xFF60 | 0xFFE0..=0xFFE6 | 0x1F300..=0x1FAFF | 0x20000..=0x3FFFD => 2,
        _ => 1,
    }
}
