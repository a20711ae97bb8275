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
mod sys;

use below::{cargo, cell, wrapper};
use names::var;
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

/// One binary, several roles: evcxr starts us again to run the cells and in the place of cargo, cargo to call the compiler.
fn role() -> anyhow::Result<ExitCode> {
    if std::env::var_os(var::EVCXR_IS_RUNTIME).is_some() {
        cell::prepare()?;
        evcxr::runtime_hook();
    }
    if cargo::is_called() {
        return cargo::run(std::env::args_os().skip(1).collect());
    }
    if std::env::var_os(var::EVCXR_IS_WRAPPER).is_some() {
        // `:cache` is on, and there is no cargo in whose place we stand: evcxr's own wrapper.
        evcxr::runtime_hook();
    }
    let mut args = std::env::args().skip(1);
    if std::env::var_os(var::IS_WRAPPER).is_some() {
        wrapper::run(args.collect())?;
    } else {
        cli::run(&mut args)?;
    }
    Ok(ExitCode::SUCCESS)
}
