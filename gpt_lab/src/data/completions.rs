//! Completions to fine-tune on: one a row, or cut from one long text.

use super::examples::{Batch, Examples, pick};
use super::padding::padded;
use super::{Completion, Instruction, Windows};
use crate::core::format::thousands;
use crate::core::hash::fnv1a;
use crate::ops::IGNORE_INDEX;
use crate::text::Tokenizer;
use crate::{Error, Result};

impl Windows {
    /// Prompts and responses one after another, each followed by the end-of-text mark, cut every `context` tokens:
    /// nothing is padded, and everything is learnt from, the prompts too. A window may begin in the middle of a
    /// response.
    ///
    /// # Errors
    /// As [`Windows::from_tokens`]; [`Error::InvalidArgument`] for a tokenizer without an end-of-text mark.
    pub fn of_instructions(rows: &[Instruction], tokenizer: &dyn Tokenizer, context: usize) -> Result<Self> {
        let mut tokens = Vec::new();
        for row in rows {
            tokens.extend(encode(row, tokenizer)?.ids);
        }
        Self::from_tokens(tokens, context)
    }
}

/// Completions, one a row: the prompt, the completion, and padding up to the longest row of the batch.
///
/// Targets within the prompt and the padding are [`IGNORE_INDEX`]: the model learns to answer, not to write questions,
/// and never to write padding. The first token that counts is the first of the completion, guessed from the whole
/// prompt. The padding has the id 0; whatever it were, no token that counts could see it.
#[derive(Debug, Clone)]
pub struct Completions {
    rows: Vec<Completion>,
    dropped: usize,
    longest: usize,
    learn_prompt: bool,
}

/// Prompt and response of an instruction.
fn encode(row: &Instruction, tokenizer: &dyn Tokenizer) -> Result<Completion> {
    let without_end = || {
        let expected = "one with such a mark: without it no response would ever end";
        Error::argument("tokenizer", "one without an end-of-text mark", expected)
    };
    let end = tokenizer.end_of_text().ok_or_else(without_end)?;
    // Apart from each other, so that the prompt's tokens are those that generation begins with.
    let (prompt, mut response) = (tokenizer.encode(&row.prompt())?, tokenizer.encode(&row.output)?);
    response.push(end);
    Ok(Completion::ended(&prompt, &response))
}

impl Completions {
    /// These rows.
    ///
    /// # Errors
    /// [`Error::EmptyInput`] without rows, or for a row without prompt or completion.
    pub fn new(rows: Vec<Completion>) -> Result<Self> {
        if rows.is_empty() {
            return Err(Error::empty("the set of completions"));
        }
        for (at, row) in rows.iter().enumerate() {
            if row.prompt_ids().is_empty() || row.answer_ids().is_empty() {
                let part = if row.prompt == 0 { "prompt" } else { "completion" };
                return Err(Error::empty(format!("the {part} of row {at}")));
            }
        }
        let longest = rows.iter().map(|row| row.ids.len()).max().unwrap_or(0);
        Ok(Completions { rows, dropped: 0, longest, learn_prompt: false })
    }

    /// Instructions with their responses, in rows of at most `longest` tokens; longer ones are dropped and counted.
    ///
    /// # Errors
    /// [`Error::EmptyInput`] if no row is left; [`Error::InvalidArgument`] for a tokenizer without an end-of-text mark.
    pub fn of_instructions(rows: &[Instruction], tokenizer: &dyn Tokenizer, longest: usize) -> Result<Self> {
        let all = rows.iter().map(|row| encode(row, tokenizer)).collect::<Result<Vec<_>>>()?;
        let (kept, long): (Vec<_>, Vec<_>) = all.into_iter().partition(|row| row.ids.len() <= longest);
        if kept.is_empty() {
            return Err(Error::empty(format!(
                "the set of rows of at most {longest} tokens ({} rows given)",
                rows.len()
            )));
        }
        Ok(Completions { dropped: long.len(), longest, ..Self::new(kept)? })
    }

    /// The same rows with the prompt learnt from as well, to see what the mask is good for.
    pub fn learning_prompts(self) -> Self {
        Completions { learn_prompt: true, ..self }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Always `false`: no row at all is an error.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Number of rows that were too long.
    pub fn dropped(&self) -> usize {
        self.dropped
    }

    /// Number of tokens of all rows, and of those that are learnt from.
    pub fn token_counts(&self) -> (usize, usize) {
        let all = self.rows.iter().map(|row| row.ids.len()).sum();
        let learnt = self.rows.iter().map(|row| row.ids.len() - self.first_learnt(row)).sum();
        (all, learnt)
    }

    /// Index of the first token that is learnt. The very first one has nothing before it to be guessed from.
    fn first_learnt(&self, row: &Completion) -> usize {
        if self.learn_prompt { 1 } else { row.prompt }
    }

    /// The token after each input, as far as it is learnt.
    fn targets(&self, row: &Completion) -> Vec<i64> {
        let first = self.first_learnt(row);
        let learnt = row.ids[first..].iter().map(|&id| i64::from(id));
        std::iter::repeat_n(IGNORE_INDEX, first - 1).chain(learnt).collect()
    }
}

/// `4,000 rows, 312,345 tokens, 45,678 of them learnt from; 3 longer than 128 tokens were dropped`
impl std::fmt::Display for Completions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (all, learnt) = self.token_counts();
        let (rows, all, learnt) = (thousands(self.len()), thousands(all), thousands(learnt));
        write!(f, "{rows} rows, {all} tokens, {learnt} of them learnt from")?;
        match self.dropped {
            0 => Ok(()),
            dropped => write!(f, "; {} longer than {} tokens were dropped", thousands(dropped), self.longest),
        }
    }
}

impl Examples for Completions {
    type Batch = Batch;

    fn count(&self) -> usize {
        self.len()
    }

    fn batch(&self, rows: &[usize]) -> Result<Batch> {
        let rows = pick(&self.rows, rows)?;
        // The last token is only ever a target.
        let inputs = rows.iter().map(|row| row.ids[..row.ids.len() - 1].to_vec()).collect();
        let targets = rows.iter().map(|row| self.targets(row)).collect();
        Ok(Batch { inputs: padded(inputs, 0u32)?, targets: padded(targets, IGNORE_INDEX)? }) // [N, T]
    }

    fn tokens(&self, rows: &[usize]) -> usize {
        rows.iter().filter_map(|&i| self.rows.get(i)).map(|row| row.ids.len() - 1).sum()
    }

    fn fingerprint(&self) -> u64 {
        let row = |row: &Completion| {
            let first = self.first_learnt(row) as u64;
            row.ids.iter().flat_map(|id| id.to_le_bytes()).chain(first.to_le_bytes()).collect::<Vec<u8>>()
        };
        fnv1a(self.rows.iter().flat_map(row))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Tensor;

    use super::*;
    use crate::gpt2::{Gpt2, Gpt2Config};
    use crate::text::CharTokenizer;
    use crate::train::evaluate;

    fn rows() -> Vec<Instruction> {
        let row =
            |instruction: &str, output: &str| Instruction { output: output.into(), ..Instruction::ask(instruction) };
        vec![row("Say a.", "a"), row("Say abc.", "abc"), row("Say it very long.", &"x".repeat(100))]
    }

    fn numbers(tensor: &Tensor) -> Vec<Vec<i64>> {
        tensor.to_dtype(candle_core::DType::I64).unwrap().to_vec2().unwrap()
    }

    #[test]
    fn prompt_and_padding_are_masked_and_the_response_with_its_end_is_learnt() {
        let tokenizer = CharTokenizer::ascii();
        let end = i64::from(tokenizer.end_of_text().unwrap());
        let data = Completions::of_instructions(&rows(), &tokenizer, 200).unwrap();
        assert_eq!((data.len(), data.dropped()), (2, 1));
        let batch = data.batch(&[0, 1]).unwrap();
        let (inputs, targets) = (numbers(&batch.inputs), numbers(&batch.targets));
        let prompt = rows()[0].prompt().len();
        assert_eq!(
            inputs[0].len(),
            prompt + 2 + 3,
            "the longer row has two letters more on either side, and loses its end"
        );
        let a = i64::from(tokenizer.encode("a").unwrap()[0]);
        assert!(targets[0][..prompt - 1].iter().all(|&target| target == IGNORE_INDEX));
        assert_eq!(targets[0][prompt - 1..prompt + 1], [a, end]);
        assert!(targets[0][prompt + 1..].iter().all(|&target| target == IGNORE_INDEX));
        assert!(inputs[0][prompt + 1..].iter().all(|&input| input == 0), "padding has the id 0");
        for (input, target) in inputs.iter().zip(&targets) {
            for t in 1..input.len() {
                assert!(target[t - 1] == IGNORE_INDEX || target[t - 1] == input[t] || target[t - 1] == end);
            }
        }
        assert_eq!(data.tokens(&[0]), prompt + 1);
        assert_eq!(data.token_counts().1, 2 + 4);
        assert!(data.to_string().ends_with("6 of them learnt from; 1 longer than 200 tokens were dropped"), "{data}");
    }

    #[test]
    fn the_prompt_can_be_learnt_too_and_that_is_other_data() {
        let tokenizer = CharTokenizer::ascii();
        let masked = Completions::of_instructions(&rows(), &tokenizer, 200).unwrap();
        let all = masked.clone().learning_prompts();
        let kept =
            |data: &Completions| numbers(&data.batch(&[0]).unwrap().targets)[0].iter().filter(|t| **t >= 0).count();
        assert_eq!((kept(&masked), kept(&all)), (2, rows()[0].prompt().len() + 1));
        assert_ne!(masked.fingerprint(), all.fingerprint());
    }

    /// A row has the same loss alone as beside a longer one.
    #[test]
    fn padding_changes_no_loss() {
        let tokenizer = CharTokenizer::ascii();
        let model =
            Gpt2::new(&Gpt2Config { n_positions: 200, ..Gpt2Config::small(tokenizer.vocab_size()) }, 1).unwrap();
        let data = Completions::of_instructions(&rows(), &tokenizer, 200).unwrap();
        let (alone, beside) = (data.batch(&[0]).unwrap(), data.batch(&[0, 1]).unwrap());
        let loss = |inputs: &Tensor, targets: &Tensor| {
            model.loss(inputs, targets, &mut crate::Pass::eval()).unwrap().to_scalar::<f32>().unwrap()
        };
        let one = loss(&alone.inputs, &alone.targets);
        let same = loss(
            &beside.inputs.narrow(0, 0, 1).unwrap(),
            &beside.targets.narrow(0, 0, 1).unwrap().contiguous().unwrap(),
        );
        assert!((one - same).abs() < 1e-5, "{one} alone, {same} padded");
        assert!(evaluate(&model, &data, 2, 0).unwrap().is_finite());
    }

    #[test]
    fn windows_hold_prompts_responses_and_marks_one_after_another() {
        let tokenizer = CharTokenizer::ascii();
        let windows = Windows::of_instructions(&rows()[..2], &tokenizer, 8).unwrap();
        let text = tokenizer.decode(windows.tokens()).unwrap();
        let expected: String = rows()[..2].iter().map(|row| row.prompt() + &row.output + "<|e|>").collect();
        assert_eq!(text, expected);
    }

    #[test]
    fn nothing_left_is_an_error() {
        let tokenizer = CharTokenizer::ascii();
        let error = Completions::of_instructions(&rows(), &tokenizer, 10).unwrap_err().to_string();
        assert_eq!(error, "the set of rows of at most 10 tokens (3 rows given) is empty");
        let data = Completions::of_instructions(&rows(), &tokenizer, 200).unwrap();
        assert!(data.batch(&[]).is_err() && data.batch(&[2]).is_err());
        let refused = |rows| Completions::new(rows).unwrap_err().to_string();
        assert_eq!(refused(Vec::new()), "the set of completions is empty");
        assert_eq!(refused(vec![Completion::ended(&[], &[1])]), "the prompt of row 0 is empty");
        assert_eq!(refused(vec![Completion::ended(&[1], &[])]), "the completion of row 0 is empty");
    }

    #[test]
    fn completions_of_different_lengths_are_learnt_and_prompts_are_not() {
        let rows = vec![Completion::ended(&[1, 2], &[3, 0]), Completion::ended(&[1, 2], &[6, 7, 8, 0])];
        let batch = Completions::new(rows).unwrap().batch(&[0, 1]).unwrap();
        assert_eq!(numbers(&batch.inputs), [[1, 2, 3, 0, 0], [1, 2, 6, 7, 8]]);
        assert_eq!(numbers(&batch.targets), [[-100, 3, 0, -100, -100], [-100, 6, 7, 8, 0]]);
    }
}
