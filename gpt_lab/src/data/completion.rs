//! A prompt with its completion.

use crate::Result;
use crate::text::Tokenizer;

/// A prompt and its completion, as ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// The prompt's tokens and then the completion's, the end-of-text mark included.
    pub ids: Vec<u32>,
    /// Number of the prompt's tokens.
    pub prompt: usize,
    /// `true` if the last token is the end-of-text mark, `false` if the completion was cut off.
    pub ended: bool,
}

impl Completion {
    /// A completion whose last token is the end-of-text mark.
    pub fn ended(prompt: &[u32], completion: &[u32]) -> Self {
        Completion { ids: [prompt, completion].concat(), prompt: prompt.len(), ended: true }
    }

    /// The prompt's tokens.
    pub fn prompt_ids(&self) -> &[u32] {
        &self.ids[..self.prompt]
    }

    /// The completion's tokens, with the end-of-text mark if there is one.
    pub fn answer_ids(&self) -> &[u32] {
        &self.ids[self.prompt..]
    }

    /// The completion as text, without the end-of-text mark and the spaces around it.
    ///
    /// # Errors
    /// [`Error::TokenOutOfRange`](crate::Error::TokenOutOfRange) for a tokenizer that lacks one of its tokens.
    pub fn text(&self, tokenizer: &dyn Tokenizer) -> Result<String> {
        let answer = self.answer_ids();
        let words = &answer[..answer.len().saturating_sub(usize::from(self.ended))];
        Ok(tokenizer.decode(words)?.trim().to_string())
    }
}
