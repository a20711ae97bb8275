//! A text in token ids.

/// The reason why generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The model chose an end-of-text mark.
    EndOfText,
    /// As many tokens as allowed were made.
    Length,
    /// The stop button was pressed.
    Interrupted,
}

/// A text in token ids, and how it came about.
#[derive(Debug, Clone, PartialEq)]
pub struct Sequence {
    /// The prompt, what the model added, and the end-of-text mark if it chose one.
    pub ids: Vec<u32>,
    /// Number of tokens in the prompt.
    pub prompt: usize,
    /// Its score, if a beam search found it: the sum of log-probabilities over the number of tokens to the power
    /// `length_penalty`.
    pub score: Option<f32>,
    /// The reason why it ended.
    pub ended: Ended,
}

impl Sequence {
    /// The tokens that the model added, without the end-of-text mark.
    pub fn continuation(&self) -> &[u32] {
        let mark = usize::from(self.ended == Ended::EndOfText);
        &self.ids[self.prompt..self.ids.len() - mark]
    }
}
