//! What the loops of reinforcement learning share: the state of a run, prompts in random order, the rows of a
//! minibatch, and a step of the optimizer that is checked.

use candle_core::{Device, Tensor};

use crate::train::{AdamW, AdamWOptions, Event, Gradients, History, Listener, Stopped, Tracker, clip_factor};
use crate::{Error, Param, Pass, Result, Rng};

/// The state of a run between two steps. What it draws at random comes from a stream each: changing one leaves the
/// others as they are.
pub(super) struct Run<'a, R> {
    pub tracker: Tracker<R>,
    pub prompts: PromptQueue<'a>,
    optimizer: PolicyOptimizer,
    /// For the seeds of rollouts.
    pub completions: Rng,
    /// For the order of the rows within an iteration.
    pub order: Rng,
    /// Of training, with the adapters' dropout.
    pub pass: Pass<'static>,
}

impl<'a, R> Run<'a, R> {
    pub fn begin(
        prompts: &'a [Vec<u32>],
        params: Vec<Param>,
        iterations: usize,
        max_grad_norm: f64,
        seed: u64,
    ) -> Result<Self> {
        let seed = Rng::new(seed);
        Ok(Run {
            prompts: PromptQueue::new(prompts, seed.stream(1))?,
            tracker: Tracker::new(iterations, &params),
            optimizer: PolicyOptimizer::new(params, max_grad_norm)?,
            completions: seed.stream(2),
            order: seed.stream(3),
            pass: Pass::train_adapters(seed.stream(4)),
        })
    }

    /// Notes why it ended, and hands out its record.
    pub fn end(mut self, listener: &mut dyn Listener<R>) -> History<R> {
        self.tracker.history.stopped = if self.tracker.is_over() { Stopped::Finished } else { Stopped::Interrupted };
        self.tracker.tell(Event::Ended, listener);
        self.tracker.history
    }

    /// One step down this loss, which must reach the first `learns` parameters; returns the gradient's norm.
    pub fn step(&mut self, loss: &Tensor, learns: usize, lr: f64) -> Result<f64> {
        self.optimizer.step(loss, learns, lr, &self.tracker)
    }
}

/// Prompts in random order, again and again.
pub(super) struct PromptQueue<'a> {
    prompts: &'a [Vec<u32>],
    /// Those whose turn is still to come, last one first.
    queue: Vec<usize>,
    rng: Rng,
}

impl<'a> PromptQueue<'a> {
    fn new(prompts: &'a [Vec<u32>], rng: Rng) -> Result<Self> {
        if prompts.is_empty() {
            return Err(Error::empty("the list of prompts"));
        }
        Ok(PromptQueue { prompts, queue: Vec::new(), rng })
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

/// These rows of what a rollout has, `[N, L]`, cut to the width of the longest of them: `[n, width]`.
pub(super) fn rows_of(all: &Tensor, rows: &[usize], width: usize) -> Result<Tensor> {
    let index = Tensor::new(rows.iter().map(|row| *row as u32).collect::<Vec<_>>(), &Device::Cpu)?;
    Ok(all.index_select(&index, 0)?.narrow(1, 0, width)?.contiguous()?)
}

/// AdamW without weight decay on clipped gradients, which must be finite and, at the first step, there at all.
struct PolicyOptimizer {
    params: Vec<Param>,
    adamw: AdamW,
    max_grad_norm: f64,
    /// Set once every parameter was seen to get a gradient.
    checked: bool,
}

impl PolicyOptimizer {
    fn new(params: Vec<Param>, max_grad_norm: f64) -> Result<Self> {
        let adamw = AdamW::new(&params, AdamWOptions { weight_decay: 0.0, ..Default::default() })?;
        Ok(PolicyOptimizer { params, adamw, max_grad_norm, checked: false })
    }

    fn step<R>(&mut self, loss: &Tensor, learns: usize, lr: f64, tracker: &Tracker<R>) -> Result<f64> {
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
