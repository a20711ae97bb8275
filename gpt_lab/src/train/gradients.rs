//! The gradient of a loss with respect to each parameter, and its length.

use candle_core::{CpuStorage, Storage, Tensor};
use rayon::prelude::*;

use crate::core::threads::on_a_worker;
use crate::{Error, Param, Result, ops};

/// Numbers summed by one thread at a time; fixed, so that sums do not depend on the number of threads.
const CHUNK: usize = 1 << 14;

/// One gradient for each parameter, in the order of the parameters; `None` where the loss does not depend on it.
#[derive(Debug, Clone)]
pub struct Gradients {
    tensors: Vec<Option<Tensor>>,
}

impl Gradients {
    /// Runs the backward pass from a scalar loss.
    pub fn of(loss: &Tensor, params: &[Param]) -> Result<Self> {
        let (store, mut direct) = on_a_worker(|| ops::collecting(|| loss.backward()));
        let mut store = store?;
        let take = |param: &Param| -> Result<Option<Tensor>> {
            if !param.trainable() {
                return Ok(None);
            }
            match (store.remove(param.var().as_tensor()), direct.remove(&param.var().id())) {
                (Some(a), Some(b)) => Ok(Some((a + b)?)),
                (a, b) => Ok(a.or(b)),
            }
        };
        Ok(Gradients { tensors: params.iter().map(take).collect::<Result<_>>()? })
    }

    /// The gradient of the parameter with this index.
    pub fn get(&self, i: usize) -> Option<&Tensor> {
        self.tensors.get(i)?.as_ref()
    }

    /// Adds the gradients of another part of the batch.
    pub fn add(&mut self, other: Gradients) -> Result<()> {
        for (mine, theirs) in self.tensors.iter_mut().zip(other.tensors) {
            *mine = match (mine.take(), theirs) {
                (Some(a), Some(b)) => Some((a + b)?),
                (a, b) => a.or(b),
            };
        }
        Ok(())
    }

    /// The length of all gradients taken as one long vector: `√Σ g²`.
    pub fn norm(&self) -> Result<f64> {
        let squares = |values: &[f32]| {
            if values.len() <= CHUNK {
                return sum_of_squares(values); // not worth waking another thread
            }
            let chunks: Vec<f64> = values.par_chunks(CHUNK).map(sum_of_squares).collect();
            chunks.iter().sum()
        };
        on_a_worker(|| {
            let mut sum = 0.0;
            for tensor in self.tensors.iter().flatten() {
                sum += with_values(tensor, squares)?;
            }
            Ok(sum.sqrt())
        })
    }

    /// Fails if a parameter that should train gets no gradient: the forward pass does not use it, or cuts the chain.
    pub fn require_all(&self, params: &[Param]) -> Result<()> {
        let without = params.iter().zip(&self.tensors).filter(|(param, g)| param.trainable() && g.is_none());
        let names: Vec<String> = without.map(|(param, _)| param.name().to_string()).collect();
        if names.is_empty() { Ok(()) } else { Err(Error::NoGradient { names }) }
    }
}

/// Refuses to train what cannot learn: a frozen model without an active adapter, or with a merged one.
pub(crate) fn require_trainable(params: &[Param]) -> Result<()> {
    if params.iter().any(Param::trainable) {
        return Ok(());
    }
    let found = format!("a model of {} parameters, all of them frozen", params.len());
    let expected = "something that trains; with LoRA, pass the `Lora` itself (not its `model()`), with an active \
                    adapter that is not merged";
    Err(Error::argument("model", found, expected))
}

/// In eight sums side by side, so that no addition waits for the one before it.
fn sum_of_squares(values: &[f32]) -> f64 {
    let mut sums = [0f64; 8];
    let eights = values.chunks_exact(8);
    for (sum, &g) in sums.iter_mut().zip(eights.remainder()) {
        *sum += f64::from(g) * f64::from(g);
    }
    for eight in eights {
        for (sum, &g) in sums.iter_mut().zip(eight) {
            *sum += f64::from(g) * f64::from(g);
        }
    }
    sums.iter().sum()
}

/// Hands out a tensor's numbers in order, without a copy if they lie in order.
pub(super) fn with_values<R>(tensor: &Tensor, use_them: impl FnOnce(&[f32]) -> R) -> Result<R> {
    let tensor = tensor.contiguous()?;
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(CpuStorage::F32(values)) => {
            let start = layout.start_offset();
            Ok(use_them(&values[start..start + tensor.elem_count()]))
        }
        _ => Err(Error::Tensor(format!(
            "a gradient is {:?} on {:?}, expected f32 on the CPU",
            tensor.dtype(),
            tensor.device()
        ))),
    }
}

/// The factor by which the gradients' norm becomes at most `max`: `min(1, max / (norm + 1e-6))`, as in
/// `torch.nn.utils.clip_grad_norm_`; 1 without a maximum.
pub fn clip_factor(norm: f64, max: Option<f64>) -> f64 {
    max.map_or(1.0, |max| (max / (norm + 1e-6)).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn param(name: &str, values: &[f32]) -> Param {
        Param::new(name, &Tensor::new(values, &Device::Cpu).unwrap()).unwrap()
    }

    #[test]
    fn norm_and_clipping_by_hand() {
        // loss = Σ a² / 2 + Σ b: gradients a and 1.
        let params = [param("a", &[1.0, 2.0, -2.0]), param("b", &[5.0; 7]), param("frozen", &[1.0])];
        params[2].set_trainable(false);
        let [a, b, frozen] = [0, 1, 2].map(|i: usize| params[i].tensor());
        let half = (a.sqr().unwrap().sum_all().unwrap() * 0.5).unwrap();
        let loss = ((half + b.sum_all().unwrap()).unwrap() * frozen.sum_all().unwrap()).unwrap();
        let mut gradients = Gradients::of(&loss, &params).unwrap();
        assert!((gradients.norm().unwrap() - 4.0).abs() < 1e-12); // √(1 + 4 + 4 + 7)
        assert!(gradients.get(2).is_none());
        gradients.require_all(&params).unwrap();
        gradients.add(gradients.clone()).unwrap();
        assert!((gradients.norm().unwrap() - 8.0).abs() < 1e-12);
        assert_eq!(clip_factor(8.0, None), 1.0);
        assert_eq!(clip_factor(0.5, Some(1.0)), 1.0);
        assert!((clip_factor(8.0, Some(1.0)) - 0.125).abs() < 1e-7);
    }

    #[test]
    fn long_and_transposed_gradients_are_summed_whole() {
        let n = 3 * CHUNK + 13;
        let values: Vec<f32> = (0..n).map(|i| (i % 7) as f32).collect();
        let expected = values.iter().map(|&g| f64::from(g * g)).sum::<f64>();
        let tensor = Tensor::from_slice(&values, (1, n), &Device::Cpu).unwrap();
        let narrowed = tensor.narrow(1, 13, n - 13).unwrap().reshape((3, CHUNK)).unwrap().t().unwrap();
        let rest = tensor.narrow(1, 0, 13).unwrap();
        let gradients = Gradients { tensors: vec![Some(narrowed), None, Some(rest)] };
        assert!((gradients.norm().unwrap().powi(2) - expected).abs() < 1e-6 * expected);
    }

    #[test]
    fn a_parameter_that_the_loss_forgets_is_named() {
        let params = [param("used", &[1.0]), param("forgotten", &[1.0])];
        let loss = params[0].tensor().sum_all().unwrap();
        let error = Gradients::of(&loss, &params).unwrap().require_all(&params).unwrap_err().to_string();
        assert!(error.contains("forgotten") && !error.contains("used,"), "{error}");
    }
}
