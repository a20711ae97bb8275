//! Every name that two processes or two modules agree on: environment variables, files, lines of output.
//!
//! The columns of the tables: who sets, makes or prints it, who reads it, what it says.

/// Environment variables.
///
/// | variable | set by | read by | value |
/// |---|---|---|---|
/// | `GPT_LAB_ROOT` | kernelspec, learner | `gpt_lab_prepare` | project folder |
/// | `GPT_LAB_STATE` | learner, engine (for its last process) | `gpt_lab_prepare` | folder used in place of `.lab` |
/// | `GPT_LAB_TIMING` | learner | `engine::clock` | set: durations of the start on stderr |
/// | `GPT_LAB_CHANNEL` | engine | `gpt_lab` in a cell | named pipe for displays (docs/channel.md) |
/// | `GPT_LAB_INTERRUPT` | engine | `gpt_lab` in a cell | file that exists while a cell is to stop (docs/channel.md) |
/// | `GPT_LAB_MARK` | engine | `gpt_lab` in a cell | word that begins our lines on standard output (docs/channel.md) |
/// | `EVCXR_IS_RUNTIME` | engine | crates in a cell that know evcxr | `1`: displays are possible |
/// | `RUST_BACKTRACE` | learner | removed for cells and the compiler | |
/// | `MALLOC_*`, `*_NUM_THREADS`, `CANDLE_*` | engine, learner | the cells' process | see docs/tuning.md |
/// | `JPY_PARENT_PID` | Jupyter | relay | process that started the kernel |
pub mod var {
    pub use gpt_lab_prepare::layout::{ROOT, STATE};
    pub const TIMING: &str = "GPT_LAB_TIMING";
    pub const CHANNEL: &str = "GPT_LAB_CHANNEL";
    pub const INTERRUPT: &str = "GPT_LAB_INTERRUPT";
    pub const MARK: &str = "GPT_LAB_MARK";
    pub const EVCXR_IS_RUNTIME: &str = "EVCXR_IS_RUNTIME";
    pub const RUST_BACKTRACE: &str = "RUST_BACKTRACE";
    pub const JUPYTERS_PID: &str = "JPY_PARENT_PID";
}

/// Files of a session directory.
///
/// | file | made by | read by | content |
/// |---|---|---|---|
/// | `cell-HASH.rs`, `cell-HASH.rs.N.so` | `compile::rustc` | the compiler, the cells' process | the code of a cell |
/// | `channel` | engine | `gpt_lab` in a cell, engine | `GPT_LAB_CHANNEL` |
/// | `interrupt` | engine | `gpt_lab` in a cell | `GPT_LAB_INTERRUPT` |
/// | `deps` | `engine::dependencies` | cargo | the crate of the learner's `:dep` |
pub mod file {
    pub const CHANNEL: &str = "channel";
    pub const INTERRUPT: &str = "interrupt";
    pub const DEPENDENCIES: &str = "deps";
}

/// Lines on the standard output of the cells' process, read by `engine::output::markers`.
///
/// | line | printed by | meaning |
/// |---|---|---|
/// | `MARK` (the value of `GPT_LAB_MARK`) | `gpt_lab` in a cell | place of a message of the channel (docs/channel.md) |
/// | `MARK value` | the cells' process | what is displayed from now on is the value of the cell |
/// | `MARK input {"prompt": …, "password": …}` | `gpt_lab` in a cell | the cell waits for an answer |
/// | `EVCXR_BEGIN_CONTENT MIME` … `EVCXR_END_CONTENT` | crates that know evcxr | a display |
/// | `EVCXR_FLUSH_OUTPUT` | crates that know evcxr | nothing here: output is shown at once |
/// | `EVCXR_INPUT_REQUEST:PROMPT` | crates that know evcxr | the cell waits for a line of text |
/// | `EVCXR_INPUT_REQUEST_PASSWORD:PROMPT` | crates that know evcxr | the same, for a secret |
pub mod line {
    pub const PREFIX: &str = "EVCXR_";
    pub const CONTENT_BEGIN: &str = "EVCXR_BEGIN_CONTENT ";
    pub const CONTENT_END: &str = "EVCXR_END_CONTENT";
    pub const FLUSH: &str = "EVCXR_FLUSH_OUTPUT";
    pub const INPUT: &str = "EVCXR_INPUT_REQUEST:";
    pub const PASSWORD: &str = "EVCXR_INPUT_REQUEST_PASSWORD:";
}
