//! Models as folders: `config.json` and `model.safetensors`, in Hugging Face's layout; and where such folders come
//! from.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use serde::Deserialize;
use serde_json::{Value, json};

use super::config::Gpt2Config;
use super::model::Gpt2;
use crate::core::files::{read_text, replace_with, write_atomically};
use crate::core::safetensors::{WeightFile, write_safetensors};
use crate::hub::{Hub, Repo};
use crate::{Error, Result};

const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// The prefix of all names but those of the head; old files lack it.
const PREFIX: &str = "transformer.";
const WTE: &str = "transformer.wte.weight";
const LM_HEAD: &str = "lm_head.weight";

impl Gpt2 {
    /// A model from a folder in Hugging Face's layout: `config.json`, and the weights in `model.safetensors` or in
    /// several files that `model.safetensors.index.json` lists.
    ///
    /// Tensor names may carry the prefix `transformer.` or not; the causal-mask buffers of old files (`h.*.attn.bias`,
    /// `h.*.attn.masked_bias`) are ignored; f16 and bf16 become f32. A tied head is the embeddings' table, unless the
    /// file holds another one. Each tensor is read straight to where it stays: the memory needed is that of the model.
    ///
    /// # Errors
    /// All name the file and the tensor: a missing or truncated file, a configuration that describes no model, a
    /// missing tensor, one of another shape, one that holds NaN or infinity, blocks that the configuration does not
    /// know.
    pub fn load(dir: impl AsRef<Path>) -> Result<Self> {
        read_model(dir.as_ref())
    }

    /// A model from the Hugging Face Hub, from the cache that Python's `huggingface_hub` uses too or by download:
    /// `Gpt2::from_hub("openai-community/gpt2")`. A [`Repo`] can name a revision. See [`Hub`] for the environment
    /// variables that count, and [`Gpt2::load`] for the files that must be there.
    pub fn from_hub(repo: impl Into<Repo>) -> Result<Self> {
        Self::from_hub_with(repo, &Hub::from_env())
    }

    /// [`Gpt2::from_hub`] with settings of one's own.
    pub fn from_hub_with(repo: impl Into<Repo>, hub: &Hub) -> Result<Self> {
        Self::load(fetch_model(repo.into(), hub)?)
    }

    /// Writes `config.json` and `model.safetensors`; each of the two files is replaced as a whole or not at all.
    ///
    /// `transformers` loads the result, unless the configuration has fields of our own (`qkv_bias`, `lm_head_bias`)
    /// that its GPT-2 does not know.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::InvalidArgument`] for a model with an active adapter, of which the file would hold a
    /// part, and for one in 8 bits.
    pub fn save(&self, dir: impl AsRef<Path>) -> Result<()> {
        write_model(self, dir.as_ref())
    }
}

fn read_model(dir: &Path) -> Result<Gpt2> {
    if !dir.exists() {
        return Err(Error::FileNotFound { path: dir.to_path_buf(), hint: String::new() });
    }
    let config = Gpt2Config::load(dir.join("config.json"))?;
    let weights = Weights::open(dir)?;
    weights.check_layers(config.n_layer)?;
    let config = weights.with_its_head(config)?;
    let only_head = config.tie_word_embeddings && !weights.has(WTE);
    Gpt2::build(&config, &mut |name, shape| weights.read(if only_head && name == WTE { LM_HEAD } else { name }, shape))
}

/// A folder whose weights have a `score.weight` `[1, n_embd]` and no output head, whatever its configuration says about
/// one.
pub(crate) fn read_with_score(dir: &Path) -> Result<(Gpt2, Tensor)> {
    if !dir.exists() {
        return Err(Error::FileNotFound { path: dir.to_path_buf(), hint: String::new() });
    }
    let config = Gpt2Config::load(dir.join("config.json"))?;
    let config = Gpt2Config { tie_word_embeddings: true, lm_head_bias: false, ..config };
    let weights = Weights::open(dir)?;
    weights.check_layers(config.n_layer)?;
    let body = Gpt2::build(&config, &mut |name, shape| weights.read(name, shape))?;
    let score = weights.read("score.weight", &[1, config.n_embd])?;
    Ok((body, score))
}

/// The folder of a model from the Hub, in the cache or downloaded into it: its configuration and its weights.
fn fetch_model(repo: Repo, hub: &Hub) -> Result<PathBuf> {
    let mut snapshot = hub.snapshot(repo)?;
    snapshot.file("config.json")?;
    if snapshot.optional(WEIGHTS)?.is_none() {
        let Some(index) = snapshot.optional(INDEX)? else {
            // The error of the file that should be there says where it was looked for.
            return snapshot.file(WEIGHTS);
        };
        for shard in Index::read(&index)?.shards() {
            snapshot.file(&shard)?;
        }
    }
    snapshot.folder()
}

fn write_model(model: &Gpt2, dir: &Path) -> Result<()> {
    if let Some(layer) = model.linears().find(|layer| layer.adapters.is_in_use()) {
        let value = format!("a model whose layer {} carries an adapter", layer.name());
        let expected = "a model without: save the adapter with Lora::save, or merge_and_unload() first";
        return Err(Error::argument("model", value, expected));
    }
    if let Some(name) = model.int8_weight() {
        let value = format!("a model whose {name} is in 8 bits");
        return Err(Error::argument("model", value, "one in 32 bits: save the model that to_int8() was called on"));
    }
    let config = format!("{:#}", config_json(&model.config)?);
    replace_with(&dir.join(WEIGHTS), |new| write_safetensors(new, &model.params()))?;
    write_atomically(&dir.join("config.json"), config.as_bytes())
}

/// The contents of `config.json` for a model of this configuration.
pub(crate) fn config_json(config: &Gpt2Config) -> Result<Value> {
    let invalid = |e: serde_json::Error| Error::InvalidConfig { context: "config.json".into(), detail: e.to_string() };
    let mut config = serde_json::to_value(config).map_err(invalid)?;
    config["architectures"] = json!(["GPT2LMHeadModel"]);
    config["model_type"] = json!("gpt2");
    Ok(config)
}

/// The weights of a folder, in one file or in several.
struct Weights {
    files: Vec<WeightFile>,
    /// For several files: the place in `files` of each tensor, and the path of the index.
    index: Option<(HashMap<String, usize>, PathBuf)>,
}

/// `model.safetensors.index.json`: the file of each tensor.
#[derive(Deserialize)]
struct Index {
    weight_map: HashMap<String, String>,
}

impl Weights {
    fn open(dir: &Path) -> Result<Self> {
        let (single, index) = (dir.join(WEIGHTS), dir.join(INDEX));
        if single.exists() || !index.exists() {
            let file = WeightFile::open(single).map_err(not_found_hint)?;
            return Ok(Weights { files: vec![file.with_optional_prefix(PREFIX)], index: None });
        }
        let map = Index::read(&index)?;
        let shards: Vec<String> = map.shards().into_iter().collect();
        let open = |shard: &String| Ok(WeightFile::open(dir.join(shard))?.with_optional_prefix(PREFIX));
        let files = shards.iter().map(open).collect::<Result<_>>()?;
        let place = |shard: &String| shards.binary_search(shard).expect("every shard is listed");
        let places = map.weight_map.iter().map(|(name, shard)| (name.clone(), place(shard))).collect();
        Ok(Weights { files, index: Some((places, index)) })
    }

    fn read(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let read = match &self.index {
            None => self.files[0].read_variable(name, shape),
            Some((places, path)) => match places.get(name).or_else(|| places.get(bare(name))) {
                Some(&place) => self.files[place].read_variable(name, shape),
                None => Err(Error::MissingTensor { path: path.clone(), name: name.to_string(), hint: String::new() }),
            },
        };
        read.map_err(head_hint)
    }

    fn has(&self, name: &str) -> bool {
        match &self.index {
            None => self.files[0].has(name),
            Some((places, _)) => places.contains_key(name) || places.contains_key(bare(name)),
        }
    }

    /// The configuration, not tied if the file has an output head that is another table than the embeddings, as in
    /// transformers 5.
    fn with_its_head(&self, config: Gpt2Config) -> Result<Gpt2Config> {
        if !config.tie_word_embeddings || !self.has(LM_HEAD) || !self.has(WTE) {
            return Ok(config);
        }
        let [wte, head] = [WTE, LM_HEAD].map(|name| self.read(name, &[config.vocab_size, config.n_embd]));
        let same = crate::ops::max_difference(&wte?, &head?)? == 0.0;
        Ok(Gpt2Config { tie_word_embeddings: same, ..config })
    }

    /// Refuses a file with more blocks than the configuration: the model would silently be cut short.
    fn check_layers(&self, n_layer: usize) -> Result<()> {
        let layer = |name: &str| -> Option<usize> { bare(name).strip_prefix("h.")?.split('.').next()?.parse().ok() };
        for file in &self.files {
            let last = file.names().iter().filter_map(|name| layer(name)).max();
            if let Some(last) = last.filter(|&last| last >= n_layer) {
                return Err(Error::InvalidConfig {
                    context: file.path().display().to_string(),
                    detail: format!("the file holds a block h.{last}, the configuration says n_layer = {n_layer}"),
                });
            }
        }
        Ok(())
    }
}

impl Index {
    fn read(path: &Path) -> Result<Self> {
        let invalid = |detail: String| Error::InvalidConfig { context: path.display().to_string(), detail };
        let index: Index =
            serde_json::from_str(&read_text(path)?).map_err(|e| invalid(format!("not an index of weights: {e}")))?;
        // The index comes from elsewhere and must not lead out of its folder.
        let strange = |shard: &&String| Path::new(shard).file_name() != Some(shard.as_ref());
        match index.weight_map.values().find(strange) {
            Some(shard) => Err(invalid(format!("{shard:?} is not the name of a file beside it"))),
            None if index.weight_map.is_empty() => Err(invalid("the weight_map is empty".into())),
            None => Ok(index),
        }
    }

    /// The names of the files, each once, sorted.
    fn shards(&self) -> BTreeSet<String> {
        self.weight_map.values().cloned().collect()
    }
}

/// The name without the prefix that some files have and some have not.
fn bare(name: &str) -> &str {
    name.strip_prefix(PREFIX).unwrap_or(name)
}

/// Says why an output head is looked for.
fn head_hint(error: Error) -> Error {
    match error {
        Error::MissingTensor { path, name, .. } if name.starts_with("lm_head") => {
            let hint = "; the configuration asks for an output head of its own (tie_word_embeddings, lm_head_bias)";
            Error::MissingTensor { path, name, hint: hint.to_string() }
        }
        other => other,
    }
}

/// Names the file that is there instead of `model.safetensors`, if it is a known one.
fn not_found_hint(error: Error) -> Error {
    let Error::FileNotFound { path, .. } = error else { return error };
    let hint = if path.with_file_name("pytorch_model.bin").exists() {
        "; pytorch_model.bin holds Python objects, convert it with transformers' save_pretrained"
    } else {
        ""
    };
    Error::FileNotFound { path, hint: hint.to_string() }
}
