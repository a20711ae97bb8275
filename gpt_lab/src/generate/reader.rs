//! The texts that are being written, and what the model has read of them.

use candle_core::{Device, Tensor};

use super::{LanguageModel, rows};
use crate::gpt2::{Cached, KvCache};
use crate::{Error, Result};

/// Texts as token ids, one a row, with the model's cache of what it has read of them if it has one.
///
/// A model sees its last [`context`](LanguageModel::context) tokens: when a text grows longer, the window slides, positions
/// are counted from its start, and everything in it is read again for each token.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    texts: Vec<Vec<u32>>,
    cache: Option<KvCache>,
}

impl Reader {
    /// For texts that will have up to `longest` tokens.
    pub(super) fn new(model: &dyn LanguageModel, texts: Vec<Vec<u32>>, longest: usize) -> Result<Self> {
        if texts.iter().any(Vec::is_empty) {
            return Err(Error::EmptyInput { what: "the prompt".into() });
        }
        let cache = |model: &dyn Cached| {
            let config = model.config();
            KvCache::new(config, texts.len().max(1), longest.clamp(1, config.n_positions))
        };
        let cache = model.cached().map(cache).transpose()?;
        Ok(Reader { texts, cache })
    }

    pub(super) fn text(&self, row: usize) -> &[u32] {
        &self.texts[row]
    }

    pub(super) fn push(&mut self, row: usize, id: u32) {
        self.texts[row].push(id);
    }

    /// The first rows go on from the texts of these rows, all at once.
    pub(super) fn reorder(&mut self, parents: &[usize]) -> Result<()> {
        let rest = parents.len()..self.texts.len();
        let parents: Vec<usize> = parents.iter().copied().chain(rest).collect();
        self.texts = parents.iter().map(|&parent| self.texts[parent].clone()).collect();
        self.cache.as_mut().map_or(Ok(()), |cache| cache.reorder(&parents))
    }

    /// The logits of what comes next in each of these rows. Rows that lack one token are read together, others one by one, each
    /// as if it were alone; equal texts are read once.
    pub(super) fn next_logits(&mut self, model: &dyn LanguageModel, which: &[usize]) -> Result<Vec<Vec<f32>>> {
        let one_more = |row: usize| match &self.cache {
            Some(cache) => cache.len(row) + 1 == self.texts[row].len() && self.texts[row].len() <= cache.capacity(),
            None => false,
        };
        let (together, alone): (Vec<usize>, Vec<usize>) = which.iter().partition(|&&row| one_more(row));
        let mut read: Vec<(usize, Vec<f32>)> = Vec::with_capacity(which.len());
        if let (Some(model), Some(cache), false) = (model.cached(), &mut self.cache, together.is_empty()) {
            let last: Vec<u32> = together.iter().map(|&row| self.texts[row][self.texts[row].len() - 1]).collect();
            let ids = Tensor::from_vec(last, (together.len(), 1), &Device::Cpu)?;
            let logits = rows(&model.forward_cached(&ids, cache, &together)?)?;
            read.extend(together.into_iter().zip(logits));
        }
        for row in alone {
            let logits = match read.iter().find(|(other, _)| self.texts[*other] == self.texts[row]) {
                Some((other, logits)) => {
                    let (other, logits) = (*other, logits.clone());
                    self.share(row, other)?;
                    logits
                }
                None => self.read(model, row)?,
            };
            read.push((row, logits));
        }
        let position = |row: usize| which.iter().position(|&wanted| wanted == row);
        read.sort_by_key(|(row, _)| position(*row));
        Ok(read.into_iter().map(|(_, logits)| logits).collect())
    }

    /// Lets `row` use what was kept of the same text in another row.
    fn share(&mut self, row: usize, other: usize) -> Result<()> {
        let Some(cache) = &mut self.cache else { return Ok(()) };
        let mut parents: Vec<usize> = (0..self.texts.len()).collect();
        parents[row] = other;
        cache.reorder(&parents)
    }

    /// Reads what one row has that the model has not read.
    fn read(&mut self, model: &dyn LanguageModel, row: usize) -> Result<Vec<f32>> {
        let text = &self.texts[row];
        let tensor = |ids: &[u32]| Tensor::from_slice(ids, (1, ids.len()), &Device::Cpu);
        let window = &text[text.len().saturating_sub(model.context())..];
        let logits = match (model.cached(), &mut self.cache) {
            (Some(model), Some(cache)) if text.len() <= cache.capacity() => {
                model.forward_cached(&tensor(&text[cache.len(row)..])?, cache, &[row])?
            }
            (Some(model), _) => {
                let mut cache = KvCache::new(model.config(), 1, window.len())?;
                model.forward_cached(&tensor(window)?, &mut cache, &[0])?
            }
            _ => model.logits(&tensor(window)?)?.narrow(1, window.len() - 1, 1)?.squeeze(1)?,
        };
        Ok(rows(&logits)?.remove(0))
    }
}
