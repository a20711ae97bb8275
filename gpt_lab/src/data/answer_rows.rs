//! Instructions as rows of tokens: cut from one long text, or one a row.

use candle_core::{Device, Tensor};

use super::{Batch, Examples, Instruction, Windows};
use crate::core::format::thousands;
use crate::core::hash::fnv1a;
use crate::ops::IGNORE_INDEX;
use crate::text::Tokenizer;
use crate::{Error, Result};

impl Windows {
    /// Prompts and responses one after another, each followed by the end-of-text mark, cut every `context` tokens: nothing is
    /// padded, and everything is learnt from, the prompts too. A window may begin in the middle of a response.
    ///
    /// # Errors
    /// As [`Windows::from_tokens`]; [`Error::InvalidArgument`] for a tokenizer without an end-of-text mark.
    pub fn of_instructions(rows: &[Instruction], tokenizer: &dyn Tokenizer, context: usize) -> Result<Self> {
        let mut tokens = Vec::new();
        for row in rows {
            tokens.extend(Row::new(row, tokenizer)?.tokens);
        }
        Self::from_tokens(tokens, context)
    }
}

/// One instruction a row: the prompt, the response, the end-of-text mark, and padding up to the longest row of the batch.
///
/// Targets within the prompt and the padding are [`IGNORE_INDEX`]: the model learns to answer, not to write questions, and
/// never to write padding. The first token that counts is the first of the response, guessed from the whole prompt.
#[derive(Debug, Clone)]
pub struct AnswerRows {
    rows: Vec<Row>,
    padding: u32,
    dropped: usize,
    longest: usize,
    learn_prompt: bool,
}

#[derive(Debug, Clone)]
struct Row {
    tokens: Vec<u32>,
    /// How many of these are the prompt.
    prompt: usize,
}

impl Row {
    fn new(row: &Instruction, tokenizer: &dyn Tokenizer) -> Result<Self> {
        // Apart from each other, so that the prompt's tokens are those that generation begins with.
        let mut tokens = tokenizer.encode(&row.prompt())?;
        let prompt = tokens.len();
        tokens.extend(tokenizer.encode(&row.output)?);
        tokens.push(end_of_text(tokenizer)?);
        Ok(Row { tokens, prompt })
    }
}

fn end_of_text(tokenizer: &dyn Tokenizer) -> Result<u32> {
    tokenizer.end_of_text().ok_or_else(|| Error::InvalidArgument {
        argument: "tokenizer",
        value: "one without an end-of-text mark".into(),
        expected: "one with such a mark: without it no response would ever end".into(),
    })
}

impl AnswerRows {
    /// The rows of at most `longest` tokens; longer ones are dropped and counted.
    ///
    /// # Errors
    /// [`Error::EmptyInput`] if no row is left; [`Error::InvalidArgument`] for a tokenizer without an end-of-text mark.
    pub fn new(rows: &[Instruction], tokenizer: &dyn Tokenizer, longest: usize) -> Result<Self> {
        let all = rows.iter().map(|row| Row::new(row, tokenizer)).collect::<Result<Vec<_>>>()?;
        let (kept, long): (Vec<_>, Vec<_>) = all.into_iter().partition(|row| row.tokens.len() <= longest);
        if kept.is_empty() {
            let what = format!("the set of rows of at most {longest} tokens ({} rows given)", rows.len());
            return Err(Error::EmptyInput { what });
        }
        let padding = end_of_text(tokenizer)?;
        Ok(AnswerRows { rows: kept, padding, dropped: long.len(), longest, learn_prompt: false })
    }

    /// The same rows with the prompt learnt from as well, for seeing what the mask is good for.
    pub fn learning_prompts(self) -> Self {
        AnswerRows { learn_prompt: true, ..self }
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Never: no row at all is an error.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// How many rows were too long.
    pub fn dropped(&self) -> usize {
        self.dropped
    }

    /// Tokens of all rows, and how many of them are learnt from.
    pub fn token_counts(&self) -> (usize, usize) {
        let all = self.rows.iter().map(|row| row.tokens.len()).sum();
        let learnt = self.rows.iter().map(|row| row.tokens.len() - self.first_learnt(row)).sum();
        (all, learnt)
    }

    /// The place of the first token that is learnt. The very first one has nothing before it to be guessed from.
    fn first_learnt(&self, row: &Row) -> usize {
        if self.learn_prompt { 1 } else { row.prompt.max(1) }
    }
}

/// `4,000 rows, 312,345 tokens, 45,678 of them learnt from; 3 longer than 128 tokens were dropped`
impl std::fmt::Display for AnswerRows {
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

impl Examples for AnswerRows {
    type Batch = Batch;

    fn count(&self) -> usize {
        self.len()
    }

    fn batch(&self, rows: &[usize]) -> Result<Batch> {
        let row = |&i: &usize| {
            self.rows.get(i).ok_or_else(|| Error::InvalidArgument {
                argument: "row",
                value: i.to_string(),
                expected: format!("a row below {}", self.len()),
            })
        };
        let rows = rows.iter().map(row).collect::<Result<Vec<_>>>()?;
        // The last token is only ever a target.
        let width = rows.iter().map(|row| row.tokens.len() - 1).max().ok_or_else(|| Error::InvalidArgument {
            argument: "rows",
            value: "0".into(),
            expected: "at least one row a batch".into(),
        })?;
        let (mut inputs, mut targets) = (Vec::new(), Vec::new());
        for row in &rows {
            let first = self.first_learnt(row);
            let n = row.tokens.len() - 1;
            inputs.extend_from_slice(&row.tokens[..n]);
            inputs.resize(inputs.len() + width - n, self.padding);
            targets.resize(targets.len() + first - 1, IGNORE_INDEX);
            targets.extend(row.tokens[first..].iter().map(|&id| i64::from(id)));
            targets.resize(targets.len() + width - n, IGNORE_INDEX);
        }
        let shape = (rows.len(), width);
        Ok(Batch {
            inputs: Tensor::from_vec(inputs, shape, &Device::Cpu)?,
            targets: Tensor::from_vec(targets, shape, &Device::Cpu)?,
        })
    }

    fn tokens(&self, rows: &[usize]) -> usize {
        rows.iter().filter_map(|&i| self.rows.get(i)).map(|row| row.tokens.len() - 1).sum()
    }

    fn fingerprint(&self) -> u64 {
        let row = |row: &Row| {
            let first = self.first_learnt(row) as u64;
            row.tokens.iter().flat_map(|id| id.to_le_bytes()).chain(first.to_le_bytes()).collect::<Vec<u8>>()
        };
        fnv1a(self.rows.iter().flat_map(row))
    }
}

#[cfg(test)]
mod tests {
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
        let data = AnswerRows::new(&rows(), &tokenizer, 200).unwrap();
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
        assert!(inputs[0][prompt + 1..].iter().all(|&input| input == end), "padding is the end-of-text mark");
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
        let masked = AnswerRows::new(&rows(), &tokenizer, 200).unwrap();
        let all = masked.clone().learning_prompts();
        let kept =
            |data: &AnswerRows| numbers(&data.batch(&[0]).unwrap().targets)[0].iter().filter(|t| **t >= 0).count();
        assert_eq!((kept(&masked), kept(&all)), (2, rows()[0].prompt().len() + 1));
        assert_ne!(masked.fingerprint(), all.fingerprint());
    }

    /// A row has the same loss alone as beside a longer one.
    #[test]
    fn padding_changes_no_loss() {
        let tokenizer = CharTokenizer::ascii();
        let model =
            Gpt2::new(&Gpt2Config { n_positions: 200, ..Gpt2Config::small(tokenizer.vocab_size()) }, 1).unwrap();
        let data = AnswerRows::new(&rows(), &tokenizer, 200).unwrap();
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
        let error = AnswerRows::new(&rows(), &tokenizer, 10).unwrap_err().to_string();
        assert_eq!(error, "the set of rows of at most 10 tokens (3 rows given) is empty");
        let data = AnswerRows::new(&rows(), &tokenizer, 200).unwrap();
        assert!(data.batch(&[]).is_err() && data.batch(&[2]).is_err());
    }
}
