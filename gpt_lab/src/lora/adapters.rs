//! The adapters of a model: add, choose, switch off, merge, remove.
//!
//! All of it is about parameters and layers and nothing about the model's type, so that it is compiled once and not in
//! every cell.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::adaptable::Base;
use super::config::LoraConfig;
use super::layer::NamedAdapter;
use super::peft;
use super::report::Report;
use super::state::State;
use crate::{Error, Param, Result};

/// The adapters of one model. Clones share everything.
#[derive(Debug, Clone)]
pub struct Adapters {
    model: Base,
    state: Arc<Mutex<State>>,
}

impl Adapters {
    /// Freezes a model, so that adapters can be added to it.
    pub(super) fn new(model: Base) -> Result<Self> {
        let bad = |value: String, expected: &str| Err(Error::argument("model", value, expected));
        if let Some(target) = model.targets.iter().find(|target| target.adapters.is_in_use()) {
            let expected = "a model without adapters; use the Lora that added them, or call its unload() first";
            return bad(format!("a model whose layer {} carries an adapter", target.name()), expected);
        }
        if let Some(target) = model.targets.iter().find(|target| target.weight.param().is_none()) {
            let expected = "a model in 32 bits: adapt the model that to_int8() was called on";
            return bad(format!("a model whose layer {} is in 8 bits", target.name()), expected);
        }
        let trained = model.params.iter().map(Param::trainable).collect();
        model.params.iter().for_each(|param| param.set_trainable(false));
        let (adapters, active, originals) = (Vec::new(), Vec::new(), Vec::new());
        let state = State { trained, adapters, active, merge: false, originals, disabled: 0 };
        Ok(Adapters { model, state: Arc::new(Mutex::new(state)) })
    }

    /// Adds a fresh adapter, whose numbers follow from the seed. The first one becomes active.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a name that is taken or no name for a folder, settings that make no sense,
    /// targets that the model lacks.
    pub fn add(&self, name: &str, config: &LoraConfig, seed: u64) -> Result<()> {
        // The new adapter's own values of the model's parameters begin with the base's, not with those of an active
        // adapter.
        let adapter = {
            let _until_the_end = self.without()?;
            NamedAdapter::new(name, config, &self.model, seed)?
        };
        self.insert(adapter)
    }

    /// Adds an adapter from a folder in PEFT's layout. The first one becomes active.
    ///
    /// # Errors
    /// - [`Error::FileNotFound`], [`Error::TruncatedFile`], [`Error::NonFiniteWeight`]: as for models;
    /// - [`Error::UnsupportedPeftType`]: another kind of adapter, or a feature that changes the numbers;
    /// - [`Error::AdapterBaseMismatch`]: targets that the model lacks, keys that have no place in it, tensors of
    ///   another shape (another base model, or another rank than the configuration says);
    /// - [`Error::MissingTensor`]: a tensor that the configuration asks for.
    pub fn load(&self, name: &str, dir: impl AsRef<Path>) -> Result<()> {
        self.insert(peft::load(name, dir.as_ref(), &self.model)?)
    }

    /// Writes an adapter as PEFT does: into `dir` if it is named `default`, else into `dir/NAME`.
    pub fn save(&self, name: &str, dir: impl AsRef<Path>) -> Result<()> {
        self.save_to(name, dir.as_ref())
    }

    fn save_to(&self, name: &str, dir: &Path) -> Result<()> {
        let state = self.lock();
        let at = state.position(name)?;
        // An active adapter's own values of whole parameters are in the model; a merged one's too.
        let is_in = state.disabled == 0 && state.active.iter().any(|active| active == name);
        peft::save(&state.adapters[at], is_in, dir, &self.model)
    }

    /// Chooses the adapters that act: one, several (their updates add up) or none. Only these train. Takes merged ones
    /// out of the weights first.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a name that there is not, one that comes twice, or two adapters that both have
    /// their own values of one parameter.
    pub fn activate<S: AsRef<str>>(&self, names: impl IntoIterator<Item = S>) -> Result<()> {
        self.activate_all(names.into_iter().map(|name| name.as_ref().to_string()).collect())
    }

    fn activate_all(&self, names: Vec<String>) -> Result<()> {
        let mut state = self.lock();
        state.check_together(&names)?;
        state.change(&self.model.targets, |state| {
            state.active = names;
            state.merge = false;
        })
    }

    /// The adapters that act, in order.
    pub fn active(&self) -> Vec<String> {
        self.lock().active.clone()
    }

    /// All adapters, in the order in which they were added.
    pub fn names(&self) -> Vec<String> {
        self.lock().adapters.iter().map(|adapter| adapter.name.clone()).collect()
    }

    /// The settings of an adapter.
    pub fn config(&self, name: &str) -> Result<LoraConfig> {
        let state = self.lock();
        Ok(state.adapters[state.position(name)?].config.clone())
    }

    /// Adds the active adapters' updates to the weights: `W ← W + s (B A)ᵀ`. The model then costs what it cost without
    /// adapters, and nothing trains. A copy of each changed weight is kept for [`Adapters::unmerge`].
    pub fn merge(&self) -> Result<()> {
        self.lock().change(&self.model.targets, |state| state.merge = true)
    }

    /// Puts the weights back as they were, bit for bit, and the active adapters beside them.
    pub fn unmerge(&self) -> Result<()> {
        self.lock().change(&self.model.targets, |state| state.merge = false)
    }

    /// True if the active adapters are in the weights.
    pub fn is_merged(&self) -> bool {
        let state = self.lock();
        state.merge && !state.active.is_empty()
    }

    /// Removes an adapter, from the model too if it acts.
    pub fn delete(&self, name: &str) -> Result<()> {
        let mut state = self.lock();
        let at = state.position(name)?;
        state.change(&self.model.targets, |state| {
            state.adapters.remove(at);
            state.active.retain(|active| active != name);
            state.merge &= !state.active.is_empty();
        })
    }

    /// The parameters that train: A and B of the active adapters, and the parameters that these have their own values
    /// of.
    pub fn params(&self) -> Vec<Param> {
        let state = self.lock();
        state.active.iter().flat_map(|name| state.get(name).params()).collect()
    }

    /// Every parameter: the model's, then A and B of every adapter. An audit of these shows that the base costs
    /// nothing.
    pub fn all_params(&self) -> Vec<Param> {
        let state = self.lock();
        let added = state.adapters.iter().flat_map(NamedAdapter::low_rank_params);
        self.model.params.iter().cloned().chain(added).collect()
    }

    /// Number of parameters, and of those that train.
    pub fn report(&self) -> Report {
        let state = self.lock();
        let copies = state.adapters.iter().flat_map(|adapter| &adapter.owned).filter(|owned| owned.in_module);
        let copies: usize = copies.map(|owned| owned.param.count()).sum();
        drop(state);
        Report::of(&self.all_params(), copies)
    }

    /// Takes the adapters out of the model until the guard is dropped.
    pub(super) fn without(&self) -> Result<Disabled<'_>> {
        self.lock().disable(&self.model.targets)?;
        Ok(Disabled(self))
    }

    /// Removes all adapters; the parameters that trained before train again.
    pub(super) fn remove_all(&self) -> Result<()> {
        let mut state = self.lock();
        state.change(&self.model.targets, State::clear)?;
        self.thaw(&state);
        Ok(())
    }

    /// Adds the active adapters to the weights for good and removes all.
    pub(super) fn merge_and_remove_all(&self) -> Result<()> {
        let mut state = self.lock();
        if state.disabled > 0 {
            return Err(Error::argument("merge_and_unload", "called inside of disabled()", "a call outside of it"));
        }
        state.change(&self.model.targets, |state| state.merge = true)?;
        state.originals.clear();
        state.clear();
        self.thaw(&state);
        Ok(())
    }

    fn insert(&self, adapter: NamedAdapter) -> Result<()> {
        let name = adapter.name.clone();
        let bad = |expected: &str| Err(Error::argument("name", format!("{name:?}"), expected));
        let mut state = self.lock();
        if state.position(&name).is_ok() {
            return bad("a name that no other adapter of this model has");
        }
        // PEFT takes keys apart at dots and looks for this prefix in them.
        if name.is_empty() || name.contains(['.', '/', '\\']) || name.contains("lora_") {
            return bad("letters and digits, without dots, slashes and `lora_`");
        }
        adapter.low_rank_params().iter().for_each(|param| param.set_trainable(false));
        let is_first = state.adapters.is_empty();
        state.change(&self.model.targets, |state| {
            state.adapters.push(adapter);
            if is_first {
                state.active = vec![name];
                state.merge = false;
            }
        })
    }

    fn thaw(&self, state: &State) {
        self.model.params.iter().zip(&state.trained).for_each(|(param, trained)| param.set_trainable(*trained));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A scope without adapters: they go back into the model when it is dropped.
pub(super) struct Disabled<'a>(&'a Adapters);

impl Drop for Disabled<'_> {
    fn drop(&mut self) {
        let Adapters { model, .. } = self.0;
        self.0.lock().enable(&model.targets).expect("the adapters that were taken out of the model fit in again");
    }
}
