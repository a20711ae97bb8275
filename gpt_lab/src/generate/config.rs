//! The settings of generation, in one struct.

use std::str::FromStr;

use super::LanguageModel;
use crate::{Error, Result};

/// The settings by which a text is continued. The names are those of Hugging Face's `generate`, and mean the same.
///
/// By default the likeliest token is taken every time (greedy). `do_sample` draws instead, and then `temperature`,
/// `top_k` and `top_p` change what is drawn from. More than one of `num_beams` searches for the likeliest text as a
/// whole.
#[derive(Debug, Clone, PartialEq)]
pub struct GenerateConfig {
    /// At most this many tokens after the prompt.
    pub max_new_tokens: usize,
    /// At most this many tokens with the prompt, all of which the model must be able to see at once. Both limits hold.
    pub max_length: Option<usize>,
    /// No end of text before this many tokens after the prompt.
    pub min_new_tokens: usize,
    /// No end of text before this many tokens with the prompt.
    pub min_length: usize,
    /// Draw the next token instead of taking the likeliest.
    pub do_sample: bool,
    /// Logits are divided by it before drawing: below 1 likely tokens become likelier.
    pub temperature: f64,
    /// Draw only among the `k` likeliest tokens, and those as likely as the last of them.
    pub top_k: Option<usize>,
    /// Draw only among the likeliest tokens that together reach this probability.
    pub top_p: Option<f64>,
    /// Logits of tokens that are in the text already, prompt included, are divided by it if positive and multiplied
    /// otherwise; 1 changes nothing.
    pub repetition_penalty: f64,
    /// No sequence of this many tokens, prompt included, may occur twice; 0 allows all.
    pub no_repeat_ngram_size: usize,
    /// Any of these ends the text; `None` takes what the tokenizer and the model name, an empty list none.
    pub eos_token_id: Option<Vec<u32>>,
    /// So many continuations of each prompt: different draws, or the best texts of a beam search.
    pub num_return_sequences: usize,
    /// So many texts are followed side by side; 1 is no search.
    pub num_beams: usize,
    /// A text's score in the search is its log-probability divided by its length to this power: above 0 favours long
    /// texts.
    pub length_penalty: f64,
    /// When the search ends.
    pub early_stopping: EarlyStopping,
    /// The same seed draws the same tokens.
    pub seed: u64,
    /// Number of likely alternatives that each [`Token`](super::Token) carries.
    pub alternatives: usize,
}

/// When a beam search that has `num_beams` finished texts ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EarlyStopping {
    /// `true`: at once.
    True,
    /// `false`: when the best unfinished text, ended now, would score no better than the worst finished one.
    False,
    /// `"never"`: when no unfinished text can do better any more, with a positive length penalty even at its greatest
    /// length.
    Never,
}

impl FromStr for EarlyStopping {
    type Err = Error;

    /// `true`, `false` or `never`.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "true" => Ok(EarlyStopping::True),
            "false" => Ok(EarlyStopping::False),
            "never" => Ok(EarlyStopping::Never),
            _ => Err(Error::argument("early_stopping", format!("`{text}`"), "true, false or never")),
        }
    }
}

impl Default for GenerateConfig {
    /// 200 tokens, each the likeliest.
    fn default() -> Self {
        GenerateConfig {
            max_new_tokens: 200,
            max_length: None,
            min_new_tokens: 0,
            min_length: 0,
            do_sample: false,
            temperature: 1.0,
            top_k: None,
            top_p: None,
            repetition_penalty: 1.0,
            no_repeat_ngram_size: 0,
            eos_token_id: None,
            num_return_sequences: 1,
            num_beams: 1,
            length_penalty: 1.0,
            early_stopping: EarlyStopping::False,
            seed: 0,
            alternatives: 0,
        }
    }
}

/// Below it the logits, divided by the temperature, leave the range of f32.
const COLDEST: f64 = 1e-6;
/// More texts side by side than any memory holds.
const MOST_TEXTS: usize = 1 << 16;

impl GenerateConfig {
    /// Checks that the settings are within their ranges and go together.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`].
    pub fn validate(&self) -> Result<()> {
        self.validate_choice()?;
        self.validate_counts()
    }

    /// The ranges of what decides about one token or one beam.
    fn validate_choice(&self) -> Result<()> {
        let bad = |argument, value: String, expected: &str| Err(Error::argument(argument, value, expected));
        if !(self.temperature >= COLDEST && (self.temperature as f32).is_finite()) {
            let expected = "a number from 1e-6 on; do_sample = false always takes the likeliest token";
            return bad("temperature", self.temperature.to_string(), expected);
        }
        if self.top_k == Some(0) {
            return bad("top_k", "0".into(), "at least 1, or None for all tokens");
        }
        if let Some(p) = self.top_p.filter(|p| !(*p > 0.0 && *p <= 1.0)) {
            return bad("top_p", p.to_string(), "0 < p ≤ 1, or None for all tokens");
        }
        if !(self.repetition_penalty > 0.0 && (self.repetition_penalty as f32).is_normal()) {
            return bad(
                "repetition_penalty",
                self.repetition_penalty.to_string(),
                "a positive number; 1 changes nothing",
            );
        }
        if !self.length_penalty.is_finite() {
            return bad("length_penalty", self.length_penalty.to_string(), "a finite number");
        }
        Ok(())
    }

    /// The numbers of texts: how many are followed, how many are given back.
    fn validate_counts(&self) -> Result<()> {
        let bad = |argument, value: String, expected: &str| Err(Error::argument(argument, value, expected));
        if self.num_beams == 0 {
            return bad("num_beams", "0".into(), "at least 1");
        }
        for (name, texts) in [("num_beams", self.num_beams), ("num_return_sequences", self.num_return_sequences)] {
            if texts > MOST_TEXTS {
                return bad(name, texts.to_string(), &format!("at most {MOST_TEXTS}"));
            }
        }
        if self.num_beams > 1 && self.do_sample {
            return bad("num_beams", self.num_beams.to_string(), "1 with do_sample: a beam search draws nothing");
        }
        let returned = self.num_return_sequences;
        match (returned, self.num_beams, self.do_sample) {
            (0, ..) => bad("num_return_sequences", "0".into(), "at least 1"),
            (2.., 1, false) => {
                let expected = "1, unless do_sample or num_beams makes them differ";
                bad("num_return_sequences", returned.to_string(), expected)
            }
            (_, beams @ 2.., _) if returned > beams => {
                bad("num_return_sequences", returned.to_string(), &format!("at most num_beams = {beams}"))
            }
            _ => Ok(()),
        }
    }

    /// The tokens that end a text, where no tokenizer has a say.
    pub(super) fn eos_of(&self, model: &dyn LanguageModel) -> Vec<u32> {
        self.eos_token_id.clone().unwrap_or_else(|| model.eos_tokens())
    }

    /// The most tokens that a text with a prompt of this length may have.
    ///
    /// # Errors
    /// [`Error::SequenceTooLong`] if `max_length` is more than the model's context; [`Error::InvalidArgument`] if it
    /// leaves no room after the prompt, as in transformers.
    pub(super) fn longest(&self, prompt: usize, context: usize) -> Result<usize> {
        let length = self.max_length.unwrap_or(usize::MAX);
        if self.max_length.is_some() && length > context {
            return Err(Error::SequenceTooLong { length, limit: context });
        }
        if prompt >= length {
            let expected = format!("more than the {prompt} tokens of the prompt");
            return Err(Error::argument("max_length", length, expected));
        }
        Ok(prompt.saturating_add(self.max_new_tokens).min(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_range_are_refused() {
        let good = GenerateConfig::default();
        good.validate().unwrap();
        GenerateConfig { num_beams: 3, num_return_sequences: 3, ..good.clone() }.validate().unwrap();
        GenerateConfig { do_sample: true, num_return_sequences: 9, ..good.clone() }.validate().unwrap();
        for config in [
            GenerateConfig { temperature: 0.0, ..good.clone() },
            GenerateConfig { temperature: f64::NAN, ..good.clone() },
            GenerateConfig { temperature: 1e-40, ..good.clone() },
            GenerateConfig { repetition_penalty: 1e-50, ..good.clone() },
            GenerateConfig { num_beams: usize::MAX, ..good.clone() },
            GenerateConfig { top_k: Some(0), ..good.clone() },
            GenerateConfig { top_p: Some(0.0), ..good.clone() },
            GenerateConfig { top_p: Some(1.5), ..good.clone() },
            GenerateConfig { repetition_penalty: 0.0, ..good.clone() },
            GenerateConfig { length_penalty: f64::INFINITY, ..good.clone() },
            GenerateConfig { num_beams: 0, ..good.clone() },
            GenerateConfig { num_beams: 2, do_sample: true, ..good.clone() },
            GenerateConfig { num_return_sequences: 0, ..good.clone() },
            GenerateConfig { num_return_sequences: 2, ..good.clone() },
            GenerateConfig { num_beams: 2, num_return_sequences: 3, ..good.clone() },
        ] {
            assert!(matches!(config.validate(), Err(Error::InvalidArgument { .. })), "{config:?}");
        }
        assert!("soon".parse::<EarlyStopping>().is_err());
        assert_eq!("never".parse::<EarlyStopping>().unwrap(), EarlyStopping::Never);
    }

    #[test]
    fn both_limits_hold() {
        let longest = |max_new_tokens, max_length| {
            GenerateConfig { max_new_tokens, max_length, ..Default::default() }.longest(5, 20)
        };
        assert_eq!(longest(7, None).unwrap(), 12);
        assert_eq!(longest(70, None).unwrap(), 75, "beyond the context the window slides");
        assert_eq!(longest(usize::MAX, Some(20)).unwrap(), 20);
        assert_eq!(longest(3, Some(20)).unwrap(), 8);
        assert!(matches!(longest(3, Some(5)), Err(Error::InvalidArgument { .. })), "the prompt has five");
        assert!(matches!(longest(3, Some(21)), Err(Error::SequenceTooLong { length: 21, limit: 20 })));
    }
}
