//! GPT-2 with its matrices in 8 bits, for writing faster.

use super::block::Block;
use super::model::Gpt2;
use crate::nn::Weight;
use crate::{Param, Result};

impl Gpt2 {
    /// A copy with matrices in 8 bits: those of the blocks, the token embeddings and the output head. Layer norms,
    /// biases and positions stay as they are. It writes, with a quarter of the memory; it does not train and is not
    /// saved. Adapters must be [merged](crate::lora::Lora::merge_and_unload) first.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for a model with active adapters: they would be lost
    /// in silence.
    pub fn to_int8(&self) -> Result<Gpt2> {
        let table = |weight: &Weight| weight.to_int8(true);
        Ok(Gpt2 {
            config: self.config.clone(),
            wte: table(&self.wte)?,
            wpe: self.wpe.frozen_copy()?,
            blocks: self.blocks.iter().map(Block::to_int8).collect::<Result<_>>()?,
            ln_f: self.ln_f.frozen_copy()?,
            lm_head: self.lm_head.as_ref().map(table).transpose()?,
            lm_head_bias: self.lm_head_bias.as_ref().map(Param::frozen_copy).transpose()?,
        })
    }

    /// The name of a matrix that is in 8 bits, if there is one.
    pub(crate) fn int8_weight(&self) -> Option<&str> {
        let weights = self.linears().map(|layer| &layer.weight).chain([&self.wte]).chain(&self.lm_head);
        weights.into_iter().find(|weight| weight.param().is_none()).map(Weight::name)
    }
}

impl Block {
    fn to_int8(&self) -> Result<Block> {
        let mut block = self.clone();
        (block.ln_1, block.ln_2) = (self.ln_1.frozen_copy()?, self.ln_2.frozen_copy()?);
        for layer in [&mut block.attn.c_attn, &mut block.attn.c_proj, &mut block.mlp.c_fc, &mut block.mlp.c_proj] {
            *layer = layer.to_int8()?;
        }
        Ok(block)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;
    use crate::generate::{GenerateConfig, generate_ids};
    use crate::gpt2::Gpt2Config;
    use crate::lora::{Lora, LoraConfig};
    use crate::{Error, Pass};

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
            let layers = model.linears().map(|layer| &layer.weight).chain([&model.wte]).chain(&model.lm_head);
            let rounded = small.linears().map(|layer| &layer.weight).chain([&small.wte]).chain(&small.lm_head);
            for (weight, rounded) in layers.zip(rounded) {
                let is_table = weight.dims()[0] == 40;
                let rounded =
                    if is_table { rounded.tensor() } else { rounded.tensor().t().unwrap().contiguous().unwrap() };
                weight.param().unwrap().var().set(&rounded).unwrap();
            }
            let ids = (0..2 * 9).map(|i| (i * 7 % 40) as u32).collect::<Vec<_>>();
            let ids = Tensor::from_vec(ids, (2, 9), &Device::Cpu).unwrap();
            let [found, expected] = [&small, &model].map(|model| model.forward(&ids, &mut Pass::eval()).unwrap());
            let gap = crate::ops::max_difference(&found, &expected).unwrap();
            assert!(gap < 1e-4, "{gap}");
            // A prompt read at once (many rows) and a text written with the cache, several rows at a time.
            let prompts = vec![(0..12).collect::<Vec<u32>>(), vec![3, 1]];
            let config = GenerateConfig { max_new_tokens: 8, ..Default::default() };
            let ids = |model: &Gpt2| {
                let sequences = generate_ids(model, &prompts, &config).unwrap().concat();
                sequences.into_iter().map(|one| one.ids).collect::<Vec<_>>()
            };
            assert_eq!(ids(&small), ids(&model));
        }
    }

    #[test]
    fn it_takes_a_quarter_and_keeps_its_numbers() {
        let (model, ids) = (model(true), Tensor::new(&[[1u32, 2, 3]], &Device::Cpu).unwrap());
        let small = model.to_int8().unwrap();
        let bytes = |model: &Gpt2| model.linears().map(|layer| layer.weight.bytes()).sum::<usize>() + model.wte.bytes();
        assert!(bytes(&small) < bytes(&model) * 3 / 10, "{} of {}", bytes(&small), bytes(&model));
        let logits = || small.forward(&ids, &mut Pass::eval()).unwrap();
        let before = logits();
        for param in model.params() {
            param.var().set(&param.var().zeros_like().unwrap()).unwrap();
        }
        assert_eq!(crate::ops::max_difference(&logits(), &before).unwrap(), 0.0, "it shares nothing with its original");
    }

    #[test]
    fn it_refuses_what_it_cannot_do() {
        let model = model(true);
        let small = model.to_int8().unwrap();
        let ids = Tensor::new(&[[41u32]], &Device::Cpu).unwrap();
        assert!(matches!(small.forward(&ids, &mut Pass::eval()), Err(Error::TokenOutOfRange { id: 41, .. })));
        let long = Tensor::zeros((1, 25), candle_core::DType::U32, &Device::Cpu).unwrap();
        assert!(matches!(small.forward(&long, &mut Pass::eval()), Err(Error::SequenceTooLong { .. })));
        assert!(!small.forward(&long.narrow(1, 0, 9).unwrap(), &mut Pass::train(1)).unwrap().track_op());
        let folder = std::env::temp_dir().join("gpt_lab-int8-is-not-saved");
        let error = small.save(&folder).unwrap_err().to_string();
        assert!(error.contains("8 bits") && !folder.exists(), "{error}");
        assert!(Lora::new(&small).unwrap_err().to_string().contains("8 bits"));
        let lora = Lora::new(&model).unwrap();
        lora.add("one", &LoraConfig::default(), 1).unwrap();
        assert!(model.to_int8().unwrap_err().to_string().contains("merge"));
    }
}
