//! What all sessions compile against: `gpt_lab` and everything that it needs, built once for each state of its sources.
//!
//! `.lab/base/STAMP` is never changed after it is built, so running sessions keep what they have loaded while the
//! learner works on `gpt_lab`. A further one shares the compiled crates with the one before, by hard links. A base that
//! no session holds any more is removed.

use crate::code::names::{Names, question};
use crate::compile::kit::{Crate, Kit};
use crate::compile::rustc::Compiler;
use anyhow::{Context, Result, bail};
use gpt_lab_prepare::crates::{self, IN_USE};
use gpt_lab_prepare::files::{replace_file, try_lock};
use gpt_lab_prepare::{Layout, sources};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The file of names of types that are known.
pub const NAMES: &str = "names";
/// Types whose names are looked up when a base is built, so that the first cells need not.
const COMMON: &str = include_str!("common_types.txt");

/// A base that is held as long as this value lives.
pub struct Base {
    /// Its folder.
    pub folder: PathBuf,
    /// What cells are compiled with.
    pub kit: Kit,
    _in_use: File,
}

/// The base for the sources as they are now; built if it is not there, and then told about.
pub fn ready(layout: &Layout, tell: &mut dyn FnMut(&str)) -> Result<Base> {
    let (rustc, config) = (crates::compiler_version()?, crates::settings(layout)?);
    let stamp = stamp(layout, &config, &rustc)?;
    let folder = layout.bases().join(&stamp[..16]);
    if let Some(base) = hold(&folder) {
        return Ok(base);
    }
    let _lock = crates::lock(layout)?;
    if let Some(base) = hold(&folder) {
        return Ok(base);
    }
    build(layout, &folder, &config, &rustc, tell)?;
    remove_unused(layout, &folder);
    hold(&folder).with_context(|| format!("{} is not as it was built", folder.display()))
}

fn hold(folder: &Path) -> Option<Base> {
    let in_use = File::open(folder.join(IN_USE)).ok()?;
    in_use.try_lock_shared().ok()?;
    Some(Base { kit: Kit::read(folder).ok()?, folder: folder.to_owned(), _in_use: in_use })
}

fn remove_unused(layout: &Layout, current: &Path) {
    for path in fs::read_dir(layout.bases()).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if path != current && File::open(path.join(IN_USE)).map_or(true, |file| try_lock(&file)) {
            let _ = fs::remove_dir_all(path);
        }
    }
}

/// The hash of everything that a base depends on.
fn stamp(layout: &Layout, config: &str, rustc: &str) -> Result<String> {
    let mut hash = Sha256::new();
    for part in [config, env!("CARGO_PKG_VERSION"), rustc, COMMON, &crates::features(layout)] {
        hash.update(part);
        hash.update([0]);
    }
    hash.update(layout.root.to_string_lossy().as_bytes());
    let mut files = vec![layout.root.join("Cargo.toml"), layout.root.join("Cargo.lock")];
    files.extend(sources::of_cells(&layout.gpt_lab())?);
    files.extend(sources::of_cells(&layout.cell_crate())?);
    files.sort();
    for file in files {
        hash.update(file.to_string_lossy().as_bytes());
        hash.update(fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?);
    }
    Ok(hex::encode(hash.finalize()))
}

fn build(layout: &Layout, folder: &Path, config: &str, rustc: &str, tell: &mut dyn FnMut(&str)) -> Result<()> {
    let (fresh, artifacts) = crates::build(layout, config, tell)?;
    // Paths in messages are those of the folder's final place.
    let _ = fs::remove_dir_all(folder);
    fs::rename(&fresh, folder).with_context(|| format!("cannot move {}", fresh.display()))?;
    let kit = kit(&artifacts, &fresh, folder, rustc)?;
    learn_common(&kit, folder)?;
    kit.write(folder)?;
    File::create(folder.join(IN_USE))?;
    Ok(())
}

/// What cells are compiled with, from what cargo has said; `from` is where it built, `to` where that lies now.
fn kit(artifacts: &[Value], from: &Path, to: &Path, rustc: &str) -> Result<Kit> {
    let (from, to) = (from.display().to_string(), to.display().to_string());
    let moved: Vec<Value> = artifacts
        .iter()
        .filter_map(|value| serde_json::from_str(&value.to_string().replace(&from, &to)).ok())
        .collect();
    let crates = crates_of(&moved);
    let files = |name: &str| crates.iter().find(|found| found.name == name).map(|found| found.files.clone());
    let named = ["gpt_lab", "gpt_lab_cell"].into_iter().filter_map(|name| Some((name.to_owned(), files(name)?)));
    let named: BTreeMap<String, Vec<PathBuf>> = named.collect();
    if named.len() < 2 {
        bail!("cargo does not say where gpt_lab lies");
    }
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().context("rustc cannot be started")?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let folders = folders_of(&moved, Path::new(&to));
    Ok(Kit {
        rustc: sysroot.join("bin/rustc"),
        version: rustc.to_owned(),
        folders,
        crates,
        revision: String::new(),
        named,
    })
}

/// The libraries among what cargo has said.
pub fn crates_of(artifacts: &[Value]) -> Vec<Crate> {
    let libraries = artifacts.iter().filter(|value| value["reason"] == "compiler-artifact").filter_map(library);
    libraries.collect()
}

fn library(value: &Value) -> Option<Crate> {
    let kinds = value["target"]["kind"].as_array()?;
    if !kinds.iter().any(|kind| ["lib", "rlib", "dylib", "proc-macro"].contains(&kind.as_str().unwrap_or_default())) {
        return None;
    }
    let texts = |value: &Value| {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
    };
    let files = texts(&value["filenames"]).into_iter().map(PathBuf::from);
    let files: Vec<PathBuf> = files
        .filter(|file| file.extension().is_some_and(|end| end == "rlib" || end == "so" || end == "dylib"))
        .collect();
    // `registry+https://…#name@1.2.3`, or `path+file:///…/name#1.2.3`
    let (place, id) = value["package_id"].as_str()?.rsplit_once('#')?;
    let (package, version) = id.rsplit_once('@').unwrap_or_else(|| (place.rsplit('/').next().unwrap_or_default(), id));
    Some(Crate {
        package: package.to_owned(),
        version: version.to_owned(),
        features: texts(&value["features"]),
        name: value["target"]["name"].as_str()?.replace('-', "_"),
        files,
    })
}

/// The values of `-L`: where the crates lie, and the native libraries that their build scripts have made.
pub fn folders_of(artifacts: &[Value], base: &Path) -> Vec<String> {
    let mut folders = vec![format!("dependency={}", base.join("target/debug/deps").display())];
    let scripts = artifacts.iter().filter(|value| value["reason"] == "build-script-executed");
    let paths = scripts.flat_map(|value| value["linked_paths"].as_array().into_iter().flatten());
    folders.extend(paths.filter_map(Value::as_str).map(str::to_owned));
    folders.sort();
    folders.dedup();
    folders
}

/// Looks up the names of types that are in every session.
fn learn_common(kit: &Kit, folder: &Path) -> Result<()> {
    let mut names = Names::new(kit.called());
    for path in COMMON.lines().filter(|line| !line.is_empty()) {
        let _ = crate::code::types::Paths::written(&mut names, path);
    }
    let scratch = folder.join("names-scratch");
    fs::create_dir_all(&scratch)?;
    let compiler = Compiler {
        kit: kit.clone(),
        folder: scratch.clone(),
        kept: None,
        opt_level: "0".into(),
        variables: Vec::new(),
    };
    look_up(&compiler, &mut names)?;
    fs::remove_dir_all(scratch)?;
    replace_file(&folder.join(NAMES), names.text().as_bytes())
}

/// Asks the compiler where the wanted types can be named.
pub fn look_up(compiler: &Compiler, names: &mut Names) -> Result<()> {
    let wanted = names.take_wanted();
    let candidates: Vec<String> = wanted.iter().flat_map(|(_, candidates)| candidates.clone()).collect();
    if candidates.is_empty() {
        wanted.into_iter().for_each(|(path, _)| names.learn(path, None));
        return Ok(());
    }
    let good = those_that_compile(compiler, candidates)?;
    for (path, candidates) in wanted {
        let good = candidates.into_iter().find(|candidate| good.contains(candidate));
        names.learn(path, good);
    }
    Ok(())
}

/// The paths that can be named. A path that is there but private is complained of only when all others are there, so
/// what remains is asked about again.
fn those_that_compile(compiler: &Compiler, mut paths: Vec<String>) -> Result<Vec<String>> {
    loop {
        let compiled = compiler.check(&question(&paths))?;
        let errors = compiled.messages.iter().filter(|message| message.is_error());
        let wrong: Vec<usize> = errors.flat_map(|message| message.spans.iter().map(|span| span.line_start)).collect();
        let before = paths.len();
        let numbered = paths.into_iter().zip(1..);
        paths = numbered.filter(|(_, line)| !wrong.contains(line)).map(|(path, _)| path).collect();
        if paths.len() == before || paths.is_empty() {
            return Ok(paths);
        }
    }
}
