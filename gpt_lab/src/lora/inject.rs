//! Adapters on a model: add, choose, switch off, merge, remove.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::adapter::NamedAdapter;
use super::config::LoraConfig;
use super::files;
use super::report::Report;
use super::state::{Enable, State};
use super::target::{Adaptable, Target};
use crate::{Error, Param, Result};

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
    base: Vec<Param>,
    targets: Vec<Target>,
    state: Arc<Mutex<State>>,
}

impl<M: Adaptable> Lora<M> {
    /// Freezes a model, so that adapters can be added to it.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if it carries adapters already: go on with the `Lora` that added them, or unload that one.
    pub fn new(model: &M) -> Result<Self> {
        let (base, targets) = (model.base_params(), model.targets());
        if let Some(target) = targets.iter().find(|target| !target.slot.active().is_empty()) {
            return Err(Error::InvalidArgument {
                argument: "model",
                value: format!("a model whose layer {} carries an adapter", target.name),
                expected: "a model without adapters; use the Lora that added them, or call its unload() first".into(),
            });
        }
        let trained = base.iter().map(Param::trainable).collect();
        base.iter().for_each(|param| param.set_trainable(false));
        let (adapters, active, originals) = (Vec::new(), Vec::new(), Vec::new());
        let state = State { trained, adapters, active, merge: false, originals, disabled: 0 };
        Ok(Lora { model: model.clone(), base, targets, state: Arc::new(Mutex::new(state)) })
    }

    /// The model, with whatever is active.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// Adds a fresh adapter, whose numbers follow from the seed. The first one becomes active.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a name that is taken or no name for a folder, settings that make no sense, targets
    /// that the model lacks.
    pub fn add(&self, name: &str, config: &LoraConfig, seed: u64) -> Result<()> {
        // What a fresh adapter owns of the model begins with the base's values, not with those of an active adapter.
        self.insert(self.disabled(|model| NamedAdapter::new(name, config, model, seed))??)
    }

    /// Adds an adapter from a folder in PEFT's layout. The first one becomes active.
    ///
    /// # Errors
    /// - [`Error::FileNotFound`], [`Error::TruncatedFile`], [`Error::NonFiniteWeight`]: as for models;
    /// - [`Error::UnsupportedPeftType`]: another kind of adapter, or a feature that changes the numbers;
    /// - [`Error::AdapterBaseMismatch`]: targets that the model lacks, keys that have no place in it, tensors of another shape (another
    ///   base model, or another rank than the configuration says);
    /// - [`Error::MissingTensor`]: a tensor that the configuration asks for.
    pub fn load(&self, name: &str, dir: impl AsRef<Path>) -> Result<()> {
        self.insert(files::load(name, dir.as_ref(), &self.model)?)
    }

    /// Writes an adapter as PEFT does: into `dir` if it is named `default`, else into `dir/NAME`.
    pub fn save(&self, name: &str, dir: impl AsRef<Path>) -> Result<()> {
        let state = self.lock();
        let at = state.position(name)?;
        // An active adapter's own values of whole parameters are in the model; a merged one's too.
        let is_in = state.disabled == 0 && state.active.iter().any(|active| active == name);
        files::save(&state.adapters[at], is_in, dir.as_ref(), &self.targets, self.model.task_type())
    }

    /// Chooses which adapters act: one, several (their updates add up) or none. Only these train. Takes merged ones out of the
    /// weights first.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a name that there is not, one that comes twice, or two adapters that both have their
    /// own values of one parameter.
    pub fn activate<S: AsRef<str>>(&self, names: impl IntoIterator<Item = S>) -> Result<()> {
        let names: Vec<String> = names.into_iter().map(|name| name.as_ref().to_string()).collect();
        let mut state = self.lock();
        state.check_together(&names)?;
        state.change(&self.targets, |state| {
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

    /// Runs this with the bare model, bit for bit as it was, and then goes on as before, also after an error or a panic. What
    /// is in scope may be nested.
    pub fn disabled<R>(&self, run: impl FnOnce(&M) -> R) -> Result<R> {
        self.lock().disable(&self.targets)?;
        let _enable_again = Enable { state: &self.state, targets: &self.targets };
        Ok(run(&self.model))
    }

    /// Adds the active adapters' updates to the weights: `W ← W + s (B A)ᵀ`. The model then costs what it cost without adapters,
    /// and nothing trains. A copy of each changed weight is kept for [`Lora::unmerge`].
    pub fn merge(&self) -> Result<()> {
        self.lock().change(&self.targets, |state| state.merge = true)
    }

    /// Puts the weights back as they were, bit for bit, and the active adapters beside them.
    pub fn unmerge(&self) -> Result<()> {
        self.lock().change(&self.targets, |state| state.merge = false)
    }

    /// Whether the active adapters are in the weights.
    pub fn is_merged(&self) -> bool {
        let state = self.lock();
        state.merge && !state.active.is_empty()
    }

    /// Removes an adapter, from the model too if it acts.
    pub fn delete(&self, name: &str) -> Result<()> {
        let mut state = self.lock();
        let at = state.position(name)?;
        state.change(&self.targets, |state| {
            state.adapters.remove(at);
            state.active.retain(|active| active != name);
            state.merge &= !state.active.is_empty();
        })
    }

    /// Removes all adapters and gives the model back as it was, what trained before trains again.
    pub fn unload(&self) -> Result<M> {
        let mut state = self.lock();
        state.change(&self.targets, |state| {
            state.adapters.clear();
            state.active.clear();
            state.merge = false;
        })?;
        self.thaw(&state);
        Ok(self.model.clone())
    }

    /// Adds the active adapters to the weights for good, removes all adapters and gives the model back.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] inside of [`disabled`](Lora::disabled), where nothing is active that could be merged.
    pub fn merge_and_unload(&self) -> Result<M> {
        let mut state = self.lock();
        if state.disabled > 0 {
            let (value, expected) = ("called inside of disabled()".into(), "a call outside of it".into());
            return Err(Error::InvalidArgument { argument: "merge_and_unload", value, expected });
        }
        state.change(&self.targets, |state| state.merge = true)?;
        state.originals.clear();
        state.adapters.clear();
        state.active.clear();
        state.merge = false;
        self.thaw(&state);
        Ok(self.model.clone())
    }

    /// What trains: A and B of the active adapters, and what they own of the model's parameters.
    pub fn params(&self) -> Vec<Param> {
        let state = self.lock();
        state.active.iter().flat_map(|name| state.get(name).params()).collect()
    }

    /// Every parameter: the model's, then A and B of every adapter. An audit of these shows that the base costs nothing.
    pub fn all_params(&self) -> Vec<Param> {
        let state = self.lock();
        let added = state.adapters.iter().flat_map(NamedAdapter::low_rank_params);
        self.base.iter().cloned().chain(added).collect()
    }

    /// How many parameters there are, and how many of them train.
    pub fn report(&self) -> Report {
        let state = self.lock();
        let copies = state.adapters.iter().flat_map(|adapter| &adapter.owned).filter(|owned| owned.in_module);
        let copies: usize = copies.map(|owned| owned.param.count()).sum();
        drop(state);
        Report::of(&self.all_params(), copies)
    }

    fn insert(&self, adapter: NamedAdapter) -> Result<()> {
        let name = adapter.name.clone();
        let bad = |expected: &str| {
            Err(Error::InvalidArgument { argument: "name", value: format!("{name:?}"), expected: expected.into() })
        };
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
        state.change(&self.targets, |state| {
            state.adapters.push(adapter);
            if is_first {
                state.active = vec![name];
                state.merge = false;
            }
        })
    }

    fn thaw(&self, state: &State) {
        self.base.iter().zip(&state.trained).for_each(|(param, trained)| param.set_trainable(*trained));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
