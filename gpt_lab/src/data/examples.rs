//! Data that a training loop draws batches from.

use candle_core::Tensor;

use crate::{Error, Result};

/// One part to learn from and one to judge by, which share nothing.
#[derive(Debug, Clone)]
pub struct Split<T> {
    /// The part that training sees.
    pub train: T,
    /// The part that it never sees.
    pub validation: T,
}

/// Rows of ids with the token after each.
#[derive(Debug, Clone)]
pub struct Batch {
    /// `[B, T]`, u32.
    pub inputs: Tensor,
    /// `[B, T]`, i64: `targets[b, t]` is the token after `inputs[b, t]`, or −100 where it does not count
    /// ([`IGNORE_INDEX`](crate::ops::IGNORE_INDEX)).
    pub targets: Tensor,
}

/// Rows that can be put together to batches.
pub trait Examples {
    /// The input of one forward pass.
    type Batch;

    /// Number of rows.
    fn count(&self) -> usize;

    /// The rows with these indices as one batch, in this order.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for no rows, or an index beyond the last row.
    fn batch(&self, rows: &[usize]) -> Result<Self::Batch>;

    /// Number of tokens in these rows, for the figure of tokens per second.
    fn tokens(&self, rows: &[usize]) -> usize;

    /// A hash of the data, by which a checkpoint knows its own.
    fn fingerprint(&self) -> u64;

    /// The indices of all rows in order, `size` to a batch; the last batch may be short.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a size of 0.
    fn batches(&self, size: usize) -> Result<Vec<Vec<usize>>> {
        in_batches((0..self.count()).collect(), size)
    }
}

/// These rows, `size` to a batch.
pub(crate) fn in_batches(rows: Vec<usize>, size: usize) -> Result<Vec<Vec<usize>>> {
    if size == 0 {
        return Err(Error::argument("batch_size", 0, "at least one row a batch"));
    }
    Ok(rows.chunks(size).map(<[usize]>::to_vec).collect())
}

/// The rows with these indices.
pub(super) fn pick<'a, T>(all: &'a [T], rows: &[usize]) -> Result<Vec<&'a T>> {
    check_rows(rows, all.len())?;
    Ok(rows.iter().map(|row| &all[*row]).collect())
}

/// Refuses an empty batch, and rows beyond the last of `count`.
pub(super) fn check_rows(rows: &[usize], count: usize) -> Result<()> {
    if rows.is_empty() {
        return Err(Error::argument("rows", 0, "at least one row a batch"));
    }
    match rows.iter().find(|row| **row >= count) {
        Some(row) => Err(Error::argument("row", row, format!("a row below {count}"))),
        None => Ok(()),
    }
}
