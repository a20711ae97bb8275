//! Comparisons as ids, and batches of them.

use candle_core::Tensor;

use super::examples::{Examples, pick};
use super::{Completion, padding};
use crate::Result;
use crate::core::hash::fnv1a;

/// The ids of one comparison: two completions of one prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenPair {
    /// The prompt with the preferred answer.
    pub chosen: Completion,
    /// The prompt with the other answer.
    pub rejected: Completion,
}

/// Comparisons as ids. As [`Examples`] they give [`Pairs`], padded on the right with id 0 and masked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenPairs {
    /// In the order of the file.
    pub rows: Vec<TokenPair>,
    /// Number of rows that were dropped because a side was too long.
    pub over_long: usize,
}

/// A batch of comparisons: row `i` of the one side was preferred to row `i` of the other. All are `[N, T]`, the two
/// sides may differ in T; the masks are 1 for real tokens and 0 for padding.
#[derive(Debug, Clone)]
pub struct Pairs {
    /// Ids of the preferred texts.
    pub chosen: Tensor,
    /// Mask of the preferred texts.
    pub chosen_mask: Tensor,
    /// Ids of the other texts.
    pub rejected: Tensor,
    /// Mask of the other texts.
    pub rejected_mask: Tensor,
}

impl TokenPairs {
    /// Both sides of the rows with these indices: preferred, other.
    pub(crate) fn sides(&self, rows: &[usize]) -> Result<(Vec<&Completion>, Vec<&Completion>)> {
        Ok(pick(&self.rows, rows)?.into_iter().map(|pair| (&pair.chosen, &pair.rejected)).unzip())
    }
}

impl Examples for TokenPairs {
    type Batch = Pairs;

    fn count(&self) -> usize {
        self.rows.len()
    }

    fn batch(&self, rows: &[usize]) -> Result<Pairs> {
        let (chosen, rejected) = self.sides(rows)?;
        Ok(Pairs {
            chosen: padding::ids(&chosen)?,
            chosen_mask: padding::mask(&chosen)?,
            rejected: padding::ids(&rejected)?,
            rejected_mask: padding::mask(&rejected)?,
        })
    }

    fn tokens(&self, rows: &[usize]) -> usize {
        let pairs = rows.iter().filter_map(|&row| self.rows.get(row));
        pairs.map(|pair| pair.chosen.ids.len() + pair.rejected.ids.len()).sum()
    }

    fn fingerprint(&self) -> u64 {
        let parts = |pair: &TokenPair| {
            let (chosen, rejected) = (&pair.chosen, &pair.rejected);
            [chosen.prompt_ids(), chosen.answer_ids(), rejected.answer_ids()].map(bytes).concat()
        };
        fnv1a(self.rows.iter().flat_map(parts))
    }
}

/// The length of a list and its ids, for a fingerprint.
fn bytes(ids: &[u32]) -> Vec<u8> {
    let length = (ids.len() as u32).to_le_bytes();
    length.into_iter().chain(ids.iter().flat_map(|id| id.to_le_bytes())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Prompt `ab` (ids 1 2) with answers of different lengths.
    fn pairs() -> TokenPairs {
        let row = |chosen: &[u32], rejected: &[u32]| TokenPair {
            chosen: Completion::ended(&[1, 2], chosen),
            rejected: Completion::ended(&[1, 2], rejected),
        };
        TokenPairs { rows: vec![row(&[3, 0], &[4, 5, 0]), row(&[6, 7, 8, 0], &[0])], over_long: 0 }
    }

    #[test]
    fn batches_are_padded_and_masked() {
        let batch = pairs().batch(&[1, 0]).unwrap();
        let ids = |tensor: &Tensor| tensor.to_vec2::<u32>().unwrap();
        let marks = |tensor: &Tensor| tensor.to_vec2::<u8>().unwrap();
        assert_eq!(ids(&batch.chosen), [[1, 2, 6, 7, 8, 0], [1, 2, 3, 0, 0, 0]]);
        assert_eq!(marks(&batch.chosen_mask), [[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]]); // a real 0, then padding
        assert_eq!(ids(&batch.rejected), [[1, 2, 0, 0, 0], [1, 2, 4, 5, 0]]);
        assert_eq!(marks(&batch.rejected_mask), [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]);
        assert_eq!(pairs().tokens(&[0, 1]), 4 + 5 + 6 + 3);
        assert!(pairs().batch(&[2]).is_err() && pairs().batch(&[]).is_err());
        let mut other = pairs();
        other.rows[0].chosen.prompt = 1; // the same ids, cut elsewhere
        assert_ne!(other.fingerprint(), pairs().fingerprint());
    }
}
