//! The training loop.

use std::time::Instant;

use super::state::Run;
use super::{Event, History, Listener, StepRecord, TrainConfig, Trainable, clip_factor};
use crate::Result;
use crate::core::stop;
use crate::data::{Examples, Split};

/// Trains a model in place and returns the record of it.
///
/// The same model, data and configuration give the same numbers bit for bit on one machine, also if the run is stopped and
/// resumed in between. The stop button ends it after the step it is in, and so does [`patience`](TrainConfig::patience); the model is as
/// that step left it.
///
/// # Errors
/// - [`InvalidArgument`](crate::Error::InvalidArgument) for impossible settings, [`EmptyInput`](crate::Error::EmptyInput)
///   without training rows;
/// - [`NoGradient`](crate::Error::NoGradient) if a parameter that should train is out of the loss's reach;
/// - [`NotFinite`](crate::Error::NotFinite) if the loss or the gradient is; the weights are those of the step before;
/// - what reading or writing the checkpoint meets; an older one stays whole.
pub fn train<M, E>(model: &M, data: &Split<E>, config: &TrainConfig, listener: &mut dyn Listener) -> Result<History>
where
    M: Trainable<E::Batch>,
    E: Examples,
{
    // 1. What the run needs: all new, or as a checkpoint left it.
    let mut run = Run::begin(model, data, config)?;
    run.tell(Event::Started, listener);
    run.evaluate_if_due(listener)?;
    while run.step < run.total_steps && !run.gets_no_better() {
        // 2. The stop button.
        if stop::interrupted() {
            break;
        }
        let began = Instant::now();
        // 3. Forward and backward pass over the rows whose turn it is.
        let (loss, gradients, tokens) = run.gradients()?;
        // 4. How long is the gradient, and by how much must it be shortened?
        let grad_norm = gradients.norm()?;
        run.require_finite("the loss", loss)?;
        run.require_finite("the gradient's norm", grad_norm as f32)?;
        let scale = clip_factor(grad_norm, config.clip);
        // 5. The optimizer changes the weights.
        let lr = config.schedule.at(config.lr, run.step);
        run.optimizer.step(&gradients, lr, scale)?;
        // 6. Write it down.
        run.step += 1;
        run.history.steps.push(StepRecord { step: run.step, loss, lr, grad_norm });
        run.history.tokens += tokens;
        run.history.seconds += began.elapsed().as_secs_f64();
        run.tell(Event::Step, listener);
        // 7. Now and then: how good is it on rows it never sees? And save.
        run.evaluate_if_due(listener)?;
        run.save_if_due(listener)?;
    }
    // 8. The last word.
    run.end(listener)
}
