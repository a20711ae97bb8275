//! The whole model: embeddings, blocks, final norm, output head; its loss; its initial weights.

use std::path::Path;

use candle_core::Tensor;

use super::block::Block;
use super::config::Gpt2Config;
use super::tree::TreeNode;
use super::weights;
use crate::core::threads::on_a_worker;
use crate::hub::{Hub, Repo};
use crate::nn::layers::{LayerNorm, Linear, Source, dropout, param};
use crate::{Error, Mode, Param, Result, Rng, ops};

/// GPT-2 with a language-modelling head. Clones share their weights.
#[derive(Debug, Clone)]
pub struct Gpt2 {
    /// Its shape.
    pub config: Gpt2Config,
    /// Token embeddings, `[V, C]`.
    pub wte: Param,
    /// Position embeddings, `[n_positions, C]`.
    pub wpe: Param,
    /// The blocks, first to last.
    pub blocks: Vec<Block>,
    /// The norm before the output head.
    pub ln_f: LayerNorm,
    /// The output head `[V, C]`, where it is not the token embeddings' table.
    pub lm_head: Option<Param>,
    /// The output head's bias `[V]`, if it has one.
    pub lm_head_bias: Option<Param>,
}

/// What a forward pass went through.
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

impl Gpt2 {
    /// A new model with GPT-2's initial weights: normal with standard deviation `initializer_range`, divided by `√(2 · n_layer)`
    /// for the projections into the residual stream (which adds up that many of them), biases 0, layer norms 1 and 0.
    pub fn new(config: &Gpt2Config, seed: u64) -> Result<Self> {
        let mut rng = Rng::new(seed);
        let std = config.initializer_range as f32;
        let residual_std = std / (2.0 * config.n_layer as f32).sqrt();
        Self::build(config, &mut |name, shape| {
            if name.contains(".ln_") && name.ends_with(".weight") {
                return Ok(Tensor::ones(shape, candle_core::DType::F32, &candle_core::Device::Cpu)?);
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

    /// A model from a folder in Hugging Face's layout: `config.json` and `model.safetensors`. See [`weights::read_model`].
    pub fn load(dir: impl AsRef<Path>) -> Result<Self> {
        weights::read_model(dir.as_ref())
    }

    /// A model from the Hugging Face Hub, from the cache that Python's `huggingface_hub` uses too or by download:
    /// `Gpt2::from_hub("openai-community/gpt2")`. A [`Repo`] can name a revision. See [`Hub`] for the environment variables
    /// that count, and [`Gpt2::load`] for what must be there.
    pub fn from_hub(repo: impl Into<Repo>) -> Result<Self> {
        Self::from_hub_with(repo, &Hub::from_env())
    }

    /// [`Gpt2::from_hub`] with settings of one's own.
    pub fn from_hub_with(repo: impl Into<Repo>, hub: &Hub) -> Result<Self> {
        Self::load(weights::fetch_model(repo.into(), hub)?)
    }

    /// Writes `config.json` and `model.safetensors`, which `transformers` reads too. See [`weights::write_model`].
    pub fn save(&self, dir: impl AsRef<Path>) -> Result<()> {
        weights::write_model(self, dir.as_ref())
    }

    /// The one place that says which parameters there are, under which names and in which shapes.
    pub(super) fn build(config: &Gpt2Config, source: Source) -> Result<Self> {
        config.validate()?;
        let (v, c) = (config.vocab_size, config.n_embd);
        let wte = param("transformer.wte.weight".to_string(), &[v, c], source)?;
        let wpe = param("transformer.wpe.weight".to_string(), &[config.n_positions, c], source)?;
        let blocks = (0..config.n_layer).map(|i| Block::build(config, i, source)).collect::<Result<_>>()?;
        let ln_f = LayerNorm::build("transformer.ln_f", c, config.layer_norm_epsilon, source)?;
        let untied = !config.tie_word_embeddings;
        let lm_head = if untied { Some(param("lm_head.weight".to_string(), &[v, c], source)?) } else { None };
        let lm_head_bias =
            if config.lm_head_bias { Some(param("lm_head.bias".to_string(), &[v], source)?) } else { None };
        Ok(Gpt2 { config: config.clone(), wte, wpe, blocks, ln_f, lm_head, lm_head_bias })
    }

    /// Names and shapes of the parameters that a model of this configuration has, without making them.
    pub fn param_shapes(config: &Gpt2Config) -> Result<Vec<(String, Vec<usize>)>> {
        let mut shapes = Vec::new();
        let nothing = Tensor::zeros(1, candle_core::DType::F32, &candle_core::Device::Cpu)?;
        Self::build(config, &mut |name, shape| {
            shapes.push((name.to_string(), shape.to_vec()));
            Ok(nothing.clone())
        })?;
        Ok(shapes)
    }

    /// Logits `[B, T, V]` for ids `[B, T]` (u32 or i64), in evaluation mode: row `t` scores every token as the next one after
    /// the ids up to and including `t`.
    ///
    /// Errors: an id outside the vocabulary, a sequence longer than `n_positions`, no tokens at all.
    pub fn forward(&self, ids: &Tensor) -> Result<Tensor> {
        self.forward_mode(ids, &mut Mode::Eval)
    }

    /// [`Gpt2::forward`], with dropout in [`Mode::Train`].
    pub fn forward_mode(&self, ids: &Tensor, mode: &mut Mode) -> Result<Tensor> {
        on_a_worker(|| self.head(&self.hidden(ids, mode)?))
    }

    /// The residual stream after the final norm, `[B, T, C]`: what the output head, or a score head, reads.
    pub fn hidden(&self, ids: &Tensor, mode: &mut Mode) -> Result<Tensor> {
        on_a_worker(|| {
            let mut x = dropout(&self.embed(ids, &vec![0; ids.dim(0)?])?, self.config.embd_pdrop, mode)?;
            for block in &self.blocks {
                x = block.forward(&x, mode)?;
            }
            self.ln_f.forward(&x)
        })
    }

    /// Logits, and everything on the way to them, in evaluation mode.
    pub fn inspect(&self, ids: &Tensor) -> Result<Inspection> {
        let embeddings = self.embed(ids, &vec![0; ids.dim(0)?])?;
        let (mut block_out, mut attentions) = (Vec::new(), Vec::new());
        let mut x = embeddings.clone();
        for block in &self.blocks {
            attentions.push(block.attn.probabilities(&block.ln_1.forward(&x)?)?);
            x = block.forward(&x, &mut Mode::Eval)?;
            block_out.push(x.clone());
        }
        let final_hidden = self.ln_f.forward(&x)?;
        let logits = self.head(&final_hidden)?;
        Ok(Inspection { logits, embeddings, block_out, final_hidden, attentions })
    }

    /// The mean of `−log p(label[t] | ids before t)` over all `t ≥ 1`, as Hugging Face's `labels=` computes it: `labels` has the
    /// shape of `ids` and is shifted in here; labels of −100 do not count. Evaluation mode.
    pub fn loss(&self, ids: &Tensor, labels: &Tensor) -> Result<Tensor> {
        let (rows, width) = ids.dims2()?;
        if labels.dims() != ids.dims() {
            let expected = format!("the shape of the ids, {:?}", ids.dims());
            return Err(Error::InvalidArgument { argument: "labels", value: format!("{:?}", labels.dims()), expected });
        }
        let labels = ops::ids_to_vec(labels)?;
        let shifted =
            (0..rows * width).map(|at| if (at + 1) % width == 0 { ops::IGNORE_INDEX } else { labels[at + 1] });
        let targets = Tensor::from_vec(shifted.collect(), (rows, width), ids.device())?;
        self.loss_on(ids, &targets, &mut Mode::Eval)
    }

    /// The mean of `−log p(targets[b, t] | inputs[b, ..=t])`: the targets are shifted already, as windows of a corpus give them.
    /// Both are `[B, T]`; targets of −100 do not count.
    pub fn loss_on(&self, inputs: &Tensor, targets: &Tensor, mode: &mut Mode) -> Result<Tensor> {
        on_a_worker(|| {
            let logits = self.forward_mode(inputs, mode)?;
            let (b, t, v) = logits.dims3()?;
            ops::cross_entropy(&logits.reshape((b * t, v))?, targets)
        })
    }

    /// Every parameter, from the embeddings to the head. A tied head is not listed a second time.
    pub fn params(&self) -> Vec<Param> {
        let mut params = vec![self.wte.clone(), self.wpe.clone()];
        params.extend(self.blocks.iter().flat_map(Block::params));
        params.extend(self.ln_f.params());
        params.extend(self.lm_head.iter().chain(&self.lm_head_bias).cloned());
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
        params.iter().find(|p| p.name() == name).cloned().ok_or_else(|| Error::InvalidArgument {
            argument: "name",
            value: format!("`{name}`"),
            expected: format!("a parameter of this model, such as `{}`", params[0].name()),
        })
    }

    /// How many numbers these hold.
    pub fn num_params(&self) -> usize {
        self.params().iter().map(Param::count).sum()
    }

    /// The longest sequence it takes.
    pub fn n_positions(&self) -> usize {
        self.config.n_positions
    }

    /// How many tokens it knows.
    pub fn vocab_size(&self) -> usize {
        self.config.vocab_size
    }

    /// Its parts with their shapes and sizes, as a tree.
    pub fn summary(&self) -> TreeNode {
        TreeNode::of("Gpt2", &self.params())
    }

    /// Token plus position embeddings, `[B, T, C]`. Row `b` begins at position `first[b]`.
    pub(super) fn embed(&self, ids: &Tensor, first: &[usize]) -> Result<Tensor> {
        let (rows, width) = ids.dims2()?;
        if rows * width == 0 {
            return Err(Error::EmptyInput { what: format!("the batch of token ids (shape {:?})", ids.dims()) });
        }
        let length = width + first.iter().max().unwrap_or(&0);
        if length > self.config.n_positions {
            return Err(Error::SequenceTooLong { length, limit: self.config.n_positions });
        }
        let tokens = ops::embedding(&self.wte.tensor(), ids)?;
        let positions: Vec<u32> = (0..rows * width).map(|at| (first[at / width] + at % width) as u32).collect();
        let positions = Tensor::from_vec(positions, (rows, width), ids.device())?;
        Ok((tokens + ops::embedding(&self.wpe.tensor(), &positions)?)?)
    }

    /// Final hidden states `[…, C]` to logits `[…, V]`.
    pub(crate) fn head(&self, hidden: &Tensor) -> Result<Tensor> {
        let bias = self.lm_head_bias.as_ref().map(Param::tensor);
        let weight = self.lm_head.as_ref().unwrap_or(&self.wte).tensor();
        ops::linear_transposed(hidden, &weight, bias.as_ref())
    }
}
