//! A model together with its adapters.

use std::ops::Deref;
use std::path::Path;

use super::adaptable::{Adaptable, Base};
use super::adapters::Adapters;
use crate::{Param, Result};

/// A model and its adapters. All that can be done to these, such as [`add`](Adapters::add) and
/// [`activate`](Adapters::activate), is in [`Adapters`], to which a `Lora` dereferences.
///
/// The model is changed in place: it, its clones and [`Lora::model`] are one and the same, adapted or not. Its own
/// weights are frozen as long as this exists; [`unload`](Lora::unload) gives it back as it was. Clones of a `Lora`
/// share everything.
///
/// ```
/// use gpt_lab::prelude::*;
/// let model = Mlp::new(&[10, 6], true, 0)?;
/// let lora = Lora::new(&model)?;
/// let config = LoraConfig { r: 4, lora_alpha: 16.0, target_modules: Targets::names(["lin0"]), ..Default::default() };
/// lora.add("first", &config, 1)?;
/// assert_eq!(lora.report().to_string(), "trainable params: 64 || all params: 130 || trainable%: 49.2308");
/// # Ok::<(), gpt_lab::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Lora<M> {
    model: M,
    adapters: Adapters,
}

impl<M: Adaptable> Lora<M> {
    /// Freezes a model, so that adapters can be added to it.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) if it carries adapters already (go on with the `Lora`
    /// that added them, or unload that one), and for a model in 8 bits.
    pub fn new(model: &M) -> Result<Self> {
        Ok(Lora { adapters: Adapters::new(Base::of(model))?, model: model.clone() })
    }

    /// The model, with the adapters that are active.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// [`Adapters::params`], by name, since a trait that is in scope with `params` of its own would come first.
    pub fn params(&self) -> Vec<Param> {
        self.adapters.params()
    }

    /// Runs this with the bare model, bit for bit as it was, and then goes on as before, also after an error or a
    /// panic. Such scopes may be nested.
    pub fn disabled<R>(&self, run: impl FnOnce(&M) -> R) -> Result<R> {
        let _until_the_end = self.adapters.without()?;
        Ok(run(&self.model))
    }

    /// Removes all adapters and gives the model back as it was; the parameters that trained before train again.
    pub fn unload(&self) -> Result<M> {
        self.adapters.remove_all()?;
        Ok(self.model.clone())
    }

    /// Adds the active adapters to the weights for good, removes all adapters and gives the model back.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) inside of [`disabled`](Lora::disabled), where nothing
    /// is active that could be merged.
    pub fn merge_and_unload(&self) -> Result<M> {
        self.adapters.merge_and_remove_all()?;
        Ok(self.model.clone())
    }
}

/// This model with the adapters of these folders added to its weights for good, one on top of the other: what was
/// trained in several stages, as one model again. The model itself is changed.
///
/// # Errors
/// Those of [`Lora::new`] and [`Adapters::load`].
pub fn merged<M: Adaptable>(model: &M, folders: &[impl AsRef<Path>]) -> Result<M> {
    let lora = Lora::new(model)?;
    let names: Vec<String> = (0..folders.len()).map(|i| format!("stage_{i}")).collect();
    for (name, folder) in names.iter().zip(folders) {
        lora.load(name, folder)?;
    }
    if names.is_empty() {
        return lora.unload();
    }
    lora.activate(&names)?;
    lora.merge_and_unload()
}

impl<M> Deref for Lora<M> {
    type Target = Adapters;

    fn deref(&self) -> &Adapters {
        &self.adapters
    }
}
