//! The Gaussian error linear unit, GELU (Hendrycks and Gimpel 2016, <https://arxiv.org/abs/1606.08415>, section 2), in
//! both of its forms. They differ by up to 5e-4, enough to spoil a model that was trained with the other one.

use crate::math::{erf, exp, mul_add};
use crate::rows::for_rows;
use crate::simd::{Unit, with_unit};

/// √(2/π), in the tanh form.
pub const SQRT_2_OVER_PI: f64 = 0.797_884_560_802_865_4;
/// The coefficient of x³ in the tanh form.
pub const CUBIC: f64 = 0.044_715;

/// `½ x (1 + tanh(√(2/π) (x + 0.044715 x³)))` of every element.
pub fn forward(x: &[f32]) -> Vec<f32> {
    map::<Tanh>(x)
}

/// `∂x` of [`forward`].
pub fn backward(x: &[f32], grad: &[f32]) -> Vec<f32> {
    map_grad::<Tanh>(x, grad)
}

/// `½ x (1 + erf(x / √2))` of every element.
pub fn forward_exact(x: &[f32]) -> Vec<f32> {
    map::<Exact>(x)
}

/// `∂x` of [`forward_exact`].
pub fn backward_exact(x: &[f32], grad: &[f32]) -> Vec<f32> {
    map_grad::<Exact>(x, grad)
}

/// An activation function and its derivative.
trait Activation {
    fn value<U: Unit>(unit: U, x: f32) -> f32;
    fn slope<U: Unit>(unit: U, x: f32) -> f32;
}

/// The tanh form. With `u = √(2/π) (x + 0.044715 x³)`, `½ (1 + tanh u) = σ(2u) = 1 / (1 + exp(−2u))`: one `exp`.
struct Tanh;

impl Activation for Tanh {
    #[inline(always)]
    fn value<U: Unit>(unit: U, x: f32) -> f32 {
        value(unit, x)
    }

    #[inline(always)]
    fn slope<U: Unit>(unit: U, x: f32) -> f32 {
        value_and_slope(unit, x).1
    }
}

/// `gelu(x)` in the tanh form.
#[inline(always)]
pub(crate) fn value<U: Unit>(unit: U, x: f32) -> f32 {
    x / (1.0 + exp(unit, -two_u(unit, x)))
}

// y = x σ(2u), so ∂y/∂x = σ + x σ (1 − σ) · 2 ∂u/∂x, with 2 ∂u/∂x = 2 √(2/π) (1 + 3 · 0.044715 x²).
/// `gelu(x)` in the tanh form, and its derivative.
#[inline(always)]
pub(crate) fn value_and_slope<U: Unit>(unit: U, x: f32) -> (f32, f32) {
    let inside = x.clamp(-20.0, 20.0); // beyond, the derivative is 0 or 1, and x² would overflow some day
    let sigma = 1.0 / (1.0 + exp(unit, -two_u(unit, inside)));
    let slope = mul_add(unit, 3.0 * TWO_U[1], inside * inside, TWO_U[0]);
    (x * sigma, mul_add(unit, inside * slope, sigma * (1.0 - sigma), sigma))
}

/// 2u = x (a + b x²).
const TWO_U: [f32; 2] = [(2.0 * SQRT_2_OVER_PI) as f32, (2.0 * SQRT_2_OVER_PI * CUBIC) as f32];

#[inline(always)]
fn two_u<U: Unit>(unit: U, x: f32) -> f32 {
    x * mul_add(unit, TWO_U[1], x * x, TWO_U[0])
}

/// The exact form, `x Φ(x)`.
struct Exact;

impl Activation for Exact {
    #[inline(always)]
    fn value<U: Unit>(unit: U, x: f32) -> f32 {
        x * normal_cdf(unit, x)
    }

    // y = x Φ(x), so ∂y/∂x = Φ(x) + x φ(x), with the density φ(x) = exp(−x²/2) / √(2π).
    #[inline(always)]
    fn slope<U: Unit>(unit: U, x: f32) -> f32 {
        const INV_SQRT_2_PI: f32 = 0.398_942_3;
        let x = x.clamp(-20.0, 20.0);
        let density = INV_SQRT_2_PI * exp(unit, -0.5 * x * x);
        mul_add(unit, x, density, normal_cdf(unit, x))
    }
}

/// Φ(x), the normal distribution's cumulative distribution function.
#[inline(always)]
fn normal_cdf<U: Unit>(unit: U, x: f32) -> f32 {
    mul_add(unit, 0.5, erf(unit, x * std::f32::consts::FRAC_1_SQRT_2), 0.5)
}

fn map<A: Activation>(x: &[f32]) -> Vec<f32> {
    let mut y = vec![0.0; x.len()];
    for_rows(&mut y, 1, |first, y| {
        with_unit!(|unit| for (y, x) in y.iter_mut().zip(&x[first..]) {
            *y = A::value(unit, *x);
        });
    });
    y
}

fn map_grad<A: Activation>(x: &[f32], grad: &[f32]) -> Vec<f32> {
    let mut dx = vec![0.0; x.len()];
    for_rows(&mut dx, 1, |first, dx| {
        with_unit!(|unit| for ((dx, x), g) in dx.iter_mut().zip(&x[first..]).zip(&grad[first..]) {
            *dx = A::slope(unit, *x) * g;
        });
    });
    dx
}
