//! The texts that are being written, and what the model has read of them.

use candle_core::{Device, Tensor};

use super::LanguageModel;
use super::language_model::rows;
use crate::nn::KvCache;
use crate::{Error, Pass, Result};

/// Texts as token ids, one a row, with the model's cache of what it has read of them if it has one.
///
/// A model sees its last [`context`](LanguageModel::context) tokens: when a text grows longer, the window slides,
/// positions are counted from its start, and everything in it is read again for each token.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    texts: Vec<Vec<u32>>,
    cache: Option<KvCache>,
}

impl Reader {
    /// For texts that will have up to `longest` tokens.
    pub(super) fn new(model: &dyn LanguageModel, texts: Vec<Vec<u32>>, longest: usize) -> Result<Self> {
        if texts.iter().any(Vec::is_empty) {
            return Err(Error::empty("the prompt"));
        }
        let cache = model.cache(texts.len().max(1), longest.clamp(1, model.context()))?;
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

    /// The logits of what comes next in each of these rows. Rows that lack one token are read together, others one by
    /// one, each as if it were alone; equal texts are read once.
    pub(super) fn next_logits(&mut self, model: &dyn LanguageModel, which: &[usize]) -> Result<Vec<Vec<f32>>> {
        let one_more = |row: usize| match &self.cache {
            Some(cache) => cache.len(row) + 1 == self.texts[row].len() && self.texts[row].len() <= cache.capacity(),
            None => false,
        };
        let (together, alone): (Vec<usize>, Vec<usize>) = which.iter().partition(|&&row| one_more(row));
        let mut read: Vec<(usize, Vec<f32>)> = Vec::with_capacity(which.len());
        if let (Some(cache), false) = (&mut self.cache, together.is_empty()) {
            let last: Vec<u32> = together.iter().map(|&row| self.texts[row][self.texts[row].len() - 1]).collect();
            let ids = Tensor::from_vec(last, (together.len(), 1), &Device::Cpu)?;
            let logits = rows(&model.forward(&ids, &mut Pass::cached(cache, &together))?.squeeze(1)?)?; // of [rows, V]
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
        let window = &text[text.len().saturating_sub(model.context())..];
        let forward = |ids: &[u32], pass: &mut Pass| -> Result<Tensor> {
            let logits = model.forward(&Tensor::from_slice(ids, (1, ids.len()), &Device::Cpu)?, pass)?; // [1, …, V]
            Ok(logits.narrow(1, logits.dim(1)? - 1, 1)?.squeeze(1)?) // [1, V]
        };
        let logits = match &mut self.cache {
            Some(cache) if text.len() <= cache.capacity() => {
                forward(&text[cache.len(row)..], &mut Pass::cached(cache, &[row]))?
            }
            // The window has slid, and every position with it: all is read again, in a new cache, for the last logits
            // only.
            Some(cache) => forward(window, &mut Pass::cached(&mut cache.another(1, window.len())?, &[0]))?,
            None => forward(window, &mut Pass::eval())?,
        };
        Ok(rows(&logits)?.remove(0))
    }
}
