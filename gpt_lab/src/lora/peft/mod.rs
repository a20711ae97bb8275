//! Adapters as folders: `adapter_config.json` and `adapter_model.safetensors`, as PEFT reads and writes them.
//!
//! Keys are `base_model.model.` + the module's name + `.lora_A.weight` `[r, n_in]` or `.lora_B.weight` `[n_out, r]`,
//! the same in both layouts of weights; an adapter's own copy of a module has the module's plain name, and a bias that
//! trains in an adapted layer is called `base_layer.bias`. PEFT ignores a key that it has no place for; here that is an
//! error.

mod config;

use std::collections::BTreeMap;
use std::path::Path;

use super::adaptable::Base;
use super::layer::{NamedAdapter, Owned, PREFIX};
use crate::core::files::write_atomically;
use crate::core::safetensors::{WeightFile, to_safetensors};
use crate::nn::Linear;
use crate::{Error, Param, Result};

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";

/// Reads an adapter for this model; [`Adapters::load`](super::Adapters::load) lists the errors.
pub(super) fn load(name: &str, dir: &Path, model: &Base) -> Result<NamedAdapter> {
    if !dir.exists() {
        return Err(Error::FileNotFound { path: dir.to_path_buf(), hint: String::new() });
    }
    let config_path = dir.join(CONFIG);
    let config = config::read(&config_path)?;
    let unfit = |error| match error {
        Error::InvalidArgument { argument, value, expected } => Error::AdapterBaseMismatch {
            path: config_path.clone(),
            detail: format!("{argument} = {value}: expected {expected}"),
        },
        other => other,
    };
    let adapter = NamedAdapter::new(name, &config, model, 0).map_err(unfit)?;
    let path = dir.join(WEIGHTS);
    let file = WeightFile::open(&path).map_err(|error| not_found_hint(error, dir))?;
    let tensors = tensors(&adapter, false, &model.targets);
    if let Some(stray) = file.names().iter().find(|key| !tensors.contains_key(*key)) {
        let detail = format!("it holds `{stray}`, for which this model and its configuration have no place");
        return Err(Error::AdapterBaseMismatch { path, detail });
    }
    for (key, param) in tensors {
        let values = file.read(&key, param.dims()).map_err(|error| mismatch(error, &path))?;
        param.var().set(&values)?;
    }
    Ok(adapter)
}

/// Writes an adapter into `dir` (named `default`) or `dir/NAME`. The weights come last: a folder that was new is no
/// adapter until it is whole. `is_in` says that the adapter's own values of parameters are in the model now.
pub(super) fn save(adapter: &NamedAdapter, is_in: bool, dir: &Path, model: &Base) -> Result<()> {
    let dir = if adapter.name == "default" { dir.to_path_buf() } else { dir.join(&adapter.name) };
    let named = |(key, param): (String, Param)| Param::new(key, &param.var().as_detached_tensor());
    let tensors = tensors(adapter, is_in, &model.targets).into_iter().map(named).collect::<Result<Vec<_>>>()?;
    let fan_in_fan_out = adapter.layers.iter().any(|(place, _)| !model.targets[*place].transposed);
    let config = config::write(&adapter.config, fan_in_fan_out, model.task_type);
    write_atomically(&dir.join(CONFIG), config.as_bytes())?;
    write_atomically(&dir.join(WEIGHTS), &to_safetensors(&tensors)?)
}

/// Every key of an adapter's file, with the parameter that holds the values now.
fn tensors(adapter: &NamedAdapter, is_in: bool, targets: &[Linear]) -> BTreeMap<String, Param> {
    let mut tensors = BTreeMap::new();
    let mut adapted_biases = Vec::new();
    for (place, layer) in &adapter.layers {
        let module = targets[*place].name();
        tensors.insert(format!("{PREFIX}{module}.lora_A.weight"), layer.a.clone());
        tensors.insert(format!("{PREFIX}{module}.lora_B.weight"), layer.b.clone());
        adapted_biases.push(format!("{module}.bias"));
    }
    for Owned { param, kept, .. } in &adapter.owned {
        let name = param.name();
        let key = match name.strip_suffix("bias").filter(|_| adapted_biases.iter().any(|bias| bias == name)) {
            Some(module) => format!("{PREFIX}{module}base_layer.bias"),
            None => format!("{PREFIX}{name}"),
        };
        tensors.insert(key, if is_in { param.clone() } else { kept.clone() });
    }
    tensors
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
