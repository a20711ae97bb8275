//! The one error type of the crate. Each message says what was found, what was expected and where.

use std::path::{Path, PathBuf};

/// A result with this crate's error, for `?` in cells. The second parameter lets code that writes `Result<T, E>` in full go
/// on to mean what it says after a glob import; evcxr puts such code around every cell.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong by way of input; our own mistakes panic instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder that is not there.
    #[error("{}: no such file or folder{hint}", path.display())]
    FileNotFound { path: PathBuf, hint: String },
    /// The system refused to read or write.
    #[error("{}: {action} failed: {source}", path.display())]
    Io { path: PathBuf, action: &'static str, source: std::io::Error },
    /// A file that ends too early or whose header does not fit its contents.
    #[error("{}: the file is truncated or damaged: {detail}", path.display())]
    TruncatedFile { path: PathBuf, detail: String },
    /// A configuration that cannot be read or that describes no model.
    #[error("{context}: {detail}")]
    InvalidConfig { context: String, detail: String },
    /// A tensor that the model needs and the file lacks.
    #[error("{}: tensor `{name}` is missing{hint}", path.display())]
    MissingTensor { path: PathBuf, name: String, hint: String },
    /// A tensor of another shape than the model's.
    #[error("{context}: tensor `{name}` has shape {found:?}, expected {expected:?}")]
    ShapeMismatch { context: String, name: String, expected: Vec<usize>, found: Vec<usize> },
    /// NaN or infinity among the weights.
    #[error(
        "{context}: tensor `{name}` holds {count} value(s) that are not finite (first: {value} at flat index {index})"
    )]
    NonFiniteWeight { context: String, name: String, count: usize, value: f32, index: usize },
    /// A token id that the model has no embedding for.
    #[error("token id {id} at row {row}, position {position} is out of range: the vocabulary has {vocab_size} tokens (0 to {})", vocab_size - 1)]
    TokenOutOfRange { id: i64, row: usize, position: usize, vocab_size: usize },
    /// More positions than the model has position embeddings.
    #[error(
        "the sequence has {length} tokens, the model's context holds {limit} (n_positions); use a shorter one or generate, which slides the window"
    )]
    SequenceTooLong { length: usize, limit: usize },
    /// Nothing to work on.
    #[error("{what} is empty")]
    EmptyInput { what: String },
    /// A character outside a character tokenizer's vocabulary.
    #[error("character {character:?} at position {position} is not in the vocabulary of {vocab_size} characters")]
    UnknownCharacter { character: char, position: usize, vocab_size: usize },
    /// A tokenizer whose ids the model has no embedding for.
    #[error("{}: the tokenizer has {tokenizer} tokens, the model's vocabulary {model}: they do not belong together", path.display())]
    VocabMismatch { path: PathBuf, tokenizer: usize, model: usize },
    /// A file of the Hub that would have to be downloaded, and must not be.
    #[error("{repo}: `{file}` is not in the cache {}, and {why}", cache.display())]
    NotCached { repo: String, file: String, cache: PathBuf, why: String },
    /// The Hub does not give what was asked for.
    #[error("{url}: {detail}")]
    Download { url: String, detail: String },
    /// A download that is not what the Hub announced.
    #[error("{url}: {kind} of the downloaded file is {found}, expected {expected}; it was deleted, try again")]
    ChecksumMismatch { url: String, kind: &'static str, expected: String, found: String },
    /// The stop button was pressed where there is nothing to show for the work so far.
    #[error("{what} was stopped; {hint}")]
    Stopped { what: String, hint: String },
    /// Text shorter than one training window.
    #[error("{what} has {found} tokens, one window needs {needed}")]
    TooShort { what: String, found: usize, needed: usize },
    /// A trainable parameter that no gradient reaches.
    #[error("no gradient reaches {}: the forward pass cuts the chain between it and the loss", names.join(", "))]
    NoGradient { names: Vec<String> },
    /// A loss or gradient that is not finite.
    #[error("{what} is {value} at step {step}")]
    NotFinite { what: String, value: f32, step: usize },
    /// A checkpoint of another model or another program.
    #[error("{}: not a checkpoint for this run: {detail}", path.display())]
    ForeignCheckpoint { path: PathBuf, detail: String },
    /// An adapter that was made for another model, or whose files do not belong together.
    #[error("{}: the adapter does not fit: {detail}", path.display())]
    AdapterBaseMismatch { path: PathBuf, detail: String },
    /// An adapter that computes something which is not implemented here; ignoring it would give wrong numbers.
    #[error("{}: {field} = {value} is not supported: {detail}", path.display())]
    UnsupportedPeftType { path: PathBuf, field: String, value: String, detail: String },
    /// An argument outside its range.
    #[error("{argument} = {value}: {expected}")]
    InvalidArgument { argument: &'static str, value: String, expected: String },
    /// JSON that cannot be read or written.
    #[error("{context}: {source}")]
    Json { context: String, source: serde_json::Error },
    /// An error of the tensor library.
    #[error("{0}")]
    Tensor(String),
}

impl Error {
    /// An argument outside its range: its name, its value and what was expected.
    pub fn argument(argument: &'static str, value: impl ToString, expected: impl Into<String>) -> Self {
        Error::InvalidArgument { argument, value: value.to_string(), expected: expected.into() }
    }

    /// Nothing to work on.
    pub fn empty(what: impl Into<String>) -> Self {
        Error::EmptyInput { what: what.into() }
    }

    /// Wraps a system error, turning "not found" into [`Error::FileNotFound`].
    pub fn io(path: impl AsRef<Path>, action: &'static str, source: std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        match source.kind() {
            std::io::ErrorKind::NotFound => Error::FileNotFound { path, hint: String::new() },
            _ => Error::Io { path, action, source },
        }
    }
}

impl From<candle_core::Error> for Error {
    /// Keeps candle's message and drops its backtrace, which would fill a page of the notebook.
    fn from(error: candle_core::Error) -> Self {
        let text = error.to_string();
        let end = text.find("\n   0:").unwrap_or(text.len());
        Error::Tensor(text[..end].trim_end().to_string())
    }
}

impl From<Error> for candle_core::Error {
    fn from(error: Error) -> Self {
        candle_core::Error::Msg(error.to_string())
    }
}
