//! Beam search: the likeliest text as a whole, not token by token.
//!
//! Greedy choice may take a likely token after which everything is unlikely. A beam search follows `num_beams` texts at
//! once. Each step looks at all their continuations by one token and goes on with the best, judged by the sum of
//! log-probabilities. The rules for texts that end are those of Hugging Face's `generate` (transformers 5), which this
//! search equals in ids and scores.

use super::processors::Context;
use super::reader::Reader;
use super::sampler::log_softmax;
use super::{EarlyStopping, Ended, GenerateConfig, LanguageModel, Sequence};
use crate::core::stop;
use crate::{Error, Result};

/// A search and its history.
#[derive(Debug, Clone, PartialEq)]
pub struct BeamSearch {
    /// The prompt that it began with.
    pub prompt: Vec<u32>,
    /// The texts that it found, best first.
    pub sequences: Vec<Sequence>,
    /// For each step the continuations that were considered, best first.
    pub steps: Vec<Vec<Candidate>>,
}

/// A beam's text with one more token.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The beam that it continues, by its number in the step before; the prompt is beam 0.
    pub parent: usize,
    /// The token.
    pub id: u32,
    /// Its log-probability after the text so far, with the penalties that were asked for.
    pub log_prob: f32,
    /// The sum of these over all tokens after the prompt.
    pub sum: f32,
    /// The decision about it.
    pub fate: Fate,
}

/// The decision about a candidate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fate {
    /// It is the beam of this number.
    Kept(usize),
    /// It ended there and has this score.
    Finished(f32),
    /// Others were better.
    Dropped,
}

/// Searches for the likeliest continuations of a prompt. When the stop button is pressed, it ends with what it has.
///
/// In each step: the log-probabilities of all next tokens of all beams, processed (`no_repeat_ngram_size` …) and added
/// to the beams' sums; of these the best `(1 + number of end-of-text tokens) · num_beams`, at least `2 · num_beams`.
/// Those among the first `num_beams` that end are finished, with a score of sum / (tokens after the
/// prompt)^`length_penalty`; the best `num_beams` finished ones stay. The best `num_beams` that do not end are the next
/// beams.
///
/// # Errors
/// As [`generate_ids`](super::generate_ids).
pub fn beam_search(model: &dyn LanguageModel, prompt: &[u32], config: &GenerateConfig) -> Result<BeamSearch> {
    config.validate()?;
    let longest = config.longest(prompt.len(), model.context())?;
    let reader = Reader::new(model, vec![prompt.to_vec(); config.num_beams], longest)?;
    let eos = config.eos_of(model);
    let mut search =
        Search { config, eos, prompt: prompt.len(), longest, reader, sums: vec![0.0], finished: vec![], steps: vec![] };
    let mut why = Ended::Length;
    while search.made() < longest.saturating_sub(prompt.len()) && !search.is_over() {
        if stop::interrupted() {
            why = Ended::Interrupted;
            break;
        }
        search.step(model)?;
    }
    let sequences = search.best(why);
    Ok(BeamSearch { prompt: prompt.to_vec(), sequences, steps: search.steps })
}

struct Search<'a> {
    config: &'a GenerateConfig,
    eos: Vec<u32>,
    /// The prompt's length.
    prompt: usize,
    longest: usize,
    /// Row `i` is the text of beam `i`.
    reader: Reader,
    /// The beams' sums of log-probabilities, best first. At first there is one beam, the prompt.
    sums: Vec<f32>,
    /// Best first.
    finished: Vec<Sequence>,
    steps: Vec<Vec<Candidate>>,
}

impl Search<'_> {
    /// Tokens after the prompt in every beam.
    fn made(&self) -> usize {
        self.steps.len()
    }

    fn score(&self, sum: f32, tokens: usize) -> f32 {
        (f64::from(sum) / (tokens as f64).powf(self.config.length_penalty)) as f32
    }

    fn step(&mut self, model: &dyn LanguageModel) -> Result<()> {
        let mut candidates = self.candidates(model)?;
        if candidates.is_empty() {
            return Err(Error::empty("the set of tokens that these settings allow"));
        }
        let (mut parents, mut ids, mut sums) = (Vec::new(), Vec::new(), Vec::new());
        for (rank, candidate) in candidates.iter_mut().enumerate() {
            let ended = self.end(candidate.id);
            match ended {
                // One that ends after better ones go on is not worth keeping.
                Some(ended) if rank < self.config.num_beams => self.finish(candidate, ended),
                None if sums.len() < self.config.num_beams => {
                    candidate.fate = Fate::Kept(sums.len());
                    parents.push(candidate.parent);
                    ids.push(candidate.id);
                    sums.push(candidate.sum);
                }
                _ => {}
            }
        }
        self.reader.reorder(&parents)?;
        ids.iter().enumerate().for_each(|(beam, &id)| self.reader.push(beam, id));
        self.sums = sums;
        self.steps.push(candidates);
        Ok(())
    }

    /// The best continuations of all beams by one token, best first, of equal ones the first.
    fn candidates(&mut self, model: &dyn LanguageModel) -> Result<Vec<Candidate>> {
        let n = self.config.num_beams * (1 + self.eos.len()).max(2);
        let beams: Vec<usize> = (0..self.sums.len()).collect();
        let mut best: Vec<Candidate> = Vec::with_capacity(n + 1);
        for (parent, logits) in self.reader.next_logits(model, &beams)?.into_iter().enumerate() {
            let mut log_probs = log_softmax(logits);
            let text = Context { ids: self.reader.text(parent), prompt: self.prompt, eos: &self.eos };
            self.config.process(&mut log_probs, text);
            let mut worst = if best.len() < n { f32::NEG_INFINITY } else { best[n - 1].sum };
            for (id, &log_prob) in log_probs.iter().enumerate() {
                let sum = self.sums[parent] + log_prob;
                if sum > worst {
                    let place = best.partition_point(|other| other.sum >= sum);
                    best.insert(place, Candidate { parent, id: id as u32, log_prob, sum, fate: Fate::Dropped });
                    best.truncate(n);
                    worst = if best.len() < n { f32::NEG_INFINITY } else { best[n - 1].sum };
                }
            }
        }
        Ok(best)
    }

    /// The reason why a beam ends with this token, if it does.
    fn end(&self, id: u32) -> Option<Ended> {
        match self.prompt + self.made() + 1 {
            _ if self.eos.contains(&id) => Some(Ended::EndOfText),
            length if length == self.longest => Some(Ended::Length),
            _ => None,
        }
    }

    fn finish(&mut self, candidate: &mut Candidate, ended: Ended) {
        let score = self.score(candidate.sum, self.made() + 1);
        candidate.fate = Fate::Finished(score);
        let ids = [self.reader.text(candidate.parent), &[candidate.id]].concat();
        let place = self.finished.partition_point(|other| other.score >= Some(score));
        self.finished.insert(place, Sequence { ids, prompt: self.prompt, score: Some(score), ended });
        self.finished.truncate(self.config.num_beams);
    }

    /// True if nothing better is to be expected, by the rule that was asked for.
    fn is_over(&self) -> bool {
        let Some(&best) = self.sums.first() else { return true };
        let Some(worst) = self.finished.get(self.config.num_beams - 1) else { return false };
        let tokens = match self.config.early_stopping {
            EarlyStopping::True => return true,
            EarlyStopping::Never if self.config.length_penalty > 0.0 => self.longest - self.prompt,
            _ => self.made(),
        };
        Some(self.score(best, tokens)) <= worst.score
    }

    /// The finished texts, and after them, if these are too few, what the beams have got so far.
    fn best(&self, why: Ended) -> Vec<Sequence> {
        let beams = self.sums.iter().enumerate().map(|(beam, &sum)| Sequence {
            ids: self.reader.text(beam).to_vec(),
            prompt: self.prompt,
            score: (self.made() > 0).then(|| self.score(sum, self.made())),
            ended: why,
        });
        self.finished.iter().cloned().chain(beams).take(self.config.num_return_sequences).collect()
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;
    use crate::Pass;

    /// The next token depends on the last one only: row `i` holds the probabilities after token `i`.
    struct Table(Vec<Vec<f32>>);

    impl LanguageModel for Table {
        fn forward(&self, ids: &Tensor, _: &mut Pass) -> crate::Result<Tensor> {
            let (rows, width) = ids.dims2()?;
            let ids = ids.flatten_all()?.to_vec1::<u32>()?;
            let logits = ids.iter().flat_map(|&id| self.0[id as usize].iter().map(|p| p.ln())).collect();
            Ok(Tensor::from_vec(logits, (rows, width, self.0[0].len()), &Device::Cpu)?)
        }

        fn context(&self) -> usize {
            8
        }
    }

    /// 0 begins and never returns. After it 1 is likelier than 2, but 1 goes on undecided and 2 is sure of 3. 4 ends
    /// the text.
    fn table() -> Table {
        let rows = [
            [0.0, 0.6, 0.4, 0.0, 0.0],
            [0.0, 0.25, 0.25, 0.25, 0.25],
            [0.0, 0.0, 0.05, 0.9, 0.05],
            [0.0, 0.1, 0.1, 0.3, 0.5],
            [0.2, 0.2, 0.2, 0.2, 0.2],
        ];
        Table(rows.map(|row| row.to_vec()).to_vec())
    }

    fn search(config: GenerateConfig) -> BeamSearch {
        beam_search(&table(), &[0], &config).unwrap()
    }

    fn beams(max_new_tokens: usize) -> GenerateConfig {
        GenerateConfig { max_new_tokens, num_beams: 2, num_return_sequences: 2, ..Default::default() }
    }

    fn assert_score(sequence: &Sequence, expected: f64) {
        let score = f64::from(sequence.score.unwrap());
        assert!((score - expected).abs() < 1e-6, "{:?}: {score}, expected {expected}", sequence.ids);
    }

    #[test]
    fn two_steps_by_hand() {
        // After one step: 1 (0.6) and 2 (0.4). After two: 0 2 3 (0.4 · 0.9 = 0.36), then 0 1 1 … 0 1 4 (0.15), the
        // first of equals.
        let found = search(GenerateConfig { eos_token_id: Some(vec![]), ..beams(2) });
        let ids: Vec<_> = found.sequences.iter().map(|s| s.ids.clone()).collect();
        assert_eq!(ids, [[0, 2, 3], [0, 1, 1]]);
        assert_score(&found.sequences[0], 0.36f64.ln() / 2.0);
        assert_score(&found.sequences[1], 0.15f64.ln() / 2.0);
        let step: Vec<_> = found.steps[0].iter().map(|c| (c.parent, c.id, c.fate)).collect();
        assert_eq!(step, [(0, 1, Fate::Kept(0)), (0, 2, Fate::Kept(1))], "what is impossible is no candidate");
        let step: Vec<_> = found.steps[1].iter().map(|c| (c.parent, c.id)).collect();
        assert_eq!(step, [(1, 3), (0, 1), (0, 2), (0, 3)]);
        assert!(matches!(found.steps[1][0].fate, Fate::Finished(_)) && found.steps[1][2].fate == Fate::Dropped);
        assert!((found.steps[1][0].log_prob - 0.9f32.ln()).abs() < 1e-6);
    }

    #[test]
    fn ends_lengths_and_early_stopping_by_hand() {
        let eos = |early_stopping, length_penalty| {
            let eos_token_id = Some(vec![4]);
            search(GenerateConfig { eos_token_id, early_stopping, length_penalty, ..beams(7) })
        };
        // Step 2: 0 1 4 (0.15) ties with the others of its beam and comes after them: not among the first two, dropped.
        // Step 3: from 0 2 3 (0.36) and 0 1 1 (0.15): 0 2 3 4 (0.18) ends, 0 2 3 3 (0.108) goes on.
        let at_once = eos(EarlyStopping::True, 1.0);
        assert_eq!(at_once.sequences[0].ids, [0, 2, 3, 4]);
        assert_eq!(at_once.sequences[0].ended, Ended::EndOfText);
        assert_score(&at_once.sequences[0], 0.18f64.ln() / 3.0);
        // A penalty of 0 compares plain probabilities: nothing that goes on can do better than 0.18, but two are
        // wanted.
        assert_score(&eos(EarlyStopping::Never, 0.0).sequences[0], 0.18f64.ln());
        let lengths: Vec<usize> = [EarlyStopping::True, EarlyStopping::False, EarlyStopping::Never]
            .map(|early| eos(early, 2.0).steps.len())
            .to_vec();
        assert!(lengths.is_sorted() && lengths[2] == 7, "each waits longer: {lengths:?}");
    }

    #[test]
    fn settings_and_limits() {
        let ngrams = search(GenerateConfig { no_repeat_ngram_size: 1, eos_token_id: Some(vec![]), ..beams(4) });
        for sequence in &ngrams.sequences {
            let mut seen = sequence.ids.clone();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), sequence.ids.len(), "{:?} repeats a token", sequence.ids);
        }
        let late = search(GenerateConfig { min_new_tokens: 5, eos_token_id: Some(vec![4, 1]), ..beams(7) });
        assert!(late.sequences.iter().all(|s| s.ids.len() > 5 && !s.ids[..5].contains(&4)), "{:?}", late.sequences);
        let two_ends = search(GenerateConfig { eos_token_id: Some(vec![4, 0]), ..beams(7) });
        assert_eq!(two_ends.steps[1].len(), 6, "three times as many candidates as beams");
        let none = search(beams(0));
        assert_eq!((none.sequences[0].ids.as_slice(), none.sequences[0].score), (&[0][..], None));
        let far = beam_search(&table(), &[0], &GenerateConfig { max_length: Some(9), ..beams(20) });
        assert!(matches!(far, Err(Error::SequenceTooLong { length: 9, limit: 8 })));
        assert!(matches!(beam_search(&table(), &[], &beams(3)), Err(Error::EmptyInput { .. })));
        let spent = GenerateConfig { no_repeat_ngram_size: 1, eos_token_id: Some(vec![]), ..beams(5) };
        assert!(matches!(beam_search(&table(), &[0], &spent), Err(Error::EmptyInput { .. })), "every token was used");
        let slides = search(GenerateConfig { eos_token_id: Some(vec![]), ..beams(20) });
        assert_eq!(slides.sequences[0].ids.len(), 21);
    }
}
