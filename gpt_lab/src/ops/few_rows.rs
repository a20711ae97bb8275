//! Products of a few rows with a large matrix, as generation needs them: each number of the matrix is read once and used once
//! for each row, so that the speed of memory decides. (A matrix product made for many rows first copies the matrix into an
//! order of its own, which for one row costs more than the product.)

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64 as x86;

use rayon::prelude::*;

use super::kernel::{LANES, fold_sum, mul_add, sum2, vectorized};

/// Up to so many rows the product goes this way; beyond, each number of the matrix is used often enough for candle's.
pub(crate) const FEW: usize = 8;
/// Rows of the matrix that are added up at once: each running sum is loaded and stored once for all of them.
const TOGETHER: usize = 8;
/// Columns that are worked on at once, so that `TOGETHER` rows of them stay in the first cache for all rows of `x`.
const TILE: usize = 512;
/// Into so many parts a large product is cut, whatever the number of threads: the same input gives the same bits.
const PARTS: usize = 16;
/// Rows of `Wᵀ` that are multiplied at once.
pub(super) const OUTPUTS: usize = 4;
/// Products with fewer numbers in the matrix are not worth waking a second thread.
const SMALL: usize = 1 << 17;

/// `y = x W`: `x` is `[rows, n_in]`, `w` is `[n_in, n_out]`, the result is `[rows, n_out]`.
///
/// Cut by rows of the matrix, so that each part reads one piece of memory from front to back; the parts' sums are added in order.
pub(super) fn multiply(x: &[f32], w: &[f32], n_in: usize, n_out: usize) -> Vec<f32> {
    let rows = x.len() / n_in;
    let part = |from: usize, to: usize| {
        let mut y = vec![0.0; rows * n_out];
        vectorized(
            #[inline(always)]
            |fma| add_products(fma, x, &w[from * n_out..to * n_out], n_in, from, &mut y),
        );
        y
    };
    if w.len() < SMALL {
        return part(0, n_in);
    }
    let step = n_in.div_ceil(PARTS).next_multiple_of(TOGETHER);
    let starts: Vec<usize> = (0..n_in).step_by(step).collect();
    let parts: Vec<Vec<f32>> = starts.into_par_iter().map(|from| part(from, (from + step).min(n_in))).collect();
    let mut parts = parts.into_iter();
    let mut y = parts.next().unwrap_or_default();
    for part in parts {
        y.iter_mut().zip(part).for_each(|(y, part)| *y += part);
    }
    y
}

/// `y = x Wᵀ`: `x` is `[rows, n_in]`, `w` is `[n_out, n_in]`, the result is `[rows, n_out]`.
pub(super) fn multiply_transposed(x: &[f32], w: &[f32], n_in: usize, n_out: usize) -> Vec<f32> {
    let rows = x.len() / n_in;
    // One part's results, `[outputs, rows]`.
    let part = |w: &[f32]| {
        let mut y = vec![0.0; w.len() / n_in * rows];
        // Loops, not `extend`: what that calls is compiled for any processor, and each product became a call.
        vectorized(
            #[inline(always)]
            |fma| {
                for (y, w) in y.chunks_mut(OUTPUTS * rows).zip(w.chunks(OUTPUTS * n_in)) {
                    for (row, x) in x.chunks_exact(n_in).enumerate() {
                        dots(fma, x, w, &mut y[row..], rows);
                    }
                }
            },
        );
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
pub(super) trait Weight: Copy + Into<f32> {
    /// Eight of them as f32.
    ///
    /// # Safety
    /// There are eight from `first` on.
    #[cfg(target_arch = "x86_64")]
    unsafe fn eight(first: *const Self) -> x86::__m256;
}

impl Weight for f32 {
    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn eight(first: *const f32) -> x86::__m256 {
        // SAFETY: as the trait demands.
        unsafe { x86::_mm256_loadu_ps(first) }
    }
}

impl Weight for i8 {
    #[cfg(target_arch = "x86_64")]
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn eight(first: *const i8) -> x86::__m256 {
        // SAFETY: as the trait demands.
        let bytes = unsafe { x86::_mm_loadl_epi64(first.cast()) };
        x86::_mm256_cvtepi32_ps(x86::_mm256_cvtepi8_epi32(bytes))
    }
}

/// The products of `x` with the rows of `w` `[outputs, n_in]`, at most [`OUTPUTS`] of them, into every `step`th place of `y`.
#[inline(always)]
pub(super) fn dots<W: Weight>(fma: bool, x: &[f32], w: &[W], y: &mut [f32], step: usize) {
    #[cfg(target_arch = "x86_64")]
    if fma && w.len() == OUTPUTS * x.len() {
        // SAFETY: `fma` says that this machine has AVX2 and FMA.
        let found = unsafe { dots_together(x, w) };
        return (0..OUTPUTS).for_each(|k| y[k * step] = found[k]);
    }
    for (k, w) in w.chunks_exact(x.len()).enumerate() {
        y[k * step] = dot(fma, x, w);
    }
}

/// [`dot`] of `x` with each of four rows, to the same bits. A sum waits for the one before it; four sums do not wait for each other.
/// (Written by hand because the compiler keeps so many sums in memory.)
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn dots_together<W: Weight>(x: &[f32], w: &[W]) -> [f32; OUTPUTS] {
    let n_in = x.len();
    let whole = n_in / LANES * LANES;
    let mut sums = [[x86::_mm256_setzero_ps(); 2]; OUTPUTS];
    for at in (0..whole).step_by(LANES) {
        for half in 0..2 {
            let at = at + half * LANES / 2;
            // SAFETY: `x` and each of the rows of `w` have eight numbers from `at` on.
            unsafe {
                let x = x86::_mm256_loadu_ps(x.as_ptr().add(at));
                for (k, sums) in sums.iter_mut().enumerate() {
                    sums[half] = x86::_mm256_fmadd_ps(x, W::eight(w.as_ptr().add(k * n_in + at)), sums[half]);
                }
            }
        }
    }
    let mut found = [0.0; OUTPUTS];
    for ((found, sums), w) in found.iter_mut().zip(sums).zip(w.chunks_exact(n_in)) {
        let mut lanes = [0f32; LANES];
        // SAFETY: there are two times eight lanes.
        unsafe {
            x86::_mm256_storeu_ps(lanes.as_mut_ptr(), sums[0]);
            x86::_mm256_storeu_ps(lanes.as_mut_ptr().add(LANES / 2), sums[1]);
        }
        for ((lane, x), w) in lanes.iter_mut().zip(&x[whole..]).zip(&w[whole..]) {
            *lane = x.mul_add((*w).into(), *lane);
        }
        *found = fold_sum(lanes);
    }
    found
}

/// `Σ a_i b_i`.
#[inline(always)]
pub(super) fn dot<W: Weight>(fma: bool, a: &[f32], b: &[W]) -> f32 {
    sum2(
        a,
        b,
        #[inline(always)]
        |sum, a, b: W| mul_add(fma, a, b.into(), sum),
    )
}

/// Adds `x[:, from ..] W` to `y`, where `w` is the part of the matrix from row `from` on.
#[inline(always)]
fn add_products(fma: bool, x: &[f32], w: &[f32], n_in: usize, from: usize, y: &mut [f32]) {
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
                    add_rows::<TOGETHER>(fma, &x[first..], &w[column..], n_out, y);
                } else {
                    for (x, w) in x[first..].iter().zip(w.chunks_exact(n_out)) {
                        add_rows::<1>(fma, &[*x], &w[column..], n_out, y);
                    }
                }
            }
        }
    }
}

/// `y += Σ_r x[r] · w[r, ..]` for `R` rows that are `stride` long.
#[inline(always)]
fn add_rows<const R: usize>(fma: bool, x: &[f32], w: &[f32], stride: usize, y: &mut [f32]) {
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
            sum = mul_add(fma, x[r], rows[r][j], sum);
        }
        y[j] = sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        for (rows, n_in, n_out) in [(1, 1, 1), (2, 7, 3), (1, 24, 1000), (3, 301, 515), (8, 512, 300)] {
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
    fn a_row_gives_the_same_bits_alone_and_among_others() {
        let (n_in, n_out) = (400, 500);
        let x: Vec<f32> = (0..3 * n_in).map(|i| (i as f32 * 0.37).sin()).collect();
        let w: Vec<f32> = (0..n_in * n_out).map(|i| (i as f32 * 0.11).cos()).collect();
        for product in [multiply, multiply_transposed] {
            let together = product(&x, &w, n_in, n_out);
            let alone: Vec<f32> = x.chunks(n_in).flat_map(|x| product(x, &w, n_in, n_out)).collect();
            assert_eq!(together, alone);
        }
    }
}
