//! Every name that two processes or two modules agree on: environment variables, files, lines of output.
//!
//! The columns of the tables: who sets, makes or prints it, who reads it, what it says.

/// Environment variables.
///
/// | variable | set by | read by | value |
/// |---|---|---|---|
/// | `GPT_LAB_ROOT` | kernelspec, engine, learner | `session::layout`, `below::cargo` | project folder |
/// | `GPT_LAB_STATE` | learner, engine (for its last process) | `session::layout` | folder used in place of `.lab` |
/// | `GPT_LAB_TIMING` | learner | `engine::clock` | set: durations of the start on stderr |
/// | `GPT_LAB_ENGINE_DIR` | `session::template` | engine | directory to build in and to keep |
/// | `GPT_LAB_PROGRESS` | `session::template` | `below::wrapper` | file that lists the crates begun, one a line |
/// | `GPT_LAB_CHANNEL` | engine | `gpt_lab` in a cell | named pipe for displays (docs/channel.md) |
/// | `GPT_LAB_INTERRUPT` | engine | `gpt_lab` in a cell | file that exists while a cell is to stop (docs/channel.md) |
/// | `GPT_LAB_PUMP` | engine | `below::cell` | socket to which a process of cells hands its output |
/// | `GPT_LAB_RUSTC_WRAPPER` | `below::cargo` | `main` | set: this binary is called as `RUSTC_WRAPPER` |
/// | `GPT_LAB_CARGO` | engine | `below::cargo`, `below::call` | the real cargo; set: `cargo` may be this binary |
/// | `GPT_LAB_PATH` | engine | `below::learner` | the learner's `PATH`; set: `sh` may be this binary |
/// | `GPT_LAB_CARGO_HOME` | engine | `below::learner` | the learner's `CARGO_HOME`, empty if there is none |
/// | `GPT_LAB_RUST_SRC_PATH` | engine | `below::learner` | the learner's `RUST_SRC_PATH`, empty if there is none |
/// | `PATH` | learner, engine | everybody | in the engine: `tools` of the session directory first |
/// | `CARGO_HOME` | learner, engine | cargo, rust-analyzer, `below::tools` | in the engine: the session's own |
/// | `CARGO_TERM_COLOR` | engine | cargo | `never` |
/// | `RUSTC` | engine | evcxr, cargo, rust-analyzer | the compiler behind rustup's proxy |
/// | `RUSTC_WRAPPER` | learner, `below::cargo` | cargo | for the crates of a session: this binary |
/// | `RUST_SRC_PATH` | learner, engine | rust-analyzer | in the engine: `rust-src` of the session directory |
/// | `RUST_BACKTRACE` | evcxr | removed by `below::cell` | `1` |
/// | `EVCXR_TMPDIR` | engine | evcxr, `below::loaded`, `below::patch` | session directory |
/// | `EVCXR_CONFIG_DIR` | engine | evcxr | a folder that does not exist: no configuration of the learner's |
/// | `EVCXR_IS_RUNTIME` | evcxr | `main`, evcxr | set: this process runs the cells |
/// | `EVCXR_RUSTC_WRAPPER` | evcxr (`:cache`) | `main`, evcxr; removed by `below::cargo` | set: evcxr's own wrapper |
/// | `MALLOC_*`, `*_NUM_THREADS`, `CANDLE_*` | engine, learner | the cells' process | see docs/tuning.md |
/// | `JPY_PARENT_PID` | Jupyter | relay | process that started the kernel |
pub mod var {
    pub const ROOT: &str = "GPT_LAB_ROOT";
    pub const STATE: &str = "GPT_LAB_STATE";
    pub const TIMING: &str = "GPT_LAB_TIMING";
    pub const KEEP_DIR: &str = "GPT_LAB_ENGINE_DIR";
    pub const PROGRESS: &str = "GPT_LAB_PROGRESS";
    pub const CHANNEL: &str = "GPT_LAB_CHANNEL";
    pub const INTERRUPT: &str = "GPT_LAB_INTERRUPT";
    pub const PUMP: &str = "GPT_LAB_PUMP";
    pub const IS_WRAPPER: &str = "GPT_LAB_RUSTC_WRAPPER";
    pub const REAL_CARGO: &str = "GPT_LAB_CARGO";
    pub const LEARNERS_PATH: &str = "GPT_LAB_PATH";
    pub const LEARNERS_CARGO_HOME: &str = "GPT_LAB_CARGO_HOME";
    pub const LEARNERS_RUST_SRC_PATH: &str = "GPT_LAB_RUST_SRC_PATH";
    pub const PATH: &str = "PATH";
    pub const CARGO_HOME: &str = "CARGO_HOME";
    pub const CARGO_TERM_COLOR: &str = "CARGO_TERM_COLOR";
    pub const RUSTC: &str = "RUSTC";
    pub const RUSTC_WRAPPER: &str = "RUSTC_WRAPPER";
    pub const RUST_SRC_PATH: &str = "RUST_SRC_PATH";
    pub const RUST_BACKTRACE: &str = "RUST_BACKTRACE";
    pub const EVCXR_DIR: &str = "EVCXR_TMPDIR";
    pub const EVCXR_CONFIG: &str = "EVCXR_CONFIG_DIR";
    pub const EVCXR_IS_RUNTIME: &str = "EVCXR_IS_RUNTIME";
    pub const EVCXR_IS_WRAPPER: &str = "EVCXR_RUSTC_WRAPPER";
    pub const JUPYTERS_PID: &str = "JPY_PARENT_PID";
}

/// Files of a session directory.
///
/// | file | made by | read by | content |
/// |---|---|---|---|
/// | `Cargo.toml`, `src/lib.rs` | evcxr | cargo, `below` | the crate of the latest cell |
/// | `Cargo.lock` | cargo, engine | cargo | versions of all crates |
/// | `seed.lock` | `session::template` | engine | the project's `Cargo.lock`, for the above before the first cell |
/// | `cells.sock` | engine | `below::cell` | `GPT_LAB_PUMP` |
/// | `channel` | engine | `gpt_lab` in a cell, engine | `GPT_LAB_CHANNEL` |
/// | `interrupt` | engine | `gpt_lab` in a cell | `GPT_LAB_INTERRUPT` |
/// | `no-config` | nobody | evcxr | `EVCXR_CONFIG_DIR` |
/// | `rust-src` | `below::tools` | rust-analyzer | at first an empty standard library, then the learner's or nothing |
/// | `home`, `tools` | `below::tools` | rust-analyzer; evcxr | folders in which this binary is `cargo` |
/// | `own-format` | engine | `below::patch` | exists: the learner has chosen a format for values (`:fmt`, `:types`) |
/// | `gpt_lab.loaded` | `below::loaded` | `below::loaded` | what the compiler made of the `gpt_lab` that is loaded |
/// | `gpt_lab.changed` | `below::loaded` | engine | exists: the learner has changed `gpt_lab` since |
/// | `rustc.call` | `below::call` | `below::call` | how rustc was called for the latest cell |
/// | `rustc.stamp` | `below::cargo` | `below::cargo` | hash of everything that this call depends on |
pub mod file {
    pub const MANIFEST: &str = "Cargo.toml";
    pub const SOURCE: &str = "src/lib.rs";
    pub const LOCK: &str = "Cargo.lock";
    pub const SEED_LOCK: &str = "seed.lock";
    pub const PUMP: &str = "cells.sock";
    pub const CHANNEL: &str = "channel";
    pub const INTERRUPT: &str = "interrupt";
    pub const NO_CONFIG: &str = "no-config";
    pub const RUST_SRC: &str = "rust-src";
    pub const HOME: &str = "home";
    pub const TOOLS: &str = "tools";
    pub const OWN_FORMAT: &str = "own-format";
    pub const LOADED: &str = "gpt_lab.loaded";
    pub const CHANGED: &str = "gpt_lab.changed";
    pub const CALL: &str = "rustc.call";
    pub const STAMP: &str = "rustc.stamp";
}

/// Lines on the standard output of the cells' process. All are read by `engine::output::markers`; those with a † are
/// passed on to evcxr.
///
/// | line | printed by | meaning |
/// |---|---|---|
/// | `EVCXR_EXECUTION_COMPLETE` † | evcxr | the cell has ended |
/// | `EVCXR_PANIC_NOTIFICATION` † | evcxr | the cell has panicked; it ends soon |
/// | `EVCXR_ERROR_OCCURRED` † | evcxr | a `?` has left the cell early |
/// | `EVCXR_VARIABLE_CHANGED_TYPE:NAME` † | `below::store` | a variable is lost, its type was defined anew |
/// | `EVCXR_INPUT_REQUEST:PROMPT` † | evcxr | the cell waits for a line of text |
/// | `EVCXR_INPUT_REQUEST_PASSWORD:PROMPT` † | evcxr | the same, for a secret |
/// | `EVCXR_BEGIN_CONTENT MIME` … `EVCXR_END_CONTENT` | cell | a display |
/// | `EVCXR_GPT_LAB_SENT` | `gpt_lab` in a cell | place of a message of the channel (docs/channel.md) |
/// | `EVCXR_GPT_LAB_RESULT` | cell (`below::patch`) | the display that follows is the value of the cell |
/// | `EVCXR_GPT_LAB_ERROR_BEGIN LINE TYPE` … `EVCXR_GPT_LAB_ERROR_END` | cell (`below::patch`) | the error of a `?` |
pub mod line {
    pub const COMPLETE: &str = "EVCXR_EXECUTION_COMPLETE";
    pub const PANIC: &str = "EVCXR_PANIC_NOTIFICATION";
    pub const QUESTION: &str = "EVCXR_ERROR_OCCURRED";
    pub const TYPE_CHANGED: &str = "EVCXR_VARIABLE_CHANGED_TYPE:";
    pub const INPUT: &str = "EVCXR_INPUT_REQUEST:";
    pub const PASSWORD: &str = "EVCXR_INPUT_REQUEST_PASSWORD:";
    pub const CONTENT_BEGIN: &str = "EVCXR_BEGIN_CONTENT ";
    pub const CONTENT_END: &str = "EVCXR_END_CONTENT";
    pub const SENT: &str = "EVCXR_GPT_LAB_SENT";
    pub const RESULT: &str = "EVCXR_GPT_LAB_RESULT";
    pub const ERROR_BEGIN: &str = "EVCXR_GPT_LAB_ERROR_BEGIN ";
    pub const ERROR_END: &str = "EVCXR_GPT_LAB_ERROR_END";
}
