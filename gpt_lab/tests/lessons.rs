//! A lesson lives in five places. README's table is the list; this says which of the other places misses a lesson
//! (docs/adding.md has the recipe).

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap()
}

/// The names in the first column of README's table of lessons, in order.
fn lessons(readme: &str) -> Vec<String> {
    let section = readme.split("\n## ").find(|section| section.starts_with("The lessons\n"));
    let rows = section.expect("README has a section \"The lessons\"").lines();
    rows.filter_map(|row| row.strip_prefix("| `")?.split_once("` |")).map(|(name, _)| name.to_string()).collect()
}

/// The places in which a lesson is missing.
fn missing(lesson: &str) -> Vec<String> {
    let files = [
        format!("notebooks/{lesson}.ipynb"),
        format!("gpt_lab/src/lesson/{lesson}.rs"),
        format!("tests/notebooks/test_{lesson}.py"),
    ];
    let mut missing: Vec<String> = files.into_iter().filter(|file| !Path::new(ROOT).join(file).is_file()).collect();
    let module = format!("pub mod {lesson};");
    if !read("gpt_lab/src/lesson/mod.rs").lines().any(|line| line == module) {
        missing.push(format!("`{module}` in gpt_lab/src/lesson/mod.rs"));
    }
    missing
}

#[test]
fn every_lesson_is_in_each_of_its_places() {
    let lessons = lessons(&read("README.md"));
    let missing: Vec<String> = lessons.iter().flat_map(|lesson| missing(lesson)).collect();
    assert!(missing.is_empty(), "missing, see docs/adding.md, A lesson:\n{}", missing.join("\n"));
    let listed: BTreeSet<String> = lessons.iter().map(|name| format!("{name}.ipynb")).collect();
    let folder = fs::read_dir(Path::new(ROOT).join("notebooks")).unwrap();
    let names = folder.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let notebooks: BTreeSet<String> = names.filter(|name| name.ends_with(".ipynb")).collect();
    assert_eq!(listed, notebooks, "README's table of lessons, and notebooks/");
}

#[test]
fn a_place_that_is_missing_is_named() {
    assert_eq!(
        lessons("# x\n\n## The lessons\n\n| notebook |\n|---|\n| `a` | b |\n| `c` | d |\n\n## y\n| `e` | f |\n"),
        ["a", "c"]
    );
    assert_eq!(missing("no_such_lesson").len(), 4);
}
