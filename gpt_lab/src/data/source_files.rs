//! Source files, and the functions in them.

use std::fs;
use std::path::{Path, PathBuf};

use super::{python_source, rust_source};
use crate::{Error, Result};

/// One function as it stands in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name alone, without the type or module it belongs to.
    pub name: String,
    /// Its source, for instance `anyhow-1.0.104/src/error.rs`.
    pub source: String,
    /// Its text from `pub`, `fn` or `def` to the end, without documentation before it, indented as if it stood alone.
    pub text: String,
}

/// Languages of source files to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// `.rs` files.
    Rust,
    /// `.py` files.
    Python,
    /// Both, told apart by their extension.
    ByExtension,
}

impl Language {
    /// The language of a file of this name, if it is to be read.
    fn of(self, path: &Path) -> Option<Language> {
        match path.extension()?.to_str()? {
            "rs" if self != Language::Python => Some(Language::Rust),
            "py" if self != Language::Rust => Some(Language::Python),
            _ => None,
        }
    }
}

/// The functions of one file, `None` if it cannot be read or parsed.
pub(super) fn functions_of(root: &Path, path: &Path) -> Option<Vec<Function>> {
    let text = fs::read_to_string(path).ok()?.replace("\r\n", "\n");
    let found = match Language::ByExtension.of(path)? {
        Language::Python => python_source::functions(&text),
        _ => rust_source::functions(&text)?,
    };
    let source = path.strip_prefix(root).unwrap_or(path).display().to_string();
    Some(found.into_iter().map(|(name, text)| Function { name, source: source.clone(), text }).collect())
}

/// The source files below a folder, sorted by path; symbolic links to folders are not followed.
pub(super) fn source_files(folder: &Path, language: Language) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        let entries = match fs::read_dir(&next) {
            Ok(entries) => entries,
            Err(_) if next != folder => continue,
            Err(error) => return Err(Error::io(folder, "listing the folder", error)),
        };
        for entry in entries.flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            let hidden = name.to_string_lossy().starts_with('.') || name == "target" || name == "__pycache__";
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && !hidden => folders.push(path),
                Ok(kind) if !kind.is_dir() && language.of(&path).is_some() => files.push(path),
                _ => {}
            }
        }
    }
    files.sort();
    Ok(files)
}
