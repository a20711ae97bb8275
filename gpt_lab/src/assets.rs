//! Where the lab's own files are: the folder `assets`.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// The path of something in the lab's folder `assets`: `assets::path("gpt2_tokenizer")`.
///
/// The environment variable `GPT_LAB_ASSETS` names the folder; otherwise it is looked for from the working directory upwards
/// (notebooks run in a folder beside it), and then where this crate's sources were when it was built.
///
/// # Errors
/// [`Error::FileNotFound`] says where it was looked for.
pub fn path(name: impl AsRef<Path>) -> Result<PathBuf> {
    let name = name.as_ref();
    let chosen = std::env::var_os("GPT_LAB_ASSETS").map(PathBuf::from);
    let here = std::env::current_dir().unwrap_or_default();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(|lab| lab.join("assets"));
    let places = match chosen {
        Some(chosen) => vec![chosen],
        None => here.ancestors().map(|folder| folder.join("assets")).chain(sources).collect(),
    };
    find(name, &places)
}

fn find(name: &Path, places: &[PathBuf]) -> Result<PathBuf> {
    let found = places.iter().map(|place| place.join(name)).find(|path| path.exists());
    found.ok_or_else(|| Error::FileNotFound {
        path: Path::new("assets").join(name),
        hint: match places {
            [only] => format!(" in {} (GPT_LAB_ASSETS)", only.display()),
            _ => "; looked for it from the working directory upwards and beside the sources of gpt_lab: run in the lab's \
                  folder, or set GPT_LAB_ASSETS"
                .into(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_place_that_has_it_counts() {
        let root = std::env::temp_dir().join(format!("gpt_lab-assets-{}", std::process::id()));
        let (near, far) = (root.join("near/assets"), root.join("assets"));
        std::fs::create_dir_all(near.join("a")).unwrap();
        std::fs::create_dir_all(far.join("a")).unwrap();
        std::fs::create_dir_all(far.join("b")).unwrap();
        let places = [near.clone(), far.clone()];
        assert_eq!(find(Path::new("a"), &places).unwrap(), near.join("a"));
        assert_eq!(find(Path::new("b"), &places).unwrap(), far.join("b"));
        let error = find(Path::new("c"), &places).unwrap_err().to_string();
        assert!(error.contains("assets/c") && error.contains("GPT_LAB_ASSETS"), "{error}");
        std::fs::remove_dir_all(root).unwrap();
    }
}
