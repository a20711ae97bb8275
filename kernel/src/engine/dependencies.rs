//! `:dep`: crates of the learner's own.
//!
//! What `gpt_lab` has brought along is used as it is. Anything else is built in a crate of its own, beside what is
//! loaded and not in its place: same versions where the lock file knows one, crates that are built already by hard
//! links, and nothing that the session has loaded is built again with other features.

use crate::compile::kit::Kit;
use crate::names::file;
use crate::session::base::{Base, crates_of, folders_of};
use crate::session::{Layout, clone_tree};
use gpt_lab_prepare::crates::{cargo_build, toml_text, want_features};
use gpt_lab_prepare::files::collect_files;
use semver::{Version, VersionReq};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// The learner's crates.
#[derive(Debug, Clone, Default)]
pub struct Dependencies {
    /// The lines of the manifest, by name.
    wanted: BTreeMap<String, Value>,
    /// True after `:offline 1`.
    pub offline: bool,
    /// The state of the files that were built.
    stamp: BTreeMap<String, Vec<String>>,
    /// Variables for build time.
    pub variables: Vec<(String, String)>,
}

/// What comes of a `:dep`.
pub enum Added {
    /// It is there already.
    Known,
    /// The session goes on with this.
    Kit(Box<Kit>),
}

impl Dependencies {
    /// The lines as a learner would write them.
    pub fn lines(&self) -> Vec<String> {
        self.wanted.iter().map(|(name, value)| format!("{name} = {value}")).collect()
    }

    /// Adds the crate that a line names (`regex = "1"`); if it cannot be had, all stays as it is.
    pub fn add(&mut self, line: &str, context: &Context, progress: &mut dyn FnMut(&str)) -> Result<Added, String> {
        let (name, value) = parse(line)?;
        let value = absolute(value, context.directory);
        if let Some(known) = context.of_gpt_lab(&name, &value)? {
            return Ok(if known { Added::Known } else { self.of_base(&name, &value, context)? });
        }
        if self.wanted.get(&name) == Some(&value) && !has_path(&value) {
            return Ok(Added::Known);
        }
        if let Some(kit) = context.built_already(&name, &value) {
            self.wanted.insert(name, value);
            return Ok(Added::Kit(Box::new(kit)));
        }
        let mut next = self.clone();
        next.wanted.insert(name, value);
        next.stamp = next.stamp();
        let kit = next.build(context, progress)?;
        *self = next;
        Ok(Added::Kit(Box::new(kit)))
    }

    fn of_base(&mut self, name: &str, value: &Value, context: &Context) -> Result<Added, String> {
        match context.built_already(name, value) {
            Some(kit) => Ok(Added::Kit(Box::new(kit))),
            None => Err(format!("this kernel's gpt_lab is not {value}; leave the line out, gpt_lab is loaded already")),
        }
    }

    /// Builds crates of the learner's own again if their files have changed; returns their names.
    pub fn refresh(
        &mut self,
        context: &Context,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Option<(Kit, Vec<String>)>, String> {
        let stamp = self.stamp();
        if stamp == self.stamp {
            return Ok(None);
        }
        let kit = self.build(context, progress)?;
        let before = std::mem::replace(&mut self.stamp, stamp);
        let changed = self.stamp.iter().filter(|(name, files)| before.get(*name) != Some(files));
        let names = changed.map(|(name, _)| name.replace('-', "_")).collect();
        Ok(Some((kit, names)))
    }

    /// The state of the files of crates that are named by path.
    fn stamp(&self) -> BTreeMap<String, Vec<String>> {
        let mut stamp = BTreeMap::new();
        for (name, value) in &self.wanted {
            let Some(path) = value.get("path").and_then(Value::as_str) else { continue };
            let mut files = vec![Path::new(path).join("Cargo.toml")];
            let _ = collect_files(&Path::new(path).join("src"), &mut files);
            files.sort();
            let about = files.iter().filter_map(|file| {
                let about = fs::metadata(file).ok()?;
                Some(format!("{} {} {:?}", file.display(), about.len(), about.modified().ok()?))
            });
            stamp.insert(name.clone(), about.collect());
        }
        stamp
    }

    /// Builds all of them.
    fn build(&self, context: &Context, progress: &mut dyn FnMut(&str)) -> Result<Kit, String> {
        let folder = context.session.join(file::DEPENDENCIES);
        let text = |error: std::io::Error| format!("{}: {error}", folder.display());
        let is_new = !folder.exists();
        fs::create_dir_all(folder.join("src")).map_err(text)?;
        let before = fs::read(folder.join("Cargo.lock")).ok();
        if is_new {
            fs::create_dir(folder.join("target")).map_err(text)?;
            clone_tree(&context.base.folder.join("target"), &folder.join("target")).map_err(text)?;
            fs::write(folder.join("src/lib.rs"), "").map_err(text)?;
            // The versions that gpt_lab has are taken where the learner leaves the choice.
            let lock = fs::read(context.layout.root.join("Cargo.lock")).unwrap_or_default();
            fs::write(folder.join("Cargo.lock"), lock).map_err(text)?;
        }
        let manifest_before = fs::read(folder.join("Cargo.toml")).ok();
        fs::write(folder.join("Cargo.toml"), self.manifest()).map_err(text)?;
        let mut built = cargo_build(&folder, true, &self.variables, progress);
        if built.is_err() && !self.offline {
            built = cargo_build(&folder, false, &self.variables, progress);
        }
        match built {
            Ok(artifacts) => Ok(self.kit(&artifacts, &folder, context)),
            Err(said) => {
                if is_new {
                    let _ = fs::remove_dir_all(&folder);
                }
                let restore =
                    |name: &str, content: Option<Vec<u8>>| content.map(|content| fs::write(folder.join(name), content));
                let _ = (restore("Cargo.lock", before), restore("Cargo.toml", manifest_before));
                Err(explained(&said, self.offline))
            }
        }
    }

    fn manifest(&self) -> String {
        let begin = "[package]\nname = \"notebook\"\nversion = \"1.0.0\"\nedition = \"2024\"\n\n\
            [workspace]\n\n[dependencies]\n";
        let lines: String = self.wanted.iter().map(|(name, value)| format!("{} = {value}\n", toml_key(name))).collect();
        format!("{begin}{lines}")
    }

    /// The session's kit with what was built.
    fn kit(&self, artifacts: &[serde_json::Value], folder: &Path, context: &Context) -> Kit {
        let mut kit = context.kit.clone();
        kit.revision = uuid::Uuid::new_v4().simple().to_string();
        let crates = crates_of(artifacts);
        for (name, value) in &self.wanted {
            let package = value.get("package").and_then(Value::as_str).unwrap_or(name);
            if let Some(found) = crates.iter().rev().find(|found| found.package == package) {
                kit.named.insert(name.replace('-', "_"), found.files.clone());
            }
        }
        kit.crates.retain(|old| !crates.iter().any(|new| new.name == old.name));
        kit.crates.extend(crates);
        // What lay in the base lies here too: one folder for each crate, or the compiler finds it twice.
        let base = format!("dependency={}", context.base.folder.join("target/debug/deps").display());
        kit.folders.retain(|folder| *folder != base);
        for folder in folders_of(artifacts, folder) {
            if !kit.folders.contains(&folder) {
                kit.folders.push(folder);
            }
        }
        kit
    }
}

/// What a `:dep` happens in.
pub struct Context<'a> {
    /// The project.
    pub layout: &'a Layout,
    /// What the session was started with.
    pub base: &'a Base,
    /// What it compiles with now.
    pub kit: &'a Kit,
    /// The session's directory.
    pub session: &'a Path,
    /// The directory of the notebook.
    pub directory: &'a Path,
}

impl Context<'_> {
    /// Of a line for `gpt_lab`: true if that is the one that is loaded, false if its version decides. `None` for
    /// others.
    fn of_gpt_lab(&self, name: &str, value: &Value) -> Result<Option<bool>, String> {
        if value.get("package").and_then(Value::as_str).unwrap_or(name) != "gpt_lab" {
            return Ok(None);
        }
        let Some(path) = value.get("path").and_then(Value::as_str) else { return Ok(Some(false)) };
        let own = self.layout.gpt_lab();
        match Path::new(path).canonicalize() {
            Ok(found) if found == own.canonicalize().unwrap_or(own.clone()) => self.with_features(value),
            Ok(found) => Err(format!(
                "this kernel belongs to {} and has loaded its gpt_lab. For that of {} run `make setup` there and \
                 choose its kernel",
                own.display(),
                found.display()
            )),
            Err(error) => Err(format!(
                "there is no gpt_lab at {path}: {error}. The line can be left out: gpt_lab is loaded already"
            )),
        }
    }

    /// True if the `gpt_lab` that is loaded has the features that a line asks for. If not, the next kernel will have
    /// them.
    fn with_features(&self, value: &Value) -> Result<Option<bool>, String> {
        let built = self.kit.package("gpt_lab").map(|found| found.features.clone()).unwrap_or_default();
        let wanted = value.get("features").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let missing: Vec<&str> = wanted.filter(|feature| !built.iter().any(|known| known == feature)).collect();
        if missing.is_empty() {
            return Ok(Some(true));
        }
        want_features(self.layout, &missing).map_err(|error| format!("{error:#}"))?;
        Err(format!(
            "gpt_lab is loaded without {}; restart the kernel (Kernel → Restart): it will be built with it, which \
             takes a minute or two",
            missing.join(", ")
        ))
    }

    /// The kit in which a crate that is built already has a name, if one fits.
    fn built_already(&self, name: &str, value: &Value) -> Option<Kit> {
        let known = ["version", "features", "default-features", "package"];
        if value.as_table().is_some_and(|table| table.keys().any(|key| !known.contains(&key.as_str()))) {
            return None;
        }
        let package = value.get("package").and_then(Value::as_str).unwrap_or(name);
        let wanted = value.as_str().or_else(|| value.get("version").and_then(Value::as_str)).unwrap_or("*");
        let wanted = VersionReq::parse(wanted).ok()?;
        let found = self.kit.crates.iter().find(|found| {
            found.package == package && Version::parse(&found.version).is_ok_and(|version| wanted.matches(&version))
        })?;
        let features = value.get("features").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let default = value.get("default-features").and_then(Value::as_bool) != Some(false);
        let mut needed = features.chain(default.then_some("default").filter(|_| self.has_default(package)));
        if !needed.all(|feature| found.features.iter().any(|built| built == feature)) {
            return None;
        }
        let mut kit = self.kit.clone();
        kit.named.insert(name.replace('-', "_"), found.files.clone());
        Some(kit)
    }

    /// True unless the crate is known to have no feature of this name. Cargo does not say; a crate without features at
    /// all was built as it is.
    fn has_default(&self, package: &str) -> bool {
        self.kit.package(package).is_none_or(|found| !found.features.is_empty())
    }
}

/// Name and value of a line such as `regex = "1"` or `regex`.
fn parse(line: &str) -> Result<(String, Value), String> {
    let line = line.trim();
    let help = "write `:dep regex = \"1\"` or `:dep mine = { path = \"../mine\" }`";
    if line.is_empty() {
        return Err(help.to_owned());
    }
    let is_name = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    if is_name(line) {
        return Ok((line.to_owned(), Value::String("*".to_owned())));
    }
    let table: Table = line.parse().map_err(|error: toml::de::Error| format!("{}\n{help}", error.message()))?;
    let mut entries = table.into_iter();
    match (entries.next(), entries.next()) {
        (Some((name, value)), None) if is_name(&name) => Ok((name, value)),
        _ => Err(help.to_owned()),
    }
}

fn has_path(value: &Value) -> bool {
    value.get("path").is_some()
}

/// The value with a path that holds everywhere.
fn absolute(mut value: Value, directory: &Path) -> Value {
    if let Some(Value::String(path)) = value.get_mut("path") {
        let joined = directory.join(PathBuf::from(&*path));
        *path = joined.canonicalize().unwrap_or(joined).display().to_string();
    }
    value
}

fn toml_key(name: &str) -> String {
    if name.contains(' ') { toml_text(name) } else { name.to_owned() }
}

/// A line of cargo's without the package that the crates are collected in, which no learner has named.
fn without_our_package(line: &str) -> &str {
    let line = line.strip_prefix("error: ").unwrap_or(line);
    line.split(" as a dependency of package `notebook ").next().unwrap_or(line)
}

/// What cargo has said, short, and with what helps.
fn explained(said: &str, offline: bool) -> String {
    let lines = said.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with("Updating"));
    let lines = lines.skip_while(|line| !line.starts_with("error")).take(9);
    let text: String = lines.map(|line| format!("{}\n", without_our_package(line))).collect();
    let text = if text.is_empty() { said.trim().to_owned() } else { text.trim().to_owned() };
    let signs = [
        "Could not resolve host",
        "Couldn't connect",
        "Failed to connect",
        "download of config.json failed",
        "network",
        "timed out",
        "proxy",
    ];
    let hint = if offline {
        "\ncargo works without the network (`:offline 0` changes that)"
    } else if signs.iter().any(|sign| said.contains(sign)) {
        "\nthere is no network, and the crate is not on this computer yet; the session goes on as before"
    } else {
        "\nthe session goes on as before"
    };
    text + hint
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_a_manifest() {
        assert_eq!(parse(" regex ").unwrap(), ("regex".into(), Value::String("*".into())));
        assert_eq!(parse("regex = \"1.0\"").unwrap().1.as_str(), Some("1.0"));
        assert_eq!(parse("mine = { path = \"../mine\" } # own").unwrap().1["path"].as_str(), Some("../mine"));
        for wrong in ["", "regex = ", "a = \"1\"\nb = \"1\"", "= 1", "regex 1"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn cargos_reasons_are_told_without_what_does_not_help() {
        let said = "    Updating crates.io index\nerror: no matching package named `x` found\n\
            location searched: crates.io index\n";
        let told = explained(said, false);
        assert!(
            told.starts_with("no matching package named `x` found") && told.ends_with("goes on as before"),
            "{told}"
        );
        let said = "error: failed to get `x` as a dependency of package `notebook v1.0.0 (/some/where/deps)`\n\
            Caused by:\n  [6] Could not resolve host\n";
        let told = explained(said, false);
        assert!(told.starts_with("failed to get `x`\nCaused by:") && told.contains("no network"), "{told}");
    }
}
