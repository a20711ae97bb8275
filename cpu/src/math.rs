//! `exp` and `erf` that vectorise, and sums in a fixed order.
//!
//! The order of every sum depends on lengths only: the same input gives the same bits on every unit (but for the
//! rounding of products, see [`simd`](crate::simd)).

use crate::simd::{Lanes, Unit};

/// Running sums kept side by side, so that a sum vectorises.
pub(crate) const LANES: usize = 16;

/// `a · b + c`, in one instruction where there is one. (Without hardware, `f32::mul_add` is a slow library call.)
#[inline(always)]
pub(crate) fn mul_add<U: Unit>(_: U, a: f32, b: f32, c: f32) -> f32 {
    if U::IS_SCALAR { a * b + c } else { a.mul_add(b, c) }
}

/// 1.5 · 2²³: adding it rounds to an integer and leaves that in the low bits.
pub(crate) const ROUND: f32 = 12_582_912.0;
/// ln 2 in two parts, so that `x − n ln 2` is exact enough.
pub(crate) const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
/// Of `exp` near zero, highest power first.
pub(crate) const EXP_SERIES: [f32; 8] =
    [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5, 1.0, 1.0];

/// `exp(x)` to 1 ulp; 0 below −87.3 (no denormal numbers), ∞ above 88.37, NaN for NaN.
///
/// `exp(x) = 2ⁿ exp(r)` with `n = round(x / ln 2)` and `|r| ≤ ½ ln 2`, where a polynomial does (coefficients: S.
/// Moshier's Cephes).
#[inline(always)]
pub(crate) fn exp(unit: impl Unit, x: f32) -> f32 {
    let rounded = mul_add(unit, x, std::f32::consts::LOG2_E, ROUND);
    let n = rounded - ROUND;
    let r = mul_add(unit, n, -LN_2[1], mul_add(unit, n, -LN_2[0], x));
    let y = polynomial(unit, r, EXP_SERIES);
    let two_to_n = f32::from_bits((rounded.to_bits() << 23).wrapping_add(1f32.to_bits()));
    let y = y * two_to_n;
    let y = if x < -87.336_54 { 0.0 } else { y };
    if x > 88.376_26 { f32::INFINITY } else { y }
}

/// [`exp`] of many numbers `x ≤ 0`.
#[inline(always)]
pub(crate) fn exp_lanes<V: Lanes>(unit: V::Unit, x: V) -> V {
    let rounded = x.mul_add(V::splat(unit, std::f32::consts::LOG2_E), V::splat(unit, ROUND));
    let n = rounded.sub(V::splat(unit, ROUND));
    let r = n.mul_add(V::splat(unit, -LN_2[1]), n.mul_add(V::splat(unit, -LN_2[0]), x));
    let mut y = V::splat(unit, EXP_SERIES[0]);
    for c in &EXP_SERIES[1..] {
        y = y.mul_add(r, V::splat(unit, *c));
    }
    y.mul(rounded.power_of_two()).zero_where_below(x, V::splat(unit, -87.336_54))
}

/// `erf(x)` to 2 ulp; polynomials of our own, fitted to `erf(x) / x` near zero and to `−log(1 − erf(x))` beyond.
#[inline(always)]
pub(crate) fn erf(unit: impl Unit, x: f32) -> f32 {
    const NEAR: [f32; 6] = [-5.953_739e-4, 4.985_94e-3, -2.676_172e-2, 0.112_816_825, -0.376_124_8, 0.128_379_15];
    const FAR: [f32; 7] =
        [-1.938_106_1e-4, 3.022_474_2e-3, -2.214_474_6e-2, 0.103_762_28, 0.637_373_8, 1.127_562_8, 2.227_810_5e-4];
    let near = mul_add(unit, x, polynomial(unit, x * x, NEAR), x);
    let size = x.abs().min(4.0); // 1 − erf(4) is below half an ulp of 1
    let far = (1.0 - exp(unit, -polynomial(unit, size, FAR))).copysign(x);
    let y = if x.abs() < 0.93 { near } else { far };
    if x.is_nan() { x } else { y }
}

/// Horner's rule, highest power first.
#[inline(always)]
fn polynomial<const N: usize>(unit: impl Unit, x: f32, coefficients: [f32; N]) -> f32 {
    coefficients[1..].iter().fold(coefficients[0], |sum, c| mul_add(unit, sum, x, *c))
}

/// `Σ f(a_i, b_i)`, in sixteen interleaved sums that are added at the end.
#[inline(always)]
pub(crate) fn sum2<B: Copy>(a: &[f32], b: &[B], f: impl Fn(f32, f32, B) -> f32) -> f32 {
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
pub(crate) fn fold_sum(lanes: [f32; LANES]) -> f32 {
    fold(lanes, |a, b| a + b)
}

/// `Σ a_i`.
#[inline(always)]
pub(crate) fn sum(a: &[f32]) -> f32 {
    sum2(a, a, |sum, a, _| sum + a)
}

/// The largest of all; −∞ for none. NaN is passed over.
#[inline(always)]
pub(crate) fn max(a: &[f32]) -> f32 {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::on_every_unit;

    /// The distance between neighbouring f32 numbers at `y`.
    fn ulp(y: f64) -> f64 {
        let y = (y.abs() as f32).max(f32::MIN_POSITIVE);
        f64::from(f32::from_bits(y.to_bits() + 1)) - f64::from(y)
    }

    /// The largest error of `f` at points evenly spread, in ulp.
    fn worst(from: f32, to: f32, f: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64) -> f64 {
        let steps = if cfg!(miri) { 203 } else { 200_003 };
        let at = |i: i32| from + (to - from) * i as f32 / steps as f32;
        let error = |x: f32| ((f64::from(f(x)) - exact(x.into())) / ulp(exact(x.into()))).abs();
        (0..=steps).map(|i| error(at(i))).fold(0.0, f64::max)
    }

    #[test]
    fn exp_and_erf_are_right_to_the_last_digits() {
        on_every_unit!(|unit| {
            let exp_error = worst(-87.33, 88.37, |x| exp(unit, x), f64::exp);
            assert!(exp_error < 1.5, "exp with {unit:?}: {exp_error} ulp");
            let erf_error = worst(-5.0, 5.0, |x| erf(unit, x), libm::erf);
            assert!(erf_error < 2.0, "erf with {unit:?}: {erf_error} ulp");
        });
    }

    #[test]
    fn exp_and_erf_at_the_edges() {
        on_every_unit!(|unit| {
            let exp = |x| exp(unit, x);
            assert_eq!([exp(0.0), exp(-88.0), exp(-1e30), exp(f32::NEG_INFINITY)], [1.0, 0.0, 0.0, 0.0]);
            assert_eq!([exp(89.0), exp(1e30), exp(f32::INFINITY)], [f32::INFINITY; 3]);
            let erf = |x| erf(unit, x);
            assert_eq!([erf(0.0), erf(9.0), erf(-9.0), erf(f32::NEG_INFINITY)], [0.0, 1.0, -1.0, -1.0]);
            assert!(exp(f32::NAN).is_nan() && erf(f32::NAN).is_nan());
        });
    }

    /// The numbers of [`exp_lanes`] in lanes of this type.
    fn in_lanes<V: Lanes>(unit: V::Unit, points: &[f32]) -> Vec<f32> {
        let mut y = points.to_vec();
        y.chunks_exact_mut(V::WIDTH).for_each(|x| exp_lanes(unit, V::load(unit, x)).store(x));
        y
    }

    #[test]
    fn lanes_give_the_bits_of_single_numbers() {
        fn check<U: Unit>(unit: U) {
            let mut points: Vec<f32> = (0..1600).map(|i| -(i as f32) / 16.0).collect();
            points[7] = f32::NEG_INFINITY;
            let single: Vec<f32> = points.iter().map(|x| exp(unit, *x)).collect();
            assert_eq!(in_lanes::<U::Sixteen>(unit, &points), single, "sixteen with {unit:?}");
            assert_eq!(in_lanes::<U::Eight>(unit.half(), &points), single, "eight with {unit:?}");
            assert!(in_lanes::<U::Sixteen>(unit, &[f32::NAN; 16]).iter().all(|y| y.is_nan()));
        }
        on_every_unit!(|unit| check(unit));
    }

    #[test]
    fn sums_and_maxima_of_any_length() {
        for n in [0, 1, 7, 16, 33, 65] {
            let a: Vec<f32> = (0..n).map(|i| (i * 7 % 11) as f32 - 5.0).collect();
            assert_eq!(sum(&a), a.iter().sum::<f32>());
            assert_eq!(max(&a), a.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        }
    }
}
