//! The project's own sources that cells are built from: `gpt_lab`, and the crates that it names by path.

use crate::files::collect_files;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// The manifests and source files of `gpt_lab` and of the crates that it names by path.
pub fn of_cells(gpt_lab: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut crates = vec![gpt_lab.to_owned()];
    let mut next = 0;
    while let Some(folder) = crates.get(next).cloned() {
        let path = folder.join("Cargo.toml");
        let manifest = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        for named in local_crates(&manifest).into_iter().filter(|named| !named.is_empty()) {
            let named = folder.join(named);
            let named = named.canonicalize().with_context(|| format!("{} is not there", named.display()))?;
            if !crates.contains(&named) {
                crates.push(named);
            }
        }
        files.push(path);
        collect_files(&folder.join("src"), &mut files)?;
        next += 1;
    }
    Ok(files)
}

/// The values of `path = "…"` in the dependencies of a manifest; an empty one for a value that is not understood.
pub fn local_crates(manifest: &str) -> Vec<&str> {
    let dependencies = manifest.split_once("[dependencies]").map_or("", |(_, rest)| rest);
    let mut found = Vec::new();
    for (at, _) in dependencies.match_indices("path") {
        let rest = dependencies[at + 4..].trim_start();
        if let Some(value) = rest.strip_prefix('=').map(str::trim_start) {
            // What is not understood is no path of ours.
            found.push(value.strip_prefix('"').and_then(|value| value.split_once('"')).map_or("", |(path, _)| path));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_crates_are_found() {
        let manifest =
            "[lib]\npath = \"src/lib.rs\"\n[dependencies]\ngpt_lab = { path = \"/x/gpt_lab\" }\nrand = \"0.9\"\n";
        assert_eq!(local_crates(manifest), ["/x/gpt_lab"]);
        assert_eq!(local_crates(&format!("{manifest}mine = {{path=\"../mine\"}}")), ["/x/gpt_lab", "../mine"]);
        assert_eq!(local_crates(&format!("{manifest}mine = {{ path = '../mine' }}")), ["/x/gpt_lab", ""]);
    }

    #[test]
    fn crates_that_gpt_lab_names_by_path_belong_to_the_sources() {
        let project = tempfile::tempdir().unwrap();
        let root = project.path().canonicalize().unwrap();
        for (name, dependencies) in [("gpt_lab", "inner = { path = \"../inner\" }"), ("inner", "rand = \"0.9\"")] {
            fs::create_dir_all(root.join(name).join("src")).unwrap();
            fs::write(root.join(name).join("Cargo.toml"), format!("[dependencies]\n{dependencies}\n")).unwrap();
            fs::write(root.join(name).join("src/lib.rs"), "").unwrap();
        }
        let expected = ["gpt_lab/Cargo.toml", "gpt_lab/src/lib.rs", "inner/Cargo.toml", "inner/src/lib.rs"];
        assert_eq!(of_cells(&root.join("gpt_lab")).unwrap(), expected.map(|file| root.join(file)));
    }
}
