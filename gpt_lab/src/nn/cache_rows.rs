//! A cache in use: the rows that one pass reads on, and attention to all that they hold.

use candle_core::{Device, Tensor};

use super::kv_cache::{CacheShape, KvCache};
use crate::ops::Query;
use crate::{Error, Result, ops};

/// A cache on its way through a model, with the rows that the input continues.
#[derive(Debug)]
pub(crate) struct CacheRows<'a> {
    cache: &'a mut KvCache,
    rows: &'a [usize],
}

impl<'a> CacheRows<'a> {
    pub(super) fn new(cache: &'a mut KvCache, rows: &'a [usize]) -> Self {
        CacheRows { cache, rows }
    }

    /// Position of the first token of this row of the input.
    pub(super) fn first_position(&self, row: usize) -> usize {
        self.cache.len(self.rows[row])
    }

    /// Makes room for an input of shape `[B, T]` to a model of this shape. It counts as read after
    /// [`CacheRows::finish`] only: after an error the cache holds what it held before.
    pub(crate) fn begin(&mut self, (b, t): (usize, usize), model: CacheShape) -> Result<()> {
        let (cache, rows) = (&mut *self.cache, self.rows);
        if b != rows.len() {
            let expected = format!("one row of the cache for each of the {b} rows of ids");
            return Err(Error::argument("rows", format!("{rows:?}"), expected));
        }
        let sizes = |shape: CacheShape| (shape.n_layer, shape.n_head, shape.head_size);
        if sizes(cache.shape) != sizes(model) {
            let expected = format!("one for this model's {model}");
            return Err(Error::argument("cache", format!("a cache for {}", cache.shape), expected));
        }
        for (at, &row) in rows.iter().enumerate() {
            if row >= cache.rows() || rows[..at].contains(&row) {
                let expected = format!("different rows of the {} that the cache has", cache.rows());
                return Err(Error::argument("rows", format!("{rows:?}"), expected));
            }
        }
        if let Some(&row) = rows.iter().find(|&&row| cache.len(row) + t > cache.capacity()) {
            return Err(Error::SequenceTooLong { length: cache.len(row) + t, limit: cache.capacity() });
        }
        for &row in rows {
            cache.places[row].truncate(cache.lengths[row]);
            cache.places[row].extend(std::iter::repeat_n(row as u32, t));
        }
        Ok(())
    }

    /// Counts the input as read.
    pub(crate) fn finish(&mut self) {
        for &row in self.rows {
            self.cache.lengths[row] = self.cache.places[row].len();
        }
    }

    /// Keeps the keys and values of `[B, T, 3C]` queries, keys and values of a block, then lets the queries attend to
    /// all that is kept: `[B, T, C]`, without gradients.
    ///
    /// A text read from its start sees nothing but itself, so that the faster attention of many positions will do.
    pub(crate) fn attend(&mut self, layer: usize, qkv: &Tensor, scale: f64) -> Result<Tensor> {
        let (b, t, _) = qkv.dims3()?;
        let numbers = qkv.flatten_all()?.to_vec1::<f32>()?;
        self.keep(layer, &numbers, t);
        if t > 1 && (0..b).all(|row| self.first_position(row) == 0) {
            return ops::causal_attention(&qkv.detach(), self.cache.shape.n_head, scale, None);
        }
        let c = self.cache.shape.width();
        let mut queries = Vec::with_capacity(b * t);
        for (i, qkv) in numbers.chunks_exact(3 * c).enumerate() {
            let places = &self.cache.places[self.rows[i / t]];
            queries.push(Query { q: &qkv[..c], rows: &places[..places.len() - t + 1 + i % t] });
        }
        let y = self.cache.kept(layer).attend(&queries, scale as f32);
        Ok(Tensor::from_vec(y, (b, t, c), &Device::Cpu)?)
    }

    fn keep(&mut self, layer: usize, qkv: &[f32], t: usize) {
        let c = self.cache.shape.width();
        for (&row, qkv) in self.rows.iter().zip(qkv.chunks_exact(t * 3 * c)) {
            for (position, qkv) in (self.cache.len(row)..).zip(qkv.chunks_exact(3 * c)) {
                self.cache.write(layer, row, position, &qkv[c..]);
            }
        }
    }
}
