//! The part of `gpt_lab`'s manifest that is meant for the kernel: `[package.metadata.gpt_lab]`.

use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;
use toml::{Table, Value};

/// The crates that are built with all optimisation for the cells.
pub fn computing(gpt_lab: &Path) -> Result<Vec<String>> {
    let manifest = manifest(gpt_lab)?;
    let names = list(&manifest, "computing");
    if names.is_empty() {
        bail!("{} names no crates that compute in [package.metadata.gpt_lab]", gpt_lab.join("Cargo.toml").display());
    }
    Ok(names)
}

fn manifest(gpt_lab: &Path) -> Result<Table> {
    let path = gpt_lab.join("Cargo.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    text.parse().with_context(|| format!("{} is no manifest", path.display()))
}

/// One of the lists for the kernel.
fn list(manifest: &Table, name: &str) -> Vec<String> {
    let ours = ["package", "metadata", "gpt_lab", name];
    let mut found = manifest.get(ours[0]);
    for key in &ours[1..] {
        found = found.and_then(|value| value.get(key));
    }
    let names = found.and_then(Value::as_array).into_iter().flatten();
    names.filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock_file;
    use std::collections::BTreeSet;

    const GPT_LAB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../gpt_lab");

    #[test]
    fn every_dependency_of_gpt_lab_is_said_to_show_or_not() {
        let manifest = manifest(Path::new(GPT_LAB)).unwrap();
        let needed: BTreeSet<String> = manifest["dependencies"].as_table().unwrap().keys().cloned().collect();
        let listed = |name: &str| list(&manifest, name).into_iter().collect::<BTreeSet<String>>();
        let (shown, inside) = (listed("shown"), listed("inside"));
        let known: BTreeSet<String> = shown.union(&inside).cloned().collect();
        let unknown: Vec<_> = needed.difference(&known).collect();
        assert!(
            unknown.is_empty(),
            "new dependencies of gpt_lab: {unknown:?}. Add each to [package.metadata.gpt_lab] in gpt_lab/Cargo.toml: \
             to `shown` if its types are in signatures or fields of gpt_lab that a cell meets, else to `inside`; and \
             to `computing`, with what it needs itself, if training or generation spend time in it."
        );
        let gone: Vec<_> = known.difference(&needed).collect();
        assert!(gone.is_empty(), "remove what gpt_lab needs no more from [package.metadata.gpt_lab]: {gone:?}");
        let both: Vec<_> = shown.intersection(&inside).collect();
        assert!(both.is_empty(), "both `shown` and `inside` in [package.metadata.gpt_lab]: {both:?}");
    }

    #[test]
    fn every_crate_that_computes_comes_with_gpt_lab() {
        let lock = include_str!("../../../Cargo.lock");
        let coming = lock_file::needed_by("gpt_lab", lock);
        let computing = super::computing(Path::new(GPT_LAB)).unwrap();
        let strangers: Vec<_> = computing.iter().filter(|name| !coming.contains(name.as_str())).collect();
        assert!(strangers.is_empty(), "remove what does not come with gpt_lab from `computing`: {strangers:?}");
        assert!(computing.iter().any(|name| name == "gpt_lab"));
    }
}
