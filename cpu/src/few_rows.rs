//! Products of a few rows with a large matrix, as generation needs them: each number of the matrix is read once and
//! used once for each row, so that the speed of memory decides. (A matrix product made for many rows first copies the
//! matrix into an order of its own, which for one row costs more than the product.)

use rayon::prelude::*;

use crate::math::{LANES, fold_sum, mul_add, sum2};
use crate::rows::total;
use crate::simd::{Lanes, Unit, with_unit};

/// Up to so many rows the product goes this way; beyond, each number of the matrix is used often enough for a product
/// that packs the matrix first.
pub const FEW: usize = 8;
/// Rows of the matrix that are added up at once: each running sum is loaded and stored once for all of them.
const TOGETHER: usize = 8;
/// Columns that are worked on at once, so that `TOGETHER` rows of them stay in the first cache for all rows of `x`.
const TILE: usize = 512;
/// Into so many parts a large product is cut, whatever the number of threads: the same input gives the same bits.
const PARTS: usize = 16;
/// Rows of `Wᵀ` that are multiplied at once.
pub(crate) const OUTPUTS: usize = 4;
/// Products with fewer numbers in the matrix are not worth waking a second thread.
const SMALL: usize = 1 << 17;

/// `y = x W`: `x` is `[rows, n_in]`, `w` is `[n_in, n_out]`, the result is `[rows, n_out]`.
///
/// Cut by rows of the matrix, so that each part reads one piece of memory from front to back; the parts' sums are added
/// in order.
pub(crate) fn multiply(x: &[f32], w: &[f32], n_in: usize, n_out: usize) -> Vec<f32> {
    let rows = x.len() / n_in;
    let part = |from: usize, to: usize| {
        let mut y = vec![0.0; rows * n_out];
        with_unit!(|unit| add_products(unit, x, &w[from * n_out..to * n_out], n_in, from, &mut y));
        y
    };
    if w.len() < SMALL {
        return part(0, n_in);
    }
    let step = n_in.div_ceil(PARTS).next_multiple_of(TOGETHER);
    let starts: Vec<usize> = (0..n_in).step_by(step).collect();
    total(starts.into_par_iter().map(|from| part(from, (from + step).min(n_in))).collect())
}

/// `y = x Wᵀ`: `x` is `[rows, n_in]`, `w` is `[n_out, n_in]`, the result is `[rows, n_out]`.
pub(crate) fn multiply_transposed(x: &[f32], w: &[f32], n_in: usize, n_out: usize) -> Vec<f32> {
    let rows = x.len() / n_in;
    // One part's results, `[outputs, rows]`.
    let part = |w: &[f32]| {
        let mut y = vec![0.0; w.len() / n_in * rows];
        // Loops, not `extend`: what that calls is compiled for any processor, and each product became a call.
        with_unit!(|unit| for (y, w) in y.chunks_mut(OUTPUTS * rows).zip(w.chunks(OUTPUTS * n_in)) {
            for (row, x) in x.chunks_exact(n_in).enumerate() {
                dots(unit, x, w, &mut y[row..], rows);
            }
        });
        y
    };
    let parts: Vec<Vec<f32>> =
        if w.len() < SMALL { vec![part(w)] } else { w.par_chunks(n_out.div_ceil(PARTS) * n_in).map(part).collect() };
    if rows == 1 {
        return parts.concat();
    }
    let mut y = vec![0.0; rows * n_out];
    for (out, values) in parts.iter().flat_map(|part| part.chunks_exact(rows)).enumerate() {
        values.iter().enumerate().for_each(|(row, value)| y[row * n_out + out] = *value);
    }
    y
}

/// A number of the matrix: f32, or a whole number that stands for one.
pub(crate) trait Weight: Copy + Into<f32> {
    /// The first sixteen as f32.
    fn load<U: Unit>(unit: U, from: &[Self]) -> U::Sixteen;
}

impl Weight for f32 {
    #[inline(always)]
    fn load<U: Unit>(unit: U, from: &[f32]) -> U::Sixteen {
        U::Sixteen::load(unit, from)
    }
}

impl Weight for i8 {
    #[inline(always)]
    fn load<U: Unit>(unit: U, from: &[i8]) -> U::Sixteen {
        let sixteen = from.first_chunk().expect("sixteen numbers");
        U::Sixteen::load(unit, &unit.widen(sixteen))
    }
}

/// The products of `x` with the rows of `w` `[outputs, n_in]`, at most [`OUTPUTS`] of them, into every `step`th place
/// of `y`.
#[inline(always)]
pub(crate) fn dots<U: Unit, W: Weight>(unit: U, x: &[f32], w: &[W], y: &mut [f32], step: usize) {
    if w.len() == OUTPUTS * x.len() {
        let found = dots_together(unit, x, w);
        return (0..OUTPUTS).for_each(|k| y[k * step] = found[k]);
    }
    for (k, w) in w.chunks_exact(x.len()).enumerate() {
        y[k * step] = dot(unit, x, w);
    }
}

/// [`dot`] of `x` with each of four rows, to the same bits. A sum waits for the one before it; four sums do not wait
/// for each other. (With lanes, because the compiler keeps so many sums of single numbers in memory.)
#[inline(always)]
fn dots_together<U: Unit, W: Weight>(unit: U, x: &[f32], w: &[W]) -> [f32; OUTPUTS] {
    let n_in = x.len();
    let whole = n_in / LANES * LANES;
    let mut rows = [&w[..0]; OUTPUTS];
    for (k, row) in rows.iter_mut().enumerate() {
        *row = &w[k * n_in..][..n_in];
    }
    let mut sums = [U::Sixteen::splat(unit, 0.0); OUTPUTS];
    for at in (0..whole).step_by(LANES) {
        let x = U::Sixteen::load(unit, &x[at..]);
        for (sum, row) in sums.iter_mut().zip(rows) {
            *sum = x.mul_add(W::load(unit, &row[at..]), *sum);
        }
    }
    let mut found = [0.0; OUTPUTS];
    for ((found, sum), row) in found.iter_mut().zip(sums).zip(rows) {
        let mut lanes = [0f32; LANES];
        sum.store(&mut lanes);
        for ((lane, x), w) in lanes.iter_mut().zip(&x[whole..]).zip(&row[whole..]) {
            *lane = mul_add(unit, *x, (*w).into(), *lane);
        }
        *found = fold_sum(lanes);
    }
    found
}

/// `Σ a_i b_i`.
#[inline(always)]
pub(crate) fn dot<U: Unit, W: Weight>(unit: U, a: &[f32], b: &[W]) -> f32 {
    sum2(
        a,
        b,
        #[inline(always)]
        |sum, a, b: W| mul_add(unit, a, b.into(), sum),
    )
}

/// Adds `x[:, from ..] W` to `y`, where `w` is the part of the matrix from row `from` on.
#[inline(always)]
fn add_products<U: Unit>(unit: U, x: &[f32], w: &[f32], n_in: usize, from: usize, y: &mut [f32]) {
    let n_out = y.len() / (x.len() / n_in);
    // For one row nothing is read twice: whole rows of the matrix, front to back, are read ahead best.
    let tile = if x.len() == n_in { n_out } else { TILE };
    for (i, w) in w.chunks(TOGETHER * n_out).enumerate() {
        let first = from + i * TOGETHER;
        for column in (0..n_out).step_by(tile) {
            let width = tile.min(n_out - column);
            for (x, y) in x.chunks_exact(n_in).zip(y.chunks_exact_mut(n_out)) {
                let y = &mut y[column..column + width];
                if w.len() == TOGETHER * n_out {
                    add_rows::<TOGETHER, U>(unit, &x[first..], &w[column..], n_out, y);
                } else {
                    for (x, w) in x[first..].iter().zip(w.chunks_exact(n_out)) {
                        add_rows::<1, U>(unit, &[*x], &w[column..], n_out, y);
                    }
                }
            }
        }
    }
}

/// `y += Σ_r x[r] · w[r, ..]` for `R` rows that are `stride` long.
#[inline(always)]
fn add_rows<const R: usize, U: Unit>(unit: U, x: &[f32], w: &[f32], stride: usize, y: &mut [f32]) {
    let n = y.len();
    let rows: [&[f32]; R] = std::array::from_fn(
        #[inline(always)]
        |r| &w[r * stride..][..n],
    );
    let x: [f32; R] = std::array::from_fn(
        #[inline(always)]
        |r| x[r],
    );
    for j in 0..n {
        let mut sum = y[j];
        for r in 0..R {
            sum = mul_add(unit, x[r], rows[r][j], sum);
        }
        y[j] = sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::on_every_unit;

    /// Small whole numbers, whose sums have no rounding.
    fn numbers(n: usize, modulus: usize) -> Vec<f32> {
        (0..n).map(|i| (i * 7 % modulus) as f32 - 5.0).collect()
    }

    #[test]
    fn a_product_by_hand() {
        let x = [1.0, 2.0, -1.0, 0.5];
        let w = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]; // [[1, 2, 3], [4, 5, 6]]
        assert_eq!(multiply(&x, &w, 2, 3), [9.0, 12.0, 15.0, 1.0, 0.5, 0.0]);
        assert_eq!(multiply_transposed(&x, &w, 2, 3), [5.0, 11.0, 17.0, 0.0, -1.0, -2.0]);
    }

    #[test]
    fn any_shape_gives_the_sums_of_products() {
        let large = [(1, 24, 1000), (3, 301, 515), (8, 512, 300)];
        let large = if cfg!(miri) { &[] } else { &large[..] };
        for &(rows, n_in, n_out) in [(1, 1, 1), (2, 7, 3), (3, 21, 17)].iter().chain(large) {
            let (x, w) = (numbers(rows * n_in, 11), numbers(n_in * n_out, 13));
            let entry = |at: usize, stride: (usize, usize)| {
                let (row, out) = (at / n_out, at % n_out);
                (0..n_in).map(|i| x[row * n_in + i] * w[i * stride.0 + out * stride.1]).sum::<f32>()
            };
            let expected = |stride| (0..rows * n_out).map(|at| entry(at, stride)).collect::<Vec<_>>();
            assert_eq!(multiply(&x, &w, n_in, n_out), expected((n_out, 1)), "{rows} {n_in} {n_out}");
            assert_eq!(multiply_transposed(&x, &w, n_in, n_out), expected((1, n_in)), "{rows} {n_in} {n_out}");
        }
    }

    #[test]
    fn four_sums_at_once_give_the_bits_of_one() {
        fn check<U: Unit, W: Weight>(unit: U, x: &[f32], w: &[W]) {
            let mut together = [0.0; OUTPUTS];
            dots(unit, x, w, &mut together, 1);
            let alone: Vec<f32> = w.chunks(x.len()).map(|w| dot(unit, x, w)).collect();
            assert_eq!(together.to_vec(), alone, "{} numbers with {unit:?}", x.len());
        }
        for n in [1, 16, 21] {
            let x: Vec<f32> = (0..n).map(|i| (i as f32 * 0.37).sin()).collect();
            let w: Vec<f32> = (0..OUTPUTS * n).map(|i| (i as f32 * 0.11).cos()).collect();
            let whole: Vec<i8> = (0..OUTPUTS * n).map(|i| (i * 37 % 255) as i8).collect();
            on_every_unit!(|unit| {
                check(unit, &x, &w);
                check(unit, &x, &whole);
            });
        }
    }

    #[test]
    fn a_row_gives_the_same_bits_alone_and_among_others() {
        let (n_in, n_out) = if cfg!(miri) { (18, 6) } else { (400, 500) };
        let x: Vec<f32> = (0..3 * n_in).map(|i| (i as f32 * 0.37).sin()).collect();
        let w: Vec<f32> = (0..n_in * n_out).map(|i| (i as f32 * 0.11).cos()).collect();
        for product in [multiply, multiply_transposed] {
            let together = product(&x, &w, n_in, n_out);
            let alone: Vec<f32> = x.chunks(n_in).flat_map(|x| product(x, &w, n_in, n_out)).collect();
            assert_eq!(together, alone);
        }
    }
}
