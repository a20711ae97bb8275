//! Work on rows, cut into chunks for two threads or more, and sums over rows.
//!
//! The order of every sum depends on shapes only, never on the number of threads or on which of them was faster: the
//! same input gives the same bits.

use std::ops::Range;

use rayon::prelude::*;

use crate::simd::with_unit;

/// Number of values that one thread handles at a time; for fewer no second thread is woken.
pub(crate) const CHUNK: usize = 1 << 14;

/// Cuts `out` into chunks of whole rows and runs `body(first_row, chunk)` on each, on several threads if there are
/// several.
pub(crate) fn for_rows(out: &mut [f32], width: usize, body: impl Fn(usize, &mut [f32]) + Sync) {
    let rows = rows_per_chunk(width);
    if out.len() <= rows * width {
        return body(0, out);
    }
    out.par_chunks_mut(rows * width).enumerate().for_each(|(i, chunk)| body(i * rows, chunk));
}

/// Number of rows of this width in a chunk.
pub(crate) fn rows_per_chunk(width: usize) -> usize {
    (CHUNK / width.max(1)).max(1)
}

/// `Σ over rows`, for `n` accumulators at once: `body(rows, sums)` adds its rows to `sums` (of length `n`), chunk by
/// chunk; the chunks' sums are added in their order.
pub(crate) fn sum_rows(
    rows: usize,
    width: usize,
    n: usize,
    body: impl Fn(Range<usize>, &mut [f32]) + Sync,
) -> Vec<f32> {
    let step = 4 * rows_per_chunk(width);
    let part = |i: usize| {
        let mut sums = vec![0.0; n];
        body(i * step..((i + 1) * step).min(rows), &mut sums);
        sums
    };
    let chunks = rows.div_ceil(step);
    if chunks <= 1 {
        return part(0);
    }
    total((0..chunks).into_par_iter().map(part).collect())
}

/// The sum of the parts, in their order; nothing for no parts.
pub(crate) fn total(parts: Vec<Vec<f32>>) -> Vec<f32> {
    let mut parts = parts.into_iter();
    let mut total = parts.next().unwrap_or_default();
    for part in parts {
        add(&mut total, &part);
    }
    total
}

/// `sum ← sum + x`.
pub(crate) fn add(sum: &mut [f32], x: &[f32]) {
    with_unit!(|_unit| sum.iter_mut().zip(x).for_each(|(sum, x)| *sum += x));
}

/// Adds `bias` to every row.
pub(crate) fn add_bias(rows: &mut [f32], bias: &[f32]) {
    with_unit!(|_unit| for row in rows.chunks_exact_mut(bias.len()) {
        row.iter_mut().zip(bias).for_each(|(y, b)| *y += b);
    });
}

/// `sums ← sums + Σ_rows x`.
pub(crate) fn add_column_sums(x: &[f32], sums: &mut [f32]) {
    with_unit!(|_unit| for row in x.chunks_exact(sums.len()) {
        sums.iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_summed_alike_in_any_number_of_chunks() {
        let ones = |rows: Range<usize>, sums: &mut [f32]| sums[0] += rows.len() as f32;
        for rows in [0, 1, 1000, if cfg!(miri) { 30_003 } else { 100_003 }] {
            assert_eq!(sum_rows(rows, 3, 1, ones), [rows as f32]);
        }
    }
}
