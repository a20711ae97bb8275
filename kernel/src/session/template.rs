//! Builds the template directory, once and whenever what it is made of has changed.

use super::copy::clone_tree;
use super::layout::Layout;
use super::start;
use crate::names::{file, var};
use crate::protocol::FromEngine;
use crate::sys::files::{collect_files, try_lock};
use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How cells and what they use are built. Cargo finds it from every session directory, and it outranks the profile that
/// evcxr writes.
const CARGO_CONFIG: &str = "\
# Written by `gpt_lab_kernel prepare`.
[profile.dev]
opt-level = 1
incremental = false
debug-assertions = false
# Costs time to build and makes nothing faster: what computes is built in one piece anyway.
lto = \"off\"

# A cell is small: to cut it into sixteen pieces costs more than it saves.
[profile.dev.package.ctx]
codegen-units = 1

# Macros and build scripts run once, while compiling.
[profile.dev.build-override]
opt-level = 0
codegen-units = 256

[profile.dev.package.\"*\"]
opt-level = 1
debug-assertions = false
overflow-checks = false

# What the cells call does the computing.
";

/// The crates that compute; the others (parsers, plots, tokenizers) are quicker to build with less optimisation.
const COMPUTING: &[&str] = &[
    "gpt_lab",
    "bytemuck",
    "candle-core",
    "candle-nn",
    "gemm",
    "gemm-common",
    "gemm-f16",
    "gemm-f32",
    "gemm-f64",
    "half",
    "libm",
    "num-traits",
    "pulp",
    "rand_chacha",
    "rayon",
    "rayon-core",
    "safetensors",
];

/// The whole configuration.
fn cargo_config() -> String {
    let fast = |name: &&str| {
        // In one piece: cut into several, small functions of the inner loops are not inlined, and training is a third slower.
        let pieces = if *name == "gpt_lab" { "codegen-units = 1\n" } else { "" };
        let fast = "opt-level = 3\ndebug-assertions = false\noverflow-checks = false\n";
        format!("[profile.dev.package.{name}]\n{fast}{pieces}")
    };
    CARGO_CONFIG.to_string() + &COMPUTING.iter().map(fast).collect::<String>()
}

/// Makes the template ready; prints what it does.
pub fn run(layout: &Layout) -> Result<()> {
    let lock_path = layout.state.join("template.lock");
    let lock = File::create(&lock_path).with_context(|| format!("cannot make {}", lock_path.display()))?;
    if !try_lock(&lock) {
        bail!("another `prepare` is at work in {}", layout.state.display());
    }
    let stamp = stamp(layout)?;
    let stamp_path = layout.state.join("template.stamp");
    if layout.template().is_dir() && fs::read_to_string(&stamp_path).is_ok_and(|old| old == stamp) {
        println!("The session directory is ready.");
        return Ok(());
    }
    let start = Instant::now();
    let config = layout.state.join(".cargo");
    fs::create_dir_all(&config)?;
    fs::write(config.join("config.toml"), cargo_config())?;
    let fresh = layout.state.join("template.new");
    // What an interrupted `prepare` has built is good: cargo goes on from there.
    if !fresh.is_dir() {
        fs::create_dir(&fresh).with_context(|| format!("cannot make {}", fresh.display()))?;
        if layout.template().is_dir() {
            clone_tree(&layout.template(), &fresh)?;
        }
    }
    let workspace_lock = layout.root.join("Cargo.lock");
    fs::copy(&workspace_lock, fresh.join(file::SEED_LOCK))
        .with_context(|| format!("cannot copy {}", workspace_lock.display()))?;
    println!("Building gpt_lab and what it uses for the notebooks (once; some minutes) …");
    build(layout, &fresh)?;
    replace(&layout.template(), &fresh)?;
    fs::write(&stamp_path, stamp)?;
    println!("The session directory is ready ({:.0} s).", start.elapsed().as_secs_f64());
    Ok(())
}

/// Lets an engine start in the directory: what it builds is what the sessions need.
fn build(layout: &Layout, dir: &Path) -> Result<()> {
    let progress = layout.state.join("prepare.progress");
    File::create(&progress)?;
    let log_path = layout.state.join("prepare.log");
    let log = File::create(&log_path)?;
    let text = |path: &Path| path.to_string_lossy().into_owned();
    let (dir_text, progress_text) = (text(dir), text(&progress));
    let env = [(var::KEEP_DIR, dir_text.as_str()), (var::PROGRESS, progress_text.as_str())];
    let (socket, mut child) = start::engine(&env, Stdio::from(log))?;
    let done = AtomicBool::new(false);
    let outcome = std::thread::scope(|scope| {
        scope.spawn(|| show_progress(&progress, crates_to_build(layout), &done));
        let outcome = wait_until_ready(BufReader::new(&socket));
        done.store(true, Ordering::SeqCst);
        outcome
    });
    drop(socket);
    child.wait()?;
    let _ = fs::remove_file(&progress);
    if let Err(error) = outcome {
        let log = fs::read_to_string(&log_path).unwrap_or_default();
        bail!("the session directory could not be built: {error:#}\n{}", log.trim());
    }
    Ok(())
}

fn wait_until_ready(messages: impl BufRead) -> Result<()> {
    for line in messages.lines() {
        if let Ok(FromEngine::Ready { problem }) = serde_json::from_str(&line?) {
            return problem.map_or(Ok(()), |problem| bail!(problem));
        }
    }
    bail!("the engine ended")
}

fn show_progress(path: &Path, total: usize, done: &AtomicBool) {
    let mut shown = 0;
    while !done.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(300));
        let text = fs::read_to_string(path).unwrap_or_default();
        let names: Vec<&str> = text.lines().collect();
        if names.len() > shown {
            shown = names.len();
            println!("  {shown:>3} of about {total}: {}", names[shown - 1]);
        }
    }
}

/// The crates that `gpt_lab` needs, twice: built for the cells, and looked at for the editor's checks.
fn crates_to_build(layout: &Layout) -> usize {
    let lock = fs::read_to_string(layout.root.join("Cargo.lock")).unwrap_or_default();
    let mut needs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut name = "";
    for line in lock.lines() {
        if let Some(rest) = line.strip_prefix("name = ") {
            name = rest.trim_matches('"');
            needs.entry(name).or_default();
        } else if let Some(rest) = line.strip_prefix(" \"") {
            let dependency = rest.split([' ', '"']).next().unwrap_or_default();
            needs.entry(name).or_default().push(dependency);
        }
    }
    let mut found = BTreeSet::from(["gpt_lab"]);
    let mut open = vec!["gpt_lab"];
    while let Some(name) = open.pop() {
        open.extend(needs.get(name).into_iter().flatten().filter(|next| found.insert(next)));
    }
    2 * found.len()
}

/// Puts the new directory where the old one is.
fn replace(place: &Path, fresh: &Path) -> Result<()> {
    let old = place.with_extension("old");
    let _ = fs::remove_dir_all(&old);
    if place.is_dir() {
        fs::rename(place, &old).with_context(|| format!("cannot move {}", place.display()))?;
    }
    fs::rename(fresh, place).with_context(|| format!("cannot move {}", fresh.display()))?;
    let _ = fs::remove_dir_all(&old);
    Ok(())
}

/// Everything that the template depends on, as one line.
fn stamp(layout: &Layout) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(cargo_config());
    hash.update(env!("CARGO_PKG_VERSION"));
    let compiler =
        Command::new("rustc").arg("-vV").output().context("rustc is not on the PATH: install Rust with rustup")?;
    hash.update(&compiler.stdout);
    hash.update(layout.root.to_string_lossy().as_bytes());
    let mut files =
        vec![layout.root.join("Cargo.toml"), layout.root.join("Cargo.lock"), layout.gpt_lab().join("Cargo.toml")];
    collect_files(&layout.gpt_lab().join("src"), &mut files)?;
    files.sort();
    for file in files {
        hash.update(file.to_string_lossy().as_bytes());
        hash.update(fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?);
    }
    Ok(hex::encode(hash.finalize()))
}
