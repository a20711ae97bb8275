//! What a [`Lora`](super::Lora) does, whatever its model: what is generic is compiled in every cell that uses it, this only once.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::adapter::NamedAdapter;
use super::config::LoraConfig;
use super::files;
use super::report::Report;
use super::state::{Enable, State};
use super::target::Parts;
use crate::{Error, Param, Result};

/// The adapters of a model. Each method is documented where [`Lora`](super::Lora) has it. Clones share everything.
#[derive(Debug, Clone)]
pub(super) struct Attached {
    model: Parts,
    state: Arc<Mutex<State>>,
}

impl Attached {
    /// [`Lora::new`](super::Lora::new).
    pub fn to(model: Parts) -> Result<Self> {
        if let Some(target) = model.targets.iter().find(|target| !target.slot.active().is_empty()) {
            return Err(Error::InvalidArgument {
                argument: "model",
                value: format!("a model whose layer {} carries an adapter", target.name),
                expected: "a model without adapters; use the Lora that added them, or call its unload() first".into(),
            });
        }
        if let Some(target) = model.targets.iter().find(|target| target.weight.param().is_none()) {
            let expected = "a model in 32 bits: adapt the model that to_int8() was called on";
            return Err(Error::argument("model", format!("a model whose {} is in 8 bits", target.name), expected));
        }
        let trained = model.base.iter().map(Param::trainable).collect();
        model.base.iter().for_each(|param| param.set_trainable(false));
        let (adapters, active, originals) = (Vec::new(), Vec::new(), Vec::new());
        let state = State { trained, adapters, active, merge: false, originals, disabled: 0 };
        Ok(Attached { model, state: Arc::new(Mutex::new(state)) })
    }

    pub fn add(&self, name: &str, config: &LoraConfig, seed: u64) -> Result<()> {
        // What a fresh adapter owns of the model begins with the base's values, not with those of an active adapter.
        let adapter = {
            let _until_the_end = self.disabled()?;
            NamedAdapter::new(name, config, &self.model, seed)?
        };
        self.insert(adapter)
    }

    pub fn load(&self, name: &str, dir: &Path) -> Result<()> {
        self.insert(files::load(name, dir, &self.model)?)
    }

    pub fn save(&self, name: &str, dir: &Path) -> Result<()> {
        let state = self.lock();
        let at = state.position(name)?;
        // An active adapter's own values of whole parameters are in the model; a merged one's too.
        let is_in = state.disabled == 0 && state.active.iter().any(|active| active == name);
        files::save(&state.adapters[at], is_in, dir, &self.model.targets, self.model.task_type)
    }

    pub fn activate(&self, names: Vec<String>) -> Result<()> {
        let mut state = self.lock();
        state.check_together(&names)?;
        state.change(&self.model.targets, |state| {
            state.active = names;
            state.merge = false;
        })
    }

    pub fn active(&self) -> Vec<String> {
        self.lock().active.clone()
    }

    pub fn names(&self) -> Vec<String> {
        self.lock().adapters.iter().map(|adapter| adapter.name.clone()).collect()
    }

    pub fn config(&self, name: &str) -> Result<LoraConfig> {
        let state = self.lock();
        Ok(state.adapters[state.position(name)?].config.clone())
    }

    /// The model is bare as long as what this returns lives.
    pub fn disabled(&self) -> Result<Enable<'_>> {
        self.lock().disable(&self.model.targets)?;
        Ok(Enable { state: &self.state, targets: &self.model.targets })
    }

    /// [`Lora::merge`](super::Lora::merge) and [`Lora::unmerge`](super::Lora::unmerge).
    pub fn set_merged(&self, merged: bool) -> Result<()> {
        self.lock().change(&self.model.targets, |state| state.merge = merged)
    }

    pub fn is_merged(&self) -> bool {
        let state = self.lock();
        state.merge && !state.active.is_empty()
    }

    pub fn delete(&self, name: &str) -> Result<()> {
        let mut state = self.lock();
        let at = state.position(name)?;
        state.change(&self.model.targets, |state| {
            state.adapters.remove(at);
            state.active.retain(|active| active != name);
            state.merge &= !state.active.is_empty();
        })
    }

    pub fn unload(&self) -> Result<()> {
        let mut state = self.lock();
        state.change(&self.model.targets, |state| {
            state.adapters.clear();
            state.active.clear();
            state.merge = false;
        })?;
        self.thaw(&state);
        Ok(())
    }

    pub fn merge_and_unload(&self) -> Result<()> {
        let mut state = self.lock();
        if state.disabled > 0 {
            let (value, expected) = ("called inside of disabled()".into(), "a call outside of it".into());
            return Err(Error::InvalidArgument { argument: "merge_and_unload", value, expected });
        }
        state.change(&self.model.targets, |state| state.merge = true)?;
        state.originals.clear();
        state.adapters.clear();
        state.active.clear();
        state.merge = false;
        self.thaw(&state);
        Ok(())
    }

    pub fn params(&self) -> Vec<Param> {
        let state = self.lock();
        state.active.iter().flat_map(|name| state.get(name).params()).collect()
    }

    pub fn all_params(&self) -> Vec<Param> {
        let state = self.lock();
        let added = state.adapters.iter().flat_map(NamedAdapter::low_rank_params);
        self.model.base.iter().cloned().chain(added).collect()
    }

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
        state.change(&self.model.targets, |state| {
            state.adapters.push(adapter);
            if is_first {
                state.active = vec![name];
                state.merge = false;
            }
        })
    }

    fn thaw(&self, state: &State) {
        self.model.base.iter().zip(&state.trained).for_each(|(param, trained)| param.set_trainable(*trained));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
