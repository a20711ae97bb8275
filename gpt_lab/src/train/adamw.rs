//! AdamW: Adam (Kingma and Ba 2015) with weight decay apart from the gradient (Loshchilov and Hutter 2019).

use std::cell::RefCell;

use candle_core::{CpuStorage, Device, InplaceOp1, Layout, Tensor};
use gpt_lab_cpu::adamw::Rule;
use serde::{Deserialize, Serialize};

use super::Gradients;
use super::gradients::with_values;
use crate::core::threads::on_a_worker;
use crate::{Error, Param, Result};

/// The parameters that decay towards zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decay {
    /// Tensors of two and more dimensions: matrices and embeddings, not biases and layer norms.
    #[default]
    Matrices,
    /// All of them.
    All,
}

/// The settings of [`AdamW`] apart from the learning rate; the defaults are PyTorch's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWOptions {
    /// Decay rates of the means of the gradient and of its square: β₁, β₂.
    pub betas: (f64, f64),
    /// Term that keeps the divisor from 0: ε.
    pub eps: f64,
    /// Decay of the weights, as a share of the learning rate: λ.
    pub weight_decay: f64,
    /// The weights that decay.
    pub decay: Decay,
}

impl Default for AdamWOptions {
    fn default() -> Self {
        AdamWOptions { betas: (0.9, 0.999), eps: 1e-8, weight_decay: 0.01, decay: Decay::Matrices }
    }
}

/// The optimizer, with its running means of earlier gradients.
///
/// For each number `p` with gradient `g`, at step `t` (from 1):
///
/// ```text
/// p ← p (1 − lr λ)                    decay
/// m ← β₁ m + (1 − β₁) g               mean of the gradient
/// v ← β₂ v + (1 − β₂) g²              mean of its square
/// p ← p − lr · m̂ / (√v̂ + ε)           with m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ)
/// ```
#[derive(Debug, Clone)]
pub struct AdamW {
    params: Vec<Param>,
    moments: Vec<Moments>,
    options: AdamWOptions,
    step: usize,
}

/// The two running means of one parameter.
#[derive(Debug, Clone)]
struct Moments {
    m: Vec<f32>,
    v: Vec<f32>,
    /// Steps with a gradient: PyTorch counts them for each parameter, too.
    steps: i32,
}

impl AdamW {
    /// An optimizer that starts with zero moments. Parameters are taken with their order: [`Gradients`] must be of the
    /// same list. Frozen ones stay as they are.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for β outside 0 … 1 or a negative ε or λ; for parameters that are not f32 on the CPU.
    pub fn new(params: &[Param], options: AdamWOptions) -> Result<Self> {
        let AdamWOptions { betas: (b1, b2), eps, weight_decay, .. } = options;
        for beta in [b1, b2] {
            if !(0.0..1.0).contains(&beta) {
                return Err(Error::argument("betas", beta, "0 ≤ β < 1"));
            }
        }
        for (argument, value) in [("eps", eps), ("weight_decay", weight_decay)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::argument(argument, value, "a number that is not negative"));
            }
        }
        if let Some(param) = params.iter().find(|p| !on_cpu(p)) {
            let (dtype, device) = (param.var().dtype(), param.var().device());
            return Err(Error::argument(
                "params",
                format!("`{}` of type {dtype:?} on {device:?}", param.name()),
                "f32 on the CPU",
            ));
        }
        // Frozen parameters have no moments: LoRA's base would cost twice its own size.
        let size = |param: &Param| if param.trainable() { param.count() } else { 0 };
        let moments =
            params.iter().map(|p| Moments { m: vec![0.0; size(p)], v: vec![0.0; size(p)], steps: 0 }).collect();
        Ok(AdamW { params: params.to_vec(), moments, options, step: 0 })
    }

    /// One step with these gradients, each multiplied by `scale` first (see [`clip_factor`](super::clip_factor)).
    /// Parameters without a gradient are left alone, as in PyTorch.
    pub fn step(&mut self, gradients: &Gradients, lr: f64, scale: f64) -> Result<()> {
        on_a_worker(|| self.step_here(gradients, lr, scale))
    }

    /// [`AdamW::step`] on this thread and its helpers.
    fn step_here(&mut self, gradients: &Gradients, lr: f64, scale: f64) -> Result<()> {
        self.step += 1;
        let (b1, b2) = self.options.betas;
        for (i, (param, moments)) in self.params.iter().zip(&mut self.moments).enumerate() {
            let Some(gradient) = gradients.get(i).filter(|_| param.trainable()) else { continue };
            moments.m.resize(param.count(), 0.0); // a parameter that was thawed since
            moments.v.resize(param.count(), 0.0);
            moments.steps += 1;
            let correction1 = 1.0 - b1.powi(moments.steps);
            let correction2 = 1.0 - b2.powi(moments.steps);
            let decays = self.options.decay == Decay::All || param.dims().len() >= 2;
            let decay = if decays { self.options.weight_decay } else { 0.0 };
            let rule = Rule {
                scale: scale as f32,
                keep: (1.0 - lr * decay) as f32,
                blend1: (1.0 - b1) as f32,
                beta2: b2 as f32,
                blend2: (1.0 - b2) as f32,
                step_size: (lr / correction1) as f32,
                root2: correction2.sqrt() as f32,
                eps: self.options.eps as f32,
            };
            apply(rule, param, gradient, moments)?;
        }
        Ok(())
    }

    /// Number of steps that were made.
    pub fn steps(&self) -> usize {
        self.step
    }

    /// The moments, named `NAME.m` and `NAME.v`, to be saved.
    pub fn state(&self) -> Result<Vec<Param>> {
        let mut state = Vec::new();
        for (param, moments) in self.params.iter().zip(&self.moments).filter(|(_, moments)| !moments.m.is_empty()) {
            for (suffix, values) in [("m", &moments.m), ("v", &moments.v)] {
                let tensor = Tensor::from_slice(values, param.dims(), &Device::Cpu)?;
                state.push(Param::new(format!("{}.{suffix}", param.name()), &tensor)?);
            }
        }
        Ok(state)
    }

    /// Goes on after this many steps with saved moments, asked for by name and shape. An error leaves all as it was.
    pub fn restore(&mut self, steps: usize, saved: &mut dyn FnMut(&str, &[usize]) -> Result<Tensor>) -> Result<()> {
        let mut moment = |param: &Param, suffix: &str| -> Result<Vec<f32>> {
            if !param.trainable() {
                return Ok(Vec::new());
            }
            Ok(saved(&format!("{}.{suffix}", param.name()), param.dims())?.flatten_all()?.to_vec1()?)
        };
        let all = steps as i32;
        let moments = self.params.iter().map(|p| Ok(Moments { m: moment(p, "m")?, v: moment(p, "v")?, steps: all }));
        self.moments = moments.collect::<Result<_>>()?;
        self.step = steps;
        Ok(())
    }
}

fn on_cpu(param: &Param) -> bool {
    param.var().device().is_cpu() && param.var().dtype() == candle_core::DType::F32
}

/// Changes the parameter in place, in one pass over the four arrays.
fn apply(rule: Rule, param: &Param, gradient: &Tensor, moments: &mut Moments) -> Result<()> {
    with_values(gradient, |gradient| {
        let update = Update { rule, gradient, moments: RefCell::new(moments) };
        Ok(param.var().inplace_op1(&update)?)
    })?
}

/// The update as candle wants an operation that writes into a tensor.
struct Update<'a> {
    rule: Rule,
    gradient: &'a [f32],
    moments: RefCell<&'a mut Moments>,
}

impl InplaceOp1 for Update<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let (CpuStorage::F32(values), Some((start, end))) = (storage, layout.contiguous_offsets()) else {
            candle_core::bail!("AdamW changes contiguous f32 variables only");
        };
        let Moments { m, v, .. } = &mut **self.moments.borrow_mut();
        self.rule.step(&mut values[start..end], self.gradient, m, v);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn param(name: &str, values: &[f32], shape: &[usize]) -> Param {
        Param::new(name, &Tensor::from_slice(values, shape, &Device::Cpu).unwrap()).unwrap()
    }

    /// Gradients of Σ p · g, that is, g.
    fn gradients(params: &[Param], values: &[&[f32]]) -> Gradients {
        let products = params.iter().zip(values).map(|(param, g)| {
            let g = Tensor::from_slice(g, param.dims(), &Device::Cpu).unwrap();
            (param.tensor() * g).unwrap().sum_all().unwrap()
        });
        let loss = products.reduce(|a, b| (a + b).unwrap()).unwrap();
        Gradients::of(&loss, params).unwrap()
    }

    fn values(param: &Param) -> Vec<f32> {
        param.var().flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn first_step_by_hand() {
        // At t = 1 the corrections undo the means: m̂ = g, v̂ = g², so p moves by lr · g / (|g| + ε), whatever |g|.
        let params = [param("w", &[1.0, -2.0], &[1, 2]), param("b", &[1.0, 3.0], &[2])];
        let options = AdamWOptions { weight_decay: 0.1, ..Default::default() };
        let mut optimizer = AdamW::new(&params, options).unwrap();
        optimizer.step(&gradients(&params, &[&[0.5, -4.0], &[1e-3, 0.0]]), 0.1, 1.0).unwrap();
        // w decays by 0.99 first; b does not decay; a gradient of zero moves nothing.
        for (found, expected) in values(&params[0]).iter().zip([0.89, -1.88]) {
            assert!((found - expected).abs() < 1e-6, "{found}, expected {expected}");
        }
        assert!((values(&params[1])[0] - 0.9).abs() < 1e-5);
        assert_eq!(values(&params[1])[1], 3.0);
    }

    /// Printed by `torch.optim.AdamW([w], lr=0.1, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)` in PyTorch 2.15,
    /// float32.
    #[test]
    fn three_steps_agree_with_pytorch() {
        let params = [param("w", &[1.0, -2.0, 0.5], &[1, 3])];
        let options = AdamWOptions { betas: (0.9, 0.95), weight_decay: 0.1, ..Default::default() };
        let mut optimizer = AdamW::new(&params, options).unwrap();
        for g in [[0.5f32, -4.0, 0.01], [-1.0, 2.0, 0.02], [0.25, 1.0, -0.03]] {
            optimizer.step(&gradients(&params, &[&g]), 0.1, 1.0).unwrap();
        }
        let expected = [0.921_985_3, -1.809_767_7, 0.298_865_17];
        for (found, expected) in values(&params[0]).iter().zip(expected) {
            assert!((found - expected).abs() <= 2e-7 * expected.abs().max(1.0), "{found}, PyTorch has {expected}");
        }
        assert_eq!(optimizer.steps(), 3);
    }

    #[test]
    fn frozen_parameters_stay_and_scale_is_a_factor_on_the_gradient() {
        let (a, b) = (param("w", &[1.0, 2.0], &[1, 2]), param("w", &[1.0, 2.0], &[1, 2]));
        let frozen = param("frozen", &[7.0], &[1]);
        frozen.set_trainable(false);
        let with_frozen = [a.clone(), frozen.clone()];
        let mut one = AdamW::new(&with_frozen, AdamWOptions::default()).unwrap();
        let mut two = AdamW::new(std::slice::from_ref(&b), AdamWOptions::default()).unwrap();
        for _ in 0..3 {
            one.step(&gradients(&with_frozen, &[&[3.0, -1.0], &[1.0]]), 0.01, 0.5).unwrap();
            two.step(&gradients(std::slice::from_ref(&b), &[&[1.5, -0.5]]), 0.01, 1.0).unwrap();
        }
        assert_eq!(values(&a), values(&b));
        assert_eq!(values(&frozen), [7.0]);
        assert_eq!(one.state().unwrap().len(), 2);
    }

    #[test]
    fn a_parameter_that_comes_late_begins_as_any_other() {
        let (early, late) = (param("early", &[1.0], &[1]), param("late", &[1.0], &[1]));
        late.set_trainable(false);
        let both = [early.clone(), late.clone()];
        let options = AdamWOptions { weight_decay: 0.0, ..Default::default() };
        let mut optimizer = AdamW::new(&both, options).unwrap();
        for _ in 0..100 {
            optimizer.step(&gradients(&both, &[&[1.0], &[1.0]]), 0.01, 1.0).unwrap();
        }
        late.set_trainable(true);
        optimizer.step(&gradients(&both, &[&[1.0], &[1.0]]), 0.01, 1.0).unwrap();
        assert!((values(&late)[0] - 0.99).abs() < 1e-6, "the first step is as long as the rate: {:?}", values(&late));
    }

    #[test]
    fn a_restored_optimizer_goes_on_bit_for_bit() {
        let run = |restore_at: Option<usize>| {
            let params = [param("w", &[0.3; 20_000], &[100, 200])];
            let mut optimizer = AdamW::new(&params, AdamWOptions::default()).unwrap();
            for step in 0..6 {
                if restore_at == Some(step) {
                    let state = optimizer.state().unwrap();
                    optimizer = AdamW::new(&params, AdamWOptions::default()).unwrap();
                    let mut saved =
                        |name: &str, _: &[usize]| Ok(state.iter().find(|one| one.name() == name).unwrap().tensor());
                    optimizer.restore(step, &mut saved).unwrap();
                }
                let g: Vec<f32> = (0..20_000).map(|i| ((i * 31 + step * 17) % 101) as f32 / 50.0 - 1.0).collect();
                optimizer.step(&gradients(&params, &[&g]), 0.01, 0.9).unwrap();
            }
            values(&params[0])
        };
        assert_eq!(run(None), run(Some(4)));
    }

    #[test]
    fn bad_settings_are_refused() {
        let params = [param("w", &[1.0, 2.0], &[1, 2])];
        for options in [
            AdamWOptions { betas: (1.0, 0.9), ..Default::default() },
            AdamWOptions { eps: -1.0, ..Default::default() },
            AdamWOptions { weight_decay: f64::NAN, ..Default::default() },
        ] {
            assert!(AdamW::new(&params, options).is_err());
        }
    }
}
