//! The stop button.

/// `true` once the learner has pressed stop (docs/channel.md).
pub fn interrupted() -> bool {
    std::env::var_os("GPT_LAB_INTERRUPT").is_some_and(|path| std::path::Path::new(&path).exists())
}
