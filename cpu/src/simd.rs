//! Vector units: the one way in which this crate comes to wide registers.
//!
//! A value of a type that is a [`Unit`] proves that this CPU has the unit: only pulp's look at the CPU makes one
//! ([`with_unit!`]). So everything that takes a unit is safe to call, and whatever is inlined below the macro is
//! compiled for that unit, loops over single numbers included.
//!
//! [`Lanes`] are sixteen or eight numbers side by side, in as many registers as the unit needs for them. A lane never
//! sees its neighbours, so a result does not depend on the width of a machine's registers. (It does depend on whether a
//! product is rounded before something is added to it, which only [`Scalar`] does, the unit that every CPU has.)

#[cfg(target_arch = "aarch64")]
use pulp::aarch64::Neon;
#[cfg(target_arch = "x86_64")]
use pulp::x86::{V3, V4};
use pulp::{Scalar, Simd};

/// A vector unit that this CPU is known to have.
pub(crate) trait Unit: Simd {
    /// The unit for eight numbers.
    type Half: Simd;
    type Sixteen: Lanes<Unit = Self>;
    type Eight: Lanes<Unit = Self::Half>;

    fn half(self) -> Self::Half;

    /// Sixteen whole numbers as f32.
    #[inline(always)]
    fn widen(self, from: &[i8; 16]) -> [f32; 16] {
        let mut wide = [0f32; 16];
        for (wide, x) in wide.iter_mut().zip(from) {
            *wide = f32::from(*x);
        }
        wide
    }
}

/// AVX-512.
#[cfg(target_arch = "x86_64")]
impl Unit for V4 {
    type Half = V3;
    type Sixteen = Vector<V4, 1>;
    type Eight = Vector<V3, 1>;

    #[inline(always)]
    fn half(self) -> V3 {
        *self
    }

    #[inline(always)]
    fn widen(self, from: &[i8; 16]) -> [f32; 16] {
        pulp::cast(self.convert_i32x16_to_f32x16(self.convert_i8x16_to_i32x16(pulp::cast(*from))))
    }
}

/// AVX2 and FMA.
#[cfg(target_arch = "x86_64")]
impl Unit for V3 {
    type Half = V3;
    type Sixteen = Vector<V3, 2>;
    type Eight = Vector<V3, 1>;

    #[inline(always)]
    fn half(self) -> V3 {
        self
    }
}

#[cfg(target_arch = "aarch64")]
impl Unit for Neon {
    type Half = Neon;
    type Sixteen = Vector<Neon, 4>;
    type Eight = Vector<Neon, 2>;

    #[inline(always)]
    fn half(self) -> Neon {
        self
    }
}

/// Single numbers: the unit of every CPU.
impl Unit for Scalar {
    type Half = Scalar;
    type Sixteen = Vector<Scalar, 16>;
    type Eight = Vector<Scalar, 8>;

    #[inline(always)]
    fn half(self) -> Scalar {
        self
    }
}

/// Evaluates an expression with the best unit of this CPU under the given name, compiled once for each kind of unit.
///
/// All functions called in it that are to be compiled for the unit have to be `#[inline(always)]`, and the closures
/// too.
macro_rules! with_unit {
    (|$unit:ident| $body:expr) => {
        match pulp::Arch::new() {
            #[cfg(target_arch = "x86_64")]
            pulp::Arch::V4($unit) => $unit.vectorize(
                #[inline(always)]
                || $body,
            ),
            #[cfg(target_arch = "x86_64")]
            pulp::Arch::V3($unit) => $unit.vectorize(
                #[inline(always)]
                || $body,
            ),
            #[cfg(target_arch = "aarch64")]
            pulp::Arch::Neon($unit) => $unit.vectorize(
                #[inline(always)]
                || $body,
            ),
            _ => {
                let $unit = pulp::Scalar;
                $body
            }
        }
    };
}
pub(crate) use with_unit;

/// Evaluates an expression once with every unit that this CPU has.
#[cfg(test)]
macro_rules! on_every_unit {
    (|$unit:ident| $body:expr) => {{
        let $unit = pulp::Scalar;
        $body;
        #[cfg(target_arch = "x86_64")]
        if let Some($unit) = pulp::x86::V3::try_new() {
            $body;
        }
        #[cfg(target_arch = "x86_64")]
        if let Some($unit) = pulp::x86::V4::try_new() {
            $body;
        }
        #[cfg(target_arch = "aarch64")]
        if let Some($unit) = pulp::aarch64::Neon::try_new() {
            $body;
        }
    }};
}
#[cfg(test)]
pub(crate) use on_every_unit;

/// `WIDTH` f32 numbers side by side.
pub(crate) trait Lanes: Copy {
    type Unit: Copy;
    const WIDTH: usize;
    /// Number of sums of this type that fit in the registers, beside what they are made from, and are enough not to
    /// wait for each other.
    const SUMS: usize;

    fn splat(unit: Self::Unit, x: f32) -> Self;
    /// The first `WIDTH` numbers.
    fn load(unit: Self::Unit, from: &[f32]) -> Self;
    /// Writes to the first `WIDTH` places.
    fn store(self, to: &mut [f32]);
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    fn div(self, other: Self) -> Self;
    /// The larger one; for NaN, one of the two.
    fn max(self, other: Self) -> Self;
    /// `self · b + c`.
    fn mul_add(self, b: Self, c: Self) -> Self;
    /// The bits of `self` shifted to where the exponent is, plus those of 1: `2ⁿ` for [`ROUND`](crate::math::ROUND)
    /// ` + n`, nonsense for NaN.
    fn power_of_two(self) -> Self;
    /// 0 where `x < limit`, `self` elsewhere, also where `x` is NaN.
    fn zero_where_below(self, x: Self, limit: Self) -> Self;
}

/// `N` registers of the unit `S`.
#[derive(Clone, Copy)]
pub(crate) struct Vector<S: Simd, const N: usize> {
    unit: S,
    registers: [S::f32s; N],
}

// Loops: the standard library's functions for arrays are not always inlined, and then compiled for any CPU.
impl<S: Simd, const N: usize> Vector<S, N> {
    #[inline(always)]
    fn map(mut self, f: impl Fn(S, S::f32s) -> S::f32s) -> Self {
        for i in 0..N {
            self.registers[i] = f(self.unit, self.registers[i]);
        }
        self
    }

    #[inline(always)]
    fn map2(mut self, b: Self, f: impl Fn(S, S::f32s, S::f32s) -> S::f32s) -> Self {
        for i in 0..N {
            self.registers[i] = f(self.unit, self.registers[i], b.registers[i]);
        }
        self
    }

    #[inline(always)]
    fn map3(mut self, b: Self, c: Self, f: impl Fn(S, S::f32s, S::f32s, S::f32s) -> S::f32s) -> Self {
        for i in 0..N {
            self.registers[i] = f(self.unit, self.registers[i], b.registers[i], c.registers[i]);
        }
        self
    }
}

impl<S: Simd, const N: usize> Lanes for Vector<S, N> {
    type Unit = S;
    const WIDTH: usize = N * S::F32_LANES;
    const SUMS: usize = if N == 1 { 8 } else { 4 };

    #[inline(always)]
    fn splat(unit: S, x: f32) -> Self {
        Vector { unit, registers: [unit.splat_f32s(x); N] }
    }

    #[inline(always)]
    fn load(unit: S, from: &[f32]) -> Self {
        let (from, _) = S::as_simd_f32s(&from[..Self::WIDTH]);
        let mut registers = [unit.splat_f32s(0.0); N];
        registers.copy_from_slice(from);
        Vector { unit, registers }
    }

    #[inline(always)]
    fn store(self, to: &mut [f32]) {
        let (registers, _) = S::as_mut_simd_f32s(&mut to[..Self::WIDTH]);
        registers.copy_from_slice(&self.registers);
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.map2(other, S::add_f32s)
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self.map2(other, S::sub_f32s)
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self.map2(other, S::mul_f32s)
    }

    #[inline(always)]
    fn div(self, other: Self) -> Self {
        self.map2(other, S::div_f32s)
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        self.map2(other, S::max_f32s)
    }

    #[inline(always)]
    fn mul_add(self, b: Self, c: Self) -> Self {
        self.map3(b, c, S::mul_add_e_f32s)
    }

    #[inline(always)]
    fn power_of_two(self) -> Self {
        self.map(
            #[inline(always)]
            |s, x| {
                let shifted = s.wrapping_dyn_shl_u32s(s.transmute_u32s_f32s(x), s.splat_u32s(23));
                s.transmute_f32s_u32s(s.add_u32s(shifted, s.splat_u32s(1f32.to_bits())))
            },
        )
    }

    #[inline(always)]
    fn zero_where_below(self, x: Self, limit: Self) -> Self {
        self.map3(
            x,
            limit,
            #[inline(always)]
            |s, y, x, limit| s.select_f32s(s.less_than_f32s(x, limit), s.splat_f32s(0.0), y),
        )
    }
}
