//! More arguments than candle's custom ops take.
//!
//! A custom op of candle has three arguments at most; half a transformer block has a dozen parameters. So the op keeps the
//! parameters itself and gets one number as an argument, the end of a chain that runs through all of them:
//!
//! ```text
//! w1   w2   w3
//!  ↓    ↓    ↓
//!  knot knot knot → op(x, last knot)
//! ```
//!
//! The chain's only purpose is the way back: candle's backward pass walks it after the op, and each knot hands its parameter the
//! gradient that the op's backward pass laid down for it. Nothing is copied, and `backward()` finds every gradient as ever.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use candle_core::{CpuStorage, CustomOp2, Device, Layout, Shape, Tensor, TensorId};

use crate::Result;

/// The parameters of an op.
pub(super) struct Ties {
    /// All of them.
    pub(super) tensors: Vec<Tensor>,
    laid_down: Arc<Mutex<Vec<Option<Tensor>>>>,
}

impl Ties {
    /// The parameters, and the end of the chain through those that record gradients.
    pub(super) fn new(tensors: Vec<Tensor>) -> Result<(Self, Tensor)> {
        let laid_down = Arc::new(Mutex::new(vec![None; tensors.len()]));
        let mut end = Tensor::zeros((), candle_core::DType::F32, &Device::Cpu)?;
        for (at, tensor) in tensors.iter().enumerate().filter(|(_, tensor)| tensor.track_op()) {
            end = end.apply_op2(tensor, Knot { at, laid_down: laid_down.clone() })?;
        }
        Ok((Ties { tensors, laid_down }, end))
    }

    /// Whether parameter `at` wants a gradient.
    pub(super) fn wants(&self, at: usize) -> bool {
        self.tensors[at].track_op()
    }

    /// Lays down the gradients, one for each parameter that wants one; returns what the op answers for the chain's end.
    pub(super) fn lay_down(&self, gradients: Vec<Option<Tensor>>, end: &Tensor) -> candle_core::Result<Option<Tensor>> {
        *self.laid_down.lock().unwrap_or_else(|held| held.into_inner()) = gradients;
        if end.track_op() { Ok(Some(end.zeros_like()?)) } else { Ok(None) }
    }
}

/// One parameter's place in the chain.
struct Knot {
    at: usize,
    laid_down: Arc<Mutex<Vec<Option<Tensor>>>>,
}

impl CustomOp2 for Knot {
    fn name(&self) -> &'static str {
        "knot"
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
        let laid_down = self.laid_down.lock().unwrap_or_else(|held| held.into_inner())[self.at].take();
        let gradient = laid_down.and_then(|gradient| collect(parameter, gradient));
        Ok((before.track_op().then(|| grad.clone()), gradient))
    }
}

thread_local! {
    static COLLECTED: RefCell<Option<HashMap<TensorId, Tensor>>> = const { RefCell::new(None) };
}

/// Runs a backward pass and returns beside its result the gradients of variables that came by a short cut: candle adds each
/// gradient to a tensor of zeros that it makes first, and for a model's weights these two passes over memory can be saved.
/// A variable's gradient is the sum of what is in both.
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

/// Takes the short cut if this thread collects and nothing lies at the end of it yet; otherwise gives the gradient back.
fn collect(parameter: &Tensor, gradient: Tensor) -> Option<Tensor> {
    COLLECTED.with_borrow_mut(|collected| match collected {
        Some(collected) if parameter.is_variable() && !collected.contains_key(&parameter.id()) => {
            collected.insert(parameter.id(), gradient);
            None
        }
        _ => Some(gradient),
    })
}
