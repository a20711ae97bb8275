//! Builds the template directory, once and whenever what it is made of has changed.

use super::copy::clone_tree;
use super::layout::Layout;
use super::{config, lock_file, manifest, start};
use crate::names::{file, var};
use crate::protocol::FromEngine;
use crate::sources;
use crate::sys::files::{replace_file, try_lock};
use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Makes the template ready; prints what it does.
pub fn run(layout: &Layout) -> Result<()> {
    let lock_path = layout.state.join("template.lock");
    let lock = File::create(&lock_path).with_context(|| format!("cannot make {}", lock_path.display()))?;
    if !try_lock(&lock) {
        bail!("another `prepare` is at work in {}", layout.state.display());
    }
    let config = config::of(&manifest::computing(&layout.gpt_lab())?);
    let stamp = stamp(layout, &config)?;
    let stamp_path = layout.state.join("template.stamp");
    if layout.template().is_dir() && fs::read_to_string(&stamp_path).is_ok_and(|old| old == stamp) {
        println!("The session directory is ready.");
        return Ok(());
    }
    let start = Instant::now();
    let folder = layout.state.join(".cargo");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("config.toml"), config)?;
    println!("Building gpt_lab and what it uses for the notebooks (once; some minutes) …");
    let fresh = begin(layout)?;
    build(layout, &fresh)?;
    replace(&layout.template(), &fresh)?;
    replace_file(&stamp_path, stamp.as_bytes())?;
    println!("The session directory is ready ({:.0} s).", start.elapsed().as_secs_f64());
    Ok(())
}

/// The directory to build in, with what is built already, and the versions of all crates.
fn begin(layout: &Layout) -> Result<PathBuf> {
    let fresh = layout.state.join("template.new");
    // What an interrupted `prepare` has built is good: cargo goes on from there.
    if !fresh.is_dir() {
        fs::create_dir(&fresh).with_context(|| format!("cannot make {}", fresh.display()))?;
        if layout.template().is_dir() {
            clone_tree(&layout.template(), &fresh)?;
        }
    }
    let lock = layout.root.join("Cargo.lock");
    fs::copy(&lock, fresh.join(file::SEED_LOCK)).with_context(|| format!("cannot copy {}", lock.display()))?;
    Ok(fresh)
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
    // Each crate twice: built for the cells, and looked at for the editor's checks.
    let lock = fs::read_to_string(layout.root.join("Cargo.lock")).unwrap_or_default();
    let total = 2 * lock_file::needed_by("gpt_lab", &lock).len();
    let done = AtomicBool::new(false);
    let outcome = std::thread::scope(|scope| {
        scope.spawn(|| show_progress(&progress, total, &done));
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

/// The hash of everything that the template depends on.
fn stamp(layout: &Layout, config: &str) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(config);
    hash.update(env!("CARGO_PKG_VERSION"));
    let compiler =
        Command::new("rustc").arg("-vV").output().context("rustc is not on the PATH: install Rust with rustup")?;
    hash.update(&compiler.stdout);
    hash.update(layout.root.to_string_lossy().as_bytes());
    let mut files = vec![layout.root.join("Cargo.toml"), layout.root.join("Cargo.lock")];
    files.extend(sources::of_cells(&layout.gpt_lab())?);
    files.sort();
    for file in files {
        hash.update(file.to_string_lossy().as_bytes());
        hash.update(fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?);
    }
    Ok(hex::encode(hash.finalize()))
}
