//! `gpt-lab doctor`: is everything here that the lab needs, and if not, what helps?

use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use clap::Args;
use gpt_lab::data::missing_corpus_crates;
use gpt_lab::{Error, Result};
use serde::Deserialize;

/// What the lab needs before anything is built. `make setup` checks the same with the same file.
const PREREQUISITES: &str = include_str!("../../tools/prerequisites.py");

const NOTES: &str = "\
Prints one line for each thing that the lab needs: ok, warning or problem, and what helps.
The exit code is 1 if there is a problem.";

/// Check this set-up: toolchain, Python, JupyterLab, kernel, corpus, disk
#[derive(Args)]
#[command(after_help = NOTES)]
pub struct Options {
    /// Folder of the lab [default: the one above the current folder that holds gpt_lab/]
    #[arg(long, value_name = "FOLDER")]
    root: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Ok,
    Warning,
    Problem,
}

/// One line of the report, and a line for each cure.
#[derive(Debug)]
struct Check {
    level: Level,
    what: String,
    found: String,
    cures: Vec<String>,
}

impl Check {
    fn new(level: Level, what: &str, found: impl Into<String>, cure: &str) -> Self {
        let cures = if level == Level::Ok { Vec::new() } else { vec![cure.to_string()] };
        Check { level, what: what.into(), found: found.into(), cures }
    }

    /// Ok if something was found, otherwise of this level.
    fn of(what: &str, found: Option<String>, level: Level, cure: &str) -> Self {
        match found {
            Some(found) => Check::new(Level::Ok, what, found, cure),
            None => Check::new(level, what, "not found", cure),
        }
    }
}

/// Runs the command.
pub fn run(options: Options) -> Result<ExitCode> {
    let root = options.root.unwrap_or_else(lab_folder);
    let root = root.canonicalize().map_err(|e| Error::io(&root, "reading", e))?;
    let checks = checks(&root);
    for check in &checks {
        let mark = match check.level {
            Level::Ok => "ok     ",
            Level::Warning => "warning",
            Level::Problem => "PROBLEM",
        };
        println!("{mark}  {:14} {}", check.what, check.found);
        check.cures.iter().for_each(|cure| println!("{:24} {cure}", ""));
    }
    let count = |level| checks.iter().filter(|check| check.level == level).count();
    println!("ok: {}, warnings: {}, problems: {}", count(Level::Ok), count(Level::Warning), count(Level::Problem));
    Ok(if count(Level::Problem) > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn checks(root: &Path) -> Vec<Check> {
    let venv = root.join(".venv");
    let jupyter = first_line(Command::new(venv.join("bin/jupyter-lab")).arg("--version"));
    let mut checks = prerequisites(root);
    checks.extend([
        Check::of("JupyterLab", jupyter, Level::Problem, "run make setup in the lab's folder"),
        kernel(&venv),
        Check::of(
            "cells",
            compiled_gpt_lab(root),
            Level::Warning,
            "the first cell will take minutes to compile; make setup prepares it",
        ),
        corpus(),
        threads(),
    ]);
    checks
}

/// An entry of what `tools/prerequisites.py` prints.
#[derive(Deserialize)]
struct Entry {
    what: String,
    found: String,
    problems: Vec<String>,
    warnings: Vec<String>,
}

impl From<Entry> for Check {
    fn from(entry: Entry) -> Self {
        let level = match (&entry.problems[..], &entry.warnings[..]) {
            ([], []) => Level::Ok,
            ([], _) => Level::Warning,
            _ => Level::Problem,
        };
        Check { level, what: entry.what, found: entry.found, cures: [entry.problems, entry.warnings].concat() }
    }
}

fn prerequisites(root: &Path) -> Vec<Check> {
    let entries = asked_of_python(root).and_then(|answer| serde_json::from_slice::<Vec<Entry>>(&answer).ok());
    let Some(entries) = entries else {
        let cure = "install Python 3.10 or newer with its venv module, for instance the packages python3 and \
                    python3-venv; it also checks Rust, the linker and the disk";
        return vec![Check::new(Level::Problem, "python3", "does not run", cure)];
    };
    entries.into_iter().map(Check::from).collect()
}

/// What `tools/prerequisites.py` prints, if Python runs it.
fn asked_of_python(root: &Path) -> Option<Vec<u8>> {
    let mut command = Command::new("python3");
    command.arg("-").arg(root).arg(env!("CARGO_PKG_RUST_VERSION"));
    let mut python = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    python.stdin.take()?.write_all(PREREQUISITES.as_bytes()).ok()?;
    let output = python.wait_with_output().ok()?;
    output.status.success().then_some(output.stdout)
}

/// The kernelspec, and the program that it names.
fn kernel(venv: &Path) -> Check {
    let path = venv.join("share/jupyter/kernels/gpt_lab/kernel.json");
    let spec = std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok());
    let program = spec.and_then(|spec| Some(PathBuf::from(spec["argv"][0].as_str()?)));
    let found = program.filter(|program| program.is_file()).map(|program| program.display().to_string());
    Check::of("kernel", found, Level::Problem, "JupyterLab does not know the lab's kernel: run make setup")
}

fn corpus() -> Check {
    let cure = "char_gpt reads the sources of the lab's own dependencies: run cargo fetch in the lab's folder";
    let (level, found) = match missing_corpus_crates() {
        Ok(missing) if missing.is_empty() => (Level::Ok, "all crates are in Cargo's registry folder".to_string()),
        Ok(missing) => (Level::Problem, format!("missing: {}", missing.join(", "))),
        Err(error) => (Level::Problem, error.to_string()),
    };
    Check::new(level, "corpus", found, cure)
}

fn threads() -> Check {
    let n = std::thread::available_parallelism().map_or(1, usize::from);
    let asked = env::var("RAYON_NUM_THREADS").ok().and_then(|text| text.parse::<usize>().ok()).filter(|&n| n > 0);
    let found = match asked {
        Some(asked) => format!("{asked} of {n} (RAYON_NUM_THREADS)"),
        None => n.to_string(),
    };
    let level = if asked.is_some_and(|asked| asked < n) { Level::Warning } else { Level::Ok };
    Check::new(level, "threads", found, "training could use more: unset RAYON_NUM_THREADS")
}

/// The folder above the current one that holds the crate `gpt_lab`, or the current one.
fn lab_folder() -> PathBuf {
    let here = env::current_dir().unwrap_or_default();
    let lab = here.ancestors().find(|folder| folder.join("gpt_lab/Cargo.toml").is_file());
    lab.map(Path::to_path_buf).unwrap_or(here)
}

/// What cells compile against, from a set-up or from a kernel; `new` is one that is being built.
fn compiled_gpt_lab(root: &Path) -> Option<String> {
    let bases = root.join(".lab/base").read_dir().ok()?;
    let ready = bases.filter_map(|entry| Some(entry.ok()?.path())).find(|path| path.is_dir() && !path.ends_with("new"));
    ready.map(|path| path.display().to_string())
}

/// The first line that a program prints, if it runs and succeeds.
fn first_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str) -> Check {
        Check::from(serde_json::from_str::<Entry>(json).unwrap())
    }

    #[test]
    fn an_entry_without_remarks_is_ok_and_a_problem_outweighs_a_warning() {
        let fine = check(r#"{"what": "rustc", "found": "1.95", "problems": [], "warnings": []}"#);
        assert_eq!((fine.level, fine.cures.len()), (Level::Ok, 0));
        let warned = check(r#"{"what": "rust-src", "found": "no", "problems": [], "warnings": ["add it"]}"#);
        assert_eq!((warned.level, &warned.cures[..]), (Level::Warning, &["add it".to_string()][..]));
        let wrong = check(r#"{"what": "disk", "found": "1 GB", "problems": ["make room"], "warnings": ["x"]}"#);
        assert_eq!((wrong.level, &wrong.cures[0][..]), (Level::Problem, "make room"));
    }

    #[test]
    fn every_prerequisite_is_reported_by_name() {
        let names: Vec<String> = prerequisites(Path::new("/")).into_iter().map(|check| check.what).collect();
        assert_eq!(names, ["rustc", "rust-src", "linker", "python3", "disk"]);
    }
}
