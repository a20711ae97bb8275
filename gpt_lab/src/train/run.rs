//! The training loop.

use std::time::Instant;

use super::state::Run;
use super::{Event, History, Listener, StepRecord, TrainConfig, Trainable, clip_factor};
use crate::Result;
use crate::core::stop;
use crate::data::{Examples, Split};

/// Trains a model in place and returns the record of it.
///
/// The same model, data and configuration give the same numbers bit for bit on one machine, also if the run is stopped
/// and resumed in between. The stop button ends it after the step it is in, and so does
/// [`patience`](TrainConfig::patience); the model is as that step left it.
///
/// # Errors
/// - [`InvalidArgument`](crate::Error::InvalidArgument) for impossible settings,
///   [`EmptyInput`](crate::Error::EmptyInput) without training rows;
/// - [`NoGradient`](crate::Error::NoGradient) if a parameter that should train is that the loss does not depend on;
/// - [`NotFinite`](crate::Error::NotFinite) if the loss or the gradient is; the weights are those of the step before;
/// - those of reading and writing the checkpoint; the previous one is kept.
pub fn train<M, E>(model: &M, data: &Split<E>, config: &TrainConfig, listener: &mut dyn Listener) -> Result<History>
where
    M: Trainable<E::Batch>,
    E: Examples,
{
    // 1. The state of the run: all new, or as a checkpoint left it.
    let mut run = Run::begin(model, data, config)?;
    run.tracker.tell(Event::Started, listener);
    run.evaluate_if_due(listener)?;
    while !run.tracker.is_over() && !run.gets_no_better() {
        // 2. The stop button.
        if stop::interrupted() {
            break;
        }
        let began = Instant::now();
        // 3. Forward and backward pass over the rows whose turn it is.
        let (loss, gradients, tokens) = run.gradients()?;
        // 4. The gradient's norm, and the factor that shortens it.
        let grad_norm = gradients.norm()?;
        run.tracker.require_finite("the loss", loss)?;
        run.tracker.require_finite("the gradient's norm", grad_norm as f32)?;
        let scale = clip_factor(grad_norm, config.clip);
        // 5. The optimizer changes the weights.
        let lr = config.schedule.at(config.lr, run.tracker.step);
        run.optimizer.step(&gradients, lr, scale)?;
        // 6. The record.
        let step = run.tracker.step + 1;
        run.tracker.record(StepRecord { step, loss, lr, grad_norm }, tokens, began);
        run.tracker.tell(Event::Step, listener);
        // 7. Now and then: an evaluation on rows that it never sees, and a checkpoint.
        run.evaluate_if_due(listener)?;
        run.save_if_due(listener)?;
    }
    // 8. The end: the reason, the last checkpoint.
    run.end(listener)
}
