//! The Jupyter kernel of gpt_lab. `README.md` beside this crate shows the processes; `cli.rs` the commands.

mod below;
mod cli;
mod engine;
mod failure;
mod install;
mod names;
mod protocol;
mod relay;
mod session;
mod sources;
mod sys;

use below::{cargo, cell, learner, wrapper};
use names::var;
use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    match role() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("gpt_lab_kernel: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The role of this process: evcxr starts us again to run the cells, in the place of cargo and of the shell, and cargo
/// starts us to call the compiler.
fn role() -> anyhow::Result<ExitCode> {
    if is_set(var::EVCXR_IS_RUNTIME) {
        cell::prepare()?;
        evcxr::runtime_hook();
    }
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    if cargo::is_called() {
        return cargo::run(&args);
    }
    if learner::is_shell() {
        learner::shell(&args)?;
    }
    if is_set(var::EVCXR_IS_WRAPPER) {
        // `:cache` is on, and there is no cargo in whose place we stand: evcxr's own wrapper.
        evcxr::runtime_hook();
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    if is_set(var::IS_WRAPPER) {
        wrapper::run(&args)?;
    } else {
        cli::run(&args)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some()
}
