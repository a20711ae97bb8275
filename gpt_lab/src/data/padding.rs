//! Rows of different lengths in one rectangle `[N, T]`, filled up on the right.

use std::borrow::Borrow;

use candle_core::{Device, Tensor, WithDType};

use super::Completion;
use crate::{Error, Result};

/// The rows, filled up to the longest.
pub(crate) fn padded<T: WithDType>(rows: Vec<Vec<T>>, fill: T) -> Result<Tensor> {
    let shape = (rows.len(), rows.iter().map(Vec::len).max().unwrap_or(0));
    let mut values = Vec::with_capacity(shape.0 * shape.1);
    for row in rows {
        let missing = shape.1 - row.len();
        values.extend(row);
        values.extend(std::iter::repeat_n(fill, missing));
    }
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}

/// Prompts with their completions, `[N, T]`; 0 for padding.
///
/// # Errors
/// [`Error::EmptyInput`] for an empty prompt: the completion's first token needs something before it.
pub(crate) fn ids(rows: &[impl Borrow<Completion>]) -> Result<Tensor> {
    if rows.iter().any(|row| row.borrow().prompt == 0) {
        return Err(Error::empty("the prompt of a row"));
    }
    padded(rows.iter().map(|row| row.borrow().ids.clone()).collect(), 0)
}

/// 1 for real tokens, 0 for padding: `[N, T]`.
pub(crate) fn mask(rows: &[impl Borrow<Completion>]) -> Result<Tensor> {
    padded(rows.iter().map(|row| vec![1u8; row.borrow().ids.len()]).collect(), 0)
}

/// 1 for the completion's tokens, 0 for prompt and padding: `[N, T]`.
pub(crate) fn answer_mask(rows: &[impl Borrow<Completion>]) -> Result<Tensor> {
    let marks = |row: &Completion| (0..row.ids.len()).map(|at| u8::from(at >= row.prompt)).collect();
    padded(rows.iter().map(|row| marks(row.borrow())).collect(), 0)
}
