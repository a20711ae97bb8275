//! What a learner is told about the end of a cell: errors, panics, losses.

use super::notebook::Notebook;
use super::output::record::Panic;
use crate::code::parse::Code;
use crate::compile::report::Place;
use crate::failure::Failure;
use crate::failure::colour::{BLUE, PLAIN};

/// From which number on the place of a `?` is a line of generated code, counted down.
const LINES: u32 = u32::MAX / 2;

/// The report of an error that a `?` has carried out of a cell.
pub fn question(notebook: &Notebook, cell: usize, code: &Code, file: &str, error: &(u32, String, String)) -> Failure {
    let (place, type_name, message) = error;
    let mut failure = Failure::new(short_type(type_name), message);
    let found = if *place > LINES {
        notebook.place_of_line(file, (u32::MAX - place) as usize).map(|place| question_on_line(notebook, place, code))
    } else {
        code.questions.get(*place as usize).map(|question| Place { cell, range: question.sign.clone() })
    };
    if let Some(place) = found {
        failure.traceback.extend(notebook.cells().excerpt(&place, ""));
    }
    failure
}

/// The `?` on the line of a place, if there is just one.
fn question_on_line(notebook: &Notebook, place: Place, code: &Code) -> Place {
    let line = |at: usize| notebook.cells().position(place.cell, at).0;
    let mut on_line = code.questions.iter().filter(|question| line(question.sign.start) == line(place.range.start));
    match (on_line.next(), on_line.next()) {
        (Some(question), None) => Place { cell: place.cell, range: question.sign.clone() },
        _ => place,
    }
}

/// The report of a panic that has ended a cell.
pub fn panic(notebook: &Notebook, cell: usize, panic: &Panic) -> Failure {
    let mut failure = Failure::new("panic", notebook.in_learners_places(&panic.message));
    let place = notebook.place(&panic.place);
    match &place {
        Some(place) => failure.traceback.extend(notebook.cells().excerpt(place, "")),
        None if panic.place.is_empty() => {}
        None => failure.traceback.push(format!("  {BLUE}at{PLAIN} {}", short_path(&panic.place))),
    }
    // In code of an earlier cell or of a crate: which line of this cell has called it?
    if place.is_none_or(|place| place.cell != cell) {
        let mut calls = panic.trace.iter().filter_map(|place| notebook.place(place));
        if let Some(call) = calls.find(|call| call.cell == cell) {
            failure.traceback.extend(notebook.cells().excerpt(&call, "called here"));
        }
    }
    failure
}

/// One line about a variable that is gone.
pub fn lost(name: &str, reason: &str) -> String {
    format!("lost: {name} ({reason})")
}

/// One line about a variable that later cells cannot use.
pub fn not_kept(name: &str, reason: &str) -> String {
    format!("not kept: {name} ({reason})")
}

/// The names of some variables: `a, b and c`.
pub fn names(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

/// `gpt_lab::core::error::Error` → `gpt_lab::Error`, `core::num::error::ParseIntError` → `ParseIntError`.
pub fn short_type(type_name: &str) -> String {
    let (path, generics) = type_name.split_once('<').map_or((type_name, ""), |(path, _)| (path, "<…>"));
    let parts: Vec<&str> = path.split("::").collect();
    let name = match parts.as_slice() {
        // There are many of that name: the module tells whose.
        ["std" | "core" | "alloc", module, .., last] if *last == "Error" => format!("{module}::{last}"),
        ["cell", .., last] => (*last).to_owned(),
        [krate, .., last] if *last == "Error" => format!("{krate}::{last}"),
        [.., last] => (*last).to_owned(),
        [] => path.to_owned(),
    };
    match (name.as_str(), generics) {
        ("io::Error", _) => "std::io::Error".to_owned(),
        ("fmt::Error", _) => "std::fmt::Error".to_owned(),
        _ => name + generics,
    }
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
    fn types_and_paths_are_shortened() {
        assert_eq!(short_type("gpt_lab::core::error::Error"), "gpt_lab::Error");
        assert_eq!(short_type("core::num::error::ParseIntError"), "ParseIntError");
        assert_eq!(short_type("std::io::error::Error"), "std::io::Error");
        assert_eq!(short_type("cell::MyError"), "MyError");
        assert_eq!(short_type("alloc::boxed::Box<dyn core::error::Error>"), "Box<…>");
        assert_eq!(short_path("/home/x/gpt_lab/src/ops/norm.rs:3:4"), "gpt_lab/src/ops/norm.rs:3:4");
        assert_eq!(names(&["a".into(), "b".into(), "c".into()]), "a, b and c");
    }
}
