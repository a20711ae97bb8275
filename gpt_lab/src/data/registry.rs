//! The default corpus: source code that every build of the lab has downloaded.
//!
//! Cargo keeps the unpacked sources of each dependency in its home folder. Cargo.lock fixes their versions and
//! checksums, so the same lock file means the same text.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Written by hand from Cargo.lock: crates whose licence permits it and whose code is good to read. A test compares the
/// versions with the lock file.
const LIST: &str = include_str!("corpus_crates.txt");

/// One crate of the default corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CorpusCrate {
    /// Its name in the registry.
    pub name: &'static str,
    /// The version in the lab's Cargo.lock.
    pub version: &'static str,
}

/// The crates of the default corpus, in its order.
pub fn corpus_crates() -> Vec<CorpusCrate> {
    let lines = LIST.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(' ')).map(|(name, version)| CorpusCrate { name, version }).collect()
}

/// The folder in which Cargo keeps unpacked sources: `registry/src` in `CARGO_HOME`, by default `~/.cargo`.
///
/// # Errors
/// [`Error::FileNotFound`] if it is not there.
pub fn registry_folder() -> Result<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    let folder = home.unwrap_or_default().join("registry/src");
    if folder.is_dir() {
        return Ok(folder);
    }
    Err(Error::FileNotFound {
        path: folder,
        hint: "; the corpus is made of the crates that Cargo downloads for the lab: run `cargo fetch` in its folder, \
               or set CARGO_HOME"
            .into(),
    })
}

/// The crates of the default corpus that are not there, as `NAME-VERSION`.
///
/// # Errors
/// As [`registry_folder`].
pub fn missing_corpus_crates() -> Result<Vec<String>> {
    let registry = registry_folder()?;
    let indexes = indexes(&registry)?;
    let missing = corpus_crates().into_iter().filter(|one| locate(*one, &indexes, &registry).is_err());
    Ok(missing.map(|one| format!("{}-{}", one.name, one.version)).collect())
}

/// For each crate of the corpus the folder above it (which labels leave out) and the folder of its sources.
pub(super) fn source_folders() -> Result<Vec<(PathBuf, PathBuf)>> {
    let registry = registry_folder()?;
    let indexes = indexes(&registry)?;
    corpus_crates().into_iter().map(|one| locate(one, &indexes, &registry)).collect()
}

/// A folder for each registry that Cargo has downloaded from, sorted.
fn indexes(registry: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(registry).map_err(|e| Error::io(registry, "listing the folder", e))?;
    let mut indexes: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    indexes.sort();
    Ok(indexes)
}

/// The crate in the first index that has it; each has the same, as checksums see to that.
fn locate(one: CorpusCrate, indexes: &[PathBuf], registry: &Path) -> Result<(PathBuf, PathBuf)> {
    let name = format!("{}-{}", one.name, one.version);
    let found = indexes.iter().find(|index| index.join(&name).join("src").is_dir());
    match found {
        Some(index) => Ok((index.clone(), index.join(&name).join("src"))),
        None => Err(Error::FileNotFound {
            path: registry.join("*").join(&name),
            hint: "; this crate belongs to the default corpus: run `cargo fetch` in the lab's folder to download it"
                .into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Corpus;
    use crate::text::Tokenizer;

    #[test]
    fn the_list_agrees_with_the_lock_file() {
        let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock");
        let lock = fs::read_to_string(lock).unwrap();
        for CorpusCrate { name, version } in corpus_crates() {
            let entry = format!("name = \"{name}\"\nversion = \"{version}\"\nsource = \"registry");
            assert!(lock.contains(&entry), "corpus_crates.txt names {name} {version}, Cargo.lock does not");
        }
        let names: Vec<&str> = corpus_crates().iter().map(|one| one.name).collect();
        assert!(names.is_sorted() && names.len() > 10, "{names:?}");
    }

    #[test]
    fn a_missing_crate_is_named_with_the_cure() {
        let one = CorpusCrate { name: "no_such_crate", version: "1.2.3" };
        let error = locate(one, &[], Path::new("/home/me/.cargo/registry/src")).unwrap_err().to_string();
        assert!(error.contains("no_such_crate-1.2.3") && error.contains("cargo fetch"), "{error}");
    }

    #[test]
    fn the_corpus_of_this_build_is_the_same_for_everyone() {
        let corpus = Corpus::of_this_build().unwrap();
        let expected = "28,723 functions, 8,098,655 characters (left out: 5,494 duplicates, 3,923 too short or too \
                        long, 76 not ASCII)";
        assert_eq!(corpus.to_string(), expected, "has corpus_crates.txt or Cargo.lock changed?");
        assert_eq!(corpus.fingerprint(), 0xc441_7870_418b_5fa7);
        assert!(corpus.tokenizer().encode("fn main() {\n}").is_ok());
    }
}
