//! An operation lives in several places. The formulas in `ops/reference.rs` are the list; this says which of the other
//! places misses one (docs/adding.md has the recipe).

use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The names of the public functions of a file.
fn functions(source: &str) -> Vec<&str> {
    source.lines().filter_map(|line| line.strip_prefix("pub fn ")?.split(['(', '<']).next()).collect()
}

/// True if the text has this name as a word.
fn names(text: &str, name: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    text.match_indices(name)
        .any(|(at, _)| !text[..at].ends_with(is_part) && !text[at + name.len()..].starts_with(is_part))
}

/// The places in which an operation is missing: `ops` has it under the same name, `grad_ops` tests it.
fn missing(operation: &str, ops: &str, tests: &str) -> Vec<String> {
    let places = [("gpt_lab/src/ops/mod.rs", ops), ("gpt_lab/tests/grad_ops.rs", tests)];
    let without = places.into_iter().filter(|(_, text)| !names(text, operation));
    without.map(|(place, _)| format!("{operation} in {place}")).collect()
}

#[test]
fn every_operation_is_in_each_of_its_places() {
    let (reference, ops, tests) = (read("src/ops/reference.rs"), read("src/ops/mod.rs"), read("tests/grad_ops.rs"));
    let operations = functions(&reference);
    assert!(operations.len() > 10, "{operations:?}");
    let missing: Vec<String> = operations.iter().flat_map(|operation| missing(operation, &ops, &tests)).collect();
    assert!(missing.is_empty(), "missing, see docs/adding.md, An operation:\n{}", missing.join("\n"));
}

#[test]
fn a_missing_place_is_named() {
    assert_eq!(functions("pub fn a(x: &T) {\n}\nfn b() {}\npub fn c<T>()\n"), ["a", "c"]);
    assert_eq!(
        missing("gelu", "pub use gelu::{gelu, gelu_exact};", "gelu_exact"),
        ["gelu in gpt_lab/tests/grad_ops.rs"]
    );
}
