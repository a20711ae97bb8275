//! The whole model: embeddings, blocks, final norm, output head; its loss; its initial weights.

use candle_core::{DType, Device, Tensor};

use super::block::Block;
use super::config::Gpt2Config;
use super::tree::TreeNode;
use crate::core::threads::on_a_worker;
use crate::nn::{KvCache, LayerNorm, Linear, Source, Weight, dropout, param};
use crate::{Error, Param, Pass, Result, Rng, ops};

/// GPT-2 with a language-modelling head. Clones share their weights.
#[derive(Debug, Clone)]
pub struct Gpt2 {
    /// The sizes and settings.
    pub config: Gpt2Config,
    /// Token embeddings, `[V, C]`.
    pub wte: Weight,
    /// Position embeddings, `[n_positions, C]`.
    pub wpe: Param,
    /// The blocks, first to last.
    pub blocks: Vec<Block>,
    /// The norm before the output head.
    pub ln_f: LayerNorm,
    /// The output head `[V, C]`, where it is not the token embeddings' table.
    pub lm_head: Option<Weight>,
    /// The output head's bias `[V]`, if it has one.
    pub lm_head_bias: Option<Param>,
}

/// The intermediate results of a forward pass.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// `[B, T, V]`.
    pub logits: Tensor,
    /// Token plus position embeddings, `[B, T, C]`.
    pub embeddings: Tensor,
    /// The residual stream after each block, `[B, T, C]`.
    pub block_out: Vec<Tensor>,
    /// After the final norm, `[B, T, C]`.
    pub final_hidden: Tensor,
    /// Attention weights of each block, `[B, H, T, T]`.
    pub attentions: Vec<Tensor>,
}

/// Names and shapes of parameters.
type Shapes = Vec<(String, Vec<usize>)>;

impl Gpt2 {
    /// A new model with GPT-2's initial weights: normal with standard deviation `initializer_range`, divided by `√(2 ·
    /// n_layer)` for the projections into the residual stream (which adds up that many of them), biases 0, layer norms
    /// 1 and 0.
    pub fn new(config: &Gpt2Config, seed: u64) -> Result<Self> {
        let mut rng = Rng::new(seed);
        let std = config.initializer_range as f32;
        let residual_std = std / (2.0 * config.n_layer as f32).sqrt();
        Self::build(config, &mut |name, shape| {
            if name.contains(".ln_") && name.ends_with(".weight") {
                return Ok(Tensor::ones(shape, DType::F32, &Device::Cpu)?);
            }
            let std = if name.ends_with(".bias") {
                0.0
            } else if name.ends_with("c_proj.weight") {
                residual_std
            } else {
                std
            };
            rng.normal_tensor(0.0, std, shape)
        })
    }

    /// A model with values from this source: the one list of all parameters, their names and their shapes.
    pub(super) fn build(config: &Gpt2Config, source: Source) -> Result<Self> {
        config.validate()?;
        let (v, c) = (config.vocab_size, config.n_embd);
        let wte = Weight::F32(param("transformer.wte.weight".to_string(), &[v, c], source)?);
        let wpe = param("transformer.wpe.weight".to_string(), &[config.n_positions, c], source)?;
        let blocks = (0..config.n_layer).map(|i| Block::build(config, i, source)).collect::<Result<_>>()?;
        let ln_f = LayerNorm::build("transformer.ln_f", c, config.layer_norm_epsilon, source)?;
        let untied = !config.tie_word_embeddings;
        let lm_head =
            if untied { Some(Weight::F32(param("lm_head.weight".to_string(), &[v, c], source)?)) } else { None };
        let lm_head_bias =
            if config.lm_head_bias { Some(param("lm_head.bias".to_string(), &[v], source)?) } else { None };
        Ok(Gpt2 { config: config.clone(), wte, wpe, blocks, ln_f, lm_head, lm_head_bias })
    }

    /// Names and shapes of the parameters of a model of this configuration, without making them.
    pub fn param_shapes(config: &Gpt2Config) -> Result<Vec<(String, Vec<usize>)>> {
        Ok(Self::skeleton(config)?.1)
    }

    /// Names, `n_in` and `n_out` of the linear layers of a model of this configuration, without making them.
    pub fn linear_sizes(config: &Gpt2Config) -> Result<Vec<(String, (usize, usize))>> {
        let (skeleton, shapes) = Self::skeleton(config)?;
        let size = |layer: &Linear| {
            let (_, shape) =
                shapes.iter().find(|(name, _)| name == layer.weight.name()).expect("every parameter is listed");
            (layer.name(), (shape[0], shape[1]))
        };
        Ok(skeleton.linears().map(size).collect())
    }

    /// A model with parameters of one number each, and the shapes that they should have.
    fn skeleton(config: &Gpt2Config) -> Result<(Self, Shapes)> {
        let mut shapes = Shapes::new();
        let nothing = Tensor::zeros(1, DType::F32, &Device::Cpu)?;
        let model = Self::build(config, &mut |name, shape| {
            shapes.push((name.to_string(), shape.to_vec()));
            Ok(nothing.clone())
        })?;
        Ok((model, shapes))
    }

    /// Logits `[B, T, V]` for ids `[B, T]` (u32 or i64): row `t` scores every token as the next one after the ids up to
    /// and including `t`. With a cache in the pass, the ids continue what it holds, and the logits are those of the
    /// last position only, `[B, 1, V]`, without gradients.
    ///
    /// ```
    /// use gpt_lab::prelude::*;
    /// let sizes = Gpt2Config { vocab_size: 5, n_positions: 4, n_embd: 6, ..Default::default() };
    /// let config = Gpt2Config { n_layer: 1, n_head: 2, ..sizes };
    /// let (model, ids) = (Gpt2::new(&config, 0)?, Tensor::new(&[[1u32, 2, 3]], &Device::Cpu)?);
    /// assert_eq!(model.forward(&ids, &mut Pass::eval())?.dims(), [1, 3, 5]);
    /// let mut cache = model.new_cache(1)?;
    /// assert_eq!(model.forward(&ids, &mut Pass::cached(&mut cache, &[0]))?.dims(), [1, 1, 5]);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::TokenOutOfRange`] for an id outside the vocabulary; [`Error::SequenceTooLong`] for more than
    /// `n_positions` tokens, or more than a cache has room for; [`Error::EmptyInput`] for no tokens at all;
    /// [`Error::InvalidArgument`] for rows that a cache lacks. After an error a cache holds what it held before.
    pub fn forward(&self, ids: &Tensor, pass: &mut Pass) -> Result<Tensor> {
        on_a_worker(|| {
            let x = self.stream(ids, pass, &mut |_| {})?; // [B, T, C]
            if !pass.is_cached() {
                return self.head(&self.ln_f.forward(&x)?); // [B, T, V]
            }
            let last = x.narrow(1, x.dim(1)? - 1, 1)?.contiguous()?; // [B, 1, C]
            Ok(self.head(&self.ln_f.forward(&last)?)?.detach()) // [B, 1, V]
        })
    }

    /// The residual stream after the final norm, `[B, T, C]`: the input of the output head, or of a score head.
    ///
    /// # Errors
    /// As [`Gpt2::forward`].
    pub fn hidden(&self, ids: &Tensor, pass: &mut Pass) -> Result<Tensor> {
        on_a_worker(|| self.ln_f.forward(&self.stream(ids, pass, &mut |_| {})?))
    }

    /// Logits, and everything on the way to them, in evaluation.
    ///
    /// # Errors
    /// As [`Gpt2::forward`].
    pub fn inspect(&self, ids: &Tensor) -> Result<Inspection> {
        on_a_worker(|| {
            let (mut pass, mut stream) = (Pass::eval().recording(), Vec::new());
            let x = self.stream(ids, &mut pass, &mut |x| stream.push(x.clone()))?;
            let final_hidden = self.ln_f.forward(&x)?; // [B, T, C]
            let logits = self.head(&final_hidden)?; // [B, T, V]
            let (embeddings, attentions) = (stream.remove(0), pass.into_attentions());
            Ok(Inspection { logits, embeddings, block_out: stream, final_hidden, attentions })
        })
    }

    /// The mean of `−log p(targets[b, t] | inputs[b, ..=t])`: the targets are shifted already, as windows of a corpus
    /// give them. Both are `[B, T]`; targets of −100 do not count.
    pub fn loss(&self, inputs: &Tensor, targets: &Tensor, pass: &mut Pass) -> Result<Tensor> {
        on_a_worker(|| {
            let logits = self.forward(inputs, pass)?; // [B, T, V]
            ops::cross_entropy(&logits.flatten(0, 1)?, targets) // of [B · T, V]
        })
    }

    /// The mean of `−log p(label[t] | ids before t)` over all `t ≥ 1` in evaluation, as Hugging Face's `labels=`
    /// computes it: `labels` has the shape of `ids` and is shifted in here; labels of −100 do not count.
    pub fn loss_hf(&self, ids: &Tensor, labels: &Tensor) -> Result<Tensor> {
        let (b, t) = ids.dims2()?;
        if labels.dims() != ids.dims() {
            let expected = format!("the shape of the ids, {:?}", ids.dims());
            return Err(Error::argument("labels", format!("{:?}", labels.dims()), expected));
        }
        let labels = ops::ids_to_vec(labels)?;
        let shifted = (0..b * t).map(|at| if (at + 1) % t == 0 { ops::IGNORE_INDEX } else { labels[at + 1] });
        let targets = Tensor::from_vec(shifted.collect(), (b, t), ids.device())?;
        self.loss(ids, &targets, &mut Pass::eval())
    }

    /// Every parameter, from the embeddings to the head. A tied head is not listed a second time; weights in 8 bits are
    /// no parameters.
    pub fn params(&self) -> Vec<Param> {
        let mut params: Vec<Param> = self.wte.param().into_iter().chain([&self.wpe]).cloned().collect();
        params.extend(self.blocks.iter().flat_map(Block::params));
        params.extend(self.ln_f.params());
        let head = self.lm_head.as_ref().and_then(Weight::param);
        params.extend(head.into_iter().chain(&self.lm_head_bias).cloned());
        params
    }

    /// The linear layers of all blocks, in order: those that can carry adapters.
    pub fn linears(&self) -> impl Iterator<Item = &Linear> {
        self.blocks.iter().flat_map(|b| [&b.attn.c_attn, &b.attn.c_proj, &b.mlp.c_fc, &b.mlp.c_proj])
    }

    /// The parameter of this name.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a name that the model lacks.
    pub fn param(&self, name: &str) -> Result<Param> {
        let params = self.params();
        params.iter().find(|p| p.name() == name).cloned().ok_or_else(|| {
            let expected = format!("a parameter of this model, such as `{}`", params[0].name());
            Error::argument("name", format!("`{name}`"), expected)
        })
    }

    /// Number of values in all parameters.
    pub fn num_params(&self) -> usize {
        self.params().iter().map(Param::count).sum()
    }

    /// Length of the longest sequence that it takes.
    pub fn n_positions(&self) -> usize {
        self.config.n_positions
    }

    /// Number of tokens in its vocabulary.
    pub fn vocab_size(&self) -> usize {
        self.config.vocab_size
    }

    /// The parts with their shapes and sizes, as a tree.
    pub fn summary(&self) -> TreeNode {
        TreeNode::of("Gpt2", &self.params())
    }

    /// The residual stream `[B, T, C]` up to the final norm. `seen` is called with the embeddings and with what leaves
    /// each block.
    fn stream(&self, ids: &Tensor, pass: &mut Pass, seen: &mut dyn FnMut(&Tensor)) -> Result<Tensor> {
        let (b, t) = ids.dims2()?;
        if let Some(cache) = pass.cache() {
            cache.begin((b, t), (&self.config).into())?;
        }
        let mut x = dropout(&self.embed(ids, pass)?, self.config.embd_pdrop, pass)?; // [B, T, C]
        seen(&x);
        for block in &self.blocks {
            x = block.forward(&x, pass)?; // [B, T, C]
            if pass.is_cached() {
                x = x.detach(); // or a prompt's activations would all be kept for a backward pass that never comes
            }
            seen(&x);
        }
        if let Some(cache) = pass.cache() {
            cache.finish();
        }
        Ok(x)
    }

    /// Token plus position embeddings, `[B, T, C]`.
    fn embed(&self, ids: &Tensor, pass: &Pass) -> Result<Tensor> {
        let (b, t) = ids.dims2()?;
        if b * t == 0 {
            return Err(Error::empty(format!("the batch of token ids (shape {:?})", ids.dims())));
        }
        let first: Vec<usize> = (0..b).map(|row| pass.first_position(row)).collect();
        let length = t + first.iter().max().unwrap_or(&0);
        if length > self.config.n_positions {
            return Err(Error::SequenceTooLong { length, limit: self.config.n_positions });
        }
        let tokens = self.wte.rows(ids)?; // [B, T, C]
        let positions: Vec<u32> = first.iter().flat_map(|&first| (first..first + t).map(|at| at as u32)).collect();
        let positions = Tensor::from_vec(positions, (b, t), ids.device())?;
        Ok((tokens + ops::embedding(&self.wpe.tensor(), &positions)?)?) // [B, T, C]
    }

    /// Final hidden states `[…, C]` to logits `[…, V]`.
    pub(crate) fn head(&self, hidden: &Tensor) -> Result<Tensor> {
        self.lm_head.as_ref().unwrap_or(&self.wte).project(hidden, self.lm_head_bias.as_ref(), true)
    }

    /// An empty cache for this number of texts, each of at most the model's context.
    pub fn new_cache(&self, rows: usize) -> Result<KvCache> {
        KvCache::new(&self.config, rows, self.config.n_positions)
    }
}
