//! Which adapters a model has, and what of them is in the model at the moment.

use std::sync::{Mutex, PoisonError};

use candle_core::Tensor;

use super::adapter::NamedAdapter;
use super::target::Target;
use crate::nn::Adapter;
use crate::{Error, Result};

/// The state of a [`Lora`](super::Lora).
#[derive(Debug)]
pub(super) struct State {
    /// Which of the model's parameters trained before it was adapted.
    pub trained: Vec<bool>,
    /// In the order in which they were added.
    pub adapters: Vec<NamedAdapter>,
    /// Names, in the order in which their updates are added.
    pub active: Vec<String>,
    /// The active adapters are (to be) added to the weights instead of being computed beside them.
    pub merge: bool,
    /// Weights as they were, while the sums are in the model.
    pub originals: Vec<(usize, Tensor)>,
    /// How many scopes want the adapters out of the model.
    pub disabled: usize,
}

impl State {
    /// The place of the adapter with this name; an error that lists the names there are.
    pub fn position(&self, name: &str) -> Result<usize> {
        self.adapters.iter().position(|adapter| adapter.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.adapters.iter().map(|adapter| adapter.name.as_str()).collect();
            Error::InvalidArgument {
                argument: "name",
                value: format!("{name:?}"),
                expected: format!("one of this model's adapters: {}", names.join(", ")),
            }
        })
    }

    /// An adapter that is known to be there.
    pub fn get(&self, name: &str) -> &NamedAdapter {
        let found = self.adapters.iter().find(|adapter| adapter.name == name);
        found.expect("active adapters are there")
    }

    /// Whether these adapters are there and can act together.
    pub fn check_together(&self, names: &[String]) -> Result<()> {
        let bad =
            |expected: String| Err(Error::InvalidArgument { argument: "names", value: format!("{names:?}"), expected });
        let mut owned: Vec<&str> = Vec::new();
        for (i, name) in names.iter().enumerate() {
            let adapter = &self.adapters[self.position(name)?];
            if names[..i].contains(name) {
                return bad(format!("{name:?} once only"));
            }
            for param in adapter.owned.iter().map(|owned| owned.param.name()) {
                if owned.contains(&param) {
                    return bad(format!("one adapter only that has its own values of {param}"));
                }
                owned.push(param);
            }
        }
        Ok(())
    }

    /// Takes the adapters out of the model, changes the state, and puts what is active then back in.
    pub fn change(&mut self, targets: &[Target], change: impl FnOnce(&mut Self)) -> Result<()> {
        if self.disabled > 0 {
            change(self); // they are out, and go in when the scope ends
            return Ok(());
        }
        self.take_out(targets)?;
        change(self);
        self.put_in(targets)
    }

    /// A scope without adapters begins.
    pub fn disable(&mut self, targets: &[Target]) -> Result<()> {
        if self.disabled == 0 {
            self.take_out(targets)?;
        }
        self.disabled += 1;
        Ok(())
    }

    /// It ends.
    fn enable(&mut self, targets: &[Target]) -> Result<()> {
        self.disabled -= 1;
        if self.disabled == 0 { self.put_in(targets) } else { Ok(()) }
    }

    fn take_out(&mut self, targets: &[Target]) -> Result<()> {
        for (place, original) in self.originals.drain(..) {
            targets[place].param().var().set(&original)?;
        }
        targets.iter().for_each(|target| target.slot.set(Vec::new()));
        self.swap_owned()?;
        self.train_active(false);
        Ok(())
    }

    fn put_in(&mut self, targets: &[Target]) -> Result<()> {
        self.swap_owned()?;
        self.train_active(!self.merge);
        for (place, target) in targets.iter().enumerate() {
            let adapters: Vec<Adapter> = self.active.iter().flat_map(|name| self.get(name).at(place)).collect();
            if !self.merge {
                target.slot.set(adapters);
            } else if !adapters.is_empty() {
                self.originals.push((place, target.param().var().as_detached_tensor().copy()?));
                target.param().var().set(&target.merged(&adapters)?)?;
            }
        }
        Ok(())
    }

    /// Exchanges what the active adapters own with what is in the model.
    fn swap_owned(&mut self) -> Result<()> {
        let State { adapters, active, .. } = self;
        let is_active = |adapter: &&mut NamedAdapter| active.contains(&adapter.name);
        adapters.iter_mut().filter(is_active).flat_map(|adapter| &mut adapter.owned).try_for_each(|owned| owned.swap())
    }

    fn train_active(&self, train: bool) {
        let params = self.active.iter().flat_map(|name| self.get(name).params());
        params.for_each(|param| param.set_trainable(train));
    }
}

impl NamedAdapter {
    /// What it adds in the layer at this place.
    fn at(&self, place: usize) -> Option<Adapter> {
        self.layers.iter().find(|(at, _)| *at == place).map(|(_, layer)| layer.clone())
    }
}

impl Target {
    /// `W + Σ s (B A)ᵀ`, or `W + Σ s B A` where the weight is stored output first.
    fn merged(&self, adapters: &[Adapter]) -> Result<Tensor> {
        let mut weight = self.param().var().as_detached_tensor();
        for Adapter { a, b, scale, .. } in adapters {
            let update = b.var().as_detached_tensor().matmul(&a.var().as_detached_tensor())?;
            let update = if self.transposed { update } else { update.t()? };
            weight = (weight + (update * *scale)?)?;
        }
        Ok(weight.contiguous()?)
    }
}

/// Puts the adapters back when a scope without them ends.
pub(super) struct Enable<'a> {
    pub state: &'a Mutex<State>,
    pub targets: &'a [Target],
}

impl Drop for Enable<'_> {
    fn drop(&mut self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.enable(self.targets).expect("what was taken out of the model fits in again");
    }
}
