//! The sizes and settings of a GPT-2: Hugging Face's `config.json`.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::activation::Activation;
use crate::nn::CacheShape;
use crate::{Error, Result};

/// The configuration of a GPT-2, with Hugging Face's field names and, for fields that a file leaves out, its defaults
/// (those of the 124M model).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Gpt2Config {
    /// Number of tokens (V).
    pub vocab_size: usize,
    /// Number of positions, the longest sequence.
    pub n_positions: usize,
    /// Width of the residual stream (C).
    pub n_embd: usize,
    /// Number of blocks.
    pub n_layer: usize,
    /// Number of attention heads (H).
    pub n_head: usize,
    /// Width inside the MLP; `None` means `4 · n_embd`.
    pub n_inner: Option<usize>,
    /// `gelu_new` (GPT-2's), `gelu_fast`, `gelu_pytorch_tanh`, `gelu`, `gelu_python`, `relu`, `silu`, `swish` or
    /// `tanh`.
    pub activation_function: String,
    /// Dropout after the attention's and the MLP's output projections.
    pub resid_pdrop: f64,
    /// Dropout after the embeddings.
    pub embd_pdrop: f64,
    /// Dropout of the attention weights.
    pub attn_pdrop: f64,
    /// The ε of every layer norm.
    pub layer_norm_epsilon: f64,
    /// Standard deviation of the initial weights.
    pub initializer_range: f64,
    /// Divide attention scores by `√D`.
    pub scale_attn_weights: bool,
    /// Divide them, in layer `i`, by `i + 1` as well.
    pub scale_attn_by_inverse_layer_idx: bool,
    /// Compute attention scores in f32; it makes no difference here, where everything is f32.
    pub reorder_and_upcast_attn: bool,
    /// The output head uses the token embedding's table.
    pub tie_word_embeddings: bool,
    /// The token that begins a text, if any.
    pub bos_token_id: Option<u32>,
    /// The token or tokens that end a text, if any.
    pub eos_token_id: Option<EosToken>,
    /// Ours: queries, keys and values have a bias. GPT-2 has one, the chapter's model has none.
    #[serde(skip_serializing_if = "is_true")]
    pub qkv_bias: bool,
    /// Ours: the output head has a bias. GPT-2's has none, the chapter's model has one.
    #[serde(skip_serializing_if = "is_false")]
    pub lm_head_bias: bool,
}

/// One end-of-text token or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum EosToken {
    /// One.
    One(u32),
    /// Any of these.
    Any(Vec<u32>),
}

/// Keys of modified GPT-2s that change what the model computes, with what they mean. Ignoring them would give wrong
/// numbers.
const REFUSED_KEYS: [(&str, &str); 4] = [
    ("auto_map", "the model comes with code of its own"),
    ("attn_mult", "maximal-update parametrisation (muP) is not supported"),
    ("quantization_config", "quantised weights are not supported"),
    ("position_embedding_type", "only learned absolute positions are supported"),
];

/// Names of the sizes in other models and in GPT-2; Hugging Face takes either (`attribute_map`).
const ALIASES: [(&str, &str); 4] = [
    ("hidden_size", "n_embd"),
    ("max_position_embeddings", "n_positions"),
    ("num_attention_heads", "n_head"),
    ("num_hidden_layers", "n_layer"),
];

impl Default for Gpt2Config {
    fn default() -> Self {
        Gpt2Config {
            vocab_size: 50257,
            n_positions: 1024,
            n_embd: 768,
            n_layer: 12,
            n_head: 12,
            n_inner: None,
            activation_function: "gelu_new".to_string(),
            resid_pdrop: 0.1,
            embd_pdrop: 0.1,
            attn_pdrop: 0.1,
            layer_norm_epsilon: 1e-5,
            initializer_range: 0.02,
            scale_attn_weights: true,
            scale_attn_by_inverse_layer_idx: false,
            reorder_and_upcast_attn: false,
            tie_word_embeddings: true,
            bos_token_id: None,
            eos_token_id: None,
            qkv_bias: true,
            lm_head_bias: false,
        }
    }
}

impl Gpt2Config {
    /// The model of the chapter that this lab teaches: 128 wide, 16 heads of 8, 12 layers, context 64, dropout 0.4; no
    /// bias in queries, keys and values, an output head of its own with one: 2,408,290 parameters with 98 characters.
    pub fn chapter(vocab_size: usize) -> Self {
        Gpt2Config {
            vocab_size,
            n_positions: 64,
            n_embd: 128,
            n_layer: 12,
            n_head: 16,
            resid_pdrop: 0.4,
            embd_pdrop: 0.4,
            attn_pdrop: 0.4,
            tie_word_embeddings: false,
            eos_token_id: Some(EosToken::One(0)),
            qkv_bias: false,
            lm_head_bias: true,
            ..Gpt2Config::default()
        }
    }

    /// The notebook's small profile: the chapter's model with 4 layers, 4 heads and no dropout, 825,186 parameters with
    /// 98 characters. It learns to write Rust-like text in a few minutes on two cores.
    pub fn small(vocab_size: usize) -> Self {
        Gpt2Config {
            n_layer: 4,
            n_head: 4,
            resid_pdrop: 0.0,
            embd_pdrop: 0.0,
            attn_pdrop: 0.0,
            ..Gpt2Config::chapter(vocab_size)
        }
    }

    /// Reads and validates a `config.json`. Unknown fields are ignored, except those that change what the model
    /// computes.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        Self::load_from(path.as_ref())
    }

    fn load_from(path: &Path) -> Result<Self> {
        let context = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, "reading", e))?;
        let invalid = |detail: String| Error::InvalidConfig { context: context.clone(), detail };
        let json: Value = serde_json::from_str(&text).map_err(|e| invalid(format!("not valid JSON: {e}")))?;
        let Value::Object(mut fields) = json else { return Err(invalid("not a JSON object".to_string())) };
        check_kind(&fields).map_err(invalid)?;
        use_own_names(&mut fields).map_err(invalid)?;
        let json = Value::Object(fields.clone());
        let config: Self = serde_json::from_value(json).map_err(|e| invalid(culprit(&fields, &e)))?;
        config.validate_in(&context)?;
        Ok(config)
    }

    /// Checks that the numbers describe a model.
    pub fn validate(&self) -> Result<()> {
        self.validate_in("Gpt2Config")
    }

    fn validate_in(&self, context: &str) -> Result<()> {
        let problem = self.problem_of_sizes().or_else(|| self.problem_of_settings());
        problem.map_or(Ok(()), |detail| Err(Error::InvalidConfig { context: context.to_string(), detail }))
    }

    fn problem_of_sizes(&self) -> Option<String> {
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("n_positions", self.n_positions),
            ("n_embd", self.n_embd),
            ("n_layer", self.n_layer),
            ("n_head", self.n_head),
            ("n_inner", self.n_inner()),
        ];
        if let Some((name, _)) = sizes.iter().find(|(_, size)| *size == 0) {
            return Some(format!("{name} is 0, it must be at least 1"));
        }
        if let Some((name, size)) = sizes.iter().find(|(_, size)| *size > 1 << 24) {
            return Some(format!("{name} is {size}, more than any GPT-2 has"));
        }
        let (n_embd, n_head) = (self.n_embd, self.n_head);
        let fits = n_embd.is_multiple_of(n_head);
        (!fits).then(|| format!("n_embd = {n_embd} is not divisible by n_head = {n_head}"))
    }

    fn problem_of_settings(&self) -> Option<String> {
        let dropouts =
            [("resid_pdrop", self.resid_pdrop), ("embd_pdrop", self.embd_pdrop), ("attn_pdrop", self.attn_pdrop)];
        if let Some((name, p)) = dropouts.iter().find(|(_, p)| !(0.0..=1.0).contains(p)) {
            return Some(format!("{name} is {p}, it must be between 0 and 1"));
        }
        if !(self.layer_norm_epsilon > 0.0 && self.layer_norm_epsilon.is_finite()) {
            return Some(format!("layer_norm_epsilon is {}, it must be positive", self.layer_norm_epsilon));
        }
        if !(self.initializer_range >= 0.0 && self.initializer_range.is_finite()) {
            return Some(format!("initializer_range is {}, it must not be negative", self.initializer_range));
        }
        if self.lm_head_bias && self.tie_word_embeddings {
            return Some("lm_head_bias needs an output head of its own (tie_word_embeddings = false)".to_string());
        }
        let name = &self.activation_function;
        let names = || Activation::NAMES.map(|(name, _)| name).join(", ");
        let known = Activation::named(name).is_some();
        (!known).then(|| format!("activation_function `{name}` is not one of {}", names()))
    }

    /// Width inside the MLP.
    pub fn n_inner(&self) -> usize {
        self.n_inner.unwrap_or(self.n_embd.saturating_mul(4))
    }

    /// Width of one attention head (D).
    pub fn head_size(&self) -> usize {
        self.n_embd / self.n_head
    }

    /// The factor on the attention scores of this layer (counted from 0).
    pub fn attention_scale(&self, layer: usize) -> f64 {
        let by_width = if self.scale_attn_weights { (self.head_size() as f64).sqrt() } else { 1.0 };
        let by_layer = if self.scale_attn_by_inverse_layer_idx { layer as f64 + 1.0 } else { 1.0 };
        1.0 / (by_width * by_layer)
    }

    /// Every token that ends a text.
    pub fn eos_tokens(&self) -> Vec<u32> {
        match &self.eos_token_id {
            None => Vec::new(),
            Some(EosToken::One(id)) => vec![*id],
            Some(EosToken::Any(ids)) => ids.clone(),
        }
    }
}

impl From<&Gpt2Config> for CacheShape {
    fn from(config: &Gpt2Config) -> Self {
        let Gpt2Config { n_layer, n_head, n_positions, .. } = *config;
        CacheShape { n_layer, n_head, head_size: config.head_size(), n_positions }
    }
}

/// Refuses configurations of other models and of GPT-2s that compute something else.
fn check_kind(fields: &Map<String, Value>) -> std::result::Result<(), String> {
    if let Some(kind) = fields.get("model_type").filter(|kind| *kind != "gpt2") {
        return Err(format!("model_type is {kind}, expected \"gpt2\""));
    }
    if fields.get("add_cross_attention") == Some(&Value::Bool(true)) {
        return Err("add_cross_attention is true: encoder-decoder models are not supported".to_string());
    }
    for (key, value) in fields {
        let plain = value.is_null() || (key == "position_embedding_type" && value == "absolute");
        if let Some((_, meaning)) = REFUSED_KEYS.iter().find(|(refused, _)| refused == key && !plain) {
            return Err(format!("{key} = {value}: {meaning}"));
        }
        let mup = key.split('_').any(|word| word == "mup");
        if mup && !plain && value != false {
            return Err(format!("{key} = {value}: maximal-update parametrisation (muP) is not supported"));
        }
    }
    Ok(())
}

/// Takes sizes under the names that Hugging Face takes as well. Ignoring one would leave the default, and wrong
/// numbers.
fn use_own_names(fields: &mut Map<String, Value>) -> std::result::Result<(), String> {
    for (alias, own) in ALIASES {
        let Some(value) = fields.remove(alias) else { continue };
        match fields.get(own) {
            Some(other) if *other != value => return Err(format!("{alias} is {value}, but {own} is {other}")),
            _ => fields.insert(own.to_string(), value),
        };
    }
    Ok(())
}

/// serde says what is wrong with a value but not whose it is: the field that is wrong on its own.
fn culprit(fields: &Map<String, Value>, error: &serde_json::Error) -> String {
    let alone = |(key, value): &(&String, &Value)| {
        let field = Map::from_iter([((*key).clone(), (*value).clone())]);
        serde_json::from_value::<Gpt2Config>(Value::Object(field)).is_err()
    };
    match fields.iter().find(alone) {
        Some((key, value)) => format!("{key} = {value}: {error}"),
        None => error.to_string(),
    }
}

fn is_true(value: &bool) -> bool {
    *value
}

fn is_false(value: &bool) -> bool {
    !*value
}
