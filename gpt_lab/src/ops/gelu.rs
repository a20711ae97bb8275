//! The Gaussian error linear unit, GELU (Hendrycks and Gimpel 2016, <https://arxiv.org/abs/1606.08415>, section 2), in both of
//! its forms. They differ by up to 5e-4, enough to spoil a model that was trained with the other one.

use candle_core::{CpuStorage, CustomOp1, Device, Layout, Shape, Tensor};

use super::kernel::{Values, erf, exp, fast, for_rows, mul_add, values, vectorized};
use super::reference;
use crate::Result;

/// √(2/π), in the tanh form.
pub const SQRT_2_OVER_PI: f64 = 0.797_884_560_802_865_4;
/// The coefficient of x³ in the tanh form.
pub const CUBIC: f64 = 0.044_715;

/// GPT-2's GELU (`gelu_new`): `½ x (1 + tanh(√(2/π) (x + 0.044715 x³)))`, element by element.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    if fast(&[x]) { Ok(x.contiguous()?.apply_op1(Gelu)?) } else { reference::gelu(x) }
}

/// The exact GELU (`gelu` in Hugging Face's configurations): `½ x (1 + erf(x / √2))`, element by element.
pub fn gelu_exact(x: &Tensor) -> Result<Tensor> {
    if fast(&[x]) { Ok(x.contiguous()?.apply_op1(GeluExact)?) } else { reference::gelu_exact(x) }
}

/// The fast tanh form. With `u = √(2/π) (x + 0.044715 x³)`, `½ (1 + tanh u) = σ(2u) = 1 / (1 + exp(−2u))`: one `exp`.
struct Gelu;

impl CustomOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let y = map(values(x, layout)?, gelu_value);
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    // y = x σ(2u), so ∂y/∂x = σ + x σ (1 − σ) · 2 ∂u/∂x, with 2 ∂u/∂x = 2 √(2/π) (1 + 3 · 0.044715 x²).
    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        map_grad(
            x,
            grad,
            #[inline(always)]
            |fma, x| gelu_and_slope(fma, x).1,
        )
    }
}

/// `gelu(x)`.
#[inline(always)]
pub(super) fn gelu_value(fma: bool, x: f32) -> f32 {
    x / (1.0 + exp(fma, -two_u(fma, x)))
}

/// `gelu(x)` and its derivative.
#[inline(always)]
pub(super) fn gelu_and_slope(fma: bool, x: f32) -> (f32, f32) {
    let inside = x.clamp(-20.0, 20.0); // beyond, the derivative is 0 or 1, and x² would overflow some day
    let sigma = 1.0 / (1.0 + exp(fma, -two_u(fma, inside)));
    let slope = mul_add(fma, 3.0 * TWO_U[1], inside * inside, TWO_U[0]);
    (x * sigma, mul_add(fma, inside * slope, sigma * (1.0 - sigma), sigma))
}

/// 2u = x (a + b x²).
const TWO_U: [f32; 2] = [(2.0 * SQRT_2_OVER_PI) as f32, (2.0 * SQRT_2_OVER_PI * CUBIC) as f32];

#[inline(always)]
fn two_u(fma: bool, x: f32) -> f32 {
    x * mul_add(fma, TWO_U[1], x * x, TWO_U[0])
}

/// The fast exact form.
struct GeluExact;

impl CustomOp1 for GeluExact {
    fn name(&self) -> &'static str {
        "gelu_exact"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let y = map(
            values(x, layout)?,
            #[inline(always)]
            |fma, x| x * normal_cdf(fma, x),
        );
        Ok((CpuStorage::F32(y), layout.shape().clone()))
    }

    // y = x Φ(x), so ∂y/∂x = Φ(x) + x φ(x), with the density φ(x) = exp(−x²/2) / √(2π).
    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        const INV_SQRT_2_PI: f32 = 0.398_942_3;
        map_grad(
            x,
            grad,
            #[inline(always)]
            |fma, x| {
                let x = x.clamp(-20.0, 20.0);
                let density = INV_SQRT_2_PI * exp(fma, -0.5 * x * x);
                mul_add(fma, x, density, normal_cdf(fma, x))
            },
        )
    }
}

/// Φ(x), the normal distribution's cumulative distribution function.
#[inline(always)]
fn normal_cdf(fma: bool, x: f32) -> f32 {
    mul_add(fma, 0.5, erf(fma, x * std::f32::consts::FRAC_1_SQRT_2), 0.5)
}

/// `f(x_i)` for every element.
#[inline(always)]
fn map(x: &[f32], f: impl Fn(bool, f32) -> f32 + Sync) -> Vec<f32> {
    let mut y = vec![0.0; x.len()];
    for_rows(&mut y, 1, |first, y| {
        vectorized(
            #[inline(always)]
            |fma| {
                for (y, x) in y.iter_mut().zip(&x[first..]) {
                    *y = f(fma, *x);
                }
            },
        );
    });
    y
}

/// `derivative(x_i) · grad_i` for every element.
#[inline(always)]
fn map_grad(
    x: &Tensor,
    grad: &Tensor,
    derivative: impl Fn(bool, f32) -> f32 + Sync,
) -> candle_core::Result<Option<Tensor>> {
    let grad = grad.contiguous()?;
    let (xs, gs) = (Values::of(x)?, Values::of(&grad)?);
    let mut dx = vec![0.0; xs.len()];
    for_rows(&mut dx, 1, |first, dx| {
        vectorized(
            #[inline(always)]
            |fma| {
                for ((dx, x), g) in dx.iter_mut().zip(&xs[first..]).zip(&gs[first..]) {
                    *dx = derivative(fma, *x) * g;
                }
            },
        );
    });
    Ok(Some(Tensor::from_vec(dx, x.shape(), &Device::Cpu)?))
}
