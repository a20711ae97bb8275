//! The tensors of one adapter.

use candle_core::{DType, Device, Tensor};

use super::config::{Bias, Init, LoraConfig, ends_with, known};
use super::mlp::uniform;
use super::target::{Parts, Target};
use crate::nn::Adapter;
use crate::{Error, Param, Result, Rng};

/// What PEFT puts before the name of every module.
pub(super) const PREFIX: &str = "base_model.model.";

/// An adapter by name: what it adds to which layers, and which whole parameters it replaces.
#[derive(Debug)]
pub(super) struct NamedAdapter {
    pub name: String,
    pub config: LoraConfig,
    /// Places in the list of targets, each with what is added there.
    pub layers: Vec<(usize, Adapter)>,
    /// Biases and modules that this adapter has its own values for.
    pub owned: Vec<Owned>,
}

/// A parameter of the model that an adapter has its own values for. While the adapter is active they are in the model and the
/// model's values are kept here; otherwise it is the other way round.
#[derive(Debug)]
pub(super) struct Owned {
    /// The model's parameter.
    pub param: Param,
    /// The values that are not in the model at the moment.
    pub values: Tensor,
    /// It belongs to a module of `modules_to_save`; else it is a bias that trains.
    pub in_module: bool,
}

impl NamedAdapter {
    /// A fresh adapter. A of the layer number `i` is drawn from stream `2 i` of the seed, B, if it is not zero, from `2 i + 1`:
    /// the same layer gets the same numbers whatever else is adapted.
    pub fn new(name: &str, config: &LoraConfig, model: &Parts, seed: u64) -> Result<Self> {
        config.validate()?;
        let Parts { base, targets, tied, .. } = model;
        let saved = saved_modules(config, base, tied)?;
        let free: Vec<usize> = (0..targets.len()).filter(|i| !within(&targets[*i].name, &saved)).collect();
        let names: Vec<String> = free.iter().map(|i| targets[*i].name.clone()).collect();
        let rng = Rng::new(seed);
        let layer = |place: usize| -> Result<(usize, Adapter)> {
            let place = free[place];
            let streams = [2 * place as u64, 2 * place as u64 + 1].map(|stream| rng.stream(stream));
            Ok((place, fresh(name, config, &targets[place], streams)?))
        };
        let layers: Vec<_> = config.target_modules.select(&names)?.into_iter().map(layer).collect::<Result<_>>()?;
        let adapted = layers.iter().map(|(place, _)| targets[*place].name.clone()).collect::<Vec<_>>();
        let owned = base.iter().filter_map(|param| {
            let in_module = within(&param.module(), &saved);
            (in_module || trains_as_bias(config.bias, param, &adapted)).then(|| {
                Ok(Owned { param: param.clone(), values: param.var().as_detached_tensor().copy()?, in_module })
            })
        });
        Ok(NamedAdapter {
            name: name.to_string(),
            config: config.clone(),
            owned: owned.collect::<Result<_>>()?,
            layers,
        })
    }

    /// A and B of every layer, in order.
    pub fn low_rank_params(&self) -> Vec<Param> {
        self.layers.iter().flat_map(|(_, layer)| [layer.a.clone(), layer.b.clone()]).collect()
    }

    /// Everything that trains while this adapter is active.
    pub fn params(&self) -> Vec<Param> {
        let owned = self.owned.iter().map(|owned| owned.param.clone());
        self.low_rank_params().into_iter().chain(owned).collect()
    }
}

impl Owned {
    /// Puts the values kept here into the model and keeps those that were there.
    pub fn swap(&mut self) -> Result<()> {
        let there = self.param.var().as_detached_tensor().copy()?;
        self.param.var().set(&self.values)?;
        self.values = there;
        Ok(())
    }
}

/// A and B with their initial values.
fn fresh(name: &str, config: &LoraConfig, target: &Target, [mut for_a, mut for_b]: [Rng; 2]) -> Result<Adapter> {
    let (r, scale) = config.rank_and_scale(&target.name)?;
    let (n_in, n_out) = target.sizes();
    let bound = |width: usize| 1.0 / (width as f32).sqrt();
    let a = match config.init_lora_weights {
        Init::Kaiming | Init::Random => uniform(&mut for_a, bound(n_in), &[r, n_in])?,
        Init::Gaussian => for_a.normal_tensor(0.0, 1.0 / r as f32, &[r, n_in])?,
    };
    let b = match config.init_lora_weights {
        Init::Kaiming | Init::Gaussian => Tensor::zeros((n_out, r), DType::F32, &Device::Cpu)?,
        Init::Random => uniform(&mut for_b, bound(r), &[n_out, r])?,
    };
    let param = |which: &str, values: &Tensor| {
        Param::new(format!("{PREFIX}{}.lora_{which}.{name}.weight", target.name), values)
    };
    Ok(Adapter { a: param("A", &a)?, b: param("B", &b)?, scale, dropout: config.lora_dropout })
}

/// The modules of the model that `modules_to_save` means.
///
/// # Errors
/// [`Error::InvalidArgument`] for a name that no module has, except the two that PEFT itself adds for sequence
/// classification, of which a model has one.
fn saved_modules(config: &LoraConfig, base: &[Param], tied: &[String]) -> Result<Vec<String>> {
    let mut modules: Vec<String> = base.iter().map(Param::module).collect();
    modules.dedup();
    let mut saved = Vec::new();
    for name in &config.modules_to_save {
        let found: Vec<String> = modules.iter().filter(|module| ends_with(module, name)).cloned().collect();
        let added_by_peft = name == "score" || name == "classifier";
        if found.is_empty() && !added_by_peft {
            return Err(Error::InvalidArgument {
                argument: "modules_to_save",
                value: format!("{name:?}"),
                expected: format!("one of this model's modules: {}", known(&modules)),
            });
        }
        if let Some(module) = found.iter().find(|module| tied.contains(module)) {
            return Err(Error::InvalidArgument {
                argument: "modules_to_save",
                value: format!("{module:?}"),
                expected: "a module that shares its weights with no other".into(),
            });
        }
        saved.extend(found);
    }
    Ok(saved)
}

fn within(module: &str, saved: &[String]) -> bool {
    saved.iter().any(|saved| saved == module)
}

fn trains_as_bias(bias: Bias, param: &Param, adapted: &[String]) -> bool {
    let is_bias = param.name().ends_with(".bias");
    match bias {
        Bias::None => false,
        Bias::All => is_bias,
        Bias::LoraOnly => is_bias && adapted.contains(&param.module()),
    }
}
