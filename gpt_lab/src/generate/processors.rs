//! The processing of scores before the next token is chosen, as in Hugging Face's `generate` and in its order.
//!
//! The first three apply always: to the logits, or in a beam search to the log-probabilities. The last three
//! ("warpers") apply only when the token is drawn.

use super::GenerateConfig;
use super::sampler::softmax;
use crate::{Error, Result};

/// The text so far, when its next token is chosen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    /// The text so far, prompt included.
    pub(super) ids: &'a [u32],
    /// Number of tokens in the prompt.
    pub(super) prompt: usize,
    /// The tokens that would end it.
    pub(super) eos: &'a [u32],
}

impl GenerateConfig {
    /// The probabilities from which the token after `ids` is drawn with `do_sample`, for these logits.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for settings out of range; [`Error::EmptyInput`] without logits.
    pub fn probabilities(&self, logits: &[f32], ids: &[u32]) -> Result<Vec<f32>> {
        self.validate()?;
        if logits.is_empty() {
            return Err(Error::empty("the row of logits"));
        }
        let mut scores = logits.to_vec();
        self.process(&mut scores, Context { ids, prompt: ids.len(), eos: &[] });
        self.warp(&mut scores);
        Ok(softmax(&scores))
    }

    /// Repetition penalty, repeated n-grams, end of text before its time.
    pub(super) fn process(&self, scores: &mut [f32], text: Context) {
        if self.repetition_penalty != 1.0 {
            penalize_repetition(scores, text.ids, self.repetition_penalty as f32);
        }
        if self.no_repeat_ngram_size > 0 {
            forbid(scores, &completions(text.ids, self.no_repeat_ngram_size));
        }
        let made = text.ids.len() - text.prompt;
        if text.ids.len() < self.min_length || made < self.min_new_tokens {
            forbid(scores, text.eos);
        }
    }

    /// Temperature, top-k, top-p.
    pub(super) fn warp(&self, scores: &mut [f32]) {
        if self.temperature != 1.0 {
            scores.iter_mut().for_each(|score| *score /= self.temperature as f32);
        }
        if let Some(k) = self.top_k {
            keep_top_k(scores, k);
        }
        if let Some(p) = self.top_p.filter(|p| *p < 1.0) {
            keep_top_p(scores, p);
        }
    }
}

/// Makes every token of the text less likely (Keskar et al. 2019, <https://arxiv.org/abs/1909.05858>, section 4.1),
/// once however often it occurs.
fn penalize_repetition(scores: &mut [f32], ids: &[u32], penalty: f32) {
    let mut seen = ids.to_vec();
    seen.sort_unstable();
    seen.dedup();
    for id in seen {
        if let Some(score) = scores.get_mut(id as usize) {
            *score = if *score > 0.0 { *score / penalty } else { *score * penalty };
        }
    }
}

/// The tokens that would complete a sequence of `n` that the text has already.
fn completions(ids: &[u32], n: usize) -> Vec<u32> {
    if ids.len() < n {
        return Vec::new();
    }
    let tail = &ids[ids.len() + 1 - n..];
    ids.windows(n).filter(|gram| gram[..n - 1] == *tail).map(|gram| gram[n - 1]).collect()
}

/// Sets the scores of these tokens to −∞.
fn forbid(scores: &mut [f32], ids: &[u32]) {
    for &id in ids {
        if let Some(score) = scores.get_mut(id as usize) {
            *score = f32::NEG_INFINITY;
        }
    }
}

/// Sets every score below the k-th largest to −∞; ties with it stay.
fn keep_top_k(scores: &mut [f32], k: usize) {
    if k >= scores.len() {
        return;
    }
    let mut sorted = scores.to_vec();
    let (_, kth, _) = sorted.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
    let kth = *kth;
    scores.iter_mut().filter(|score| **score < kth).for_each(|score| *score = f32::NEG_INFINITY);
}

/// Keeps the shortest prefix of the tokens by falling probability whose sum reaches `p`, at least one.
fn keep_top_p(scores: &mut [f32], p: f64) {
    let probabilities = softmax(scores);
    // The prefix is short as a rule: sorting all tokens would take longer than the model.
    let mut n = 64;
    let kept = loop {
        let best = likeliest_first(&probabilities, n);
        let mut sum = 0.0;
        let reaches = best.iter().position(|&id| {
            sum += f64::from(probabilities[id as usize]);
            sum >= p
        });
        match reaches {
            Some(last) => break best[..=last].to_vec(),
            None if n >= scores.len() => break best,
            None => n *= 8,
        }
    };
    let mut warped = vec![f32::NEG_INFINITY; scores.len()];
    kept.into_iter().for_each(|id| warped[id as usize] = scores[id as usize]);
    scores.copy_from_slice(&warped);
}

/// The `n` tokens with the highest scores, best first, of equal ones the first.
pub(super) fn likeliest_first(scores: &[f32], n: usize) -> Vec<u32> {
    let by_score = |a: &u32, b: &u32| scores[*b as usize].total_cmp(&scores[*a as usize]).then(a.cmp(b));
    let mut ids: Vec<u32> = (0..scores.len() as u32).collect();
    if n < ids.len() {
        if n > 0 {
            ids.select_nth_unstable_by(n - 1, by_score);
        }
        ids.truncate(n);
    }
    ids.sort_unstable_by(by_score);
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 5] = [1.0, 3.0, 2.0, 3.0, -1.0];

    fn kept(config: GenerateConfig, logits: &[f32]) -> Vec<usize> {
        let probabilities = config.probabilities(logits, &[]).unwrap();
        assert!((probabilities.iter().map(|&p| f64::from(p)).sum::<f64>() - 1.0).abs() < 1e-6);
        (0..logits.len()).filter(|&id| probabilities[id] > 0.0).collect()
    }

    #[test]
    fn top_k_keeps_ties_with_the_last() {
        let top_k = |k| kept(GenerateConfig { top_k: Some(k), ..Default::default() }, &LOGITS);
        assert_eq!(top_k(1), [1, 3]);
        assert_eq!(top_k(2), [1, 3]);
        assert_eq!(top_k(3), [1, 2, 3]);
        assert_eq!(top_k(99), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn top_p_keeps_the_shortest_prefix_that_reaches_p() {
        let logits = [0.5f32, 0.25, 0.125, 0.125].map(f32::ln);
        let top_p = |p| kept(GenerateConfig { top_p: Some(p), ..Default::default() }, &logits);
        assert_eq!(top_p(1e-9), [0]);
        assert_eq!(top_p(0.49), [0]);
        assert_eq!(top_p(0.51), [0, 1]);
        assert_eq!(top_p(0.76), [0, 1, 2]);
        assert_eq!(top_p(1.0), [0, 1, 2, 3]);
        // Top-p sees what top-k has left: of two equal tokens one reaches a half.
        let both = GenerateConfig { top_k: Some(2), top_p: Some(0.45), ..Default::default() };
        assert_eq!(kept(both, &[0.0, 5.0, 5.0, 1.0]), [1]);
        let flat = vec![0.0; 1000];
        assert_eq!(kept(GenerateConfig { top_p: Some(0.7), ..Default::default() }, &flat).len(), 700);
    }

    #[test]
    fn repeated_tokens_become_less_likely_once() {
        let mut scores = [2.0, -2.0, 4.0, 0.0];
        penalize_repetition(&mut scores, &[0, 1, 1, 0, 99], 2.0);
        assert_eq!(scores, [1.0, -4.0, 4.0, 0.0]);
    }

    #[test]
    fn what_would_repeat_an_n_gram_is_found() {
        let text = [1, 2, 3, 1, 2, 4, 1, 2];
        assert_eq!(completions(&text, 3), [3, 4], "1 2 was followed by 3 and by 4");
        assert_eq!(completions(&text, 2), [3, 4]);
        assert_eq!(completions(&text, 1), text, "nothing may occur twice");
        assert_eq!(completions(&[1, 2, 3], 3), [0u32; 0]);
        assert_eq!(completions(&[1], 3), [0u32; 0]);
    }

    #[test]
    fn no_end_before_its_time() {
        let allowed = |min_length, min_new_tokens, ids: &[u32]| {
            let config = GenerateConfig { min_length, min_new_tokens, ..Default::default() };
            let mut scores = [0.0; 3];
            config.process(&mut scores, Context { ids, prompt: 2, eos: &[0, 2] });
            assert_eq!(scores[1], 0.0);
            scores[0] == 0.0 && scores[2] == 0.0
        };
        assert!(!allowed(4, 0, &[1, 1, 1]) && allowed(3, 0, &[1, 1, 1]));
        assert!(!allowed(0, 2, &[1, 1, 1]) && allowed(0, 1, &[1, 1, 1]));
    }

    #[test]
    fn the_likeliest_come_first_and_of_equal_ones_the_first() {
        assert_eq!(likeliest_first(&LOGITS, 3), [1, 3, 2]);
        assert_eq!(likeliest_first(&LOGITS, 1), [1]);
        assert_eq!(likeliest_first(&LOGITS, 0), [0u32; 0]);
        assert_eq!(likeliest_first(&LOGITS, 9), [1, 3, 2, 0, 4]);
        assert!(GenerateConfig::default().probabilities(&[], &[]).is_err());
    }
}
