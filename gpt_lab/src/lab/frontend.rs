//! The program that shows the output of this process.

/// The program that shows the output of this process, and so the kinds of displays that there can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frontend {
    /// A cell of our kernel: displays appear at once and update in place.
    Kernel,
    /// A cell of the plain `evcxr_jupyter`: displays appear when the cell ends.
    PlainEvcxr,
    /// A test or a program: displays are text.
    Terminal,
}

/// The frontend of this process.
pub fn frontend() -> Frontend {
    if std::env::var_os("GPT_LAB_CHANNEL").is_some() {
        Frontend::Kernel
    } else if std::env::var_os("EVCXR_IS_RUNTIME").is_some() {
        Frontend::PlainEvcxr
    } else {
        Frontend::Terminal
    }
}
