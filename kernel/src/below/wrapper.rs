//! Between cargo and rustc, for every crate of a session: cells are changed (`patch.rs`) and their calls written down
//! (`call.rs`), `gpt_lab` is not built again while it is loaded (`loaded.rs`), everything else goes to the compiler.

use super::{call, loaded, patch};
use crate::names::{file, var};
use anyhow::{Context, Result};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// What is good for the cells' memory is not for a compiler, nor for a linker with several threads.
fn forget_allocator_settings() {
    let names = std::env::vars_os().map(|(name, _)| name);
    for name in names.filter(|name| name.as_encoded_bytes().starts_with(b"MALLOC_")).collect::<Vec<_>>() {
        // SAFETY: this process has one thread.
        unsafe { std::env::remove_var(name) };
    }
}

/// Runs the compiler that cargo asked for (`args` starts with its path).
pub fn run(args: Vec<String>) -> Result<()> {
    let (compiler, rest) = args.split_first().context("cargo named no compiler")?;
    forget_allocator_settings();
    match crate_name(rest) {
        Some("ctx") => {
            patch::patch_file(Path::new(file::SOURCE))?;
            // `cargo check`, which evcxr calls for a better message, makes no library.
            if rest.iter().any(|arg| arg.starts_with("--emit=") && arg.ends_with("link")) {
                call::record(compiler, rest)?;
            }
        }
        Some("gpt_lab") if loaded::restore(rest)? => return Ok(()),
        _ => {}
    }
    report_progress(rest)?;
    Err(Command::new(compiler).args(rest).exec()).context(format!("cannot start {compiler}"))
}

fn report_progress(args: &[String]) -> Result<()> {
    use std::io::Write;
    if let (Some(path), Some(name)) = (std::env::var_os(var::PROGRESS), crate_name(args))
        && name != "___"
    {
        let mut file = std::fs::File::options().append(true).open(path)?;
        file.write_all(format!("{name}\n").as_bytes())?;
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
