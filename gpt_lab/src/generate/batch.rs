//! The loop of generation: several texts grow, token by token, side by side.

use super::processors::Context;
use super::reader::Reader;
use super::sampler::{draw, likeliest, softmax};
use super::{Ended, GenerateConfig, LanguageModel, Sequence, beam_search};
use crate::core::stop;
use crate::{Error, Result, Rng};

/// `num_return_sequences` continuations of each prompt, best first if they come from a beam search.
///
/// The prompts may differ in length: there is no padding, and each gives what it gives alone. Random numbers are drawn
/// by the seed and the number of the continuation, so that the prompts do not disturb one another there either. When
/// the stop button is pressed, all end where they are.
///
/// # Errors
/// [`Error::EmptyInput`] for an empty prompt; [`Error::TokenOutOfRange`]; [`Error::InvalidArgument`] in the settings;
/// [`Error::SequenceTooLong`] for a `max_length` beyond the model's context.
pub fn generate_ids(
    model: &dyn LanguageModel,
    prompts: &[Vec<u32>],
    config: &GenerateConfig,
) -> Result<Vec<Vec<Sequence>>> {
    if config.num_beams > 1 {
        return prompts.iter().map(|prompt| Ok(beam_search(model, prompt, config)?.sequences)).collect();
    }
    let mut batch = Batch::new(model, prompts, config, config.eos_of(model))?;
    while !batch.step(model)?.is_empty() {}
    let sequences = batch.finish();
    Ok(sequences.chunks(config.num_return_sequences).map(<[Sequence]>::to_vec).collect())
}

/// One drawn continuation of each prompt. Unlike [`generate_ids`], each prompt has random numbers of its own: what a
/// policy learns from should not be six times the same dice.
pub(crate) fn draw_ids(
    model: &dyn LanguageModel,
    prompts: &[Vec<u32>],
    config: &GenerateConfig,
) -> Result<Vec<Sequence>> {
    let mut batch = Batch::new(model, prompts, config, config.eos_of(model))?;
    for (row, i) in batch.rows.iter_mut().zip(0..) {
        row.rng = Rng::new(config.seed).stream(i);
    }
    while !batch.step(model)?.is_empty() {}
    Ok(batch.finish())
}

/// Texts on their way.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    config: GenerateConfig,
    eos: Vec<u32>,
    reader: Reader,
    rows: Vec<Row>,
}

#[derive(Debug, Clone)]
struct Row {
    prompt: usize,
    longest: usize,
    rng: Rng,
    ended: Option<Ended>,
}

/// One more token.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub(super) id: u32,
    /// The model's own logits, from which it was chosen.
    pub(super) logits: Vec<f32>,
}

impl Batch {
    /// `num_return_sequences` rows for each prompt.
    pub(super) fn new(
        model: &dyn LanguageModel,
        prompts: &[Vec<u32>],
        config: &GenerateConfig,
        eos: Vec<u32>,
    ) -> Result<Self> {
        config.validate()?;
        let (mut rows, mut texts) = (Vec::new(), Vec::new());
        for prompt in prompts {
            let longest = config.longest(prompt.len(), model.context())?;
            for i in 0..config.num_return_sequences {
                let rng = Rng::new(config.seed).stream(i as u64);
                rows.push(Row { prompt: prompt.len(), longest, rng, ended: None });
                texts.push(prompt.clone());
            }
        }
        let longest = rows.iter().map(|row| row.longest).max().unwrap_or(0);
        let reader = Reader::new(model, texts, longest)?;
        Ok(Batch { config: config.clone(), eos, reader, rows })
    }

    /// One more token for each row that has not ended; none when all have.
    pub(super) fn step(&mut self, model: &dyn LanguageModel) -> Result<Vec<Made>> {
        let stopped = stop::interrupted();
        for (i, row) in self.rows.iter_mut().enumerate().filter(|(_, row)| row.ended.is_none()) {
            if self.reader.text(i).len() >= row.longest {
                row.ended = Some(Ended::Length);
            } else if stopped {
                row.ended = Some(Ended::Interrupted);
            }
        }
        let going: Vec<usize> = (0..self.rows.len()).filter(|&row| self.rows[row].ended.is_none()).collect();
        let logits = self.reader.next_logits(model, &going)?;
        let mut made = Vec::with_capacity(going.len());
        for (row, logits) in going.into_iter().zip(logits) {
            let id = self.choose(row, &logits)?;
            self.reader.push(row, id);
            if self.eos.contains(&id) {
                self.rows[row].ended = Some(Ended::EndOfText);
            }
            made.push(Made { id, logits });
        }
        Ok(made)
    }

    fn choose(&mut self, row: usize, logits: &[f32]) -> Result<u32> {
        let mut scores = logits.to_vec();
        let Row { prompt, rng, .. } = &mut self.rows[row];
        self.config.process(&mut scores, Context { ids: self.reader.text(row), prompt: *prompt, eos: &self.eos });
        let best = likeliest(&scores);
        if scores.get(best as usize).is_none_or(|score| *score == f32::NEG_INFINITY) {
            return Err(Error::empty("the set of tokens that these settings allow here"));
        }
        if !self.config.do_sample {
            return Ok(best);
        }
        self.config.warp(&mut scores);
        Ok(draw(&softmax(&scores), rng))
    }

    /// The reason why a row ended; `None` while it has not.
    pub(super) fn ended(&self, row: usize) -> Option<Ended> {
        self.rows[row].ended
    }

    /// All texts, after the last step.
    fn finish(&self) -> Vec<Sequence> {
        let sequence = |(i, row): (usize, &Row)| Sequence {
            ids: self.reader.text(i).to_vec(),
            prompt: row.prompt,
            score: None,
            ended: row.ended.unwrap_or(Ended::Interrupted),
        };
        self.rows.iter().enumerate().map(sequence).collect()
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Tensor;

    use super::*;
    use crate::Pass;
    use crate::gpt2::{EosToken, Gpt2, Gpt2Config};

    /// The same model without its cache.
    struct Uncached(Gpt2);

    impl LanguageModel for Uncached {
        fn forward(&self, ids: &Tensor, pass: &mut Pass) -> Result<Tensor> {
            self.0.forward(ids, pass)
        }

        fn context(&self) -> usize {
            self.0.n_positions()
        }

        fn eos_tokens(&self) -> Vec<u32> {
            self.0.config.eos_tokens()
        }
    }

    fn model() -> Gpt2 {
        let config = Gpt2Config {
            vocab_size: 23,
            n_positions: 16,
            n_embd: 16,
            n_layer: 2,
            n_head: 2,
            initializer_range: 0.4,
            eos_token_id: Some(EosToken::Any(vec![7, 11])),
            ..Default::default()
        };
        Gpt2::new(&config, 9).unwrap()
    }

    fn prompts() -> Vec<Vec<u32>> {
        vec![vec![3], vec![5, 1, 2, 20], vec![3], vec![9, 9, 4, 4, 4, 4, 0, 2]]
    }

    fn ways() -> [GenerateConfig; 4] {
        let base = GenerateConfig { max_new_tokens: 30, ..Default::default() }; // past the context of 16
        [
            base.clone(),
            GenerateConfig { repetition_penalty: 1.3, no_repeat_ngram_size: 2, ..base.clone() },
            GenerateConfig {
                do_sample: true,
                temperature: 1.5,
                top_p: Some(0.9),
                num_return_sequences: 3,
                ..base.clone()
            },
            GenerateConfig { num_beams: 3, num_return_sequences: 2, ..base },
        ]
    }

    #[test]
    fn with_and_without_the_cache_the_texts_are_the_same() {
        let model = model();
        for config in ways() {
            let cached = generate_ids(&model, &prompts(), &config).unwrap();
            let uncached = generate_ids(&Uncached(model.clone()), &prompts(), &config).unwrap();
            let ids = |all: &[Vec<Sequence>]| all.concat().into_iter().map(|s| (s.ids, s.ended)).collect::<Vec<_>>();
            assert_eq!(ids(&cached), ids(&uncached), "{config:?}");
        }
    }

    #[test]
    fn each_prompt_gives_what_it_gives_alone() {
        let model = model();
        for config in ways() {
            let together = generate_ids(&model, &prompts(), &config).unwrap();
            for (prompt, together) in prompts().into_iter().zip(together) {
                assert_eq!(generate_ids(&model, &[prompt], &config).unwrap(), [together], "{config:?}");
            }
        }
    }

    #[test]
    fn several_draws_differ_and_ends_are_kept() {
        let config = GenerateConfig { max_new_tokens: 200, ..ways()[2].clone() };
        let drawn = generate_ids(&model(), &prompts()[..1], &config).unwrap().remove(0);
        assert_eq!(drawn.len(), 3);
        assert!(drawn[0] != drawn[1] && drawn[1] != drawn[2]);
        let ended = drawn.iter().find(|sequence| sequence.ended == Ended::EndOfText).unwrap();
        let (last, continuation) = (ended.ids.last().unwrap(), ended.continuation());
        assert!([7, 11].contains(last) && continuation.iter().all(|id| ![7, 11].contains(id)), "{ended:?}");
        assert_eq!(ended.ids.len(), 1 + continuation.len() + 1);
        let endless = GenerateConfig { eos_token_id: Some(vec![]), ..config };
        let endless = generate_ids(&model(), &prompts()[..1], &endless).unwrap().concat();
        assert!(endless.iter().all(|s| s.ended == Ended::Length && s.continuation().len() == 200));
    }

    #[test]
    fn what_cannot_be_continued_is_refused() {
        let generate = |prompt: &[u32], config| generate_ids(&model(), &[prompt.to_vec()], &config);
        let plain = GenerateConfig::default;
        assert!(matches!(generate(&[], plain()), Err(Error::EmptyInput { .. })));
        assert!(matches!(generate(&[23], plain()), Err(Error::TokenOutOfRange { id: 23, .. })));
        let far = GenerateConfig { max_length: Some(17), ..plain() };
        assert!(matches!(generate(&[1], far), Err(Error::SequenceTooLong { length: 17, limit: 16 })));
        let nothing = GenerateConfig { no_repeat_ngram_size: 1, eos_token_id: Some(vec![]), ..plain() };
        let error = generate(&[1], nothing).unwrap_err();
        assert!(error.to_string().contains("allow here is empty"), "{error}");
        assert_eq!(generate_ids(&model(), &[], &plain()).unwrap(), Vec::<Vec<Sequence>>::new());
    }
}
