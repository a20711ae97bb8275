//! The width of `rustfmt.toml`, held for every Rust file of the workspace. rustfmt itself does not see comments and
//! long texts.

use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The `max_width` of `rustfmt.toml`.
fn max_width() -> usize {
    let config = fs::read_to_string(Path::new(ROOT).join("rustfmt.toml")).unwrap();
    let width = config.lines().find_map(|line| line.strip_prefix("max_width = "));
    width.expect("rustfmt.toml says max_width").trim().parse().unwrap()
}

/// The Rust files below a folder, without what is built or set up there.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        if path.is_dir() && !name.starts_with('.') && name != "target" {
            found.extend(rust_files(&path));
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
    found
}

/// `file:line: width` of each line that is wider than this.
fn wider(text: &str, file: &str, width: usize) -> Vec<String> {
    let lines = text.lines().map(|line| line.chars().count()).zip(1..).filter(|(columns, _)| *columns > width);
    lines.map(|(columns, line)| format!("{file}:{line}: {columns} columns")).collect()
}

#[test]
fn no_line_is_wider_than_declared() {
    let mut found = Vec::new();
    for path in rust_files(Path::new(ROOT)) {
        let file = path.strip_prefix(ROOT).unwrap().display().to_string();
        found.extend(wider(&fs::read_to_string(&path).unwrap(), &file, max_width()));
    }
    found.sort();
    assert!(found.is_empty(), "{} lines are too wide, comments too:\n{}", found.len(), found.join("\n"));
}

#[test]
fn a_comment_counts_in_characters() {
    let text = format!("// {}\n// {}\n", "é".repeat(117), "é".repeat(118));
    assert_eq!(wider(&text, "a.rs", 120), ["a.rs:2: 121 columns"]);
}
