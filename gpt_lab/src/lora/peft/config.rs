//! `adapter_config.json`, as PEFT reads and writes it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::config::{Bias, Init, LoraConfig, Targets};
use crate::core::files::read_text;
use crate::{Error, Result};

/// Fields that say nothing about what an adapter computes, or that are looked at elsewhere.
const HARMLESS: [&str; 11] = [
    "peft_type",
    "peft_version",
    "auto_mapping",
    "revision",
    "inference_mode",
    "fan_in_fan_out",
    "megatron_core",
    "qalora_group_size",
    "ensure_weight_tying",
    "runtime_config",
    "layers_pattern",
];

/// The fields that we know; what else a file holds must be switched off.
#[derive(Deserialize)]
struct Fields {
    #[serde(default = "default_rank")]
    r: usize,
    #[serde(default = "default_alpha")]
    lora_alpha: f64,
    #[serde(default)]
    lora_dropout: f64,
    target_modules: Option<Targets>,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    bias: Bias,
    modules_to_save: Option<Vec<String>>,
    rank_pattern: Option<BTreeMap<String, usize>>,
    alpha_pattern: Option<BTreeMap<String, f64>>,
    task_type: Option<String>,
    base_model_name_or_path: Option<String>,
    #[serde(default)]
    init_lora_weights: Value,
}

const KNOWN: [&str; 12] = [
    "r",
    "lora_alpha",
    "lora_dropout",
    "target_modules",
    "use_rslora",
    "bias",
    "modules_to_save",
    "rank_pattern",
    "alpha_pattern",
    "task_type",
    "base_model_name_or_path",
    "init_lora_weights",
];

/// Reads an `adapter_config.json`.
///
/// # Errors
/// [`Error::UnsupportedPeftType`] for another kind of adapter than LoRA and for every field that would change what is
/// computed in a way that is not implemented here (DoRA and many more), also one that was invented since: whatever is
/// not known must be null, false or empty. [`Error::InvalidConfig`] for what is no configuration at all.
pub fn read(path: &Path) -> Result<LoraConfig> {
    let context = path.display().to_string();
    let invalid = |detail: String| Error::InvalidConfig { context: context.clone(), detail };
    let json: Value = serde_json::from_str(&read_text(path)?).map_err(|e| invalid(format!("not valid JSON: {e}")))?;
    let Value::Object(all) = &json else { return Err(invalid("not a JSON object".into())) };
    check_supported(path, all)?;
    let fields: Fields = serde_json::from_value(json.clone()).map_err(|e| invalid(e.to_string()))?;
    let target_modules = fields.target_modules.ok_or_else(|| invalid("target_modules is missing".into()))?;
    let mut modules_to_save = fields.modules_to_save.unwrap_or_default();
    let mut seen = Vec::new(); // PEFT writes some names twice
    modules_to_save.retain(|name| {
        !seen.contains(name) && {
            seen.push(name.clone());
            true
        }
    });
    let init_lora_weights = match &fields.init_lora_weights {
        Value::Bool(false) => Init::Random,
        Value::String(name) if name == "gaussian" => Init::Gaussian,
        _ => Init::Kaiming,
    };
    let config = LoraConfig {
        r: fields.r,
        lora_alpha: fields.lora_alpha,
        lora_dropout: fields.lora_dropout,
        target_modules,
        use_rslora: fields.use_rslora,
        bias: fields.bias,
        modules_to_save,
        rank_pattern: fields.rank_pattern.unwrap_or_default(),
        alpha_pattern: fields.alpha_pattern.unwrap_or_default(),
        init_lora_weights,
        task_type: fields.task_type,
        base_model_name_or_path: fields.base_model_name_or_path,
    };
    config.validate().map_err(|e| invalid(e.to_string()))?;
    Ok(config)
}

/// The text of an `adapter_config.json`, with PEFT's fields in PEFT's (alphabetical) order.
pub fn write(config: &LoraConfig, fan_in_fan_out: bool, task_type: Option<&str>) -> String {
    let init = match config.init_lora_weights {
        Init::Kaiming => json!(true),
        Init::Gaussian => json!("gaussian"),
        Init::Random => json!(false),
    };
    let modules_to_save = if config.modules_to_save.is_empty() { Value::Null } else { json!(config.modules_to_save) };
    let alphas: Map<String, Value> = config.alpha_pattern.iter().map(|(k, v)| (k.clone(), number(*v))).collect();
    let json = json!({
        "alpha_pattern": alphas,
        "auto_mapping": null,
        "base_model_name_or_path": config.base_model_name_or_path,
        "bias": config.bias,
        "fan_in_fan_out": fan_in_fan_out,
        "inference_mode": true,
        "init_lora_weights": init,
        "layers_pattern": null,
        "layers_to_transform": null,
        "lora_alpha": number(config.lora_alpha),
        "lora_bias": false,
        "lora_dropout": config.lora_dropout,
        "modules_to_save": modules_to_save,
        "peft_type": "LORA",
        "r": config.r,
        "rank_pattern": config.rank_pattern,
        "revision": null,
        "target_modules": config.target_modules,
        "task_type": config.task_type.as_deref().or(task_type),
        "use_dora": false,
        "use_rslora": config.use_rslora,
    });
    format!("{json:#}\n")
}

fn check_supported(path: &Path, fields: &Map<String, Value>) -> Result<()> {
    let refuse = |field: &str, value: &Value, detail: &str| {
        let (path, field, value) = (path.to_path_buf(), field.to_string(), value.to_string());
        Err(Error::UnsupportedPeftType { path, field, value, detail: detail.to_string() })
    };
    match fields.get("peft_type") {
        Some(Value::String(kind)) if kind == "LORA" => {}
        other => return refuse("peft_type", other.unwrap_or(&Value::Null), "expected \"LORA\""),
    }
    if let Some(init @ Value::String(name)) = fields.get("init_lora_weights")
        && name != "gaussian"
    {
        return refuse("init_lora_weights", init, "it may change the base model; convert the adapter to plain LoRA");
    }
    for (field, value) in fields {
        let plain = KNOWN.contains(&field.as_str()) || HARMLESS.contains(&field.as_str());
        if !plain && !is_off(value) {
            return refuse(field, value, "plain LoRA only; ignoring it would give wrong numbers");
        }
    }
    Ok(())
}

/// Null, false, or empty.
fn is_off(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// PEFT writes whole numbers without a point.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 1e15 { json!(value as i64) } else { json!(value) }
}

fn default_rank() -> usize {
    LoraConfig::default().r
}

fn default_alpha() -> f64 {
    LoraConfig::default().lora_alpha
}
