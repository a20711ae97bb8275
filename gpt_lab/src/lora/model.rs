//! Adapters on a model: add, choose, switch off, merge, remove.

use std::path::Path;

use super::attached::Attached;
use super::config::LoraConfig;
use super::report::Report;
use super::target::{Adaptable, Parts};
use crate::{Param, Result};

/// A model and its adapters.
///
/// The model is changed in place: it, its clones and [`Lora::model`] are one and the same, adapted or not. Its own weights are
/// frozen as long as this exists; [`unload`](Lora::unload) gives it back as it was. Clones of a `Lora` share everything.
///
/// ```
/// use gpt_lab::prelude::*;
/// let model = Mlp::new(&[10, 6], true, 0)?;
/// let lora = Lora::new(&model)?;
/// lora.add("first", &LoraConfig { r: 4, lora_alpha: 16.0, target_modules: Targets::names(["lin0"]), ..Default::default() }, 1)?;
/// assert_eq!(lora.report().to_string(), "trainable params: 64 || all params: 130 || trainable%: 49.2308");
/// # Ok::<(), gpt_lab::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Lora<M> {
    model: M,
    adapters: Attached,
}

impl<M: Adaptable> Lora<M> {
    /// Freezes a model, so that adapters can be added to it.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) if it carries adapters already: go on with the `Lora` that added
    /// them, or unload that one.
    pub fn new(model: &M) -> Result<Self> {
        Ok(Lora { adapters: Attached::to(Parts::of(model))?, model: model.clone() })
    }

    /// The model, with whatever is active.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// Adds a fresh adapter, whose numbers follow from the seed. The first one becomes active.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for a name that is taken or no name for a folder, settings that
    /// make no sense, targets that the model lacks.
    pub fn add(&self, name: &str, config: &LoraConfig, seed: u64) -> Result<()> {
        self.adapters.add(name, config, seed)
    }

    /// Adds an adapter from a folder in PEFT's layout. The first one becomes active.
    ///
    /// # Errors
    /// - [`FileNotFound`](crate::Error::FileNotFound), [`TruncatedFile`](crate::Error::TruncatedFile),
    ///   [`NonFiniteWeight`](crate::Error::NonFiniteWeight): as for models;
    /// - [`UnsupportedPeftType`](crate::Error::UnsupportedPeftType): another kind of adapter, or a feature that changes the
    ///   numbers;
    /// - [`AdapterBaseMismatch`](crate::Error::AdapterBaseMismatch): targets that the model lacks, keys that have no place in it,
    ///   tensors of another shape (another base model, or another rank than the configuration says);
    /// - [`MissingTensor`](crate::Error::MissingTensor): a tensor that the configuration asks for.
    pub fn load(&self, name: &str, dir: impl AsRef<Path>) -> Result<()> {
        self.adapters.load(name, dir.as_ref())
    }

    /// Writes an adapter as PEFT does: into `dir` if it is named `default`, else into `dir/NAME`.
    pub fn save(&self, name: &str, dir: impl AsRef<Path>) -> Result<()> {
        self.adapters.save(name, dir.as_ref())
    }

    /// Chooses which adapters act: one, several (their updates add up) or none. Only these train. Takes merged ones out of the
    /// weights first.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for a name that there is not, one that comes twice, or two
    /// adapters that both have their own values of one parameter.
    pub fn activate<S: AsRef<str>>(&self, names: impl IntoIterator<Item = S>) -> Result<()> {
        self.adapters.activate(names.into_iter().map(|name| name.as_ref().to_string()).collect())
    }

    /// The adapters that act, in order.
    pub fn active(&self) -> Vec<String> {
        self.adapters.active()
    }

    /// All adapters, in the order in which they were added.
    pub fn names(&self) -> Vec<String> {
        self.adapters.names()
    }

    /// The settings of an adapter.
    pub fn config(&self, name: &str) -> Result<LoraConfig> {
        self.adapters.config(name)
    }

    /// Runs this with the bare model, bit for bit as it was, and then goes on as before, also after an error or a panic. What
    /// is in scope may be nested.
    pub fn disabled<R>(&self, run: impl FnOnce(&M) -> R) -> Result<R> {
        let _until_the_end = self.adapters.disabled()?;
        Ok(run(&self.model))
    }

    /// Adds the active adapters' updates to the weights: `W ← W + s (B A)ᵀ`. The model then costs what it cost without adapters,
    /// and nothing trains. A copy of each changed weight is kept for [`Lora::unmerge`].
    pub fn merge(&self) -> Result<()> {
        self.adapters.set_merged(true)
    }

    /// Puts the weights back as they were, bit for bit, and the active adapters beside them.
    pub fn unmerge(&self) -> Result<()> {
        self.adapters.set_merged(false)
    }

    /// Whether the active adapters are in the weights.
    pub fn is_merged(&self) -> bool {
        self.adapters.is_merged()
    }

    /// Removes an adapter, from the model too if it acts.
    pub fn delete(&self, name: &str) -> Result<()> {
        self.adapters.delete(name)
    }

    /// Removes all adapters and gives the model back as it was, what trained before trains again.
    pub fn unload(&self) -> Result<M> {
        self.adapters.unload()?;
        Ok(self.model.clone())
    }

    /// Adds the active adapters to the weights for good, removes all adapters and gives the model back.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) inside of [`disabled`](Lora::disabled), where nothing is active
    /// that could be merged.
    pub fn merge_and_unload(&self) -> Result<M> {
        self.adapters.merge_and_unload()?;
        Ok(self.model.clone())
    }

    /// What trains: A and B of the active adapters, and what they own of the model's parameters.
    pub fn params(&self) -> Vec<Param> {
        self.adapters.params()
    }

    /// Every parameter: the model's, then A and B of every adapter. An audit of these shows that the base costs nothing.
    pub fn all_params(&self) -> Vec<Param> {
        self.adapters.all_params()
    }

    /// How many parameters there are, and how many of them train.
    pub fn report(&self) -> Report {
        self.adapters.report()
    }
}
