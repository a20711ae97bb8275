//! The adapters of a model, and which of them act in it at the moment.

use candle_core::Tensor;

use super::layer::NamedAdapter;
use crate::nn::{Adapter, Linear};
use crate::{Error, Param, Result};

/// The state of [`Adapters`](super::Adapters).
#[derive(Debug)]
pub(super) struct State {
    /// For each of the model's parameters, true if it trained before the model was adapted.
    pub trained: Vec<bool>,
    /// In the order in which they were added.
    pub adapters: Vec<NamedAdapter>,
    /// Names, in the order in which their updates are added.
    pub active: Vec<String>,
    /// True if the active adapters are (to be) added to the weights instead of being computed beside them.
    pub merge: bool,
    /// Weights as they were, while the sums are in the model.
    pub originals: Vec<(usize, Tensor)>,
    /// Number of scopes that want the adapters out of the model.
    pub disabled: usize,
}

impl State {
    /// The place of the adapter with this name; an error that lists the names there are.
    pub fn position(&self, name: &str) -> Result<usize> {
        self.adapters.iter().position(|adapter| adapter.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.adapters.iter().map(|adapter| adapter.name.as_str()).collect();
            let expected = format!("one of this model's adapters: {}", names.join(", "));
            Error::argument("name", format!("{name:?}"), expected)
        })
    }

    /// An adapter that is known to be there.
    pub fn get(&self, name: &str) -> &NamedAdapter {
        let found = self.adapters.iter().find(|adapter| adapter.name == name);
        found.expect("active adapters are there")
    }

    /// Fails unless these adapters are there and can act together.
    pub fn check_together(&self, names: &[String]) -> Result<()> {
        let bad = |expected: String| Err(Error::argument("names", format!("{names:?}"), expected));
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

    /// Takes the adapters out of the model, changes the state, and puts back in the adapters that are active then.
    pub fn change(&mut self, targets: &[Linear], change: impl FnOnce(&mut Self)) -> Result<()> {
        if self.disabled > 0 {
            change(self); // they are out, and go in when the scope ends
            return Ok(());
        }
        self.take_out(targets)?;
        change(self);
        self.put_in(targets)
    }

    /// Removes all adapters, merged or not.
    pub fn clear(&mut self) {
        self.adapters.clear();
        self.active.clear();
        self.merge = false;
    }

    /// Begins a scope without adapters.
    pub fn disable(&mut self, targets: &[Linear]) -> Result<()> {
        if self.disabled == 0 {
            self.take_out(targets)?;
        }
        self.disabled += 1;
        Ok(())
    }

    /// Ends a scope without adapters.
    pub fn enable(&mut self, targets: &[Linear]) -> Result<()> {
        self.disabled -= 1;
        if self.disabled == 0 { self.put_in(targets) } else { Ok(()) }
    }

    fn take_out(&mut self, targets: &[Linear]) -> Result<()> {
        for (place, original) in self.originals.drain(..) {
            matrix(&targets[place]).var().set(&original)?;
        }
        targets.iter().for_each(|target| target.adapters.set(Vec::new()));
        self.swap_owned()?;
        self.train_active(false);
        Ok(())
    }

    fn put_in(&mut self, targets: &[Linear]) -> Result<()> {
        self.swap_owned()?;
        self.train_active(!self.merge);
        for (place, target) in targets.iter().enumerate() {
            let adapters: Vec<Adapter> = self.active.iter().flat_map(|name| self.get(name).at(place)).collect();
            if !self.merge {
                target.adapters.set(adapters);
            } else if !adapters.is_empty() {
                self.originals.push((place, matrix(target).var().as_detached_tensor().copy()?));
                matrix(target).var().set(&merged(target, &adapters)?)?;
            }
        }
        Ok(())
    }

    /// Exchanges the active adapters' own values of parameters with those in the model.
    fn swap_owned(&self) -> Result<()> {
        let active = self.adapters.iter().filter(|adapter| self.active.contains(&adapter.name));
        active.flat_map(|adapter| &adapter.owned).try_for_each(|owned| owned.swap())
    }

    fn train_active(&self, train: bool) {
        let params = self.active.iter().flat_map(|name| self.get(name).params());
        params.for_each(|param| param.set_trainable(train));
    }
}

/// `W + Σ s (B A)ᵀ`, or `W + Σ s B A` where the weight is stored output first.
fn merged(layer: &Linear, adapters: &[Adapter]) -> Result<Tensor> {
    let mut weight = matrix(layer).var().as_detached_tensor();
    for Adapter { a, b, scale, .. } in adapters {
        let update = b.var().as_detached_tensor().matmul(&a.var().as_detached_tensor())?; // [n_out, n_in]
        let update = if layer.transposed { update } else { update.t()? };
        weight = (weight + (update * *scale)?)?;
    }
    Ok(weight.contiguous()?)
}

fn matrix(layer: &Linear) -> &Param {
    layer.weight.param().expect("a model in 8 bits is refused at the beginning")
}
