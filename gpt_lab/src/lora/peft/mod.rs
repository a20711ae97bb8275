//! Adapters as folders: `adapter_config.json` and `adapter_model.safetensors`, as PEFT reads and writes them.
//!
//! Keys are `base_model.model.` + the module's name + `.lora_A.weight` `[r, n_in]` or `.lora_B.weight` `[n_out, r]`, the same in both
//! layouts of weights; an adapter's own copy of a module has the module's plain name, and a bias that trains in an adapted
//! layer is called `base_layer.bias`. PEFT ignores a key that it has no place for; here that is an error.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::Tensor;

use super::adapter::{NamedAdapter, Owned, PREFIX};
use super::peft_config;
use super::target::{Parts, Target};
use crate::core::files::write_atomically;
use crate::gpt2::weights::{WeightFile, to_safetensors};
use crate::{Error, Param, Result};

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";

/// Reads an adapter for this model; [`Lora::load`](super::Lora::load) lists the errors.
pub(super) fn load(name: &str, dir: &Path, model: &Parts) -> Result<NamedAdapter> {
    if !dir.exists() {
        return Err(Error::FileNotFound { path: dir.to_path_buf(), hint: String::new() });
    }
    let config_path = dir.join(CONFIG);
    let config = peft_config::read(&config_path)?;
    let unfit = |error| match error {
        Error::InvalidArgument { argument, value, expected } => Error::AdapterBaseMismatch {
            path: config_path.clone(),
            detail: format!("{argument} = {value}: expected {expected}"),
        },
        other => other,
    };
    let mut adapter = NamedAdapter::new(name, &config, model, 0).map_err(unfit)?;
    let path = dir.join(WEIGHTS);
    let file = WeightFile::open(&path).map_err(|error| not_found_hint(error, dir))?;
    let places = places(&adapter, &model.targets);
    if let Some(stray) = file.names().iter().find(|key| !places.contains_key(*key)) {
        let detail = format!("it holds `{stray}`, for which this model and its configuration have no place");
        return Err(Error::AdapterBaseMismatch { path, detail });
    }
    for (key, place) in &places {
        let values = file.read(key, place.dims(&adapter)).map_err(|error| mismatch(error, &path))?;
        place.fill(&mut adapter, values)?;
    }
    Ok(adapter)
}

/// Writes an adapter into `dir` (named `default`) or `dir/NAME`. The weights come last: a folder that was new is no adapter until it
/// is whole. `active` says whether what the adapter owns is in the model now.
pub(super) fn save(
    adapter: &NamedAdapter,
    active: bool,
    dir: &Path,
    targets: &[Target],
    task_type: Option<&str>,
) -> Result<()> {
    let dir = if adapter.name == "default" { dir.to_path_buf() } else { dir.join(&adapter.name) };
    let places = places(adapter, targets);
    let named = |(key, place): (&String, &Place)| Param::new(key.clone(), &place.values(adapter, active));
    let tensors = places.iter().map(named).collect::<Result<Vec<_>>>()?;
    let fan_in_fan_out = adapter.layers.iter().any(|(place, _)| !targets[*place].transposed);
    let config = peft_config::write(&adapter.config, fan_in_fan_out, task_type);
    write_atomically(&dir.join(CONFIG), config.as_bytes())?;
    write_atomically(&dir.join(WEIGHTS), &to_safetensors(&tensors)?)
}

/// Where a tensor of the file belongs.
#[derive(Debug, Clone, Copy)]
enum Place {
    A(usize),
    B(usize),
    Owned(usize),
}

/// Every key of an adapter's file.
fn places(adapter: &NamedAdapter, targets: &[Target]) -> BTreeMap<String, Place> {
    let module = |place: usize| &targets[place].name;
    let mut places = BTreeMap::new();
    for (i, (place, _)) in adapter.layers.iter().enumerate() {
        places.insert(format!("{PREFIX}{}.lora_A.weight", module(*place)), Place::A(i));
        places.insert(format!("{PREFIX}{}.lora_B.weight", module(*place)), Place::B(i));
    }
    let adapted: Vec<String> = adapter.layers.iter().map(|(place, _)| format!("{}.bias", module(*place))).collect();
    for (i, Owned { param, .. }) in adapter.owned.iter().enumerate() {
        let name = param.name();
        let key = match name.strip_suffix("bias").filter(|_| adapted.iter().any(|bias| bias == name)) {
            Some(module) => format!("{PREFIX}{module}base_layer.bias"),
            None => format!("{PREFIX}{name}"),
        };
        places.insert(key, Place::Owned(i));
    }
    places
}

impl Place {
    fn dims<'a>(&self, adapter: &'a NamedAdapter) -> &'a [usize] {
        match self {
            Place::A(i) => adapter.layers[*i].1.a.dims(),
            Place::B(i) => adapter.layers[*i].1.b.dims(),
            Place::Owned(i) => adapter.owned[*i].values.dims(),
        }
    }

    fn fill(&self, adapter: &mut NamedAdapter, values: Tensor) -> Result<()> {
        match self {
            Place::A(i) => adapter.layers[*i].1.a.var().set(&values)?,
            Place::B(i) => adapter.layers[*i].1.b.var().set(&values)?,
            Place::Owned(i) => adapter.owned[*i].values = values,
        }
        Ok(())
    }

    fn values(&self, adapter: &NamedAdapter, active: bool) -> Tensor {
        match self {
            Place::A(i) => adapter.layers[*i].1.a.var().as_detached_tensor(),
            Place::B(i) => adapter.layers[*i].1.b.var().as_detached_tensor(),
            Place::Owned(i) if active => adapter.owned[*i].param.var().as_detached_tensor(),
            Place::Owned(i) => adapter.owned[*i].values.clone(),
        }
    }
}

/// A tensor of another shape means another base model or another rank.
fn mismatch(error: Error, path: &Path) -> Error {
    match error {
        Error::ShapeMismatch { name, expected, found, .. } => Error::AdapterBaseMismatch {
            path: path.to_path_buf(),
            detail: format!(
                "tensor `{name}` has shape {found:?}, this model and the configuration ask for {expected:?}"
            ),
        },
        other => other,
    }
}

fn not_found_hint(error: Error, dir: &Path) -> Error {
    match error {
        Error::FileNotFound { path, .. } => {
            let pickled = dir.join("adapter_model.bin").exists();
            let hint = if pickled { "; adapter_model.bin holds Python objects, save it again with PEFT" } else { "" };
            Error::FileNotFound { path, hint: hint.to_string() }
        }
        other => other,
    }
}
