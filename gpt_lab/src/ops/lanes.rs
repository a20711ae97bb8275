//! Eight or sixteen numbers side by side in registers, for the inner loops in which the compiler, left to itself, keeps them in memory.
//!
//! A lane never sees its neighbours, so that a result does not depend on how wide a machine's registers are. (It does depend on whether
//! a product is rounded before something is added to it: machines without AVX2 do that.)

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64 as x86;

use super::kernel::{EXP_SERIES, LN_2, ROUND, mul_add};

/// `WIDTH` f32 numbers.
pub(super) trait Lanes: Copy {
    const WIDTH: usize;
    /// How many sums of this type fit in the registers, beside what they are made from, and are enough not to wait for each other.
    const SUMS: usize;

    fn splat(x: f32) -> Self;
    /// # Safety
    /// `from` is valid for reading `WIDTH` numbers.
    unsafe fn read(from: *const f32) -> Self;
    /// # Safety
    /// `to` is valid for writing `WIDTH` numbers.
    unsafe fn write(self, to: *mut f32);
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;
    fn max(self, other: Self) -> Self;
    /// `self · b + c`.
    fn mul_add(self, b: Self, c: Self) -> Self;
    /// The bits of `self` shifted to where the exponent is, plus those of 1: `2ⁿ` for [`ROUND`] ` + n`, nonsense for NaN.
    fn power_of_two(self) -> Self;
    /// 0 where `x < limit`, `self` elsewhere, also where `x` is NaN.
    fn zero_where_below(self, x: Self, limit: Self) -> Self;

    #[inline(always)]
    fn load(from: &[f32]) -> Self {
        assert!(from.len() >= Self::WIDTH);
        // SAFETY: as was just checked.
        unsafe { Self::read(from.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, to: &mut [f32]) {
        assert!(to.len() >= Self::WIDTH);
        // SAFETY: as was just checked.
        unsafe { self.write(to.as_mut_ptr()) }
    }
}

/// `exp(x)` for `x ≤ 0`, as [`kernel::exp`](super::kernel::exp) computes it.
#[inline(always)]
pub(super) fn exp<V: Lanes>(x: V) -> V {
    let rounded = x.mul_add(V::splat(std::f32::consts::LOG2_E), V::splat(ROUND));
    let n = rounded.sub(V::splat(ROUND));
    let r = n.mul_add(V::splat(-LN_2[1]), n.mul_add(V::splat(-LN_2[0]), x));
    let mut y = V::splat(EXP_SERIES[0]);
    for c in &EXP_SERIES[1..] {
        y = y.mul_add(r, V::splat(*c));
    }
    y.mul(rounded.power_of_two()).zero_where_below(x, V::splat(-87.336_54))
}

/// `out[r, ..W] (+)= Σ_k a[r, k] · b[k, ..W]` for `R` rows `r`, `W` being the width of the lanes.
#[derive(Clone, Copy)]
pub(super) struct Tile<'a> {
    pub(super) a: &'a [f32],
    /// From row to row and from column to column of `a`.
    pub(super) a_strides: [usize; 2],
    pub(super) b: &'a [f32],
    /// From row to row of `b`.
    pub(super) b_row: usize,
    /// How many columns of `a` and rows of `b` there are.
    pub(super) inner: usize,
}

impl Tile<'_> {
    /// Row `r` of the result goes to, or with `ADD` is added to, `out[r · out_row ..]`.
    #[inline(always)]
    pub(super) fn product<V: Lanes, const R: usize, const ADD: bool>(self, out: &mut [f32], out_row: usize) {
        let Tile { a, a_strides: [row, column], b, b_row, inner } = self;
        let last = inner.checked_sub(1).expect("something to add up");
        assert!(a.len() > (R - 1) * row + last * column, "size of the left matrix");
        assert!(b.len() >= last * b_row + V::WIDTH, "size of the right matrix");
        assert!(out.len() >= (R - 1) * out_row + V::WIDTH, "size of the result");
        let mut sums = [V::splat(0.0); R];
        // SAFETY: the three assertions.
        unsafe {
            if ADD {
                for (r, sum) in sums.iter_mut().enumerate() {
                    *sum = V::read(out.as_ptr().add(r * out_row));
                }
            }
            for k in 0..inner {
                let b = V::read(b.as_ptr().add(k * b_row));
                for (r, sum) in sums.iter_mut().enumerate() {
                    *sum = V::splat(*a.as_ptr().add(r * row + k * column)).mul_add(b, *sum);
                }
            }
            for (r, sum) in sums.into_iter().enumerate() {
                sum.write(out.as_mut_ptr().add(r * out_row));
            }
        }
    }

    /// [`Tile::product`] for any number of rows that is a multiple of eight.
    #[inline(always)]
    pub(super) fn rows<V: Lanes, const ADD: bool>(self, rows: usize, out: &mut [f32], out_row: usize) {
        for first in (0..rows).step_by(V::SUMS) {
            let tile = Tile { a: &self.a[first * self.a_strides[0]..], ..self };
            let out = &mut out[first * out_row..];
            match V::SUMS {
                8 => tile.product::<V, 8, ADD>(out, out_row),
                _ => tile.product::<V, 4, ADD>(out, out_row),
            }
        }
    }
}

/// What a machine has: lanes for sixteen numbers and for eight.
pub(super) trait Machine {
    type Sixteen: Lanes;
    type Eight: Lanes;
}

/// Work written for any [`Machine`]. `run` has to be `#[inline(always)]`, and all that it calls.
pub(super) trait Work {
    fn run<M: Machine>(self);
}

/// Does the work with the widest registers that this machine has.
#[inline]
pub(super) fn with_lanes(work: impl Work) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx2,fma")]
        fn avx512(work: impl Work) {
            work.run::<Avx512>();
        }
        #[target_feature(enable = "avx2,fma")]
        fn avx2(work: impl Work) {
            work.run::<Avx2>();
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: the machine was asked.
            return match is_x86_feature_detected!("avx512f") {
                true => unsafe { avx512(work) },
                false => unsafe { avx2(work) },
            };
        }
    }
    work.run::<Plain>();
}

/// No more than what every machine has.
struct Plain;

impl Machine for Plain {
    type Sixteen = [f32; 16];
    type Eight = [f32; 8];
}

#[inline(always)]
fn map<const N: usize>(a: [f32; N], b: [f32; N], f: impl Fn(f32, f32) -> f32) -> [f32; N] {
    std::array::from_fn(|i| f(a[i], b[i]))
}

impl<const N: usize> Lanes for [f32; N] {
    const WIDTH: usize = N;
    const SUMS: usize = 4;

    #[inline(always)]
    fn splat(x: f32) -> Self {
        [x; N]
    }

    #[inline(always)]
    unsafe fn read(from: *const f32) -> Self {
        // SAFETY: as the trait demands; an array of f32 is aligned as an f32.
        unsafe { *from.cast() }
    }

    #[inline(always)]
    unsafe fn write(self, to: *mut f32) {
        // SAFETY: as above.
        unsafe { *to.cast() = self }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        map(self, other, |a, b| a + b)
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        map(self, other, |a, b| a - b)
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        map(self, other, |a, b| a * b)
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        map(self, other, |a, b| a / b)
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        map(self, other, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        std::array::from_fn(|i| mul_add(cfg!(target_arch = "aarch64"), self[i], b[i], c[i]))
    }

    #[inline(always)]
    fn power_of_two(self) -> Self {
        self.map(|x| f32::from_bits((x.to_bits() << 23).wrapping_add(1f32.to_bits())))
    }

    #[inline(always)]
    fn zero_where_below(self, x: Self, limit: Self) -> Self {
        std::array::from_fn(|i| if x[i] < limit[i] { 0.0 } else { self[i] })
    }
}

/// AVX-512. What follows may be used on a machine only that has it, and AVX2 and FMA, as [`with_lanes`] asks: that is what makes these
/// instructions safe to call here.
#[cfg(target_arch = "x86_64")]
struct Avx512;

#[cfg(target_arch = "x86_64")]
impl Machine for Avx512 {
    type Sixteen = x86::__m512;
    type Eight = x86::__m256;
}

/// AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
struct Avx2;

#[cfg(target_arch = "x86_64")]
impl Machine for Avx2 {
    type Sixteen = Two;
    type Eight = x86::__m256;
}

#[cfg(target_arch = "x86_64")]
impl Lanes for x86::__m512 {
    const WIDTH: usize = 16;
    const SUMS: usize = 8;

    #[inline(always)]
    fn splat(x: f32) -> Self {
        unsafe { x86::_mm512_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn read(from: *const f32) -> Self {
        unsafe { x86::_mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn write(self, to: *mut f32) {
        unsafe { x86::_mm512_storeu_ps(to, self) }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        unsafe { x86::_mm512_add_ps(self, other) }
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        unsafe { x86::_mm512_sub_ps(self, other) }
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        unsafe { x86::_mm512_mul_ps(self, other) }
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        unsafe { x86::_mm512_div_ps(self, other) }
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        unsafe { x86::_mm512_max_ps(self, other) }
    }

    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        unsafe { x86::_mm512_fmadd_ps(self, b, c) }
    }

    #[inline(always)]
    fn power_of_two(self) -> Self {
        unsafe {
            let shifted = x86::_mm512_slli_epi32::<23>(x86::_mm512_castps_si512(self));
            let one = x86::_mm512_set1_epi32(1f32.to_bits() as i32);
            x86::_mm512_castsi512_ps(x86::_mm512_add_epi32(shifted, one))
        }
    }

    #[inline(always)]
    fn zero_where_below(self, x: Self, limit: Self) -> Self {
        unsafe { x86::_mm512_maskz_mov_ps(x86::_mm512_cmp_ps_mask::<{ x86::_CMP_NLT_UQ }>(x, limit), self) }
    }
}

#[cfg(target_arch = "x86_64")]
impl Lanes for x86::__m256 {
    const WIDTH: usize = 8;
    const SUMS: usize = 8;

    #[inline(always)]
    fn splat(x: f32) -> Self {
        unsafe { x86::_mm256_set1_ps(x) }
    }

    #[inline(always)]
    unsafe fn read(from: *const f32) -> Self {
        unsafe { x86::_mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn write(self, to: *mut f32) {
        unsafe { x86::_mm256_storeu_ps(to, self) }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        unsafe { x86::_mm256_add_ps(self, other) }
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        unsafe { x86::_mm256_sub_ps(self, other) }
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        unsafe { x86::_mm256_mul_ps(self, other) }
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        unsafe { x86::_mm256_div_ps(self, other) }
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        unsafe { x86::_mm256_max_ps(self, other) }
    }

    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        unsafe { x86::_mm256_fmadd_ps(self, b, c) }
    }

    #[inline(always)]
    fn power_of_two(self) -> Self {
        unsafe {
            let shifted = x86::_mm256_slli_epi32::<23>(x86::_mm256_castps_si256(self));
            let one = x86::_mm256_set1_epi32(1f32.to_bits() as i32);
            x86::_mm256_castsi256_ps(x86::_mm256_add_epi32(shifted, one))
        }
    }

    #[inline(always)]
    fn zero_where_below(self, x: Self, limit: Self) -> Self {
        unsafe { x86::_mm256_and_ps(x86::_mm256_cmp_ps::<{ x86::_CMP_NLT_UQ }>(x, limit), self) }
    }
}

/// Sixteen numbers in two registers of eight.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
struct Two(x86::__m256, x86::__m256);

#[cfg(target_arch = "x86_64")]
impl Lanes for Two {
    const WIDTH: usize = 16;
    const SUMS: usize = 4;

    #[inline(always)]
    fn splat(x: f32) -> Self {
        Two(Lanes::splat(x), Lanes::splat(x))
    }

    #[inline(always)]
    unsafe fn read(from: *const f32) -> Self {
        unsafe { Two(Lanes::read(from), Lanes::read(from.add(8))) }
    }

    #[inline(always)]
    unsafe fn write(self, to: *mut f32) {
        unsafe {
            self.0.write(to);
            self.1.write(to.add(8));
        }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Two(self.0.add(other.0), self.1.add(other.1))
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Two(self.0.sub(other.0), self.1.sub(other.1))
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Two(self.0.mul(other.0), self.1.mul(other.1))
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        Two(self.0.div(other.0), self.1.div(other.1))
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        Two(Lanes::max(self.0, other.0), Lanes::max(self.1, other.1))
    }

    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        Two(self.0.mul_add(b.0, c.0), self.1.mul_add(b.1, c.1))
    }

    #[inline(always)]
    fn power_of_two(self) -> Self {
        Two(self.0.power_of_two(), self.1.power_of_two())
    }

    #[inline(always)]
    fn zero_where_below(self, x: Self, limit: Self) -> Self {
        Two(self.0.zero_where_below(x.0, limit.0), self.1.zero_where_below(x.1, limit.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: usize = 8;
    const WIDTH: usize = 24;
    const INNER: usize = 5;
    const POINTS: usize = 1600;

    fn a(at: usize) -> f32 {
        (at * 7 % 11) as f32 - 5.0
    }

    fn b(at: usize) -> f32 {
        (at * 5 % 13) as f32 - 6.0
    }

    /// `[ROWS, WIDTH]`, a product in the first sixteen columns and one added to 1 in the last eight; then `exp` of some numbers.
    struct Sample<'a>(&'a mut Vec<f32>);

    impl Work for Sample<'_> {
        #[inline(always)]
        fn run<M: Machine>(self) {
            let (a, b): (Vec<f32>, Vec<f32>) =
                ((0..ROWS * INNER).map(a).collect(), (0..INNER * WIDTH).map(b).collect());
            let tile = Tile { a: &a, a_strides: [INNER, 1], b: &b, b_row: WIDTH, inner: INNER };
            let mut out = vec![1.0; ROWS * WIDTH];
            tile.rows::<M::Sixteen, false>(ROWS, &mut out, WIDTH);
            Tile { b: &b[16..], ..tile }.rows::<M::Eight, true>(ROWS, &mut out[16..], WIDTH);
            let mut points: Vec<f32> = (0..POINTS).map(|i| -(i as f32) / 16.0).collect();
            points.chunks_exact_mut(16).for_each(|x| exp(M::Sixteen::load(x)).store(x));
            *self.0 = [out, points].concat();
        }
    }

    /// What every kind of machine makes of it that this one can be.
    fn samples() -> Vec<Vec<f32>> {
        let mut samples = vec![Vec::new(); 4];
        with_lanes(Sample(&mut samples[0]));
        Sample(&mut samples[1]).run::<Plain>();
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            Sample(&mut samples[2]).run::<Avx2>();
            if is_x86_feature_detected!("avx512f") {
                Sample(&mut samples[3]).run::<Avx512>();
            }
        }
        samples.retain(|sample| !sample.is_empty());
        samples
    }

    #[test]
    fn tiles_are_products_on_every_machine() {
        let expected = |at: usize| {
            let (row, column) = (at / WIDTH, at % WIDTH);
            let sum: f32 = (0..INNER).map(|k| a(row * INNER + k) * b(k * WIDTH + column)).sum();
            if column < 16 { sum } else { 1.0 + sum }
        };
        let expected: Vec<f32> = (0..ROWS * WIDTH).map(expected).collect(); // small integers: no rounding
        samples().iter().for_each(|sample| assert_eq!(sample[..ROWS * WIDTH], expected));
    }

    #[test]
    fn exp_is_that_of_single_numbers() {
        for sample in samples() {
            for (i, y) in sample[ROWS * WIDTH..].iter().enumerate() {
                let expected = super::super::kernel::exp(true, -(i as f32) / 16.0);
                assert!(
                    (y - expected).abs() <= 2.4e-7 * expected,
                    "exp({}) = {y}, expected {expected}",
                    -(i as f32) / 16.0
                );
            }
        }
    }
}
