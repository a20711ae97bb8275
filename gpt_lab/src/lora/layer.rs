//! One adapter: its matrices in the layers of a model, and the whole parameters that it has values of its own for.

use candle_core::{DType, Device, Tensor};

use super::adaptable::Base;
use super::config::{Bias, Init, LoraConfig, ends_with, known};
use crate::nn::{Adapter, Linear};
use crate::{Error, Param, Result, Rng};

/// PEFT's prefix of the names of all modules.
pub(super) const PREFIX: &str = "base_model.model.";

/// An adapter by name.
#[derive(Debug)]
pub(super) struct NamedAdapter {
    pub name: String,
    pub config: LoraConfig,
    /// Places in the list of targets, each with the matrices that are added there.
    pub layers: Vec<(usize, Adapter)>,
    /// Biases and modules that this adapter has its own values for.
    pub owned: Vec<Owned>,
}

/// A parameter of the model that an adapter has its own values for. While the adapter acts, these are in the model and
/// the model's values are kept here; otherwise it is the other way round.
#[derive(Debug)]
pub(super) struct Owned {
    /// The model's parameter.
    pub param: Param,
    /// The values that are not in the model at the moment.
    pub kept: Param,
    /// True in a module of `modules_to_save`, false for a bias that trains.
    pub in_module: bool,
}

impl NamedAdapter {
    /// A fresh adapter. A of the layer number `i` is drawn from stream `2 i` of the seed, B, if it is not zero, from `2
    /// i + 1`: the same layer gets the same numbers whatever else is adapted.
    pub fn new(name: &str, config: &LoraConfig, model: &Base, seed: u64) -> Result<Self> {
        config.validate()?;
        let Base { params, targets, tied, .. } = model;
        let saved = saved_modules(config, params, tied)?;
        let (free, names): (Vec<usize>, Vec<String>) =
            targets.iter().map(Linear::name).enumerate().filter(|(_, name)| !saved.contains(name)).unzip();
        let rng = Rng::new(seed);
        let layer = |at: usize| -> Result<(usize, Adapter)> {
            let place = free[at];
            let streams = [2 * place as u64, 2 * place as u64 + 1].map(|stream| rng.stream(stream));
            Ok((place, fresh(name, config, &targets[place], streams)?))
        };
        let layers: Vec<_> = config.target_modules.select(&names)?.into_iter().map(layer).collect::<Result<_>>()?;
        let adapted: Vec<String> = layers.iter().map(|(place, _)| targets[*place].name()).collect();
        let owned = params.iter().filter_map(|param| {
            let in_module = saved.contains(&param.module());
            (in_module || trains_as_bias(config.bias, param, &adapted))
                .then(|| Ok(Owned { param: param.clone(), kept: param.frozen_copy()?, in_module }))
        });
        let owned = owned.collect::<Result<_>>()?;
        Ok(NamedAdapter { name: name.to_string(), config: config.clone(), layers, owned })
    }

    /// A and B of every layer, in order.
    pub fn low_rank_params(&self) -> Vec<Param> {
        self.layers.iter().flat_map(|(_, layer)| [layer.a.clone(), layer.b.clone()]).collect()
    }

    /// All parameters that train while this adapter is active.
    pub fn params(&self) -> Vec<Param> {
        let owned = self.owned.iter().map(|owned| owned.param.clone());
        self.low_rank_params().into_iter().chain(owned).collect()
    }

    /// The matrices in the layer at this place, if it is adapted.
    pub fn at(&self, place: usize) -> Option<Adapter> {
        self.layers.iter().find(|(at, _)| *at == place).map(|(_, layer)| layer.clone())
    }
}

impl Owned {
    /// Exchanges the values in the model and those kept here.
    pub fn swap(&self) -> Result<()> {
        let there = self.param.var().as_detached_tensor().copy()?;
        self.param.var().set(&self.kept.var().as_detached_tensor())?;
        Ok(self.kept.var().set(&there)?)
    }
}

/// A and B with their initial values.
fn fresh(name: &str, config: &LoraConfig, layer: &Linear, [mut for_a, mut for_b]: [Rng; 2]) -> Result<Adapter> {
    let (module, (n_in, n_out)) = (layer.name(), layer.sizes());
    let (r, scale) = config.rank_and_scale(&module)?;
    let bound = |width: usize| 1.0 / (width as f32).sqrt();
    let a = match config.init_lora_weights {
        Init::Kaiming | Init::Random => for_a.uniform_tensor(bound(n_in), &[r, n_in])?,
        Init::Gaussian => for_a.normal_tensor(0.0, 1.0 / r as f32, &[r, n_in])?,
    };
    let b = match config.init_lora_weights {
        Init::Kaiming | Init::Gaussian => Tensor::zeros((n_out, r), DType::F32, &Device::Cpu)?,
        Init::Random => for_b.uniform_tensor(bound(r), &[n_out, r])?,
    };
    let param =
        |which: &str, values: &Tensor| Param::new(format!("{PREFIX}{module}.lora_{which}.{name}.weight"), values);
    Ok(Adapter { a: param("A", &a)?, b: param("B", &b)?, scale, dropout: config.lora_dropout })
}

/// The modules of the model that `modules_to_save` means.
///
/// # Errors
/// [`Error::InvalidArgument`] for a name that no module has, except the two that PEFT itself adds for sequence
/// classification, of which a model has one.
fn saved_modules(config: &LoraConfig, params: &[Param], tied: &[String]) -> Result<Vec<String>> {
    let mut modules: Vec<String> = params.iter().map(Param::module).collect();
    modules.dedup();
    let bad = |value: &str, expected: String| Err(Error::argument("modules_to_save", format!("{value:?}"), expected));
    let mut saved = Vec::new();
    for name in &config.modules_to_save {
        let found: Vec<String> = modules.iter().filter(|module| ends_with(module, name)).cloned().collect();
        let added_by_peft = name == "score" || name == "classifier";
        if found.is_empty() && !added_by_peft {
            return bad(name, format!("one of this model's modules: {}", known(&modules)));
        }
        if let Some(module) = found.iter().find(|module| tied.contains(module)) {
            return bad(module, "a module that shares its weights with no other".into());
        }
        saved.extend(found);
    }
    Ok(saved)
}

fn trains_as_bias(bias: Bias, param: &Param, adapted: &[String]) -> bool {
    let is_bias = param.name().ends_with(".bias");
    match bias {
        Bias::None => false,
        Bias::All => is_bias,
        Bias::LoraOnly => is_bias && adapted.contains(&param.module()),
    }
}
