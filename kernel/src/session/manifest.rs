//! The part of `gpt_lab`'s manifest that is meant for the kernel: `[package.metadata.gpt_lab]`.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// The crates that are built with all optimisation for the cells.
pub fn computing(gpt_lab: &Path) -> Result<Vec<String>> {
    let package = package(gpt_lab)?;
    let names = package["metadata"]["gpt_lab"]["computing"].as_array().into_iter().flatten();
    let names: Vec<String> = names.filter_map(Value::as_str).map(str::to_owned).collect();
    if names.is_empty() {
        bail!("{} names no crates that compute in [package.metadata.gpt_lab]", gpt_lab.join("Cargo.toml").display());
    }
    Ok(names)
}

/// The package `gpt_lab` as cargo understands its manifest.
fn package(gpt_lab: &Path) -> Result<Value> {
    let manifest = gpt_lab.join("Cargo.toml");
    let mut cargo = Command::new("cargo");
    cargo.args(["metadata", "--no-deps", "--offline", "--format-version", "1", "--manifest-path"]).arg(&manifest);
    let output = cargo.output().context("cargo is not on the PATH: install Rust with rustup")?;
    if !output.status.success() {
        bail!("cargo cannot read {}: {}", manifest.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).context("cargo's metadata is not JSON")?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let found = packages.into_iter().find(|package| package["name"] == "gpt_lab");
    found.cloned().with_context(|| format!("{} is not the manifest of gpt_lab", manifest.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::lock_file;
    use std::collections::BTreeSet;

    const GPT_LAB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../gpt_lab");

    fn listed(package: &Value, name: &str) -> BTreeSet<String> {
        let names = package["metadata"]["gpt_lab"][name].as_array().expect(name).iter();
        names.map(|name| name.as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn every_dependency_of_gpt_lab_is_said_to_show_or_not() {
        let package = package(Path::new(GPT_LAB)).unwrap();
        let needed = package["dependencies"].as_array().unwrap().iter().filter(|dep| dep["kind"].is_null());
        let needed: BTreeSet<String> = needed.map(|dep| dep["name"].as_str().unwrap().to_owned()).collect();
        let (shown, inside) = (listed(&package, "shown"), listed(&package, "inside"));
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
