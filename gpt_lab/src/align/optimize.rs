//! What the loops of reinforcement learning share: prompts in random order, and a step of the optimizer that is
//! checked.

use candle_core::Tensor;

use crate::train::{AdamW, AdamWOptions, Gradients, Tracker, clip_factor};
use crate::{Param, Result, Rng};

/// Prompts in random order, again and again.
pub(super) struct PromptQueue<'a> {
    prompts: &'a [Vec<u32>],
    /// Those whose turn is still to come, last one first.
    queue: Vec<usize>,
    rng: Rng,
}

impl<'a> PromptQueue<'a> {
    pub fn new(prompts: &'a [Vec<u32>], rng: Rng) -> Self {
        PromptQueue { prompts, queue: Vec::new(), rng }
    }

    /// The next `groups` prompts, each so many times, side by side.
    pub fn next(&mut self, groups: usize, group_size: usize) -> Vec<Vec<u32>> {
        let mut next = Vec::new();
        while next.len() < groups * group_size {
            if self.queue.is_empty() {
                self.queue = (0..self.prompts.len()).collect();
                self.rng.shuffle(&mut self.queue);
            }
            let prompt = self.queue.pop().map(|row| &self.prompts[row]);
            next.extend(prompt.into_iter().flat_map(|prompt| vec![prompt.clone(); group_size]));
        }
        next
    }
}

/// AdamW without weight decay on clipped gradients, which must be finite and, at the first step, there at all.
pub(super) struct PolicyOptimizer {
    params: Vec<Param>,
    adamw: AdamW,
    max_grad_norm: f64,
    /// Set once every parameter was seen to get a gradient.
    checked: bool,
}

impl PolicyOptimizer {
    pub fn new(params: Vec<Param>, max_grad_norm: f64) -> Result<Self> {
        let adamw = AdamW::new(&params, AdamWOptions { weight_decay: 0.0, ..Default::default() })?;
        Ok(PolicyOptimizer { params, adamw, max_grad_norm, checked: false })
    }

    pub fn params(&self) -> &[Param] {
        &self.params
    }

    /// One step down this loss, which must reach the first `learns` parameters; returns the gradient's norm.
    pub fn step<R>(&mut self, loss: &Tensor, learns: usize, lr: f64, tracker: &Tracker<R>) -> Result<f64> {
        let gradients = Gradients::of(loss, &self.params)?;
        if !std::mem::replace(&mut self.checked, true) {
            gradients.require_all(&self.params[..learns])?;
        }
        let norm = gradients.norm()?;
        tracker.require_finite("the loss", loss.to_scalar()?)?;
        tracker.require_finite("the gradient's norm", norm as f32)?;
        self.adamw.step(&gradients, lr, clip_factor(norm, Some(self.max_grad_norm)))?;
        Ok(norm)
    }
}
