//! What cells are compiled with: the compiler, the crates, and how it is called. `prepare` writes it down.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A compiled crate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crate {
    /// The package, as `:dep` names it.
    pub package: String,
    /// Its version.
    pub version: String,
    /// The features that it was built with.
    pub features: Vec<String>,
    /// The crate's name in code.
    pub name: String,
    /// The files: a library, a shared object, or both.
    pub files: Vec<PathBuf>,
}

/// The compiler with all that it needs for a cell.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Kit {
    /// The compiler itself, behind rustup's proxy.
    pub rustc: PathBuf,
    /// What `rustc -vV` said.
    pub version: String,
    /// Folders in which the crates of the crates lie, and their native libraries: the values of `-L`.
    pub folders: Vec<String>,
    /// All crates, also those that only others use.
    pub crates: Vec<Crate>,
    /// Changes whenever a crate does that is not part of the base.
    #[serde(default)]
    pub revision: String,
    /// The names that a cell can use, each with the files of the crate.
    pub named: BTreeMap<String, Vec<PathBuf>>,
}

/// The file of a kit in its folder.
const FILE: &str = "kit.json";
/// What stands before the name of a crate that a cell does not use by itself.
pub const ALIAS: &str = "__gpt_lab_of_";

impl Kit {
    /// Reads what [`Kit::write`] wrote.
    pub fn read(folder: &Path) -> Result<Kit> {
        let path = folder.join(FILE);
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))
    }

    /// Writes the kit into a folder.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        let bytes = serde_json::to_vec_pretty(self)?;
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
    }

    /// What a cell calls each crate whose types it may meet, by the crate's own name.
    pub fn called(&self) -> BTreeMap<String, String> {
        let all = self.crates.iter().map(|found| (found.name.clone(), format!("{ALIAS}{}", found.name)));
        all.chain(self.named.keys().map(|name| (name.clone(), name.clone()))).collect()
    }

    /// The arguments that name crates and folders.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        for folder in &self.folders {
            arguments.extend(["-L".to_owned(), folder.clone()]);
        }
        let mut add = |name: &str, files: &[PathBuf]| {
            for file in files {
                arguments.extend(["--extern".to_owned(), format!("{name}={}", file.display())]);
            }
        };
        self.named.iter().for_each(|(name, files)| add(name, files));
        for found in self.crates.iter().filter(|found| !self.named.contains_key(&found.name)) {
            add(&format!("{ALIAS}{}", found.name), &found.files);
        }
        arguments
    }

    /// The shared objects among the named crates.
    pub fn shared(&self) -> impl Iterator<Item = &PathBuf> {
        let is_shared = |file: &&PathBuf| file.extension().is_some_and(|end| end == "so" || end == "dylib");
        self.named.get("gpt_lab").into_iter().flatten().filter(is_shared)
    }

    /// The newest crate of a package.
    pub fn package(&self, package: &str) -> Option<&Crate> {
        self.crates.iter().find(|found| found.package == package)
    }
}
