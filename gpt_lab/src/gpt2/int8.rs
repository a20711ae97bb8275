//! GPT-2 with weights in 8 bits, for writing.
//!
//! A model that writes one token reads all of its weights and does next to nothing with each, so that the speed of memory decides.
//! A quarter of the bytes is a quarter of the reading. What it costs is accuracy, and it cannot be trained.

use candle_core::{Device, Tensor};

use super::cache::{Cached, KvCache, Layers, forward_cached};
use super::config::{Activation, Gpt2Config};
use super::model::Gpt2;
use crate::nn::layers::{LayerNorm, Linear};
use crate::ops::Int8Matrix;
use crate::{Error, Param, Result};

/// A GPT-2 whose matrices are in 8 bits: those of the blocks, the token embeddings and the output head. Layer norms, biases and
/// positions stay as they are. For generation: it keeps keys and values like the model it was made of, and knows no gradients.
#[derive(Debug, Clone)]
pub struct Int8Gpt2 {
    /// The model's shape.
    pub config: Gpt2Config,
    wte: Int8Matrix,
    wpe: Vec<f32>,
    blocks: Vec<Block>,
    ln_f: LayerNorm,
    /// `None` where it is the token embeddings.
    head: Option<Int8Matrix>,
    head_bias: Option<Vec<f32>>,
}

#[derive(Debug, Clone)]
struct Block {
    ln_1: LayerNorm,
    c_attn: Int8Linear,
    scale: f64,
    attn_proj: Int8Linear,
    ln_2: LayerNorm,
    c_fc: Int8Linear,
    activation: Activation,
    mlp_proj: Int8Linear,
}

#[derive(Debug, Clone)]
struct Int8Linear {
    weight: Int8Matrix,
    bias: Option<Vec<f32>>,
}

impl Gpt2 {
    /// A copy with matrices in 8 bits, for writing faster. Adapters must be [merged](crate::lora::Lora::merge) first.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a model with active adapters: they would be lost in silence.
    pub fn to_int8(&self) -> Result<Int8Gpt2> {
        let block = |block: &super::block::Block| -> Result<Block> {
            Ok(Block {
                ln_1: block.ln_1.clone(),
                c_attn: Int8Linear::new(&block.attn.c_attn)?,
                scale: block.attn.scale,
                attn_proj: Int8Linear::new(&block.attn.c_proj)?,
                ln_2: block.ln_2.clone(),
                c_fc: Int8Linear::new(&block.mlp.c_fc)?,
                activation: block.mlp.activation,
                mlp_proj: Int8Linear::new(&block.mlp.c_proj)?,
            })
        };
        let matrix = |param: &Param| Int8Matrix::new(&param.var().as_detached_tensor());
        Ok(Int8Gpt2 {
            config: self.config.clone(),
            wte: matrix(&self.wte)?,
            wpe: numbers(&self.wpe)?,
            blocks: self.blocks.iter().map(block).collect::<Result<_>>()?,
            ln_f: self.ln_f.clone(),
            head: self.lm_head.as_ref().map(matrix).transpose()?,
            head_bias: self.lm_head_bias.as_ref().map(numbers).transpose()?,
        })
    }
}

impl Int8Gpt2 {
    /// Bytes that its matrices take.
    pub fn bytes(&self) -> usize {
        let of_block = |block: &Block| {
            let layers = [&block.c_attn, &block.attn_proj, &block.c_fc, &block.mlp_proj];
            layers.iter().map(|layer| layer.weight.bytes()).sum::<usize>()
        };
        let ends = self.wte.bytes() + self.head.as_ref().map_or(0, Int8Matrix::bytes);
        ends + self.blocks.iter().map(of_block).sum::<usize>()
    }

    /// Logits `[B, T, V]` for ids `[B, T]`: row after row, with a cache of its own.
    ///
    /// # Errors
    /// As [`Gpt2::forward`].
    pub fn forward(&self, ids: &Tensor) -> Result<Tensor> {
        let (rows, width) = ids.dims2()?;
        if rows * width == 0 {
            return Err(Error::EmptyInput { what: format!("ids of shape {:?}", ids.dims()) });
        }
        let mut all = Vec::with_capacity(rows * width);
        for row in 0..rows {
            let mut cache = KvCache::new(&self.config, 1, width.max(1))?;
            for at in 0..width {
                let id = ids.narrow(0, row, 1)?.narrow(1, at, 1)?;
                all.push(Cached::forward_cached(self, &id, &mut cache, &[0])?);
            }
        }
        Ok(Tensor::cat(&all, 0)?.reshape((rows, width, self.config.vocab_size))?)
    }
}

impl Cached for Int8Gpt2 {
    fn config(&self) -> &Gpt2Config {
        &self.config
    }

    fn forward_cached(&self, ids: &Tensor, cache: &mut KvCache, rows: &[usize]) -> Result<Tensor> {
        forward_cached(self, ids, cache, rows)
    }
}

impl Layers for Int8Gpt2 {
    fn embedded(&self, ids: &Tensor, first: &[usize]) -> Result<Tensor> {
        let ((rows, width), c) = (ids.dims2()?, self.config.n_embd);
        if rows * width == 0 {
            return Err(Error::EmptyInput { what: format!("ids of shape {:?}", ids.dims()) });
        }
        let limit = self.config.n_positions;
        let length = width + first.iter().max().unwrap_or(&0);
        if length > limit {
            return Err(Error::SequenceTooLong { length, limit });
        }
        let mut x = Vec::with_capacity(rows * width * c);
        for (at, id) in crate::ops::ids_to_vec(ids)?.into_iter().enumerate() {
            let (row, position) = (at / width, at % width);
            let vocab_size = self.config.vocab_size;
            let known = usize::try_from(id).ok().filter(|id| *id < vocab_size);
            let id = known.ok_or(Error::TokenOutOfRange { id, row, position, vocab_size })?;
            let of_position = &self.wpe[(first[row] + position) * c..][..c];
            x.extend(self.wte.row(id).iter().zip(of_position).map(|(token, position)| token + position));
        }
        Ok(Tensor::from_vec(x, (rows, width, c), &Device::Cpu)?)
    }

    fn shape(&self) -> &Gpt2Config {
        &self.config
    }

    fn count(&self) -> usize {
        self.blocks.len()
    }

    fn qkv(&self, layer: usize, x: &Tensor) -> Result<Tensor> {
        let block = &self.blocks[layer];
        block.c_attn.forward(&block.ln_1.forward(x)?)
    }

    fn scale(&self, layer: usize) -> f64 {
        self.blocks[layer].scale
    }

    fn rest(&self, layer: usize, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        let block = &self.blocks[layer];
        let x = (x + block.attn_proj.forward(y)?)?;
        let hidden = block.activation.forward(&block.c_fc.forward(&block.ln_2.forward(&x)?)?)?;
        Ok((&x + block.mlp_proj.forward(&hidden)?)?)
    }

    fn scores(&self, x: &Tensor) -> Result<Tensor> {
        product(&self.ln_f.forward(x)?, self.head.as_ref().unwrap_or(&self.wte), self.head_bias.as_deref())
    }
}

impl Int8Linear {
    fn new(layer: &Linear) -> Result<Self> {
        if layer.adapters.is_in_use() {
            return Err(Error::InvalidArgument {
                argument: "model",
                value: format!("a model whose layer {} carries an adapter", layer.weight.name()),
                expected: "a model without adapters; merge them first (merge_and_unload)".into(),
            });
        }
        let weight = Int8Matrix::new(&layer.weight.var().as_detached_tensor().t()?)?;
        Ok(Int8Linear { weight, bias: layer.bias.as_ref().map(numbers).transpose()? })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        product(x, &self.weight, self.bias.as_deref())
    }
}

/// `x Wᵀ + b`, `[…, n_in]` → `[…, n_out]`.
fn product(x: &Tensor, weight: &Int8Matrix, bias: Option<&[f32]>) -> Result<Tensor> {
    let mut shape = x.dims().to_vec();
    let mut y = weight.multiply(&x.flatten_all()?.to_vec1::<f32>()?);
    let n_out = y.len() * shape.last().copied().unwrap_or(1) / x.elem_count().max(1);
    for row in y.chunks_exact_mut(n_out.max(1)) {
        row.iter_mut().zip(bias.unwrap_or_default()).for_each(|(y, b)| *y += b);
    }
    *shape.last_mut().expect("x has a last axis") = n_out;
    Ok(Tensor::from_vec(y, shape, &Device::Cpu)?)
}

fn numbers(param: &Param) -> Result<Vec<f32>> {
    Ok(param.var().as_detached_tensor().flatten_all()?.to_vec1()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::{GenerateConfig, generate_ids};
    use crate::lora::{Lora, LoraConfig};

    fn model(tie: bool) -> Gpt2 {
        let config = Gpt2Config {
            vocab_size: 40,
            n_positions: 24,
            n_embd: 32,
            n_layer: 2,
            n_head: 4,
            initializer_range: 0.2,
            tie_word_embeddings: tie,
            lm_head_bias: !tie,
            ..Default::default()
        };
        Gpt2::new(&config, 5).unwrap()
    }

    #[test]
    fn it_is_the_model_of_the_rounded_weights() {
        for tie in [true, false] {
            let (model, small) = (model(tie), model(tie).to_int8().unwrap());
            // The same rounding in f32, put into the original.
            for param in model.params().iter().filter(|param| param.dims().len() == 2) {
                let weight = param.var().as_detached_tensor();
                let turned = !(param.name().contains("wte") || param.name().contains("lm_head"));
                if param.name().contains("wpe") {
                    continue;
                }
                let matrix = Int8Matrix::new(&if turned { weight.t().unwrap() } else { weight }).unwrap();
                let outputs = if turned { param.dims()[1] } else { param.dims()[0] };
                let rows: Vec<f32> = (0..outputs).flat_map(|output| matrix.row(output)).collect();
                let rounded = Tensor::from_vec(rows, (outputs, param.count() / outputs), &Device::Cpu).unwrap();
                let rounded = if turned { rounded.t().unwrap().contiguous().unwrap() } else { rounded };
                param.var().set(&rounded).unwrap();
            }
            let ids =
                Tensor::from_vec((0..2 * 9).map(|i| (i * 7 % 40) as u32).collect::<Vec<_>>(), (2, 9), &Device::Cpu);
            let ids = ids.unwrap();
            let gap = crate::ops::max_difference(&small.forward(&ids).unwrap(), &model.forward(&ids).unwrap()).unwrap();
            assert!(gap < 1e-4, "{gap}");
            // A prompt read at once (many rows) and a text written with the cache, several rows at a time.
            let prompts = vec![(0..12).collect::<Vec<u32>>(), vec![3, 1]];
            let config = GenerateConfig { max_new_tokens: 8, ..Default::default() };
            let ids = |sequences: Vec<Vec<crate::generate::Sequence>>| {
                sequences.concat().into_iter().map(|one| one.ids).collect::<Vec<_>>()
            };
            assert_eq!(
                ids(generate_ids(&small, &prompts, &config).unwrap()),
                ids(generate_ids(&model, &prompts, &config).unwrap())
            );
        }
    }

    #[test]
    fn it_takes_a_quarter_and_refuses_what_it_cannot_do() {
        let model = model(true);
        let small = model.to_int8().unwrap();
        let matrices: usize =
            model.params().iter().filter(|p| p.dims().len() == 2 && !p.name().contains("wpe")).map(Param::count).sum();
        assert!(small.bytes() < matrices * 4 * 3 / 10, "{} of {}", small.bytes(), matrices * 4);
        let ids = Tensor::new(&[[41u32]], &Device::Cpu).unwrap();
        assert!(matches!(small.forward(&ids), Err(Error::TokenOutOfRange { id: 41, .. })));
        let long = Tensor::zeros((1, 25), candle_core::DType::U32, &Device::Cpu).unwrap();
        assert!(matches!(small.forward(&long), Err(Error::SequenceTooLong { .. })));
        let lora = Lora::new(&model).unwrap();
        lora.add("one", &LoraConfig::default(), 1).unwrap();
        assert!(model.to_int8().unwrap_err().to_string().contains("merge"));
    }
}
