//! More arguments than candle's custom ops take.
//!
//! A custom op of candle has three arguments at most; half a transformer block has six parameters. So the op keeps the
//! parameters itself and gets one number as an argument, the end of a chain that runs through all of them:
//!
//! ```text
//! w1   w2   w3
//!  ↓    ↓    ↓
//! link link link → op(x, last link)
//! ```
//!
//! The chain's only purpose is the backward pass: candle walks it after the op, and each link hands its parameter the
//! gradient that the op's backward pass left for it. Nothing is copied, and `backward()` finds every gradient as ever.
//! A `CustomOpN` in candle, with any number of arguments, would replace this whole file.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp2, Device, Layout, Shape, Tensor, TensorId};
use gpt_lab_cpu::block::{Gradients, Wanted};

use super::custom::Values;
use crate::Result;

/// Gradients on their way from the op to the links.
type Left = Arc<Mutex<Vec<Option<Tensor>>>>;

/// The parameters of an op.
pub(super) struct Parameters {
    tensors: Vec<Tensor>,
    left: Left,
}

impl Parameters {
    /// The parameters, and the end of the chain through those that record gradients.
    pub(super) fn new(tensors: Vec<Tensor>) -> Result<(Self, Tensor)> {
        let left = Arc::new(Mutex::new(vec![None; tensors.len()]));
        let mut end = Tensor::zeros((), candle_core::DType::F32, &Device::Cpu)?;
        for (at, tensor) in tensors.iter().enumerate().filter(|(_, tensor)| tensor.track_op()) {
            end = end.apply_op2(tensor, Link { at, left: left.clone() })?;
        }
        Ok((Parameters { tensors, left }, end))
    }

    /// `body`'s result for the values of all of them.
    pub(super) fn with_values<R>(&self, body: impl FnOnce(&[&[f32]]) -> R) -> candle_core::Result<R> {
        let held = self.tensors.iter().map(Values::of).collect::<candle_core::Result<Vec<_>>>()?;
        Ok(body(&held.iter().map(|values| &**values).collect::<Vec<_>>()))
    }

    /// The sizes of those that want a gradient.
    pub(super) fn wanted(&self) -> Wanted {
        let wants = |tensor: &Tensor| tensor.track_op().then(|| tensor.elem_count());
        std::array::from_fn(|at| self.tensors.get(at).and_then(wants))
    }

    /// Leaves the gradients for the links.
    pub(super) fn leave(&self, gradients: Gradients) -> candle_core::Result<()> {
        let tensor = |(gradient, like): (Option<Vec<f32>>, &Tensor)| {
            gradient.map(|values| Tensor::from_vec(values, like.shape(), &Device::Cpu)).transpose()
        };
        let tensors = gradients.into_iter().zip(&self.tensors).map(tensor).collect::<candle_core::Result<_>>()?;
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) = tensors;
        Ok(())
    }
}

/// One parameter's place in the chain.
struct Link {
    at: usize,
    left: Left,
}

impl CustomOp2 for Link {
    fn name(&self) -> &'static str {
        "link"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(vec![0.0]), Shape::from(())))
    }

    fn bwd(
        &self,
        before: &Tensor,
        parameter: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner)[self.at].take();
        let gradient = left.and_then(|gradient| collect(parameter, gradient));
        Ok((before.track_op().then(|| grad.clone()), gradient))
    }
}

thread_local! {
    static COLLECTED: RefCell<Option<HashMap<TensorId, Tensor>>> = const { RefCell::new(None) };
}

/// The result of a backward pass, and beside it the gradients of variables that came by a short cut: candle adds each
/// gradient to a tensor of zeros that it makes first, and for a model's weights these two passes over memory can be
/// saved. A variable's gradient is the sum of what is in both.
pub(crate) fn collecting<R>(backward: impl FnOnce() -> R) -> (R, HashMap<TensorId, Tensor>) {
    /// Puts back what was there before, also after a panic.
    struct Collecting(Option<HashMap<TensorId, Tensor>>);
    impl Drop for Collecting {
        fn drop(&mut self) {
            COLLECTED.set(self.0.take());
        }
    }
    let _collecting = Collecting(COLLECTED.replace(Some(HashMap::new())));
    let result = backward();
    (result, COLLECTED.take().unwrap_or_default())
}

/// Takes the short cut if this thread collects and nothing lies at the end of it yet; otherwise gives the gradient
/// back.
fn collect(parameter: &Tensor, gradient: Tensor) -> Option<Tensor> {
    COLLECTED.with_borrow_mut(|collected| match collected {
        Some(collected) if parameter.is_variable() && !collected.contains_key(&parameter.id()) => {
            collected.insert(parameter.id(), gradient);
            None
        }
        _ => Some(gradient),
    })
}
