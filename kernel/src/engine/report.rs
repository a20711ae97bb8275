//! Errors as the learner sees them: short, and pointing at the line of the cell.

use super::output::panic::Panic;
use crate::failure::Failure;
use crate::failure::colour::{BLUE, BOLD, PLAIN, RED};
use evcxr::CompilationError;

/// A place in the learner's cell.
#[derive(Debug, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// The line's text.
    pub text: String,
    /// Column in characters, from 1, and how many characters to mark.
    pub mark: Option<(usize, usize)>,
}

/// Finds the line of the cell that became line `line` of the generated source: evcxr copies the learner's lines.
pub fn locate(cell: &str, generated: &str, line: usize, column: Option<usize>) -> Option<Place> {
    let target = generated.lines().nth(line.checked_sub(1)?)?;
    let wanted = target.trim();
    if wanted.is_empty() {
        return None;
    }
    let indent = target.chars().count() - target.trim_start().chars().count();
    let same = |text: &str| text.trim() == wanted;
    // Equal lines keep their order: the third in the source is the third in the cell, counted from the end because
    // what earlier cells defined comes first.
    let later = generated.lines().skip(line).filter(|text| same(text)).count();
    let lines: Vec<(usize, &str)> = cell.lines().enumerate().collect();
    let equal: Vec<&(usize, &str)> = lines.iter().filter(|(_, text)| same(text)).collect();
    let found = equal.iter().rev().nth(later).or(equal.first()).copied();
    let (index, text) = found.or_else(|| lines.iter().find(|(_, text)| text.contains(wanted)))?;
    let begin = text.find(wanted).map_or(0, |bytes| text[..bytes].chars().count());
    let mark = column.and_then(|column| Some((begin + column.checked_sub(indent)?, 1)));
    Some(Place { line: index + 1, text: (*text).to_owned(), mark })
}

/// The report of a panic in a cell.
pub fn panic(panic: &Panic, name: &str, cell: &str, generated: &str) -> Failure {
    let mut failure = Failure::new("panic", &panic.message);
    let own = panic.file.ends_with("src/lib.rs") && !panic.file.starts_with('/');
    let place = if own { locate(cell, generated, panic.line, Some(panic.column)) } else { None };
    match place {
        Some(place) => failure.traceback.extend(excerpt(name, &place)),
        None if own => {
            let line = generated.lines().nth(panic.line.saturating_sub(1)).unwrap_or_default();
            failure.traceback.push(format!("  {BLUE}in code of an earlier cell:{PLAIN} {}", line.trim()));
        }
        None => failure.traceback.push(format!("  {BLUE}at{PLAIN} {}:{}", short_path(&panic.file), panic.line)),
    }
    failure
}

/// The report of an error that a `?` carried out of a cell.
pub fn question(type_name: &str, message: &str, name: &str, place: Option<&Place>) -> Failure {
    let mut failure = Failure::new(short_type(type_name), message);
    if let Some(place) = place {
        failure.traceback.extend(excerpt(name, place));
    }
    failure
}

/// The line of the only `?` in a cell, for a `?` whose place is not known.
pub fn only_question_mark(cell: &str) -> Option<Place> {
    let mut lines = cell.lines().enumerate().filter(|(_, text)| text.contains('?'));
    let (index, text) = lines.next()?;
    (lines.next().is_none()).then(|| Place { line: index + 1, text: text.to_owned(), mark: None })
}

/// The compiler's errors, each with its lines.
pub fn compile_errors(errors: &[CompilationError], name: &str, cell: &str) -> Vec<Failure> {
    let real = errors.iter().filter(|error| error.level() != "warning");
    real.map(|error| compile_error(error, name, cell)).collect()
}

fn compile_error(error: &CompilationError, name: &str, cell: &str) -> Failure {
    let ename = error.code().map_or("error".to_owned(), |code| format!("error[{code}]"));
    let mut failure = Failure::new(ename, error.message());
    let lines: Vec<&str> = cell.lines().collect();
    let mut shown = Vec::new();
    let primary_first = error.spanned_messages().iter().filter(|m| m.is_primary);
    for spanned in primary_first.chain(error.spanned_messages().iter().filter(|m| !m.is_primary)) {
        let Some(span) = &spanned.span else { continue };
        let Some(text) = lines.get(span.start_line.wrapping_sub(1)) else { continue };
        let end = if span.end_line == span.start_line { span.end_column } else { text.chars().count() + 1 };
        let width = end.saturating_sub(span.start_column).max(1);
        shown.push((span.start_line, *text, span.start_column, width, spanned.is_primary, spanned.label.as_str()));
    }
    if let Some((line, _, column, ..)) = shown.first() {
        failure.traceback.push(format!("  {BLUE}-->{PLAIN} {name}, line {line}, column {column}"));
    }
    shown.sort_by_key(|(line, _, column, ..)| (*line, *column));
    let mut previous = 0;
    for (line, text, column, width, primary, label) in shown {
        if line != previous {
            failure.traceback.push(source_line(line, text));
            previous = line;
        }
        failure.traceback.push(marks(line, text, column, width, primary, label));
    }
    let hint = match error.code() {
        Some("E0384" | "E0596") => Some("an existing variable becomes mutable with `let mut x = x;`"),
        _ => error.evcxr_extra_hint(),
    };
    let notes = error.help().into_iter().chain(hint.map(str::to_owned));
    failure.traceback.extend(notes.flat_map(|note| help_lines(&note)));
    failure
}

fn help_lines(note: &str) -> Vec<String> {
    note.lines()
        .enumerate()
        .filter(|(_, line)| !line.is_empty())
        .map(
            |(index, line)| if index == 0 { format!("  {BOLD}help:{PLAIN} {line}") } else { format!("        {line}") },
        )
        .collect()
}

fn excerpt(name: &str, place: &Place) -> Vec<String> {
    let mut lines =
        vec![format!("  {BLUE}-->{PLAIN} {name}, line {}", place.line), source_line(place.line, &place.text)];
    if let Some((column, width)) = place.mark {
        lines.push(marks(place.line, &place.text, column, width, true, ""));
    }
    lines
}

fn source_line(line: usize, text: &str) -> String {
    format!("{BLUE}{line:>4} |{PLAIN} {}", text.replace('\t', " "))
}

fn marks(_line: usize, text: &str, column: usize, width: usize, primary: bool, label: &str) -> String {
    let columns = |characters: &mut dyn Iterator<Item = char>| characters.map(display_width).sum::<usize>();
    let before = columns(&mut text.chars().take(column.saturating_sub(1)));
    let marked = columns(&mut text.chars().skip(column.saturating_sub(1)).take(width)).max(1);
    let (sign, colour) = if primary { ("^", RED) } else { ("-", BLUE) };
    let line = format!("{BLUE}     |{PLAIN} {}{colour}{} {label}", " ".repeat(before), sign.repeat(marked));
    format!("{}{PLAIN}", line.trim_end())
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

/// `gpt_lab::error::Error` → `gpt_lab::Error`, `std::io::error::Error` → `std::io::Error`.
fn short_type(type_name: &str) -> String {
    let (path, generics) = type_name.split_once('<').map_or((type_name, ""), |(path, _)| (path, "<…>"));
    let parts: Vec<&str> = path.split("::").collect();
    let name = match parts.as_slice() {
        [krate, .., last] if *last == "Error" => format!("{krate}::{last}"),
        [.., last] => (*last).to_owned(),
        [] => path.to_owned(),
    };
    name + generics
}

/// A path from the crate's folder on.
fn short_path(path: &str) -> &str {
    let parts: Vec<usize> = path.match_indices("/src/").map(|(at, _)| at).collect();
    let Some(&source) = parts.last() else { return path };
    path[..source].rfind('/').map_or(path, |slash| &path[slash + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_source_leads_to_the_line_of_the_cell() {
        let cell = "let v = vec![1];\n  let 漢 = v[10];";
        let generated = "generated\nlet v = vec![1];\nlet 漢 = v[10];\n";
        let place = locate(cell, generated, 3, Some(9)).unwrap();
        assert_eq!((place.line, place.mark), (2, Some((11, 1))));
        assert!(locate(cell, "other\n", 1, None).is_none());
    }

    #[test]
    fn of_equal_lines_the_right_one_is_named() {
        let cell = "f();\ng();\nf();";
        let generated = "f();\n// of an earlier cell\nf();\ng();\nf();\nend";
        assert_eq!(locate(cell, generated, 3, None).unwrap().line, 1);
        assert_eq!(locate(cell, generated, 5, None).unwrap().line, 3);
    }

    #[test]
    fn carets_stand_below_wide_characters() {
        let line = marks(1, "\"漢字\" + x", 8, 1, true, "no");
        let plain = line.replace(RED, "").replace(BLUE, "").replace(PLAIN, "");
        assert_eq!(plain, format!("     | {}^ no", " ".repeat(9)));
    }

    #[test]
    fn types_and_paths_are_shortened() {
        assert_eq!(short_type("gpt_lab::error::Error"), "gpt_lab::Error");
        assert_eq!(short_type("core::num::error::ParseIntError"), "ParseIntError");
        assert_eq!(short_type("alloc::boxed::Box<dyn core::error::Error>"), "Box<…>");
        assert_eq!(short_path("/home/x/gpt_lab/src/ops/norm.rs"), "gpt_lab/src/ops/norm.rs");
    }
}
