//! The origin of a model's initial values.

use candle_core::Tensor;

use crate::{Param, Result};

/// A function from a parameter's name and shape to its initial values: drawn by a generator, or read from a file.
pub(crate) type Source<'a> = &'a mut dyn FnMut(&str, &[usize]) -> Result<Tensor>;

/// A parameter whose values the source supplies.
pub(crate) fn param(name: String, shape: &[usize], source: Source) -> Result<Param> {
    let values = source(&name, shape)?;
    Param::new(name, &values)
}
