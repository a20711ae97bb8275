//! The loss of a model without dropout.
//!
//! It stands here and not in [`eval`](crate::eval), since the training loop needs it for its validation loss, and
//! `eval` is above the loop: it knows the models that the loop has trained.

use super::Trainable;
use crate::core::stop;
use crate::data::{Examples, in_batches};
use crate::{Error, Pass, Result};

/// The mean loss over `batches` batches spread evenly over the rows, always the same ones; over all rows if `batches`
/// is 0. Batches count by their number of rows.
///
/// # Errors
/// [`Error::EmptyInput`] without rows, [`Error::InvalidArgument`] for a batch size of 0.
pub fn evaluate<M, E>(model: &M, examples: &E, batch_size: usize, batches: usize) -> Result<f32>
where
    M: Trainable<E::Batch> + ?Sized,
    E: Examples,
{
    Ok(evaluate_unless(model, examples, batch_size, batches, || false)?.expect("nothing stops it"))
}

/// As [`evaluate`], but `None` as soon as the learner presses stop.
pub(super) fn evaluate_or_stop<M, E>(model: &M, examples: &E, size: usize, batches: usize) -> Result<Option<f32>>
where
    M: Trainable<E::Batch> + ?Sized,
    E: Examples,
{
    evaluate_unless(model, examples, size, batches, stop::interrupted)
}

fn evaluate_unless<M, E>(
    model: &M,
    examples: &E,
    batch_size: usize,
    batches: usize,
    stop: impl Fn() -> bool,
) -> Result<Option<f32>>
where
    M: Trainable<E::Batch> + ?Sized,
    E: Examples,
{
    let n = examples.count();
    if n == 0 {
        return Err(Error::empty("the data to evaluate on"));
    }
    let wanted = if batches == 0 { n } else { batches.saturating_mul(batch_size).min(n) };
    let rows: Vec<usize> = (0..wanted).map(|i| (i as u128 * n as u128 / wanted as u128) as usize).collect();
    let mut sum = 0.0;
    for rows in in_batches(rows, batch_size)? {
        if stop() {
            return Ok(None);
        }
        let loss = model.loss(&examples.batch(&rows)?, &mut Pass::eval())?.to_scalar::<f32>()?;
        sum += f64::from(loss) * rows.len() as f64;
    }
    Ok(Some((sum / wanted as f64) as f32))
}
