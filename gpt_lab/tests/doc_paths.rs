//! A path that the documentation names is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const DOCS: [&str; 10] = [
    "README.md",
    "CONTRIBUTING.md",
    "bench/README.md",
    "docs/adding.md",
    "docs/architecture.md",
    "docs/channel.md",
    "docs/tuning.md",
    "gpt_lab/tests/parity/README.md",
    "kernel/README.md",
    "world/README.md",
];

/// The paths of all files and folders below a folder, from the root on, as `/kernel/src/main.rs` or `/kernel/src`,
/// without what is built or set up there.
fn walk(folder: &Path, paths: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        if name.to_string_lossy().starts_with('.') || name == "target" {
            continue;
        }
        paths.insert(format!("/{}", path.strip_prefix(ROOT).unwrap().display()));
        if path.is_dir() {
            walk(&path, paths);
        }
    }
}

/// The words in backticks that are paths of the project: with a slash or the ending of a source. Not those outside of
/// it, not what is built, and not those with a part to fill in (`NAME.rs`).
fn named(text: &str) -> Vec<&str> {
    let fenced = text.split("```").step_by(2).flat_map(|part| part.split('`').skip(1).step_by(2));
    fenced.filter(|word| is_path(word)).collect()
}

fn is_path(word: &str) -> bool {
    let plain = word.chars().all(|character| character.is_ascii_alphanumeric() || "_-./".contains(character));
    let fills_in = word.split(['/', '.']).any(|part| part.len() > 1 && part.chars().all(|c| c.is_ascii_uppercase()));
    let is_ours =
        !word.starts_with(['.', '/']) && !["image/", "HF_HOME/", "target/"].iter().any(|start| word.starts_with(start));
    let source = [".rs", ".py", ".sh", ".toml"].iter().any(|ending| word.ends_with(ending));
    plain && is_ours && !fills_in && (word.contains('/') || source)
}

/// True if a path ends so; a module may be named without `.rs`.
fn exists(word: &str, paths: &BTreeSet<String>) -> bool {
    let end = format!("/{}", word.trim_end_matches('/'));
    paths.iter().any(|path| path.ends_with(&end) || path.strip_suffix(".rs").is_some_and(|path| path.ends_with(&end)))
}

#[test]
fn every_path_in_the_documentation_is_there() {
    let mut paths = BTreeSet::new();
    walk(Path::new(ROOT), &mut paths);
    let mut gone = Vec::new();
    for doc in DOCS {
        let text = fs::read_to_string(Path::new(ROOT).join(doc)).unwrap();
        let missing = named(&text).into_iter().filter(|word| !exists(word, &paths));
        gone.extend(missing.map(|word| format!("{doc}: {word}")));
    }
    assert!(gone.is_empty(), "named and not there:\n{}", gone.join("\n"));
}

#[test]
fn paths_are_told_from_other_words() {
    let text =
        "`kernel/src/main.rs`, `cargo doc`, `x/y z`, ```\n`a/b`\n``` `lib.rs` `NAME.rs` `image/png` `.lab/base` `f32`";
    assert_eq!(named(text), ["kernel/src/main.rs", "lib.rs"]);
    let paths = BTreeSet::from(["/kernel/src/code/items".to_string(), "/kernel/src/code/parse.rs".to_string()]);
    assert!(exists("code/items/", &paths) && exists("code/parse", &paths) && exists("code/parse.rs", &paths));
    assert!(!exists("code/items.rs", &paths) && !exists("de/parse.rs", &paths));
}
