//! Between cargo and rustc, for every crate of a session: cells are changed (`patch.rs`) and their calls written down
//! (`call.rs`), `gpt_lab` is not built again while it is loaded (`loaded.rs`), everything else goes to the compiler.

use super::{call, loaded, patch};
use crate::names::{file, var};
use anyhow::{Context, Result};
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Runs the compiler that cargo asked for (`args` starts with its path).
pub fn run(args: &[String]) -> Result<()> {
    let (compiler, rest) = args.split_first().context("cargo named no compiler")?;
    let variables = environment();
    match crate_name(rest) {
        Some("ctx") => {
            patch::patch_file(Path::new(file::SOURCE))?;
            // `cargo check`, which evcxr calls for a better message, makes no library.
            if rest.iter().any(|arg| arg.starts_with("--emit=") && arg.ends_with("link")) {
                call::record(args, &variables)?;
            }
        }
        Some(name) if loaded::restore(name, rest)? => return Ok(()),
        _ => {}
    }
    report_progress(rest)?;
    let error = Command::new(compiler).args(rest).env_clear().envs(variables).exec();
    Err(error).with_context(|| format!("cannot start {compiler}"))
}

/// The compiler's environment: what is good for the cells' memory is not for a compiler, nor for a linker with several
/// threads.
fn environment() -> Vec<(OsString, OsString)> {
    std::env::vars_os().filter(|(name, _)| !name.as_encoded_bytes().starts_with(b"MALLOC_")).collect()
}

fn report_progress(args: &[String]) -> Result<()> {
    if let (Some(path), Some(name)) = (std::env::var_os(var::PROGRESS), crate_name(args))
        && name != "___"
    {
        let mut list = File::options().append(true).open(path)?;
        list.write_all(format!("{name}\n").as_bytes())?;
    }
    Ok(())
}

fn crate_name(args: &[String]) -> Option<&str> {
    args.windows(2).find(|pair| pair[0] == "--crate-name").map(|pair| pair[1].as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crate_is_found_among_the_arguments() {
        let args: Vec<String> = ["--edition", "2024", "--crate-name", "ctx"].map(String::from).into();
        assert_eq!(crate_name(&args), Some("ctx"));
    }
}
