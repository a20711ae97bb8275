//! The share of questions that a model answers.

use std::fmt;

use crate::core::stop;
use crate::data::Instruction;
use crate::generate::{GenerateConfig, LanguageModel, generate_ids};
use crate::text::Tokenizer;
use crate::{Error, Result};

/// Prompts of one forward pass.
const BATCH: usize = 32;
/// Tokens that a response may take.
const LONGEST: usize = 24;

/// A response with its judgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The instruction.
    pub asked: Instruction,
    /// The model's text, up to its end-of-text mark or 24 tokens.
    pub text: String,
    /// `Some(true)` if it is right ([`Instruction::is_answered_by`]); `None` where nobody can tell.
    pub right: Option<bool>,
}

/// The responses to a number of instructions, and the share of right ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AnswerRate {
    /// Every response, in the order of the instructions.
    pub responses: Vec<Response>,
}

/// The share of these instructions that a model answers, in Alpaca's prompt and greedily; each response is judged.
///
/// # Errors
/// Those of [`respond`].
pub fn answer_rate(model: &dyn LanguageModel, tokenizer: &dyn Tokenizer, rows: &[Instruction]) -> Result<AnswerRate> {
    let prompts: Vec<String> = rows.iter().map(Instruction::prompt).collect();
    let judged = rows.iter().zip(respond(model, tokenizer, &prompts, LONGEST)?).map(|(row, text)| Response {
        asked: row.clone(),
        right: row.is_answered_by(&text),
        text,
    });
    Ok(AnswerRate { responses: judged.collect() })
}

/// The likeliest continuation of each prompt, up to an end-of-text mark or `longest` tokens.
///
/// # Errors
/// Those of [`generate_ids`]; [`Error::Stopped`] if the learner presses stop meanwhile.
pub fn respond(
    model: &dyn LanguageModel,
    tokenizer: &dyn Tokenizer,
    prompts: &[String],
    longest: usize,
) -> Result<Vec<String>> {
    let eos_token_id = Some(end_tokens(model, tokenizer));
    let config = GenerateConfig { max_new_tokens: longest, eos_token_id, ..Default::default() };
    let mut texts = Vec::with_capacity(prompts.len());
    for some in prompts.chunks(BATCH) {
        let ids = some.iter().map(|prompt| tokenizer.encode(prompt)).collect::<Result<Vec<_>>>()?;
        for sequences in generate_ids(model, &ids, &config)? {
            texts.push(tokenizer.decode(sequences[0].continuation())?);
        }
        if stop::interrupted() {
            let hint = "an answer rate of half of the questions would mislead; run the cell again".into();
            return Err(Error::Stopped { what: "measuring the answer rate".into(), hint });
        }
    }
    Ok(texts)
}

/// The tokens that end a text, as the model and the tokenizer have them.
pub(crate) fn end_tokens(model: &dyn LanguageModel, tokenizer: &dyn Tokenizer) -> Vec<u32> {
    let mut eos = model.eos_tokens();
    eos.extend(tokenizer.end_of_text().filter(|id| !eos.contains(id)));
    eos
}

impl AnswerRate {
    /// Number of right responses.
    pub fn right(&self) -> usize {
        self.responses.iter().filter(|one| one.right == Some(true)).count()
    }

    /// Number of responses that could be judged.
    pub fn judged(&self) -> usize {
        self.responses.iter().filter(|one| one.right.is_some()).count()
    }

    /// The share of right ones among those that could be judged, in percent.
    pub fn percent(&self) -> f64 {
        100.0 * self.right() as f64 / self.judged().max(1) as f64
    }
}

/// `78.4 % (152 of 194 answered; 6 more cannot be judged)`
impl fmt::Display for AnswerRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = self.responses.len() - self.judged();
        let more = if open > 0 { format!("; {open} more cannot be judged") } else { String::new() };
        write!(f, "{:.1} % ({} of {} answered{more})", self.percent(), self.right(), self.judged())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;
    use crate::Pass;
    use crate::text::CharTokenizer;

    /// Answers "b" to every prompt and ends.
    struct Always(u32, u32);

    impl LanguageModel for Always {
        fn forward(&self, ids: &Tensor, _: &mut Pass) -> Result<Tensor> {
            let mut logits = Vec::new();
            for row in ids.to_vec2::<u32>()? {
                for id in row {
                    let next = if id == self.0 { self.1 } else { self.0 };
                    logits.extend((0..100).map(|token| if token == next { 9.0f32 } else { 0.0 }));
                }
            }
            let (b, t) = ids.dims2()?;
            Ok(Tensor::from_vec(logits, (b, t, 100), &Device::Cpu)?)
        }

        fn context(&self) -> usize {
            1000
        }
    }

    #[test]
    fn right_wrong_and_open_are_counted_apart() {
        let tokenizer = CharTokenizer::ascii();
        let model = Always(tokenizer.encode("b").unwrap()[0], tokenizer.end_of_text().unwrap());
        let row = |answer: &str| Instruction { answers: vec![answer.into()], ..Instruction::ask("Which letter?") };
        let rate = answer_rate(&model, &tokenizer, &[row("b"), row("c"), Instruction::ask("Sing."), row("B")]).unwrap();
        assert_eq!((rate.right(), rate.judged()), (2, 3));
        assert_eq!(rate.to_string(), "66.7 % (2 of 3 answered; 1 more cannot be judged)");
        assert!(rate.responses.iter().all(|one| one.text == "b"));
        assert_eq!(answer_rate(&model, &tokenizer, &[]).unwrap().to_string(), "0.0 % (0 of 0 answered)");
    }
}
