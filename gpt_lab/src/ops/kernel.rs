//! What the fast versions are built from: vector instructions where the machine has them, chunks for two threads or more,
//! `exp` and `erf` that vectorise, sums in a fixed order.
//!
//! The order of every sum depends on shapes only, never on the number of threads or on which of them was faster: the same
//! input gives the same bits.

use std::ops::Deref;

use candle_core::{CpuStorage, DType, Device, Layout, Storage, StorageRef, Tensor};
use rayon::prelude::*;

/// Numbers that one thread handles at a time, and how many there must be before a second thread is woken for them.
pub(super) const CHUNK: usize = 1 << 14;

/// Running sums kept side by side, so that a sum vectorises: two vectors of eight.
pub(super) const LANES: usize = 16;

/// Whether the fast version of an op applies to these tensors.
pub(super) fn fast(tensors: &[&Tensor]) -> bool {
    tensors.iter().all(|t| matches!(t.device(), Device::Cpu) && t.dtype() == DType::F32)
}

/// Runs `body` compiled for AVX2 and FMA, if this machine has them. `body` is told which, for [`mul_add`].
///
/// Everything in it has to be `#[inline(always)]`, and the closure too: only what is inlined is compiled for the wider vectors.
#[inline(always)]
pub(crate) fn vectorized<R>(body: impl FnOnce(bool) -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2,fma")]
        fn wide<R>(body: impl FnOnce(bool) -> R) -> R {
            body(true)
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: the machine was asked in the line above.
            return unsafe { wide(body) };
        }
    }
    body(cfg!(target_arch = "aarch64"))
}

/// `a · b + c`, in one instruction where there is one. (Without hardware, `f32::mul_add` is a slow library call.)
#[inline(always)]
pub(super) fn mul_add(fma: bool, a: f32, b: f32, c: f32) -> f32 {
    if fma { a.mul_add(b, c) } else { a * b + c }
}

/// 1.5 · 2²³: adding it rounds to an integer and leaves that in the low bits.
pub(super) const ROUND: f32 = 12_582_912.0;
/// ln 2 in two parts, so that `x − n ln 2` is exact enough.
pub(super) const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
/// Of `exp` near zero, highest power first.
pub(super) const EXP_SERIES: [f32; 8] =
    [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5, 1.0, 1.0];

/// `exp(x)` to 1 ulp; 0 below −87.3 (no denormal numbers), ∞ above 88.37, NaN for NaN.
///
/// `exp(x) = 2ⁿ exp(r)` with `n = round(x / ln 2)` and `|r| ≤ ½ ln 2`, where a polynomial does (coefficients: S. Moshier's Cephes).
#[inline(always)]
pub(super) fn exp(fma: bool, x: f32) -> f32 {
    let rounded = mul_add(fma, x, std::f32::consts::LOG2_E, ROUND);
    let n = rounded - ROUND;
    let r = mul_add(fma, n, -LN_2[1], mul_add(fma, n, -LN_2[0], x));
    let y = polynomial(fma, r, EXP_SERIES);
    let two_to_n = f32::from_bits((rounded.to_bits() << 23).wrapping_add(1f32.to_bits()));
    let y = y * two_to_n;
    let y = if x < -87.336_54 { 0.0 } else { y };
    if x > 88.376_26 { f32::INFINITY } else { y }
}

/// `erf(x)` to 2 ulp; polynomials of our own, fitted to `erf(x) / x` near zero and to `−log(1 − erf(x))` beyond.
#[inline(always)]
pub(super) fn erf(fma: bool, x: f32) -> f32 {
    const NEAR: [f32; 6] = [-5.953_739e-4, 4.985_94e-3, -2.676_172e-2, 0.112_816_825, -0.376_124_8, 0.128_379_15];
    const FAR: [f32; 7] =
        [-1.938_106_1e-4, 3.022_474_2e-3, -2.214_474_6e-2, 0.103_762_28, 0.637_373_8, 1.127_562_8, 2.227_810_5e-4];
    let near = mul_add(fma, x, polynomial(fma, x * x, NEAR), x);
    let size = x.abs().min(4.0); // 1 − erf(4) is below half an ulp of 1
    let far = (1.0 - exp(fma, -polynomial(fma, size, FAR))).copysign(x);
    let y = if x.abs() < 0.93 { near } else { far };
    if x.is_nan() { x } else { y }
}

/// Horner's rule, highest power first.
#[inline(always)]
fn polynomial<const N: usize>(fma: bool, x: f32, coefficients: [f32; N]) -> f32 {
    coefficients[1..].iter().fold(coefficients[0], |sum, c| mul_add(fma, sum, x, *c))
}

/// `Σ f(a_i, b_i)`, in sixteen interleaved sums that are added at the end.
#[inline(always)]
pub(super) fn sum2<B: Copy>(a: &[f32], b: &[B], f: impl Fn(f32, f32, B) -> f32) -> f32 {
    let mut lanes = [0f32; LANES];
    let (a_chunks, b_chunks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let (a_rest, b_rest) = (a_chunks.remainder(), b_chunks.remainder());
    for (a, b) in a_chunks.zip(b_chunks) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane = f(*lane, *a, *b);
        }
    }
    for ((lane, a), b) in lanes.iter_mut().zip(a_rest).zip(b_rest) {
        *lane = f(*lane, *a, *b);
    }
    fold_sum(lanes)
}

/// The sum of interleaved sums.
#[inline(always)]
pub(super) fn fold_sum(lanes: [f32; LANES]) -> f32 {
    fold(lanes, |a, b| a + b)
}

/// `Σ a_i`.
#[inline(always)]
pub(super) fn sum(a: &[f32]) -> f32 {
    sum2(a, a, |sum, a, _| sum + a)
}

/// The largest of all; −∞ for none. NaN is passed over.
#[inline(always)]
pub(super) fn max(a: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = a.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, a) in lanes.iter_mut().zip(chunk) {
            *lane = if *a > *lane { *a } else { *lane };
        }
    }
    for (lane, a) in lanes.iter_mut().zip(rest) {
        *lane = if *a > *lane { *a } else { *lane };
    }
    fold(lanes, |a, b| if b > a { b } else { a })
}

/// Halves the lanes until one is left.
#[inline(always)]
fn fold(lanes: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut eight = [0.0; 8];
    for i in 0..8 {
        eight[i] = f(lanes[i], lanes[i + 8]);
    }
    let mut four = [0.0; 4];
    for i in 0..4 {
        four[i] = f(eight[i], eight[i + 4]);
    }
    f(f(four[0], four[2]), f(four[1], four[3]))
}

/// Cuts `out` into chunks of whole rows and runs `body(first_row, chunk)` on each, on several threads if there are several.
pub(super) fn for_rows(out: &mut [f32], width: usize, body: impl Fn(usize, &mut [f32]) + Sync) {
    let rows = rows_per_chunk(width);
    if out.len() <= rows * width {
        return body(0, out);
    }
    out.par_chunks_mut(rows * width).enumerate().for_each(|(i, chunk)| body(i * rows, chunk));
}

/// How many rows of this width make a chunk.
pub(super) fn rows_per_chunk(width: usize) -> usize {
    (CHUNK / width.max(1)).max(1)
}

/// `Σ over rows`, for `n` accumulators at once: `body(rows, sums)` adds its rows to `sums` (of length `n`), chunk by chunk; the
/// chunks' sums are added in their order.
pub(super) fn sum_rows(
    rows: usize,
    width: usize,
    n: usize,
    body: impl Fn(std::ops::Range<usize>, &mut [f32]) + Sync,
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
    let parts: Vec<Vec<f32>> = (0..chunks).into_par_iter().map(part).collect();
    let mut parts = parts.into_iter();
    let mut total = parts.next().unwrap_or_else(|| vec![0.0; n]);
    for part in parts {
        total.iter_mut().zip(part).for_each(|(total, part)| *total += part);
    }
    total
}

/// The numbers of a contiguous f32 tensor on the CPU.
pub(super) struct Values<'a> {
    storage: StorageRef<'a>,
    from: usize,
    to: usize,
}

impl<'a> Values<'a> {
    pub(super) fn of(tensor: &'a Tensor) -> candle_core::Result<Self> {
        let (storage, layout) = tensor.storage_and_layout();
        let Some((from, to)) = layout.contiguous_offsets() else {
            candle_core::bail!("a contiguous tensor is needed here, found strides {:?}", layout.stride())
        };
        match &*storage {
            Storage::Cpu(CpuStorage::F32(_)) => Ok(Values { storage, from, to }),
            _ => candle_core::bail!("an f32 tensor on the CPU is needed here"),
        }
    }
}

impl Deref for Values<'_> {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(values)) => &values[self.from..self.to],
            _ => unreachable!("checked when it was made"),
        }
    }
}

/// The numbers of an argument of a custom op, which must be contiguous f32.
pub(super) fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<&'a [f32]> {
    let Some((from, to)) = layout.contiguous_offsets() else {
        candle_core::bail!("a contiguous tensor is needed here, found strides {:?}", layout.stride())
    };
    Ok(&storage.as_slice::<f32>()?[from..to])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The distance between neighbouring f32 numbers at `y`.
    fn ulp(y: f64) -> f64 {
        let y = (y.abs() as f32).max(f32::MIN_POSITIVE);
        f64::from(f32::from_bits(y.to_bits() + 1)) - f64::from(y)
    }

    fn worst(from: f32, to: f32, f: impl Fn(bool, f32) -> f32, exact: impl Fn(f64) -> f64) -> f64 {
        let steps = 200_003;
        let at = |i: i32| from + (to - from) * i as f32 / steps as f32;
        let error = |x: f32, fma| ((f64::from(f(fma, x)) - exact(x.into())) / ulp(exact(x.into()))).abs();
        (0..=steps).flat_map(|i| [error(at(i), false), error(at(i), true)]).fold(0.0, f64::max)
    }

    #[test]
    fn exp_and_erf_are_right_to_the_last_digits() {
        let exp_error = worst(-87.33, 88.37, exp, f64::exp);
        assert!(exp_error < 1.5, "exp: {exp_error} ulp");
        let erf_error = worst(-5.0, 5.0, erf, candle_core::cpu::erf::erf_f64);
        assert!(erf_error < 2.0, "erf: {erf_error} ulp");
    }

    #[test]
    fn exp_and_erf_at_the_edges() {
        for fma in [false, true] {
            let exp = |x| exp(fma, x);
            assert_eq!([exp(0.0), exp(-88.0), exp(-1e30), exp(f32::NEG_INFINITY)], [1.0, 0.0, 0.0, 0.0]);
            assert_eq!([exp(89.0), exp(1e30), exp(f32::INFINITY)], [f32::INFINITY; 3]);
            let erf = |x| erf(fma, x);
            assert_eq!([erf(0.0), erf(9.0), erf(-9.0), erf(f32::NEG_INFINITY)], [0.0, 1.0, -1.0, -1.0]);
            assert!(exp(f32::NAN).is_nan() && erf(f32::NAN).is_nan());
        }
    }

    #[test]
    fn sums_and_maxima_of_any_length() {
        for n in [0, 1, 7, 16, 33, 65] {
            let a: Vec<f32> = (0..n).map(|i| (i * 7 % 11) as f32 - 5.0).collect();
            assert_eq!(sum(&a), a.iter().sum::<f32>());
            assert_eq!(max(&a), a.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        }
    }

    #[test]
    fn rows_are_summed_alike_in_any_number_of_chunks() {
        let ones = |rows: std::ops::Range<usize>, sums: &mut [f32]| sums[0] += rows.len() as f32;
        for rows in [0, 1, 1000, 100_003] {
            assert_eq!(sum_rows(rows, 3, 1, ones), [rows as f32]);
        }
    }
}
