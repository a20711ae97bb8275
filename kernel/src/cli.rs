//! The commands.

use crate::install::{self, Target};
use crate::session::base;
use crate::session::{self, Layout};
use crate::sys::procs;
use crate::{cells, engine, relay};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

const HELP: &str = "\
The Jupyter kernel of gpt_lab.

  gpt_lab_kernel --connection-file FILE     run as a kernel (Jupyter does this)
  gpt_lab_kernel install [WHERE]            tell Jupyter about it; WHERE is one of
                                              --user (default), --prefix DIR, --sys-prefix
  gpt_lab_kernel prepare                    build what every session starts from
  gpt_lab_kernel clean [--after PID]        remove what dead kernels have left (once process PID is gone)
  gpt_lab_kernel --version | --help

The project is found from GPT_LAB_ROOT or from the working directory upward; GPT_LAB_STATE puts its
.lab folder elsewhere. GPT_LAB_TIMING=1 shows on stderr how long the parts of the start take.";

/// Runs the command that the arguments name.
pub fn run(args: &[String]) -> Result<()> {
    let Some((command, rest)) = args.split_first() else { bail!("a command is missing\n\n{HELP}") };
    match command.as_str() {
        "--connection-file" | "--connection_file" => serve(Path::new(only(rest, "the connection file")?)),
        "engine" => engine::run(rest),
        "install" => {
            let place = install::install(&Layout::find()?, &target(rest)?)?;
            println!("Installed the kernel \"Rust (gpt_lab)\" in {}", place.display());
            Ok(())
        }
        "cells" => none(rest).and_then(|()| cells::run()),
        "prepare" => none(rest).and_then(|()| prepare()),
        "clean" => clean(rest),
        "--help" | "-h" => {
            println!("{HELP}");
            Ok(())
        }
        "--version" | "-V" => {
            println!("gpt_lab_kernel {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        other => bail!("{other} is not a command\n\n{HELP}"),
    }
}

fn prepare() -> Result<()> {
    let base = base::ready(&Layout::find()?, &mut |line| println!("  {line}"))?;
    println!("Ready: {}", base.folder.display());
    Ok(())
}

fn clean(rest: &[String]) -> Result<()> {
    match rest {
        [flag, pid] if flag == "--after" => procs::wait_gone(process_id(pid)?),
        _ => none(rest)?,
    }
    println!("Removed {} session(s) of dead kernels.", session::collect_garbage(&Layout::find()?));
    Ok(())
}

fn process_id(text: &str) -> Result<i32> {
    text.parse().with_context(|| format!("{text} is not a process id"))
}

fn serve(connection_file: &Path) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(relay::run(connection_file));
    runtime.shutdown_background();
    result
}

fn none(rest: &[String]) -> Result<()> {
    if rest.is_empty() { Ok(()) } else { bail!("unexpected: {}", rest.join(" ")) }
}

fn only<'a>(rest: &'a [String], what: &str) -> Result<&'a str> {
    match rest {
        [one] => Ok(one),
        [] => bail!("{what} is missing"),
        _ => bail!("one argument is expected, {what}, not {}", rest.len()),
    }
}

fn target(rest: &[String]) -> Result<Target> {
    let words: Vec<&str> = rest.iter().map(String::as_str).collect();
    match words[..] {
        [] | ["--user"] => Ok(Target::User),
        ["--sys-prefix"] => Ok(Target::SysPrefix),
        ["--prefix", folder] => Ok(Target::Prefix(PathBuf::from(folder))),
        _ => bail!("install takes --user, --sys-prefix or --prefix DIR, not {}", words.join(" ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Target> {
        target(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn install_knows_three_places() {
        assert_eq!(parse(&[]).unwrap(), Target::User);
        assert_eq!(parse(&["--sys-prefix"]).unwrap(), Target::SysPrefix);
        assert_eq!(parse(&["--prefix", "x"]).unwrap(), Target::Prefix("x".into()));
        for wrong in [&["--prefix"][..], &["x"], &["--user", "--sys-prefix"]] {
            assert!(parse(wrong).is_err());
        }
    }

    #[test]
    fn unknown_commands_are_refused() {
        assert!(run(&["frobnicate".to_owned()]).is_err());
        assert!(run(&["prepare".to_owned(), "x".to_owned()]).is_err());
    }
}
