//! Generation from text to text.

use std::fmt;

use super::batch::{Batch, Made};
use super::sampler::softmax;
use super::score::judge;
use super::{Ended, GenerateConfig, LanguageModel, Sequence, Token, generate_ids};
use crate::text::{StreamDecoder, Tokenizer};
use crate::{Error, Result};

/// A text with its tokens and the reason for its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    /// The prompt.
    pub prompt: String,
    /// The tokens that the model added, without the end-of-text mark.
    pub tokens: Vec<Token>,
    /// Its score, if a beam search found it.
    pub score: Option<f32>,
    /// The reason why it ended.
    pub ended: Ended,
}

impl Generation {
    /// The text that the model added.
    pub fn continuation(&self) -> String {
        self.tokens.iter().map(|token| token.text.as_str()).collect()
    }
}

/// The prompt and what was added to it.
impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.prompt, self.continuation())
    }
}

/// Makes one token after another; ends after an end-of-text mark (which it does not hand out), after as many tokens as
/// allowed, when the stop button is pressed, or after an error.
///
/// A model sees its last [`context`](LanguageModel::context) tokens: when the text grows longer, the window slides, and
/// positions are counted from its start. An empty prompt stands for the beginning of a text, which in training came
/// after an end-of-text mark.
#[derive(Debug, Clone)]
pub struct Generator<M, T> {
    model: M,
    tokenizer: T,
    writer: Writer,
    failed: bool,
}

impl<M: LanguageModel + Clone, T: Tokenizer + Clone> Generator<M, T> {
    /// A generator with its own clones of the model (which share its weights) and of the tokenizer.
    ///
    /// # Errors
    /// [`Error::UnknownCharacter`] in the prompt; [`Error::InvalidArgument`] in the settings, and for a beam search,
    /// which knows its text only at the end; [`Error::EmptyInput`] for an empty prompt if the tokenizer has no
    /// end-of-text mark.
    pub fn new(model: &M, tokenizer: &T, prompt: &str, config: &GenerateConfig) -> Result<Self> {
        let writer = Writer::new(model, tokenizer, prompt, config)?;
        Ok(Generator { model: model.clone(), tokenizer: tokenizer.clone(), writer, failed: false })
    }

    /// The reason why it ended; `None` while it has not, or after an error.
    pub fn ended(&self) -> Option<Ended> {
        self.writer.ended()
    }
}

impl<M: LanguageModel + Clone, T: Tokenizer + Clone> Iterator for Generator<M, T> {
    type Item = Result<Token>;

    fn next(&mut self) -> Option<Result<Token>> {
        if self.failed {
            return None;
        }
        let step = self.writer.step(&self.model, &self.tokenizer).transpose();
        self.failed = matches!(step, Some(Err(_)));
        step
    }
}

/// The state of a generator, beside its model and its tokenizer. The functions here and below take those as `dyn`:
/// otherwise each cell that calls them would compile them anew.
#[derive(Debug, Clone)]
struct Writer {
    decoder: StreamDecoder,
    batch: Batch,
    alternatives: usize,
}

impl Writer {
    fn new(
        model: &dyn LanguageModel,
        tokenizer: &dyn Tokenizer,
        prompt: &str,
        config: &GenerateConfig,
    ) -> Result<Self> {
        if config.num_beams > 1 {
            let expected = "1, as a beam search knows its text only at its end (generate and generate_many do that)";
            return Err(Error::argument("num_beams", config.num_beams, expected));
        }
        let prompt = encode(tokenizer, prompt)?;
        let config = GenerateConfig { num_return_sequences: 1, ..config.clone() };
        let batch = Batch::new(model, &[prompt], &config, eos(model, tokenizer, &config))?;
        Ok(Writer { decoder: StreamDecoder::new(), batch, alternatives: config.alternatives })
    }

    fn ended(&self) -> Option<Ended> {
        self.batch.ended(0)
    }

    /// The next token, or none where the text ends.
    fn step(&mut self, model: &dyn LanguageModel, tokenizer: &dyn Tokenizer) -> Result<Option<Token>> {
        let Some(Made { id, logits, .. }) = self.batch.step(model)?.pop() else { return Ok(None) };
        if self.ended() == Some(Ended::EndOfText) {
            return Ok(None);
        }
        let probabilities = softmax(&logits);
        Ok(Some(Token::of(id, &probabilities, self.alternatives, tokenizer, &mut self.decoder)?))
    }
}

/// The prompt with its continuation, the best one if there are several.
///
/// # Errors
/// [`Error::UnknownCharacter`] in the prompt; [`Error::InvalidArgument`] in the settings; those of the model.
pub fn generate(
    model: &dyn LanguageModel,
    tokenizer: &dyn Tokenizer,
    prompt: &str,
    config: &GenerateConfig,
) -> Result<String> {
    Ok(written(model, tokenizer, prompt, config, &mut |_| {})?.to_string())
}

/// As [`generate`], with every token handed to `each` as soon as it is made; for a beam search, that is at its end.
pub fn generate_with(
    model: &dyn LanguageModel,
    tokenizer: &dyn Tokenizer,
    prompt: &str,
    config: &GenerateConfig,
    mut each: impl FnMut(&Token),
) -> Result<Generation> {
    written(model, tokenizer, prompt, config, &mut each)
}

fn written(
    model: &dyn LanguageModel,
    tokenizer: &dyn Tokenizer,
    prompt: &str,
    config: &GenerateConfig,
    each: &mut dyn FnMut(&Token),
) -> Result<Generation> {
    if config.num_beams > 1 {
        let config = GenerateConfig { num_return_sequences: 1, ..config.clone() };
        let generation = generate_many(model, tokenizer, &[prompt], &config)?.remove(0).remove(0);
        generation.tokens.iter().for_each(each);
        return Ok(generation);
    }
    let mut writer = Writer::new(model, tokenizer, prompt, config)?;
    let mut tokens = Vec::new();
    while let Some(token) = writer.step(model, tokenizer)? {
        each(&token);
        tokens.push(token);
    }
    let ended = writer.ended().expect("without an error it ends for a reason");
    Ok(Generation { prompt: prompt.to_string(), tokens, score: None, ended })
}

/// `num_return_sequences` continuations of each of several prompts, made side by side: see [`generate_ids`].
pub fn generate_many(
    model: &dyn LanguageModel,
    tokenizer: &dyn Tokenizer,
    prompts: &[&str],
    config: &GenerateConfig,
) -> Result<Vec<Vec<Generation>>> {
    let ids = prompts.iter().map(|prompt| encode(tokenizer, prompt)).collect::<Result<Vec<_>>>()?;
    let config = GenerateConfig { eos_token_id: Some(eos(model, tokenizer, config)), ..config.clone() };
    let all = generate_ids(model, &ids, &config)?;
    let text = |prompt: &str, sequence: &Sequence| -> Result<Generation> {
        let end = sequence.prompt + sequence.continuation().len();
        let tokens = judge(model, tokenizer, &sequence.ids[..end], sequence.prompt, config.alternatives)?;
        Ok(Generation { prompt: prompt.to_string(), tokens, score: sequence.score, ended: sequence.ended })
    };
    let texts = |(prompt, sequences): (&&str, Vec<Sequence>)| sequences.iter().map(|s| text(prompt, s)).collect();
    prompts.iter().zip(all).map(texts).collect()
}

/// The ids of a prompt; the empty one is the beginning of a text.
fn encode(tokenizer: &dyn Tokenizer, prompt: &str) -> Result<Vec<u32>> {
    let ids = tokenizer.encode(prompt)?;
    match ids.is_empty() {
        true => Ok(tokenizer.end_of_text().into_iter().collect()),
        false => Ok(ids),
    }
}

/// The tokens that end a text: those of the settings, or else those of the model and the tokenizer.
fn eos(model: &dyn LanguageModel, tokenizer: &dyn Tokenizer, config: &GenerateConfig) -> Vec<u32> {
    let mut eos = config.eos_of(model);
    if config.eos_token_id.is_none() {
        eos.extend(tokenizer.end_of_text().filter(|id| !eos.contains(id)));
    }
    eos
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Tensor};

    use crate::Pass;
    use crate::text::CharTokenizer;

    /// Knows the alphabet: after a letter comes the next one with probability near 1, after the last one the end. It
    /// only sees two letters at once and refuses more.
    #[derive(Clone)]
    struct Alphabet;

    impl LanguageModel for Alphabet {
        fn forward(&self, ids: &Tensor, _: &mut Pass) -> Result<Tensor> {
            let (_, length) = ids.dims2()?;
            if length > self.context() {
                return Err(Error::SequenceTooLong { length, limit: self.context() });
            }
            let mut logits = vec![0f32; length * 6];
            for (t, id) in ids.flatten_all()?.to_vec1::<u32>()?.into_iter().enumerate() {
                logits[t * 6 + (id as usize + 1) % 6] = 10.0;
            }
            Ok(Tensor::from_vec(logits, (1, length, 6), &Device::Cpu)?)
        }

        fn context(&self) -> usize {
            2
        }
    }

    fn letters() -> CharTokenizer {
        CharTokenizer::from_text("abcde")
    }

    fn greedy(max_new_tokens: usize) -> GenerateConfig {
        GenerateConfig { max_new_tokens, alternatives: 2, ..Default::default() }
    }

    #[test]
    fn it_stops_at_the_mark_slides_the_window_and_starts_from_nothing() {
        let generation = generate_with(&Alphabet, &letters(), "ab", &greedy(50), |_| {}).unwrap();
        assert_eq!((generation.to_string().as_str(), generation.ended), ("abcde", Ended::EndOfText));
        assert_eq!(generation.continuation(), "cde");
        let token = &generation.tokens[0];
        assert!((token.probability - 0.999_77).abs() < 1e-4);
        assert_eq!((token.id, &token.alternatives[0].1, token.alternatives.len()), (3, &"c".to_string(), 2));
        assert_eq!(generate(&Alphabet, &letters(), "", &greedy(50)).unwrap(), "abcde");
        let generation = generate_with(&Alphabet, &letters(), "abcabca", &greedy(2), |_| {}).unwrap();
        assert_eq!((generation.continuation().as_str(), generation.ended), ("bc", Ended::Length));
        assert_eq!(generate(&Alphabet, &letters(), "a", &greedy(0)).unwrap(), "a");
    }

    #[test]
    fn it_streams_and_sampling_is_seeded() {
        let mut heard = String::new();
        let hot = |seed| GenerateConfig { do_sample: true, temperature: 8.0, seed, ..greedy(40) };
        let generation =
            generate_with(&Alphabet, &letters(), "a", &hot(1), |token| heard.push_str(&token.text)).unwrap();
        assert_eq!(heard, generation.continuation());
        assert_eq!(generation, generate_with(&Alphabet, &letters(), "a", &hot(1), |_| {}).unwrap());
        let others: Vec<String> = (2..6).map(|s| generate(&Alphabet, &letters(), "a", &hot(s)).unwrap()).collect();
        assert!(others.iter().any(|other| *other != generation.to_string()));
    }

    #[test]
    fn a_character_of_several_tokens_appears_when_it_is_whole() {
        /// `é` in two bytes, one a token; the last token ends the text.
        #[derive(Clone)]
        struct Bytes;
        impl Tokenizer for Bytes {
            fn encode(&self, text: &str) -> Result<Vec<u32>> {
                Ok(vec![0; text.len()])
            }
            fn decode(&self, ids: &[u32]) -> Result<String> {
                let bytes: Vec<u8> = ids.iter().map(|&id| [b'a', 0xc3, 0xa9, b'!', b'?', b'.'][id as usize]).collect();
                Ok(String::from_utf8_lossy(&bytes).into_owned())
            }
            fn token_bytes(&self, id: u32) -> Result<Vec<u8>> {
                Ok(vec![[b'a', 0xc3, 0xa9, b'!', b'?', b'.'][id as usize]])
            }
            fn vocab_size(&self) -> usize {
                6
            }
            fn end_of_text(&self) -> Option<u32> {
                Some(3)
            }
        }
        let generation = generate_with(&Alphabet, &Bytes, "a", &greedy(9), |_| {}).unwrap();
        let pieces: Vec<&str> = generation.tokens.iter().map(|token| token.text.as_str()).collect();
        assert_eq!((pieces, generation.to_string().as_str()), (vec!["", "é"], "aé"));
        let beams = GenerateConfig { num_beams: 2, ..greedy(9) };
        assert_eq!(generate(&Alphabet, &Bytes, "a", &beams).unwrap(), "aé");
        assert!(Generator::new(&Alphabet, &Bytes, "a", &beams).is_err());
        let both = generate_many(&Alphabet, &Bytes, &["a", "aa"], &greedy(1)).unwrap().concat();
        assert_eq!(
            both.iter().map(Generation::to_string).collect::<Vec<_>>(),
            ["a", "aa"],
            "half a character is not shown"
        );
    }

    #[test]
    fn an_unknown_character_in_the_prompt_is_named() {
        let error = generate(&Alphabet, &letters(), "abX", &GenerateConfig::default()).unwrap_err();
        assert!(matches!(error, Error::UnknownCharacter { character: 'X', position: 2, .. }), "{error}");
    }

    #[test]
    fn an_error_ends_the_iterator() {
        #[derive(Clone)]
        struct Broken;
        impl LanguageModel for Broken {
            fn forward(&self, _: &Tensor, _: &mut Pass) -> Result<Tensor> {
                Ok(Tensor::from_vec(vec![f32::NAN; 6], (1, 1, 6), &Device::Cpu)?)
            }
            fn context(&self) -> usize {
                1
            }
        }
        let mut generator = Generator::new(&Broken, &letters(), "a", &GenerateConfig::default()).unwrap();
        assert!(matches!(generator.next(), Some(Err(Error::NotFinite { .. }))));
        assert!(generator.next().is_none());
    }
}
