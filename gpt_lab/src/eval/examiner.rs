//! Held-out questions put to a writer, and what the checker finds in its answers.

use super::checker::{Check, Checker};
use super::statistics::Share;
use crate::align::complete;
use crate::core::stop;
use crate::data::{Comparison, Completion};
use crate::generate::GenerateConfig;
use crate::gpt2::Gpt2;
use crate::text::Tokenizer;
use crate::{Error, Result};

/// Tokens that an answer may take.
const LONGEST: usize = 32;
/// Questions that are answered side by side.
const ROWS: usize = 64;

/// Questions, and a checker that knows their answers. The same questions for every writer make their results
/// comparable, question by question.
#[derive(Debug, Clone)]
pub struct Examiner {
    /// The questions.
    pub rows: Vec<Comparison>,
    /// Their prompts, as ids.
    pub prompts: Vec<Vec<u32>>,
    /// What judges the answers.
    pub checker: Checker,
}

/// The answers of one writer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Exam {
    /// As ids, one for each question.
    pub answers: Vec<Completion>,
    /// As text.
    pub texts: Vec<String>,
    /// What the checker found.
    pub checks: Vec<Check>,
}

impl Examiner {
    /// An examiner with these questions.
    ///
    /// # Errors
    /// [`Error::UnknownCharacter`] of the tokenizer.
    pub fn new(rows: &[Comparison], checker: &Checker, tokenizer: &dyn Tokenizer) -> Result<Self> {
        let prompts = rows.iter().map(|row| tokenizer.encode(&Comparison::prompt(&row.question)));
        Ok(Examiner { prompts: prompts.collect::<Result<_>>()?, rows: rows.to_vec(), checker: checker.clone() })
    }

    /// The likeliest answers.
    ///
    /// # Errors
    /// As for [`ask`](Self::ask).
    pub fn greedy(&self, model: &Gpt2, tokenizer: &dyn Tokenizer) -> Result<Exam> {
        self.ask(model, tokenizer, &GenerateConfig { max_new_tokens: LONGEST, ..Default::default() })
    }

    /// Answers drawn from the whole distribution, sharpened or flattened by the temperature. The same seed throws the
    /// same dice for every writer.
    ///
    /// # Errors
    /// As for [`ask`](Self::ask).
    pub fn drawn(&self, model: &Gpt2, tokenizer: &dyn Tokenizer, temperature: f64, seed: u64) -> Result<Exam> {
        let drawn =
            GenerateConfig { max_new_tokens: LONGEST, do_sample: true, temperature, seed, ..Default::default() };
        self.ask(model, tokenizer, &drawn)
    }

    /// Answers by any settings.
    ///
    /// # Errors
    /// [`Error::Stopped`] if the learner presses stop meanwhile; those of generation.
    pub fn ask(&self, model: &Gpt2, tokenizer: &dyn Tokenizer, config: &GenerateConfig) -> Result<Exam> {
        let mut answers = Vec::with_capacity(self.rows.len());
        for (prompts, part) in self.prompts.chunks(ROWS).zip(0u64..) {
            // The dice of a question depend on its place among those beside it.
            let seed = config.seed.wrapping_mul(1_000_003).wrapping_add(part);
            answers.extend(complete(model, prompts, &GenerateConfig { seed, ..config.clone() })?);
            if stop::interrupted() {
                let hint = "half of an exam would mislead; run the cell again".into();
                return Err(Error::Stopped { what: "putting the questions".into(), hint });
            }
        }
        self.check(answers, tokenizer)
    }

    /// What the checker finds in answers that are there already.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for another number of answers than questions; those of the tokenizer.
    pub fn check(&self, answers: Vec<Completion>, tokenizer: &dyn Tokenizer) -> Result<Exam> {
        let checks = self.checker.check_all(&self.rows, &answers, tokenizer)?;
        let texts = answers.iter().map(|answer| answer.text(tokenizer)).collect::<Result<_>>()?;
        Ok(Exam { answers, texts, checks })
    }
}

impl Exam {
    /// Which answers the checker passes.
    pub fn passed(&self) -> Vec<bool> {
        self.checks.iter().map(Check::passes).collect()
    }

    /// The share that it passes.
    pub fn share(&self) -> Share {
        Share::of(&self.passed())
    }

    /// The share of texts of which this is true: a habit.
    pub fn habit(&self, is: impl Fn(&str) -> bool) -> Share {
        Share::of(&self.texts.iter().map(|text| is(text)).collect::<Vec<_>>())
    }

    /// The mean number of words of an answer.
    pub fn words(&self) -> f64 {
        let words: usize = self.texts.iter().map(|text| text.split_whitespace().count()).sum();
        words as f64 / self.texts.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Comparisons;
    use crate::gpt2::{EosToken, Gpt2Config};
    use crate::text::CharTokenizer;

    #[test]
    fn the_same_seed_puts_the_same_exam() {
        let tokenizer = CharTokenizer::ascii();
        let config = Gpt2Config {
            vocab_size: tokenizer.vocab_size(),
            n_positions: 96,
            n_embd: 16,
            n_layer: 1,
            n_head: 2,
            initializer_range: 0.3,
            eos_token_id: tokenizer.end_of_text().map(EosToken::One),
            ..Default::default()
        };
        let model = Gpt2::new(&config, 1).unwrap();
        let row = |i: usize| Comparison { question: format!("{i}?"), answers: vec!["a".into()], ..Default::default() };
        let rows: Vec<Comparison> = (0..70).map(row).collect();
        let checker = Checker::new(&[&Comparisons { rows: rows.clone(), ties: 0 }]);
        let examiner = Examiner::new(&rows, &checker, &tokenizer).unwrap();
        let exam = examiner.drawn(&model, &tokenizer, 1.0, 3).unwrap();
        assert_eq!(exam, examiner.drawn(&model, &tokenizer, 1.0, 3).unwrap());
        assert!(exam != examiner.drawn(&model, &tokenizer, 1.0, 4).unwrap());
        assert_eq!((exam.texts.len(), exam.share().of), (70, 70));
        assert!(exam.texts[0] != exam.texts[64], "each part has dice of its own");
        assert_eq!(exam.habit(|text| text.is_empty()).count, exam.texts.iter().filter(|text| text.is_empty()).count());
        let greedy = examiner.greedy(&model, &tokenizer).unwrap();
        assert!(greedy.words() >= 0.0 && greedy.passed().len() == 70);
        assert!(examiner.check(greedy.answers[..3].to_vec(), &tokenizer).is_err());
    }
}
