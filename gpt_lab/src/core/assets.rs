//! The lab's own files: the folder `assets`.

use std::path::{Path, PathBuf};

use super::files::write_atomically;
use crate::{Error, Result};

/// The path of something in the lab's folder `assets`: `assets::path("gpt2_tokenizer")`.
///
/// The environment variable `GPT_LAB_ASSETS` names the folder; otherwise it is looked for from the working directory
/// upwards (notebooks run in a folder beside it), and then where this crate's sources were when it was built.
///
/// # Errors
/// [`Error::FileNotFound`] says where it was looked for.
pub fn path(name: impl AsRef<Path>) -> Result<PathBuf> {
    find_anywhere(name.as_ref())
}

fn find_anywhere(name: &Path) -> Result<PathBuf> {
    let chosen = std::env::var_os("GPT_LAB_ASSETS").map(PathBuf::from);
    let here = std::env::current_dir().unwrap_or_default();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(|lab| lab.join("assets"));
    let places = match chosen {
        Some(chosen) => vec![chosen],
        None => here.ancestors().map(|folder| folder.join("assets")).chain(sources).collect(),
    };
    find(name, &places)
}

/// The folder in which a lesson keeps its results for the lessons after it: `learnt/LESSON` beside the folder `assets`,
/// or in the folder that the environment variable `GPT_LAB_LEARNT` names.
///
/// # Errors
/// [`Error::FileNotFound`] if the lab's files are not found.
pub fn learnt(lesson: &str) -> Result<PathBuf> {
    let folder = match std::env::var_os("GPT_LAB_LEARNT") {
        Some(folder) => PathBuf::from(folder),
        None => path("")?.parent().map_or_else(PathBuf::new, |lab| lab.join("learnt")),
    };
    Ok(folder.join(lesson))
}

/// The results of a lesson: the learner's own ([`learnt`]), or those that came with the lab (`assets/learnt/LESSON`),
/// which the same notebook made.
///
/// # Errors
/// [`Error::FileNotFound`] if there is neither.
pub fn lesson(lesson: &str) -> Result<PathBuf> {
    let own = learnt(lesson)?;
    if own.is_dir() { Ok(own) } else { path(Path::new("learnt").join(lesson)) }
}

/// Copies an adapter (a folder in PEFT's layout) into a lesson's results, under the name that it has: an adapter fits
/// only what it was trained on top of, so a lesson keeps the stages below its own beside it.
///
/// # Errors
/// [`Error::Io`] names the file that could not be read or written.
pub fn keep_beside(adapter: impl AsRef<Path>, results: impl AsRef<Path>) -> Result<()> {
    let (from, results) = (adapter.as_ref(), results.as_ref());
    let to = results.join(from.file_name().unwrap_or_default());
    for file in ["adapter_config.json", "adapter_model.safetensors"] {
        let bytes = std::fs::read(from.join(file)).map_err(|e| Error::io(from.join(file), "reading", e))?;
        write_atomically(&to.join(file), &bytes)?;
    }
    Ok(())
}

fn find(name: &Path, places: &[PathBuf]) -> Result<PathBuf> {
    let found = places.iter().map(|place| place.join(name)).find(|path| path.exists());
    found.ok_or_else(|| Error::FileNotFound {
        path: Path::new("assets").join(name),
        hint: match places {
            [only] => format!(" in {} (GPT_LAB_ASSETS)", only.display()),
            _ => "; looked for it from the working directory upwards and beside the sources of gpt_lab: run in the \
                  lab's folder, or set GPT_LAB_ASSETS"
                .into(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_place_that_has_it_counts() {
        let root = tempfile::tempdir().unwrap();
        let (near, far) = (root.path().join("near/assets"), root.path().join("assets"));
        std::fs::create_dir_all(near.join("a")).unwrap();
        std::fs::create_dir_all(far.join("a")).unwrap();
        std::fs::create_dir_all(far.join("b")).unwrap();
        let places = [near.clone(), far.clone()];
        assert_eq!(find(Path::new("a"), &places).unwrap(), near.join("a"));
        assert_eq!(find(Path::new("b"), &places).unwrap(), far.join("b"));
        let error = find(Path::new("c"), &places).unwrap_err().to_string();
        assert!(error.contains("assets/c") && error.contains("GPT_LAB_ASSETS"), "{error}");
    }
}
