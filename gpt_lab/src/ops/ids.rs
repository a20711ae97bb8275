//! Token ids and targets on the host, checked.

use candle_core::{DType, Tensor};

use crate::{Error, Result};

/// Targets of this value do not count, as in PyTorch.
pub const IGNORE_INDEX: i64 = -100;

/// Token ids or targets on the host, row after row, whatever integer type they have.
///
/// # Errors
/// [`Error::InvalidArgument`] for numbers that are not integers.
///
/// ```
/// # use gpt_lab::{candle_core::{Device, Tensor}, ops};
/// let ids = Tensor::new(&[[1u32, 2], [3, 4]], &Device::Cpu)?;
/// assert_eq!(ops::ids_to_vec(&ids)?, [1, 2, 3, 4]);
/// # Ok::<(), gpt_lab::Error>(())
/// ```
pub fn ids_to_vec(ids: &Tensor) -> Result<Vec<i64>> {
    if !matches!(ids.dtype(), DType::U8 | DType::U32 | DType::I64) {
        return Err(Error::argument("ids", format!("{:?}", ids.dtype()), "token ids are integers (u32 or i64)"));
    }
    Ok(ids.flatten_all()?.to_dtype(DType::I64)?.to_vec1()?)
}

/// The ids as row numbers, all below `vocab`.
pub(super) fn checked_ids(ids: &Tensor, vocab: usize) -> Result<Vec<u32>> {
    let width = ids.dims().last().copied().unwrap_or(1).max(1);
    let check = |(i, &id): (usize, &i64)| match u32::try_from(id) {
        Ok(row) if (row as usize) < vocab => Ok(row),
        _ => Err(Error::TokenOutOfRange { id, row: i / width, position: i % width, vocab_size: vocab }),
    };
    ids_to_vec(ids)?.iter().enumerate().map(check).collect()
}

/// The targets of `n` rows as indices below `vocab`, `None` where ignored.
pub(super) fn checked_targets(targets: &Tensor, n: usize, vocab: usize) -> Result<Vec<Option<usize>>> {
    let ids = ids_to_vec(targets)?;
    if ids.len() != n {
        return Err(Error::argument("targets", ids.len(), format!("one target for each of the {n} rows of logits")));
    }
    let check = |(row, &id): (usize, &i64)| match usize::try_from(id) {
        Ok(target) if target < vocab => Ok(Some(target)),
        _ if id == IGNORE_INDEX => Ok(None),
        _ => Err(Error::TokenOutOfRange { id, row, position: 0, vocab_size: vocab }),
    };
    ids.iter().enumerate().map(check).collect()
}

/// Number of targets that count, or an error if none does: their mean would be 0/0.
pub(super) fn count_kept(targets: &[Option<usize>]) -> Result<usize> {
    let kept = targets.iter().flatten().count();
    if kept == 0 {
        let given = targets.len();
        return Err(Error::empty(format!("the set of targets that count ({given} given, all {IGNORE_INDEX})")));
    }
    Ok(kept)
}
