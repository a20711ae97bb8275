//! The crates of a base, built by cargo: `gpt_lab` and everything that it needs.
//!
//! A base is finished under its final name by the kernel; this much can begin before the kernel itself is built.

use crate::copy::clone_tree;
use crate::files::replace_file;
use crate::layout::Layout;
use crate::{config, lock_file, manifest};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The file of features of `gpt_lab` that are wanted, in the folder of all bases' state.
const FEATURES: &str = "features";
/// The file that sessions hold locked as long as they need a base; a base that has it is whole.
pub const IN_USE: &str = "in-use";

/// The lock of whoever builds a base.
pub fn lock(layout: &Layout) -> Result<fs::File> {
    fs::create_dir_all(layout.bases()).with_context(|| format!("cannot make {}", layout.bases().display()))?;
    let lock = fs::File::create(layout.state.join("base.lock"))?;
    lock.lock().context("cannot lock base.lock: is the disk one that knows file locks?")?;
    Ok(lock)
}

/// How cargo builds what cells use.
pub fn settings(layout: &Layout) -> Result<String> {
    Ok(config::of(&manifest::computing(&layout.gpt_lab())?))
}

/// Has the bases of later sessions built with these features of `gpt_lab`, too.
pub fn want_features(layout: &Layout, names: &[&str]) -> Result<()> {
    let wanted = features(layout);
    let all: BTreeSet<&str> = wanted.lines().chain(names.iter().copied()).collect();
    let text: String = all.into_iter().map(|name| format!("{name}\n")).collect();
    replace_file(&layout.state.join(FEATURES), text.as_bytes())
}

/// The features of `gpt_lab` that the learner has asked for, one a line.
pub fn features(layout: &Layout) -> String {
    fs::read_to_string(layout.state.join(FEATURES)).unwrap_or_default()
}

/// The compiler's own word about itself, and where it is.
pub fn compiler_version() -> Result<String> {
    let no_rust = "there is no Rust compiler: `rustc` is not on the PATH or does not work. Install Rust from \
                   https://rustup.rs, \
                   open a new terminal, and start Jupyter from there";
    let output = Command::new("rustc").arg("-vV").output().context(no_rust)?;
    if !output.status.success() {
        bail!("{no_rust}\n{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Has cargo build them in the folder of a coming base; returns that folder and what cargo says about each crate. What
/// an interrupted run has built is kept there.
pub fn build(layout: &Layout, config: &str, tell: &mut dyn FnMut(&str)) -> Result<(PathBuf, Vec<Value>)> {
    let fresh = layout.bases().join("new");
    fs::create_dir_all(fresh.join("src"))?;
    fs::create_dir_all(layout.state.join(".cargo"))?;
    replace_file(&layout.state.join(".cargo/config.toml"), config.as_bytes())?;
    if let Some(older) = newest(layout).filter(|_| !fresh.join("target").exists()) {
        fs::create_dir(fresh.join("target"))?;
        clone_tree(&older.join("target"), &fresh.join("target"))?;
    }
    let path = |path: PathBuf| toml_text(&path.display().to_string());
    let features: Vec<String> = features(layout).lines().map(toml_text).collect();
    let features = features.join(", ");
    let manifest = format!(
        "[package]\nname = \"gpt_lab_base\"\nversion = \"1.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
         gpt_lab = {{ path = {}, features = [{features}] }}\ngpt_lab_cell = {{ path = {} }}\n",
        path(layout.gpt_lab()),
        path(layout.cell_crate())
    );
    fs::write(fresh.join("Cargo.toml"), manifest)?;
    fs::write(fresh.join("src/lib.rs"), "")?;
    let lock = fs::read_to_string(layout.root.join("Cargo.lock")).unwrap_or_default();
    fs::write(fresh.join("Cargo.lock"), &lock)?;
    let total = lock_file::needed_by("gpt_lab", &lock).len();
    let mut built = 0;
    let mut progress = |line: &str| {
        if let Some(name) = line.trim().strip_prefix("Compiling ") {
            built += 1;
            tell(&format!("{built:>3} of at most {total}: {name}"));
        }
    };
    let artifacts = cargo_build(&fresh, true, &[], &mut progress).or_else(|offline| {
        cargo_build(&fresh, false, &[], &mut progress)
            .map_err(|online| if online.is_empty() { offline } else { online })
    });
    match artifacts {
        Ok(artifacts) => Ok((fresh, artifacts)),
        Err(text) => bail!("gpt_lab could not be built for the cells:\n{}", text.trim()),
    }
}

/// The newest base that is there, to share its crates.
fn newest(layout: &Layout) -> Option<PathBuf> {
    let entries = fs::read_dir(layout.bases()).ok()?.flatten().map(|entry| entry.path());
    let whole = entries.filter(|path| path.join(IN_USE).is_file());
    whole.max_by_key(|path| fs::metadata(path.join(IN_USE)).and_then(|about| about.modified()).ok())
}

/// A text as a string of TOML.
pub fn toml_text(text: &str) -> String {
    let escaped: String = text.chars().flat_map(|c| if "\"\\".contains(c) { vec!['\\', c] } else { vec![c] }).collect();
    format!("\"{escaped}\"")
}

/// Lets cargo build the crate in a folder; returns what it says about each crate, or why it failed.
pub fn cargo_build(
    folder: &Path,
    offline: bool,
    variables: &[(String, String)],
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<Value>, String> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--message-format=json-render-diagnostics"]).current_dir(folder);
    cargo.env("CARGO_TERM_COLOR", "never").env("CARGO_TERM_PROGRESS_WHEN", "never").env("CARGO_NET_RETRY", "1");
    // What Jupyter's environment says about building is not meant for the cells.
    for name in ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET", "RUSTC_WRAPPER", "RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS"] {
        cargo.env_remove(name);
    }
    cargo.envs(variables.iter().map(|(name, value)| (name, value)));
    if offline {
        cargo.arg("--offline");
    }
    cargo.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = cargo.spawn().map_err(|error| format!("cargo cannot be started: {error}"))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        let _ = stdout.map(|mut stdout| stdout.read_to_string(&mut text));
        text
    });
    let mut said = String::new();
    for line in BufReader::new(stderr.ok_or("no messages from cargo")?).lines().map_while(Result::ok) {
        progress(&line);
        said += &line;
        said.push('\n');
    }
    let text = reader.join().unwrap_or_default();
    match child.wait() {
        Ok(status) if status.success() => Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()),
        _ => Err(said),
    }
}
