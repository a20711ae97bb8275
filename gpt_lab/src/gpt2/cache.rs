//! Keys and values kept, so that a model that writes reads every token once.
//!
//! What attention needs of earlier positions are their keys and values, and these never change: causal attention lets no
//! position see what comes later. With them kept, one more token costs one position's work instead of the whole text's.

use candle_core::{Device, Tensor};

use super::config::Gpt2Config;
use super::model::Gpt2;
use crate::core::threads::on_a_worker;
use crate::ops::{Kept, Query};
use crate::{Error, Mode, Result, ops};

/// The keys and values of everything that has been read, for several rows (texts) of lengths of their own.
///
/// Memory for all positions is set aside at the beginning and taken from the system as it fills; a step neither moves nor
/// copies what is there. Nor does a beam search that lets a row go on from another one's text: each row has a list that
/// says, position by position, in which row's memory the key and the value lie, and only that list is copied.
#[derive(Debug, Clone)]
pub struct KvCache {
    n_head: usize,
    /// Head size.
    d: usize,
    capacity: usize,
    layers: Vec<Layer>,
    /// For each row the memory row of each of its positions.
    places: Vec<Vec<u32>>,
}

/// Each `[rows, H, capacity, D]`.
#[derive(Debug, Clone)]
struct Layer {
    keys: Vec<f32>,
    values: Vec<f32>,
}

/// Keys of one layer: 64 GiB.
const MOST_NUMBERS: usize = 1 << 34;

impl KvCache {
    /// An empty cache for so many rows of at most `capacity` tokens.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for no rows or a capacity of 0; [`Error::SequenceTooLong`] for one beyond the model's context.
    pub fn new(config: &Gpt2Config, rows: usize, capacity: usize) -> Result<Self> {
        for (argument, value) in [("rows", rows), ("capacity", capacity)] {
            if value == 0 {
                return Err(Error::InvalidArgument { argument, value: "0".into(), expected: "at least 1".into() });
            }
        }
        if capacity > config.n_positions {
            return Err(Error::SequenceTooLong { length: capacity, limit: config.n_positions });
        }
        let numbers = rows.checked_mul(capacity * config.n_embd).filter(|numbers| *numbers <= MOST_NUMBERS);
        let Some(numbers) = numbers else {
            let expected = "fewer: their keys and values would not fit in memory".into();
            return Err(Error::InvalidArgument { argument: "rows", value: rows.to_string(), expected });
        };
        let layer = || Layer { keys: vec![0.0; numbers], values: vec![0.0; numbers] };
        Ok(KvCache {
            n_head: config.n_head,
            d: config.head_size(),
            capacity,
            layers: (0..config.n_layer).map(|_| layer()).collect(),
            places: vec![Vec::with_capacity(capacity); rows],
        })
    }

    /// Refuses a model of another shape than the one that the cache was made for.
    fn check_fits(&self, config: &Gpt2Config) -> Result<()> {
        let of = |n_layer: usize, n_head: usize, d: usize| format!("{n_layer} layers with {n_head} heads of {d}");
        let own = of(self.layers.len(), self.n_head, self.d);
        let asked = of(config.n_layer, config.n_head, config.head_size());
        if own == asked {
            return Ok(());
        }
        let (value, expected) = (format!("a cache for {own}"), format!("one for this model's {asked}"));
        Err(Error::InvalidArgument { argument: "cache", value, expected })
    }

    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.places.len()
    }

    /// How many tokens of this row it holds.
    pub fn len(&self, row: usize) -> usize {
        self.places[row].len()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.places.iter().all(Vec::is_empty)
    }

    /// How many tokens a row can have.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Lets row `i` go on from what row `parents[i]` has read, for every `i` at once. No key and no value is copied.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] unless there is a parent for every row, and none shorter than its row: what a row has
    /// written may be part of another row's text and must not be written over.
    pub fn reorder(&mut self, parents: &[usize]) -> Result<()> {
        let bad =
            |value: String, expected: String| Err(Error::InvalidArgument { argument: "parents", value, expected });
        if parents.len() != self.rows() || parents.iter().any(|&parent| parent >= self.rows()) {
            return bad(format!("{parents:?}"), format!("one of the {0} rows for each of the {0} rows", self.rows()));
        }
        if let Some(row) = (0..self.rows()).find(|&row| self.len(parents[row]) < self.len(row)) {
            let (parent, length, shorter) = (parents[row], self.len(row), self.len(parents[row]));
            return bad(parent.to_string(), format!("row {row} has {length} tokens, its parent only {shorter}"));
        }
        if parents.iter().enumerate().any(|(row, &parent)| row != parent) {
            self.places = parents.iter().map(|&parent| self.copy_of_places(parent)).collect();
        }
        Ok(())
    }

    /// With room to grow: a plain clone would be moved at the next token.
    fn copy_of_places(&self, row: usize) -> Vec<u32> {
        let mut copy = Vec::with_capacity(self.capacity);
        copy.extend_from_slice(&self.places[row]);
        copy
    }

    /// Makes room for `new` tokens in these rows.
    fn grow(&mut self, rows: &[usize], new: usize) -> Result<()> {
        for (at, &row) in rows.iter().enumerate() {
            if row >= self.rows() || rows[..at].contains(&row) {
                let expected = format!("different rows of the {} that the cache has", self.rows());
                return Err(Error::InvalidArgument { argument: "rows", value: format!("{rows:?}"), expected });
            }
        }
        if let Some(&row) = rows.iter().find(|&&row| self.len(row) + new > self.capacity) {
            return Err(Error::SequenceTooLong { length: self.len(row) + new, limit: self.capacity });
        }
        rows.iter().for_each(|&row| self.places[row].extend(std::iter::repeat_n(row as u32, new)));
        Ok(())
    }

    /// Takes back what [`KvCache::grow`] gave, after an error.
    fn shrink(&mut self, rows: &[usize], new: usize) {
        for &row in rows {
            let length = self.len(row) - new;
            self.places[row].truncate(length);
        }
    }

    /// Keeps the keys and values of `[rows, T, 3C]` queries, keys and values; hands all of these back as plain numbers.
    fn keep(&mut self, layer: usize, qkv: &Tensor, rows: &[usize]) -> Result<Vec<f32>> {
        let (t, c) = (qkv.dim(1)?, self.n_head * self.d);
        let qkv = qkv.flatten_all()?.to_vec1::<f32>()?;
        for (&row, qkv) in rows.iter().zip(qkv.chunks_exact(t * 3 * c)) {
            for (position, qkv) in (self.len(row) - t..).zip(qkv.chunks_exact(3 * c)) {
                self.write(layer, row, position, &qkv[c..]);
            }
        }
        Ok(qkv)
    }

    /// Keeps keys and values, then lets the queries look at all that is kept: `[rows, T, C]`.
    fn attend(&mut self, layer: usize, qkv: &Tensor, rows: &[usize], scale: f64) -> Result<Tensor> {
        let (b, t, _) = qkv.dims3()?;
        let c = self.n_head * self.d;
        let qkv = self.keep(layer, qkv, rows)?;
        let mut queries = Vec::with_capacity(b * t);
        for (i, qkv) in qkv.chunks_exact(3 * c).enumerate() {
            let places = &self.places[rows[i / t]];
            queries.push(Query { q: &qkv[..c], rows: &places[..places.len() - t + 1 + i % t] });
        }
        let y = self.kept(layer).attend(&queries, scale as f32);
        Ok(Tensor::from_vec(y, (b, t, c), &Device::Cpu)?)
    }

    /// Keeps the key and the value of one position, `[2C]`.
    fn write(&mut self, layer: usize, row: usize, position: usize, kv: &[f32]) {
        let (d, (key, value)) = (self.d, kv.split_at(self.n_head * self.d));
        for head in 0..self.n_head {
            let at = self.kept(layer).at(row, head, position);
            let part = head * d..(head + 1) * d;
            self.layers[layer].keys[at..at + d].copy_from_slice(&key[part.clone()]);
            self.layers[layer].values[at..at + d].copy_from_slice(&value[part]);
        }
    }

    fn kept(&self, layer: usize) -> Kept<'_> {
        let Layer { keys, values } = &self.layers[layer];
        Kept { keys, values, n_head: self.n_head, capacity: self.capacity, d: self.d }
    }
}

/// A model that reads every token once.
pub trait Cached {
    /// Its shape.
    fn config(&self) -> &Gpt2Config;

    /// Logits `[B, V]` for what comes after `ids` `[B, T]`: see [`Gpt2::forward_cached`].
    fn forward_cached(&self, ids: &Tensor, cache: &mut KvCache, rows: &[usize]) -> Result<Tensor>;
}

/// What a GPT-2 computes between two looks into the cache, in evaluation mode.
pub(super) trait Layers: Sync {
    /// Token plus position embeddings, `[B, T, C]`; row `b` begins at position `first[b]`.
    fn embedded(&self, ids: &Tensor, first: &[usize]) -> Result<Tensor>;

    /// Its configuration.
    fn shape(&self) -> &Gpt2Config;

    /// How many blocks there are.
    fn count(&self) -> usize;

    /// Queries, keys and values of a block, `[B, T, 3C]`.
    fn qkv(&self, layer: usize, x: &Tensor) -> Result<Tensor>;

    /// The factor on a block's scores.
    fn scale(&self, layer: usize) -> f64;

    /// The rest of a block: `x`, and what its attention has made of the values `y`, through the projection and the MLP.
    fn rest(&self, layer: usize, x: &Tensor, y: &Tensor) -> Result<Tensor>;

    /// Hidden states after the last block `[B, C]` to logits `[B, V]`.
    fn scores(&self, x: &Tensor) -> Result<Tensor>;
}

impl Gpt2 {
    /// An empty cache for so many texts, each up to the model's context.
    pub fn new_cache(&self, rows: usize) -> Result<KvCache> {
        KvCache::new(&self.config, rows, self.config.n_positions)
    }

    /// Logits `[B, V]` for what comes after `ids` `[B, T]`, where row `i` of `ids` continues what the cache holds in its row
    /// `rows[i]`; the cache then holds these ids too. In evaluation mode and without gradients.
    ///
    /// The first call reads a prompt in one pass; then one token at a time is enough.
    ///
    /// # Errors
    /// As [`Gpt2::forward`], with [`Error::SequenceTooLong`] for more than the cache has room for;
    /// [`Error::InvalidArgument`] for rows that the cache lacks. The cache then holds what it held before.
    pub fn forward_cached(&self, ids: &Tensor, cache: &mut KvCache, rows: &[usize]) -> Result<Tensor> {
        forward_cached(self, ids, cache, rows)
    }
}

impl Cached for Gpt2 {
    fn config(&self) -> &Gpt2Config {
        &self.config
    }

    fn forward_cached(&self, ids: &Tensor, cache: &mut KvCache, rows: &[usize]) -> Result<Tensor> {
        forward_cached(self, ids, cache, rows)
    }
}

impl Layers for Gpt2 {
    fn embedded(&self, ids: &Tensor, first: &[usize]) -> Result<Tensor> {
        self.embed(ids, first)
    }

    fn shape(&self) -> &Gpt2Config {
        &self.config
    }

    fn count(&self) -> usize {
        self.blocks.len()
    }

    fn qkv(&self, layer: usize, x: &Tensor) -> Result<Tensor> {
        let block = &self.blocks[layer];
        block.attn.c_attn.forward(&block.ln_1.forward(x)?)
    }

    fn scale(&self, layer: usize) -> f64 {
        self.blocks[layer].attn.scale
    }

    fn rest(&self, layer: usize, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        let block = &self.blocks[layer];
        let x = (x + block.attn.c_proj.forward(y)?)?;
        Ok((&x + block.mlp.forward(&block.ln_2.forward(&x)?, &mut Mode::Eval)?)?)
    }

    fn scores(&self, x: &Tensor) -> Result<Tensor> {
        self.head(&self.ln_f.forward(x)?)
    }
}

/// [`Gpt2::forward_cached`], whatever the layers are made of.
pub(super) fn forward_cached(model: &dyn Layers, ids: &Tensor, cache: &mut KvCache, rows: &[usize]) -> Result<Tensor> {
    let (b, t) = ids.dims2()?;
    if b != rows.len() {
        let expected = format!("one row of the cache for each of the {b} rows of ids");
        return Err(Error::InvalidArgument { argument: "rows", value: format!("{rows:?}"), expected });
    }
    cache.check_fits(model.shape())?;
    let first: Vec<usize> = rows.iter().map(|&row| cache.places.get(row).map_or(0, Vec::len)).collect();
    let x = model.embedded(ids, &first)?;
    cache.grow(rows, t)?;
    let logits = on_a_worker(|| read(model, x, cache, rows, first.iter().all(|&first| first == 0)));
    if logits.is_err() {
        cache.shrink(rows, t);
    }
    logits
}

/// Embeddings `[B, T, C]` through the blocks to the last position's logits. Each block's result is cut off from what it was
/// made of, or a prompt's activations would all be kept for a backward pass that never comes. A text read from its start sees
/// nothing but itself, so that the faster attention of many positions will do.
fn read(model: &dyn Layers, x: Tensor, cache: &mut KvCache, rows: &[usize], from_start: bool) -> Result<Tensor> {
    let (b, t, c) = x.dims3()?;
    let mut x = x.detach();
    for layer in 0..model.count() {
        let (qkv, scale) = (model.qkv(layer, &x)?.detach(), model.scale(layer)); // [B, T, 3C]
        let y = match from_start && t > 1 {
            true => {
                cache.keep(layer, &qkv, rows)?;
                ops::causal_attention(&qkv, cache.n_head, scale, None)?
            }
            false => cache.attend(layer, &qkv, rows, scale)?,
        };
        x = model.rest(layer, &x, &y)?.detach();
    }
    let last = x.narrow(1, t - 1, 1)?.reshape((b, c))?;
    Ok(model.scores(&last)?.detach())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::max_difference;

    /// With the unusual fields set, so that no path forgets them.
    fn model() -> Gpt2 {
        let config = Gpt2Config {
            vocab_size: 31,
            n_positions: 20,
            n_embd: 24,
            n_layer: 3,
            n_head: 3,
            initializer_range: 0.3,
            scale_attn_by_inverse_layer_idx: true,
            tie_word_embeddings: false,
            lm_head_bias: true,
            ..Gpt2Config::default()
        };
        Gpt2::new(&config, 5).unwrap()
    }

    fn ids(rows: &[&[u32]]) -> Tensor {
        Tensor::from_vec(rows.concat(), (rows.len(), rows[0].len()), &Device::Cpu).unwrap()
    }

    const TEXT: [u32; 12] = [3, 14, 15, 9, 26, 5, 30, 0, 9, 7, 9, 3];

    /// What the model says after this text, all read at once without a cache.
    fn uncached(model: &Gpt2, text: &[u32]) -> Tensor {
        model.forward(&ids(&[text])).unwrap().narrow(1, text.len() - 1, 1).unwrap().squeeze(1).unwrap()
    }

    fn close(a: &Tensor, b: &Tensor) -> bool {
        max_difference(a, b).unwrap() < 2e-5
    }

    #[test]
    fn any_split_of_a_text_gives_what_the_whole_gives() {
        let model = model();
        for split in [vec![12], vec![1; 12], vec![1, 11], vec![5, 7], vec![11, 1], vec![2, 3, 1, 6], vec![9, 1, 1, 1]] {
            let (mut cache, mut read) = (model.new_cache(1).unwrap(), 0);
            for n in split {
                let logits = model.forward_cached(&ids(&[&TEXT[read..read + n]]), &mut cache, &[0]).unwrap();
                read += n;
                assert!(close(&logits, &uncached(&model, &TEXT[..read])), "after {read} tokens");
            }
            assert_eq!(cache.len(0), 12);
        }
    }

    #[test]
    fn rows_of_different_lengths_do_not_disturb_one_another() {
        let model = model();
        let mut cache = KvCache::new(&model.config, 3, 12).unwrap();
        model.forward_cached(&ids(&[&TEXT[..4]]), &mut cache, &[0]).unwrap();
        model.forward_cached(&ids(&[&TEXT[2..9]]), &mut cache, &[2]).unwrap();
        let logits = model.forward_cached(&ids(&[&[7], &TEXT[4..5]]), &mut cache, &[2, 0]).unwrap();
        let after_2 = uncached(&model, &[&TEXT[2..9], &[7]].concat());
        assert!(close(&logits, &Tensor::cat(&[after_2, uncached(&model, &TEXT[..5])], 0).unwrap()));
        assert_eq!([0, 1, 2].map(|row| cache.len(row)), [5, 0, 8]);
    }

    #[test]
    fn rows_go_on_from_other_rows() {
        let model = model();
        let mut cache = KvCache::new(&model.config, 3, 20).unwrap();
        model.forward_cached(&ids(&[&TEXT[..6]]), &mut cache, &[0]).unwrap();
        let mut texts = vec![TEXT[..6].to_vec(); 3];
        // One text becomes three; then they are mixed, twice over, as beams are.
        for (step, parents) in [[0, 0, 0], [2, 0, 0], [1, 1, 2], [0, 1, 2], [2, 2, 1]].into_iter().enumerate() {
            cache.reorder(&parents).unwrap();
            texts = parents.iter().map(|&parent| texts[parent].clone()).collect();
            let new: Vec<u32> = (0..3).map(|row| (step * 3 + row) as u32).collect();
            texts.iter_mut().zip(&new).for_each(|(text, id)| text.push(*id));
            let logits =
                model.forward_cached(&ids(&[&[new[0]], &[new[1]], &[new[2]]]), &mut cache, &[0, 1, 2]).unwrap();
            let expected: Vec<Tensor> = texts.iter().map(|text| uncached(&model, text)).collect();
            assert!(close(&logits, &Tensor::cat(&expected, 0).unwrap()), "step {step}");
        }
    }

    #[test]
    fn no_gradient_is_kept_and_trained_weights_count_at_once() {
        let model = model();
        let mut cache = model.new_cache(1).unwrap();
        let logits = model.forward_cached(&ids(&[&TEXT]), &mut cache, &[0]).unwrap();
        assert!(!logits.track_op(), "cut off from the weights");
        let bias = model.lm_head_bias.clone().unwrap();
        bias.var().set(&(bias.var().as_tensor() + 1.0).unwrap()).unwrap();
        let mut cache = model.new_cache(1).unwrap();
        let shifted = model.forward_cached(&ids(&[&TEXT]), &mut cache, &[0]).unwrap();
        assert!(close(&shifted, &(logits + 1.0).unwrap()));
    }

    #[test]
    fn what_does_not_fit_is_refused_and_changes_nothing() {
        let model = model();
        let mut cache = KvCache::new(&model.config, 2, 5).unwrap();
        let mut read = |rows: &[&[u32]], which: &[usize]| {
            let result = model.forward_cached(&ids(rows), &mut cache, which);
            (result.err(), cache.len(0), cache.len(1))
        };
        assert!(matches!(read(&[&[1, 2, 3]], &[0]), (None, 3, 0)));
        assert!(matches!(read(&[&[1, 2, 3]], &[0]), (Some(Error::SequenceTooLong { length: 6, limit: 5 }), 3, 0)));
        assert!(matches!(read(&[&[99]], &[1]), (Some(Error::TokenOutOfRange { id: 99, .. }), 3, 0)));
        for which in [&[2][..], &[0, 1], &[]] {
            assert!(matches!(read(&[&[1]], which), (Some(Error::InvalidArgument { .. }), 3, 0)), "{which:?}");
        }
        assert!(matches!(read(&[&[1], &[2]], &[1, 1]), (Some(Error::InvalidArgument { .. }), 3, 0)));
        for parents in [&[0][..], &[0, 2], &[1, 0]] {
            assert!(matches!(cache.reorder(parents), Err(Error::InvalidArgument { .. })), "{parents:?}");
        }
        let new = |rows, capacity| KvCache::new(&model.config, rows, capacity);
        assert!(matches!(new(1, 21), Err(Error::SequenceTooLong { length: 21, limit: 20 })));
        assert!(new(0, 5).is_err() && new(1, 0).is_err() && new(usize::MAX, 5).is_err());
        for other in
            [Gpt2Config { n_layer: 1, ..model.config.clone() }, Gpt2Config { n_head: 1, ..model.config.clone() }]
        {
            let mut cache = KvCache::new(&other, 1, 5).unwrap();
            let error = model.forward_cached(&ids(&[&[1, 2]]), &mut cache, &[0]).unwrap_err().to_string();
            assert!(error.contains("cache") && cache.is_empty(), "{error}");
        }
    }
}
