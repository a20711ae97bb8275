//! What every kind of parity case needs: finding the cases, reading them, comparing with their tolerances.

pub mod align;
pub mod bad_input;
pub mod forward;
pub mod generation;
pub mod lora;
pub mod reward;
pub mod tokenizer;
pub mod training;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use gpt_lab::prelude::*;
use serde_json::Value;

/// One case folder.
pub struct Case {
    pub dir: PathBuf,
    pub json: Value,
}

impl Case {
    pub fn open(dir: &Path) -> Self {
        let text = std::fs::read_to_string(dir.join("case.json")).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
        let json = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
        Case { dir: dir.to_path_buf(), json }
    }

    /// What kind of case it says it is.
    pub fn kind(&self) -> &str {
        self.json["case"].as_str().expect("case.json has a field `case`")
    }

    /// A path that `case.json` gives under this key.
    pub fn path(&self, key: &str) -> PathBuf {
        self.dir.join(self.json[key].as_str().unwrap_or_else(|| panic!("no path `{key}` in {}", self.dir.display())))
    }

    /// The tensors of the file that `case.json` names under this key.
    pub fn tensors(&self, key: &str) -> HashMap<String, Tensor> {
        let path = self.path(key);
        candle_core::safetensors::load(&path, &Device::Cpu).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// The largest difference that this group of numbers may have.
    pub fn atol(&self, group: &str) -> f64 {
        let atol = &self.json["tolerance"][group]["atol"];
        atol.as_f64().unwrap_or_else(|| panic!("no tolerance for `{group}` in {}", self.dir.display()))
    }
}

/// Largest differences by group, and everything that was beyond its tolerance.
pub struct Report {
    groups: BTreeMap<String, (f64, f64, usize)>,
    pub failures: Vec<String>,
}

impl Report {
    pub fn new() -> Self {
        Report { groups: BTreeMap::new(), failures: Vec::new() }
    }

    /// Compares one tensor with what is expected of it.
    pub fn compare(&mut self, case: &Case, group: &str, name: &str, actual: &Tensor, expected: &Tensor) {
        if actual.dims() != expected.dims() {
            self.failures.push(format!("{name}: shape {:?}, expected {:?}", actual.dims(), expected.dims()));
            return;
        }
        let flat =
            |t: &Tensor| -> Vec<f64> { t.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1().unwrap() };
        self.compare_numbers(case, group, name, &flat(actual), &flat(expected));
    }

    /// Compares numbers in order.
    pub fn compare_numbers(&mut self, case: &Case, group: &str, name: &str, actual: &[f64], expected: &[f64]) {
        let atol = case.atol(group);
        if actual.len() != expected.len() {
            self.failures.push(format!("{name}: {} numbers, expected {}", actual.len(), expected.len()));
            return;
        }
        // A NaN must not pass by being unequal to everything.
        let gap = |(a, e): (&f64, &f64)| if (a - e).is_nan() { f64::INFINITY } else { (a - e).abs() };
        let error = actual.iter().zip(expected).map(gap).fold(0.0, f64::max);
        let entry = self.groups.entry(group.to_string()).or_insert((0.0, atol, 0));
        entry.0 = entry.0.max(error);
        entry.2 += 1;
        if error > atol {
            self.failures.push(format!("{name} ({group}): differs by {error:.1e}, allowed {atol:.0e}"));
        }
    }

    /// Counts something that must hold exactly.
    pub fn expect(&mut self, holds: bool, group: &str, message: impl FnOnce() -> String) {
        self.groups.entry(group.to_string()).or_insert((0.0, 0.0, 0)).2 += 1;
        if !holds {
            self.failures.push(message());
        }
    }

    /// One line: for each group the number of comparisons, the largest error and the tolerance.
    pub fn line(&self) -> String {
        let group = |(name, (error, atol, count)): (&String, &(f64, f64, usize))| match *atol {
            0.0 => format!("{name} ×{count}"),
            _ => format!("{name} ×{count} {error:.1e} ≤ {atol:.0e}"),
        };
        self.groups.iter().map(group).collect::<Vec<_>>().join(" · ")
    }
}

/// Every case folder under `root`, at any depth, and a complaint about each folder that should be there and is not or
/// that is nothing we know.
pub fn find_cases(root: &Path, known: &BTreeSet<&str>) -> (Vec<Case>, Vec<String>) {
    let (mut cases, mut complaints) = (Vec::new(), Vec::new());
    visit(root, &mut cases, &mut complaints);
    for case in cases.iter().filter(|case| !known.contains(case.kind())) {
        complaints.push(format!("{}: unknown kind of case `{}`", case.dir.display(), case.kind()));
    }
    let found: BTreeSet<&str> = cases.iter().map(Case::kind).collect();
    let one_case_or_listed = root.join("case.json").exists() || root.join("manifest.json").exists();
    if !one_case_or_listed {
        complaints.extend(known.difference(&found).map(|kind| format!("{}: no case `{kind}`", root.display())));
    }
    (cases, complaints)
}

fn visit(dir: &Path, cases: &mut Vec<Case>, complaints: &mut Vec<String>) {
    if dir.join("case.json").exists() {
        cases.push(Case::open(dir));
        return;
    }
    let entries = std::fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut folders: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).filter(|path| path.is_dir()).collect();
    // The package that made the cases lies beside them.
    folders.retain(|folder| !folder.join("__init__.py").exists());
    folders.sort();
    if folders.is_empty() {
        complaints.push(format!("{}: neither a case nor a folder of cases", dir.display()));
    }
    let before = cases.len();
    folders.iter().for_each(|folder| visit(folder, cases, complaints));
    let manifest = dir.join("manifest.json");
    if manifest.exists() {
        let here: BTreeSet<&Path> = cases[before..].iter().map(|case| case.dir.as_path()).collect();
        let listed = folders_in(&manifest);
        complaints.extend(
            listed
                .iter()
                .filter(|name| !here.contains(dir.join(name).as_path()))
                .map(|name| format!("{}: the case `{name}` of the manifest is missing", dir.display())),
        );
        let stray = here
            .iter()
            .filter_map(|case| case.file_name())
            .filter(|name| !listed.contains(name.to_string_lossy().as_ref()));
        complaints.extend(stray.map(|name| format!("{}: {name:?} is not in the manifest", dir.display())));
    }
}

/// The case folders that a manifest's list of files mentions.
fn folders_in(manifest: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(manifest).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", manifest.display()));
    let files: Vec<String> = match &json["files"] {
        Value::Object(files) => files.keys().cloned().collect(),
        other => panic!("{}: `files` is {other}", manifest.display()),
    };
    files.iter().filter_map(|file| Some(file.split_once('/')?.0.to_string())).collect()
}
