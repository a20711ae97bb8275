//! `gpt-lab doctor`: is everything here that the lab needs, and if not, what helps?

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use gpt_lab::data::missing_corpus_crates;
use lexopt::prelude::*;

use crate::Outcome;

const HELP: &str = "\
gpt-lab doctor: check this set-up

Usage: gpt-lab doctor [--root FOLDER]

Prints one line for each thing that the lab needs: ok, warning or problem, and what helps.
The exit code is 1 if there is a problem.

Options:
  --root FOLDER   The lab's folder (default: the one above the current folder that holds gpt_lab/)
";

/// The oldest rustc that compiles the lab.
const RUSTC: (u32, u32) = (1, 95);
/// Room that a first set-up takes, in GiB.
const DISK_GIB: u64 = 6;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Ok,
    Warning,
    Problem,
}

/// One line of the report.
struct Check {
    level: Level,
    what: &'static str,
    found: String,
    cure: &'static str,
}

impl Check {
    /// Fine if there is something, otherwise of this level and with this cure.
    fn new(what: &'static str, found: Option<String>, level: Level, cure: &'static str) -> Self {
        match found {
            Some(found) => Check { level: Level::Ok, what, found, cure },
            None => Check { level, what, found: "not found".into(), cure },
        }
    }
}

/// Runs the command.
pub fn run(mut parser: lexopt::Parser) -> Outcome {
    let mut root = None;
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(ExitCode::SUCCESS);
            }
            Long("root") => root = Some(PathBuf::from(parser.value()?)),
            other => return Err(other.unexpected().into()),
        }
    }
    let checks = checks(&root.unwrap_or_else(lab_folder));
    for check in &checks {
        let mark = match check.level {
            Level::Ok => "ok     ",
            Level::Warning => "warning",
            Level::Problem => "PROBLEM",
        };
        println!("{mark}  {:14} {}", check.what, check.found);
        if check.level != Level::Ok {
            println!("{:24} {}", "", check.cure);
        }
    }
    let count = |level| checks.iter().filter(|check| check.level == level).count();
    println!("ok: {}, warnings: {}, problems: {}", count(Level::Ok), count(Level::Warning), count(Level::Problem));
    Ok(if count(Level::Problem) > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn checks(root: &Path) -> Vec<Check> {
    let venv = root.join(".venv");
    let python = "import sys, venv, ensurepip; print('Python', sys.version.split()[0], 'with venv')";
    let linker = first_line("cc", &["--version"]);
    vec![
        rustc(),
        Check::new("cargo", first_line("cargo", &["--version"]), Level::Problem, "install Rust from https://rustup.rs"),
        rust_src(),
        Check::new("linker", linker, Level::Problem, "install a C compiler, for instance the package build-essential"),
        Check::new(
            "python3",
            first_line("python3", &["-c", python]),
            Level::Problem,
            "install Python 3 with its venv module, for instance the packages python3 and python3-venv",
        ),
        Check::new(
            "JupyterLab",
            first_line(venv.join("bin/jupyter-lab"), &["--version"]),
            Level::Problem,
            "run make setup in the lab's folder",
        ),
        kernel(&venv),
        Check::new(
            "session",
            existing(&root.join(".lab/template")),
            Level::Warning,
            "the first cell will take minutes to compile; make setup prepares it",
        ),
        corpus(),
        disk(root),
        threads(),
    ]
}

fn rustc() -> Check {
    let cure = "the lab needs rustc 1.95 or newer: rustup update stable";
    let mut check = Check::new("rustc", first_line("rustc", &["--version"]), Level::Problem, cure);
    if check.level == Level::Ok && version(&check.found).is_none_or(|found| found < RUSTC) {
        check.level = Level::Problem;
    }
    check
}

/// `(1, 95)` of `rustc 1.95.0 (…)`.
fn version(line: &str) -> Option<(u32, u32)> {
    let mut numbers = line.split_whitespace().nth(1)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn rust_src() -> Check {
    let sysroot = first_line("rustc", &["--print", "sysroot"]);
    let found = sysroot.and_then(|path| existing(&Path::new(&path).join("lib/rustlib/src/rust/library")));
    let cure = "completion cannot see the standard library: rustup component add rust-src";
    Check::new("rust-src", found, Level::Warning, cure)
}

/// The kernelspec, and the program that it names.
fn kernel(venv: &Path) -> Check {
    let path = venv.join("share/jupyter/kernels/gpt_lab/kernel.json");
    let spec = std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok());
    let program = spec.and_then(|spec| Some(PathBuf::from(spec["argv"][0].as_str()?)));
    let found = program.filter(|program| program.is_file()).map(|program| program.display().to_string());
    Check::new("kernel", found, Level::Problem, "JupyterLab does not know the lab's kernel: run make setup")
}

fn corpus() -> Check {
    let cure = "char_gpt reads the sources of the lab's own dependencies: run cargo fetch in the lab's folder";
    let (level, found) = match missing_corpus_crates() {
        Ok(missing) if missing.is_empty() => (Level::Ok, "all crates are in Cargo's registry folder".to_string()),
        Ok(missing) => (Level::Problem, format!("missing: {}", missing.join(", "))),
        Err(error) => (Level::Problem, error.to_string()),
    };
    Check { level, what: "corpus", found, cure }
}

fn disk(root: &Path) -> Check {
    let cure = "a first set-up takes about 6 GiB: make room";
    let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
    let output = Command::new("df").arg("-Pk").arg(root).output().ok();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let free = text.lines().nth(1).and_then(|line| line.split_whitespace().nth(3)?.parse::<u64>().ok());
    let mut check = Check::new("disk", free.map(|kib| format!("{} GiB free", kib >> 20)), Level::Warning, cure);
    if free.is_some_and(|kib| kib >> 20 < DISK_GIB) {
        check.level = Level::Warning;
    }
    check
}

fn threads() -> Check {
    let n = std::thread::available_parallelism().map_or(1, usize::from);
    let asked = env::var("RAYON_NUM_THREADS").ok().and_then(|text| text.parse::<usize>().ok()).filter(|&n| n > 0);
    let found = match asked {
        Some(asked) => format!("{asked} of {n} (RAYON_NUM_THREADS)"),
        None => n.to_string(),
    };
    let level = if asked.is_some_and(|asked| asked < n) { Level::Warning } else { Level::Ok };
    Check { level, what: "threads", found, cure: "training could use more: unset RAYON_NUM_THREADS" }
}

/// The folder above the current one that holds the crate `gpt_lab`, or the current one.
fn lab_folder() -> PathBuf {
    let here = env::current_dir().unwrap_or_default();
    let lab = here.ancestors().find(|folder| folder.join("gpt_lab/Cargo.toml").is_file());
    lab.map(Path::to_path_buf).unwrap_or(here)
}

fn existing(path: &Path) -> Option<String> {
    path.exists().then(|| path.display().to_string())
}

/// The first line that a program prints, if it runs and succeeds.
fn first_line(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(version("rustc 1.95.0 (59807616e 2026-04-14)"), Some((1, 95)));
        assert!(version("rustc 1.100.0-nightly").unwrap() > RUSTC);
        assert!(version("rustc 1.9.0").unwrap() < RUSTC);
        assert_eq!(version("rustc"), None);
    }

    #[test]
    fn a_folder_without_a_lab_has_problems_with_cures() {
        let checks = checks(Path::new("/no/such/folder"));
        for what in ["JupyterLab", "kernel", "session", "disk"] {
            let check = checks.iter().find(|check| check.what == what).unwrap();
            assert!(check.level != Level::Ok && !check.cure.is_empty(), "{what}: {}", check.found);
        }
    }
}
