//! The settings of an adapter: the layers that it adapts, and how.

use std::collections::BTreeMap;

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Far above every sensible rank: a larger one is a damaged file, and its matrices would not fit in memory.
const LARGEST_RANK: usize = 1 << 16;

/// The settings of one adapter, with PEFT's names and defaults.
///
/// PEFT's `fan_in_fan_out` is missing: each layer knows the layout of its weight. It is written to files as the model
/// has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LoraConfig {
    /// The rank.
    pub r: usize,
    /// α: the update is multiplied by `α / r`.
    pub lora_alpha: f64,
    /// Probability with which elements of the adapter's input are dropped in training.
    pub lora_dropout: f64,
    /// The layers that get an adapter.
    pub target_modules: Targets,
    /// Multiply the update by `α / √r` instead (Kalajdzievski 2023, <https://arxiv.org/abs/2312.03732>).
    pub use_rslora: bool,
    /// The biases of the model that train along. The adapter keeps its own values of them.
    pub bias: Bias,
    /// Modules that train in full, such as a score head. The adapter keeps its own copy of them.
    pub modules_to_save: Vec<String>,
    /// Other ranks for modules whose name ends with one of these regular expressions.
    pub rank_pattern: BTreeMap<String, usize>,
    /// Other α for such modules.
    pub alpha_pattern: BTreeMap<String, f64>,
    /// Initial values of A and B.
    pub init_lora_weights: Init,
    /// Purpose of the model (`CAUSAL_LM`, `SEQ_CLS`); `None` stands for the model's own.
    pub task_type: Option<String>,
    /// Origin of the model; only passed on to files.
    pub base_model_name_or_path: Option<String>,
}

/// A choice of layers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Targets {
    /// Layers whose name is one of these or ends with a dot and one of these: `c_proj` is the attention's and the
    /// MLP's, `attn.c_proj` the attention's only.
    Names(Vec<String>),
    /// Layers whose whole name this regular expression matches; `all-linear` means every layer that there is.
    Pattern(String),
}

/// The biases that train along with an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bias {
    /// None of them.
    #[default]
    None,
    /// All of the model's.
    All,
    /// Those of the adapted layers.
    LoraOnly,
}

/// Initial values of A and B.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Init {
    /// A uniform within ±1/√n_in (what PyTorch calls `kaiming_uniform_(a=√5)`), B zero: nothing changes at first.
    #[default]
    Kaiming,
    /// A normal with standard deviation 1/r, B zero.
    Gaussian,
    /// Both uniform, B within ±1/√r: for looking at an adapter that does something before it is trained.
    Random,
}

impl Default for LoraConfig {
    fn default() -> Self {
        LoraConfig {
            r: 8,
            lora_alpha: 8.0,
            lora_dropout: 0.0,
            target_modules: Targets::names(["c_attn"]),
            use_rslora: false,
            bias: Bias::None,
            modules_to_save: Vec::new(),
            rank_pattern: BTreeMap::new(),
            alpha_pattern: BTreeMap::new(),
            init_lora_weights: Init::Kaiming,
            task_type: None,
            base_model_name_or_path: None,
        }
    }
}

impl LoraConfig {
    /// Rank and factor `s` of the update of this module.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if two patterns fit (PEFT takes the first, but JSON objects have no order).
    pub fn rank_and_scale(&self, module: &str) -> Result<(usize, f64)> {
        let r = by_pattern("rank_pattern", &self.rank_pattern, module)?.unwrap_or(self.r);
        let alpha = by_pattern("alpha_pattern", &self.alpha_pattern, module)?.unwrap_or(self.lora_alpha);
        let divisor = if self.use_rslora { (r as f64).sqrt() } else { r as f64 };
        Ok((r, alpha / divisor))
    }

    /// Checks that the numbers describe an adapter.
    pub fn validate(&self) -> Result<()> {
        let bad = |argument, value: String, expected: &str| Err(Error::argument(argument, value, expected));
        if self.r == 0 || self.rank_pattern.values().any(|r| *r == 0) {
            return bad("r", "0".into(), "a rank of at least 1");
        }
        let ranks = || self.rank_pattern.values().chain([&self.r]);
        if let Some(r) = ranks().find(|r| **r > LARGEST_RANK) {
            return bad("r", r.to_string(), &format!("a rank of at most {LARGEST_RANK}"));
        }
        let alphas = || self.alpha_pattern.values().chain([&self.lora_alpha]);
        if let Some(alpha) = alphas().find(|alpha| !alpha.is_finite()) {
            return bad("lora_alpha", alpha.to_string(), "a finite number");
        }
        if !(0.0..1.0).contains(&self.lora_dropout) {
            return bad("lora_dropout", self.lora_dropout.to_string(), "a probability below 1");
        }
        match &self.target_modules {
            Targets::Names(names) if names.is_empty() => {
                bad("target_modules", "[]".into(), "at least one name, such as \"c_attn\"")
            }
            Targets::Pattern(pattern) => whole(pattern).map(|_| ()),
            Targets::Names(_) => Ok(()),
        }
    }
}

impl Targets {
    /// Layers of these names.
    pub fn names<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        Targets::Names(names.into_iter().map(Into::into).collect())
    }

    /// Layers whose whole name this regular expression matches.
    pub fn pattern(pattern: impl Into<String>) -> Self {
        Targets::Pattern(pattern.into())
    }

    /// The places in this list of the names that it means.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a pattern or one of the names that fits no module: a slip of the pen must not
    /// leave a layer untrained without a word.
    pub fn select(&self, modules: &[String]) -> Result<Vec<usize>> {
        let nothing = |value: &str| {
            let expected = format!("something that fits one of this model's layers: {}", known(modules));
            Error::argument("target_modules", format!("{value:?}"), expected)
        };
        let places = |fits: &dyn Fn(&str) -> bool| -> Vec<usize> {
            modules.iter().enumerate().filter(|(_, module)| fits(module)).map(|(at, _)| at).collect()
        };
        match self {
            Targets::Pattern(all) if all == "all-linear" => Ok((0..modules.len()).collect()),
            Targets::Pattern(pattern) => {
                let regex = whole(pattern)?;
                let found = places(&|module| regex.is_match(module));
                if found.is_empty() { Err(nothing(pattern)) } else { Ok(found) }
            }
            Targets::Names(names) => {
                if let Some(name) = names.iter().find(|name| !modules.iter().any(|module| ends_with(module, name))) {
                    return Err(nothing(name));
                }
                Ok(places(&|module| names.iter().any(|name| ends_with(module, name))))
            }
        }
    }
}

/// True if a module has this name or one that ends with a dot and this name.
pub(super) fn ends_with(module: &str, name: &str) -> bool {
    module.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The modules' names without the numbers of their blocks and all before these, each once.
pub(super) fn known(modules: &[String]) -> String {
    let mut names: Vec<String> = Vec::new();
    for module in modules {
        let parts: Vec<&str> = module.split('.').collect();
        let is_number = |part: &&str| part.bytes().all(|byte| byte.is_ascii_digit());
        let name = parts[parts.iter().rposition(is_number).map_or(0, |at| at + 1)..].join(".");
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(", ")
}

/// A regular expression that must match a whole name.
fn whole(pattern: &str) -> Result<Regex> {
    regex("target_modules", pattern, format!("^(?:{pattern})$"))
}

fn regex(argument: &'static str, pattern: &str, full: String) -> Result<Regex> {
    Regex::new(&full).map_err(|e| {
        let expected = format!("a regular expression (without look-around and back-references): {e}");
        Error::argument(argument, format!("{pattern:?}"), expected)
    })
}

/// The value of the one pattern that the end of this module's name fits.
fn by_pattern<T: Copy>(argument: &'static str, patterns: &BTreeMap<String, T>, module: &str) -> Result<Option<T>> {
    let mut found: Option<(&str, T)> = None;
    for (pattern, value) in patterns {
        if !regex(argument, pattern, format!(r"^(?:.*\.)?(?:{pattern})$"))?.is_match(module) {
            continue;
        }
        if let Some((first, _)) = found {
            let (value, expected) = (format!("{first:?} and {pattern:?}"), format!("one pattern that fits {module}"));
            return Err(Error::argument(argument, value, expected));
        }
        found = Some((pattern, *value));
    }
    Ok(found.map(|(_, value)| value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules() -> Vec<String> {
        ["attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"]
            .iter()
            .flat_map(|name| [0, 1, 10].map(|i| format!("transformer.h.{i}.{name}")))
            .collect()
    }

    fn selected(targets: Targets) -> usize {
        targets.select(&modules()).unwrap().len()
    }

    #[test]
    fn names_match_ends_and_patterns_match_all() {
        assert_eq!(selected(Targets::names(["c_attn"])), 3);
        assert_eq!(selected(Targets::names(["c_proj"])), 6);
        assert_eq!(selected(Targets::names(["mlp.c_proj", "c_proj"])), 6);
        assert_eq!(selected(Targets::names(["transformer.h.1.mlp.c_fc"])), 1);
        assert_eq!(selected(Targets::pattern(r".*\.h\.\d+\.mlp\.c_(fc|proj)")), 6);
        assert_eq!(selected(Targets::pattern(r".*h\.1\..*")), 4);
        assert_eq!(selected(Targets::pattern("all-linear")), 12);
        for (targets, word) in [
            (Targets::names(["c_attn", "attn"]), "\"attn\""), // the end of a name, but not after a dot
            (Targets::pattern("c_attn"), "\"c_attn\""),       // a pattern must match all of it
            (Targets::pattern("(?=x)"), "look-around"),
        ] {
            let error = targets.select(&modules()).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        let error = Targets::names(["q_proj"]).select(&modules()).unwrap_err().to_string();
        assert!(error.contains("attn.c_attn, attn.c_proj, mlp.c_fc, mlp.c_proj"), "{error}");
    }

    #[test]
    fn ranks_and_scales_by_hand() {
        let config = LoraConfig {
            r: 4,
            lora_alpha: 32.0,
            rank_pattern: BTreeMap::from([("mlp.c_proj".into(), 16), (r"h\.1\.attn\.c_attn".into(), 2)]),
            alpha_pattern: BTreeMap::from([("c_fc".into(), 6.0)]),
            ..Default::default()
        };
        let of =
            |config: &LoraConfig, module: &str| config.rank_and_scale(&format!("transformer.h.1.{module}")).unwrap();
        assert_eq!(of(&config, "attn.c_proj"), (4, 8.0));
        assert_eq!(of(&config, "attn.c_attn"), (2, 16.0));
        assert_eq!(of(&config, "mlp.c_proj"), (16, 2.0));
        assert_eq!(of(&config, "mlp.c_fc"), (4, 1.5));
        let stable = LoraConfig { use_rslora: true, ..config.clone() };
        assert_eq!(of(&stable, "mlp.c_proj"), (16, 8.0));
        assert_eq!(of(&stable, "attn.c_proj"), (4, 16.0));
        let double = BTreeMap::from([("c_proj".into(), 1), ("mlp.c_proj".into(), 2)]);
        let double = LoraConfig { rank_pattern: double, ..config };
        assert!(double.rank_and_scale("transformer.h.0.mlp.c_proj").is_err());
    }

    #[test]
    fn settings_that_cannot_be_meant_are_refused() {
        for (config, word) in [
            (LoraConfig { r: 0, ..Default::default() }, "rank"),
            (LoraConfig { lora_dropout: 1.0, ..Default::default() }, "lora_dropout"),
            (LoraConfig { lora_alpha: f64::NAN, ..Default::default() }, "lora_alpha"),
            (LoraConfig { target_modules: Targets::Names(vec![]), ..Default::default() }, "target_modules"),
            (LoraConfig { target_modules: Targets::pattern("("), ..Default::default() }, "regular expression"),
        ] {
            let error = config.validate().unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
