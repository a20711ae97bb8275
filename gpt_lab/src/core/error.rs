//! The one error type of the crate. Each message names the value that was found, the one that was expected, and its
//! place.

use std::path::{Path, PathBuf};

/// A result with this crate's error, for `?` in cells. The second parameter keeps the meaning of code that writes
/// `Result<T, E>` in full after a glob import; crates that know evcxr put such code around a cell's.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can be wrong with an input; our own mistakes panic instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder that is not there.
    #[error("{}: no such file or folder{hint}", path.display())]
    FileNotFound {
        /// Its path.
        path: PathBuf,
        /// Advice, as the rest of the sentence; may be empty.
        hint: String,
    },
    /// The system refused to read or write.
    #[error("{}: {action} failed: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The refused action, such as `reading`.
        action: &'static str,
        /// The system's own error.
        source: std::io::Error,
    },
    /// A file that ends too early or whose header does not fit its contents.
    #[error("{}: the file is truncated or damaged: {detail}", path.display())]
    TruncatedFile {
        /// The file.
        path: PathBuf,
        /// The damage.
        detail: String,
    },
    /// A configuration that cannot be read or that describes no model.
    #[error("{context}: {detail}")]
    InvalidConfig {
        /// The file, with line or row if there is one.
        context: String,
        /// The mistake, with the field.
        detail: String,
    },
    /// A tensor that the model needs and the file lacks.
    #[error("{}: tensor `{name}` is missing{hint}", path.display())]
    MissingTensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Advice, as the rest of the sentence; may be empty.
        hint: String,
    },
    /// A tensor of another shape than the model's.
    #[error("{context}: tensor `{name}` has shape {found:?}, expected {expected:?}")]
    ShapeMismatch {
        /// The file or the operation.
        context: String,
        /// The tensor.
        name: String,
        /// The model's shape.
        expected: Vec<usize>,
        /// The tensor's shape.
        found: Vec<usize>,
    },
    /// NaN or infinity among the weights.
    #[error(
        "{context}: tensor `{name}` holds {count} value(s) that are not finite (first: {value} at flat index {index})"
    )]
    NonFiniteWeight {
        /// The file.
        context: String,
        /// The tensor.
        name: String,
        /// Number of such values.
        count: usize,
        /// The first of them.
        value: f32,
        /// Its index in the flattened tensor.
        index: usize,
    },
    /// A token id that the model has no embedding for.
    #[error(
        "token id {id} at row {row}, position {position} is out of range: the vocabulary has {vocab_size} tokens (0 \
         to {})",
        vocab_size - 1
    )]
    TokenOutOfRange {
        /// The id.
        id: i64,
        /// Its row in the batch.
        row: usize,
        /// Its position in the row.
        position: usize,
        /// Size of the vocabulary.
        vocab_size: usize,
    },
    /// More positions than the model has position embeddings.
    #[error(
        "the sequence has {length} tokens, the model's context holds {limit} (n_positions); use a shorter one or \
         generate, which slides the window"
    )]
    SequenceTooLong {
        /// Length of the sequence.
        length: usize,
        /// Size of the context.
        limit: usize,
    },
    /// Nothing to work on.
    #[error("{what} is empty")]
    EmptyInput {
        /// The input, as the beginning of the sentence.
        what: String,
    },
    /// A character outside a character tokenizer's vocabulary.
    #[error("character {character:?} at position {position} is not in the vocabulary of {vocab_size} characters")]
    UnknownCharacter {
        /// The character.
        character: char,
        /// Its position in the text, in characters.
        position: usize,
        /// Size of the vocabulary.
        vocab_size: usize,
    },
    /// A tokenizer whose ids the model has no embedding for.
    #[error(
        "{}: the tokenizer has {tokenizer} tokens, the model's vocabulary {model}: they do not belong together",
        path.display()
    )]
    VocabMismatch {
        /// The tokenizer's file.
        path: PathBuf,
        /// Size of the tokenizer's vocabulary.
        tokenizer: usize,
        /// Size of the model's vocabulary.
        model: usize,
    },
    /// A file of the Hub that would have to be downloaded, and must not be.
    #[error("{repo}: `{file}` is not in the cache {}, and {why}", cache.display())]
    NotCached {
        /// The repository.
        repo: String,
        /// The file.
        file: String,
        /// The repository's folder in the cache.
        cache: PathBuf,
        /// The reason why nothing is downloaded.
        why: String,
    },
    /// The Hub does not give what was asked for.
    #[error("{url}: {detail}")]
    Download {
        /// The URL that was asked for.
        url: String,
        /// The answer.
        detail: String,
    },
    /// A download that is not what the Hub announced.
    #[error("{url}: {kind} of the downloaded file is {found}, expected {expected}; it was deleted, try again")]
    ChecksumMismatch {
        /// The URL of the file.
        url: String,
        /// The kind of checksum.
        kind: &'static str,
        /// The announced checksum.
        expected: String,
        /// The checksum of the download.
        found: String,
    },
    /// The stop button was pressed where there is nothing to show for the work so far.
    #[error("{what} was stopped; {hint}")]
    Stopped {
        /// The work, as the beginning of the sentence.
        what: String,
        /// Advice.
        hint: String,
    },
    /// Text shorter than one training window.
    #[error("{what} has {found} tokens, one window needs {needed}")]
    TooShort {
        /// The text, as the beginning of the sentence.
        what: String,
        /// Number of its tokens.
        found: usize,
        /// Number of tokens that are needed.
        needed: usize,
    },
    /// A trainable parameter that no gradient reaches.
    #[error("no gradient reaches {}: the forward pass cuts the chain between it and the loss", names.join(", "))]
    NoGradient {
        /// The parameters.
        names: Vec<String>,
    },
    /// A loss or gradient that is not finite.
    #[error("{what} is {value} at step {step}")]
    NotFinite {
        /// The number's name.
        what: String,
        /// Its value.
        value: f32,
        /// The step, from 1.
        step: usize,
    },
    /// A checkpoint of another model or another program.
    #[error("{}: not a checkpoint for this run: {detail}", path.display())]
    ForeignCheckpoint {
        /// The checkpoint's folder.
        path: PathBuf,
        /// The difference.
        detail: String,
    },
    /// An adapter that was made for another model, or whose files do not belong together.
    #[error("{}: the adapter does not fit: {detail}", path.display())]
    AdapterBaseMismatch {
        /// The adapter's folder or file.
        path: PathBuf,
        /// The difference.
        detail: String,
    },
    /// An adapter that computes something which is not implemented here; ignoring it would give wrong numbers.
    #[error("{}: {field} = {value} is not supported: {detail}", path.display())]
    UnsupportedPeftType {
        /// The adapter's configuration.
        path: PathBuf,
        /// The field.
        field: String,
        /// Its value.
        value: String,
        /// The reason.
        detail: String,
    },
    /// An argument outside its range.
    #[error("{argument} = {value}: {expected}")]
    InvalidArgument {
        /// The argument's name.
        argument: &'static str,
        /// Its value.
        value: String,
        /// The values that are allowed.
        expected: String,
    },
    /// JSON that cannot be read or written.
    #[error("{context}: {source}")]
    Json {
        /// The file, or the thing that it describes.
        context: String,
        /// serde's own error.
        source: serde_json::Error,
    },
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
