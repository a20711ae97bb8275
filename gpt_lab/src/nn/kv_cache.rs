//! Keys and values kept, so that a model that writes reads every token once.
//!
//! Attention needs the keys and values of earlier positions, and these never change: causal attention lets no position
//! see a later one. With them kept, one more token costs the work of one position instead of that of the whole text.

use crate::ops::Kept;
use crate::{Error, Result};

/// The keys and values of everything that has been read, for several rows (texts) of different lengths.
///
/// Memory for all positions is reserved at the beginning and taken from the system as it fills; a step neither moves
/// nor copies old keys and values. Nor does a beam search that continues one row's text in another row: each row has a
/// list that says, position by position, in which row's memory the key and the value lie, and only that list is copied.
#[derive(Debug, Clone)]
pub struct KvCache {
    pub(super) shape: CacheShape,
    capacity: usize,
    layers: Vec<Layer>,
    /// For each row the memory row of each of its positions; behind its length, those of a pass that did not come to
    /// its end.
    pub(super) places: Vec<Vec<u32>>,
    /// Number of tokens of each row.
    pub(super) lengths: Vec<usize>,
}

/// The sizes of a model that its cache depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheShape {
    /// Number of blocks.
    pub n_layer: usize,
    /// Number of attention heads (H).
    pub n_head: usize,
    /// Width of one head (D).
    pub head_size: usize,
    /// The longest sequence that the model takes.
    pub n_positions: usize,
}

/// The keys and values of one block, each `[rows, H, capacity, D]`.
#[derive(Debug, Clone)]
struct Layer {
    keys: Vec<f32>,
    values: Vec<f32>,
}

/// Number of keys of one layer at most: 64 GiB.
const MOST_NUMBERS: usize = 1 << 34;

impl KvCache {
    /// An empty cache for this number of rows, each of at most `capacity` tokens.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for no rows or a capacity of 0; [`Error::SequenceTooLong`] for one beyond the model's
    /// context.
    pub fn new(shape: impl Into<CacheShape>, rows: usize, capacity: usize) -> Result<Self> {
        Self::of(shape.into(), rows, capacity)
    }

    fn of(shape: CacheShape, rows: usize, capacity: usize) -> Result<Self> {
        for (argument, value) in [("rows", rows), ("capacity", capacity)] {
            if value == 0 {
                return Err(Error::argument(argument, value, "at least 1"));
            }
        }
        if capacity > shape.n_positions {
            return Err(Error::SequenceTooLong { length: capacity, limit: shape.n_positions });
        }
        let numbers = rows.checked_mul(capacity * shape.width()).filter(|numbers| *numbers <= MOST_NUMBERS);
        let Some(numbers) = numbers else {
            return Err(Error::argument("rows", rows, "fewer: their keys and values would not fit in memory"));
        };
        let layer = || Layer { keys: vec![0.0; numbers], values: vec![0.0; numbers] };
        Ok(KvCache {
            shape,
            capacity,
            layers: (0..shape.n_layer).map(|_| layer()).collect(),
            places: vec![Vec::with_capacity(capacity); rows],
            lengths: vec![0; rows],
        })
    }

    /// An empty cache for the same model.
    ///
    /// # Errors
    /// As [`KvCache::new`].
    pub fn another(&self, rows: usize, capacity: usize) -> Result<Self> {
        Self::of(self.shape, rows, capacity)
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.places.len()
    }

    /// Number of tokens in this row.
    pub fn len(&self, row: usize) -> usize {
        self.lengths[row]
    }

    /// True if no row has a token.
    pub fn is_empty(&self) -> bool {
        self.lengths.iter().all(|length| *length == 0)
    }

    /// The largest number of tokens that a row can have.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Continues the text of row `parents[i]` in row `i`, for every `i` at once. No key and no value is copied.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] unless there is a parent for every row, and none shorter than its row: what a row has
    /// written may be part of another row's text and must not be overwritten.
    pub fn reorder(&mut self, parents: &[usize]) -> Result<()> {
        if parents.len() != self.rows() || parents.iter().any(|&parent| parent >= self.rows()) {
            let expected = format!("one of the {0} rows for each of the {0} rows", self.rows());
            return Err(Error::argument("parents", format!("{parents:?}"), expected));
        }
        if let Some(row) = (0..self.rows()).find(|&row| self.len(parents[row]) < self.len(row)) {
            let (length, shorter) = (self.len(row), self.len(parents[row]));
            let expected = format!("row {row} has {length} tokens, its parent only {shorter}");
            return Err(Error::argument("parents", parents[row], expected));
        }
        if parents.iter().enumerate().any(|(row, &parent)| row != parent) {
            self.places = parents.iter().map(|&parent| self.copy_of_places(parent)).collect();
            self.lengths = self.places.iter().map(Vec::len).collect();
        }
        Ok(())
    }

    /// With room to grow: a plain clone would be moved at the next token.
    fn copy_of_places(&self, row: usize) -> Vec<u32> {
        let mut copy = Vec::with_capacity(self.capacity);
        copy.extend_from_slice(&self.places[row][..self.len(row)]);
        copy
    }

    /// Writes the key and the value of one position, `[2C]`.
    pub(super) fn write(&mut self, layer: usize, row: usize, position: usize, kv: &[f32]) {
        let (d, (key, value)) = (self.shape.head_size, kv.split_at(self.shape.width()));
        for head in 0..self.shape.n_head {
            let at = self.kept(layer).at(row, head, position);
            let part = head * d..(head + 1) * d;
            self.layers[layer].keys[at..at + d].copy_from_slice(&key[part.clone()]);
            self.layers[layer].values[at..at + d].copy_from_slice(&value[part]);
        }
    }

    /// The keys and values of a layer, for attention.
    pub(super) fn kept(&self, layer: usize) -> Kept<'_> {
        let Layer { keys, values } = &self.layers[layer];
        Kept { keys, values, n_head: self.shape.n_head, capacity: self.capacity, d: self.shape.head_size }
    }
}

impl CacheShape {
    /// Width of all heads together (C).
    pub(super) fn width(&self) -> usize {
        self.n_head * self.head_size
    }
}

impl std::fmt::Display for CacheShape {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{} layers with {} heads of {}", self.n_layer, self.n_head, self.head_size)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;
    use crate::Pass;
    use crate::gpt2::{Gpt2, Gpt2Config};
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

    /// The logits after this text, all read at once without a cache.
    fn uncached(model: &Gpt2, text: &[u32]) -> Tensor {
        model.forward(&ids(&[text]), &mut Pass::eval()).unwrap().narrow(1, text.len() - 1, 1).unwrap()
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
                let logits =
                    model.forward(&ids(&[&TEXT[read..read + n]]), &mut Pass::cached(&mut cache, &[0])).unwrap();
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
        model.forward(&ids(&[&TEXT[..4]]), &mut Pass::cached(&mut cache, &[0])).unwrap();
        model.forward(&ids(&[&TEXT[2..9]]), &mut Pass::cached(&mut cache, &[2])).unwrap();
        let logits = model.forward(&ids(&[&[7], &TEXT[4..5]]), &mut Pass::cached(&mut cache, &[2, 0])).unwrap();
        let after_2 = uncached(&model, &[&TEXT[2..9], &[7]].concat());
        assert!(close(&logits, &Tensor::cat(&[after_2, uncached(&model, &TEXT[..5])], 0).unwrap()));
        assert_eq!([0, 1, 2].map(|row| cache.len(row)), [5, 0, 8]);
    }

    #[test]
    fn rows_go_on_from_other_rows() {
        let model = model();
        let mut cache = KvCache::new(&model.config, 3, 20).unwrap();
        model.forward(&ids(&[&TEXT[..6]]), &mut Pass::cached(&mut cache, &[0])).unwrap();
        let mut texts = vec![TEXT[..6].to_vec(); 3];
        // One text becomes three; then they are mixed, twice over, as beams are.
        for (step, parents) in [[0, 0, 0], [2, 0, 0], [1, 1, 2], [0, 1, 2], [2, 2, 1]].into_iter().enumerate() {
            cache.reorder(&parents).unwrap();
            texts = parents.iter().map(|&parent| texts[parent].clone()).collect();
            let new: Vec<u32> = (0..3).map(|row| (step * 3 + row) as u32).collect();
            texts.iter_mut().zip(&new).for_each(|(text, id)| text.push(*id));
            let logits = model
                .forward(&ids(&[&[new[0]], &[new[1]], &[new[2]]]), &mut Pass::cached(&mut cache, &[0, 1, 2]))
                .unwrap();
            let expected: Vec<Tensor> = texts.iter().map(|text| uncached(&model, text)).collect();
            assert!(close(&logits, &Tensor::cat(&expected, 0).unwrap()), "step {step}");
        }
    }

    #[test]
    fn no_gradient_is_kept_and_trained_weights_count_at_once() {
        let model = model();
        let mut cache = model.new_cache(1).unwrap();
        let logits = model.forward(&ids(&[&TEXT]), &mut Pass::cached(&mut cache, &[0])).unwrap();
        assert!(!logits.track_op(), "cut off from the weights");
        let bias = model.lm_head_bias.clone().unwrap();
        bias.var().set(&(bias.var().as_tensor() + 1.0).unwrap()).unwrap();
        let mut cache = model.new_cache(1).unwrap();
        let shifted = model.forward(&ids(&[&TEXT]), &mut Pass::cached(&mut cache, &[0])).unwrap();
        assert!(close(&shifted, &(logits + 1.0).unwrap()));
    }

    #[test]
    fn what_does_not_fit_is_refused_and_changes_nothing() {
        let model = model();
        let mut cache = KvCache::new(&model.config, 2, 5).unwrap();
        let mut read = |rows: &[&[u32]], which: &[usize]| {
            let result = model.forward(&ids(rows), &mut Pass::cached(&mut cache, which));
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
            let error = model.forward(&ids(&[&[1, 2]]), &mut Pass::cached(&mut cache, &[0])).unwrap_err().to_string();
            assert!(error.contains("cache") && cache.is_empty(), "{error}");
        }
    }
}
