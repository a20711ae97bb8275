//! Rows of tokens to learn from.

use candle_core::{Device, Tensor};

use super::corpus::Corpus;
use super::examples::{Batch, Examples, Split, check_rows};
use crate::core::hash::fnv1a;
use crate::text::Tokenizer;
use crate::{Error, Result, Rng};

/// The windows of a training and a validation text.
pub type TextData = Split<Windows>;

impl Split<Corpus> {
    /// The windows of both sides; no window crosses from one to the other.
    ///
    /// # Errors
    /// As [`Windows::new`].
    pub fn windows(&self, tokenizer: &dyn Tokenizer, context: usize) -> Result<TextData> {
        Ok(Split {
            train: Windows::new(&self.train, tokenizer, context)?,
            validation: Windows::new(&self.validation, tokenizer, context)?,
        })
    }
}

/// One long row of tokens, cut every `context` tokens.
///
/// Window `i` has the inputs `tokens[i·T .. (i+1)·T]` and, as targets, the same one further, so that every token is
/// predicted once. Tokens at the end that fill no window are not used.
#[derive(Debug, Clone)]
pub struct Windows {
    tokens: Vec<u32>,
    context: usize,
}

impl Windows {
    /// The functions of a corpus one after another, each followed by the tokenizer's end-of-text mark.
    ///
    /// # Errors
    /// [`Error::EmptyInput`] for an empty corpus, [`Error::TooShort`] where it does not fill one window,
    /// [`Error::UnknownCharacter`].
    pub fn new(corpus: &Corpus, tokenizer: &dyn Tokenizer, context: usize) -> Result<Self> {
        if corpus.is_empty() {
            return Err(Error::empty("the corpus"));
        }
        let mut tokens = Vec::new();
        for function in &corpus.functions {
            tokens.extend(tokenizer.encode(&function.text)?);
            tokens.extend(tokenizer.end_of_text());
        }
        Self::from_tokens(tokens, context)
    }

    /// The windows of these tokens.
    ///
    /// # Errors
    /// [`Error::TooShort`] for fewer than `context + 1` tokens, [`Error::InvalidArgument`] for a context of 0.
    pub fn from_tokens(tokens: Vec<u32>, context: usize) -> Result<Self> {
        if context == 0 {
            return Err(Error::argument("context", 0, "at least one token a window"));
        }
        if tokens.len() <= context {
            return Err(Error::TooShort { what: "the text".into(), found: tokens.len(), needed: context + 1 });
        }
        Ok(Windows { tokens, context })
    }

    /// Number of windows.
    pub fn len(&self) -> usize {
        (self.tokens.len() - 1) / self.context
    }

    /// Always `false`: a text that fills no window is an error.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tokens a window.
    pub fn context(&self) -> usize {
        self.context
    }

    /// All tokens, in order.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Inputs and targets of one window.
    pub fn window(&self, i: usize) -> (&[u32], &[u32]) {
        let start = i * self.context;
        (&self.tokens[start..start + self.context], &self.tokens[start + 1..start + 1 + self.context])
    }

    /// A batch of `rows` windows drawn with this seed, to look at.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for 0 rows.
    pub fn random_batch(&self, rows: usize, seed: u64) -> Result<Batch> {
        let mut rng = Rng::new(seed);
        let rows: Vec<usize> = (0..rows).map(|_| rng.below(self.len())).collect();
        self.batch(&rows)
    }
}

impl Examples for Windows {
    type Batch = Batch;

    fn count(&self) -> usize {
        self.len()
    }

    fn batch(&self, rows: &[usize]) -> Result<Batch> {
        check_rows(rows, self.len())?;
        let (mut inputs, mut targets) = (Vec::new(), Vec::new());
        for &row in rows {
            let (input, target) = self.window(row);
            inputs.extend_from_slice(input);
            targets.extend(target.iter().map(|&id| i64::from(id)));
        }
        let shape = (rows.len(), self.context);
        Ok(Batch {
            inputs: Tensor::from_vec(inputs, shape, &Device::Cpu)?,
            targets: Tensor::from_vec(targets, shape, &Device::Cpu)?,
        })
    }

    fn tokens(&self, rows: &[usize]) -> usize {
        rows.len() * self.context
    }

    fn fingerprint(&self) -> u64 {
        let context = self.context as u64;
        fnv1a(self.tokens.iter().flat_map(|id| id.to_le_bytes()).chain(context.to_le_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Function;
    use super::*;
    use crate::text::CharTokenizer;

    fn corpus(texts: &[&str]) -> Corpus {
        let function = |text: &&str| Function { name: "f".into(), source: "s".into(), text: text.to_string() };
        Corpus { functions: texts.iter().map(function).collect(), ..Default::default() }
    }

    #[test]
    fn windows_are_cut_without_overlap_and_targets_are_one_further() {
        let corpus = corpus(&["abc", "de"]);
        let tokenizer = corpus.tokenizer();
        let windows = Windows::new(&corpus, &tokenizer, 3).unwrap();
        assert_eq!(windows.tokens(), [1, 2, 3, 0, 4, 5, 0]);
        assert_eq!(windows.len(), 2);
        let batch = windows.batch(&[1, 0]).unwrap();
        assert_eq!(batch.inputs.to_vec2::<u32>().unwrap(), [[0, 4, 5], [1, 2, 3]]);
        assert_eq!(batch.targets.to_vec2::<i64>().unwrap(), [[4, 5, 0], [2, 3, 0]]);
        assert!(windows.batch(&[2]).is_err());
        assert!(windows.batch(&[]).is_err());
    }

    #[test]
    fn no_window_crosses_the_split() {
        let texts: Vec<String> = (0..40).map(|i| format!("{i:05}")).collect();
        let corpus = corpus(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        let split = corpus.split(0.25, 1).unwrap();
        let data = split.windows(&corpus.tokenizer(), 4).unwrap();
        let tokenizer = corpus.tokenizer();
        for (windows, own) in [(&data.train, &split.train), (&data.validation, &split.validation)] {
            let text = tokenizer.decode(windows.tokens()).unwrap();
            let functions: Vec<&str> = text.split("<|e|>").filter(|f| !f.is_empty()).collect();
            let own: Vec<&str> = own.functions.iter().map(|f| f.text.as_str()).collect();
            assert_eq!(functions, own, "a side's windows hold its own functions and nothing else");
        }
    }

    #[test]
    fn short_and_empty_texts_are_refused() {
        let tokenizer = CharTokenizer::ascii();
        let error = Windows::new(&corpus(&["fn a() {}"]), &tokenizer, 64).unwrap_err().to_string();
        assert_eq!(error, "the text has 10 tokens, one window needs 65");
        let error = Windows::new(&corpus(&[]), &tokenizer, 64).unwrap_err().to_string();
        assert_eq!(error, "the corpus is empty");
        assert!(matches!(Windows::new(&corpus(&["é"]), &tokenizer, 1), Err(Error::UnknownCharacter { .. })));
        assert!(Windows::from_tokens(vec![1, 2], 0).is_err());
    }
}
