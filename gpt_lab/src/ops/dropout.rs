//! Dropout (Srivastava et al. 2014, <https://jmlr.org/papers/v15/srivastava14a.html>), with the kept values scaled up so that
//! the expectation stays the same.

use candle_core::{CpuStorage, CustomOp1, Device, Layout, Shape, Tensor};

use super::kernel::{Values, fast, for_rows, values, vectorized};
use super::reference;
use crate::{Error, Result};

/// Which values to drop: each with probability `p`, drawn from `seed`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// Probability of being set to zero, in `[0, 1]`.
    pub p: f64,
    /// The same seed drops the same elements.
    pub seed: u64,
}

/// Sets each element to zero with probability `p` and multiplies the others by `1 / (1 − p)`; any shape.
///
/// Element `i` is dropped or kept by a hash of `(seed, i)`: the mask depends neither on threads nor on what was drawn before,
/// and the backward pass draws it again instead of keeping it. Errors: `p` outside `[0, 1]`.
pub fn dropout(x: &Tensor, p: f64, seed: u64) -> Result<Tensor> {
    if !fast(&[x]) || p == 0.0 {
        return reference::dropout(x, p, seed);
    }
    let mask = Mask::new(Dropout { p, seed })?;
    Ok(x.contiguous()?.apply_op1(mask)?)
}

/// A dropout mask as a function of the element's index.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mask {
    seeds: [u32; 2],
    /// Hashes up to and including this are dropped.
    last_dropped: u32,
    scale: f32,
}

impl Mask {
    pub(super) fn new(Dropout { p, seed }: Dropout) -> Result<Self> {
        if !(0.0..=1.0).contains(&p) {
            return Err(Error::argument("dropout p", p, "a probability between 0 and 1"));
        }
        let last_dropped = (p * 4_294_967_296.0 - 1.0).round() as u32; // as many hashes as p asks for, of 2³²
        let scale = if p < 1.0 { (1.0 / (1.0 - p)) as f32 } else { 0.0 };
        let seed = scatter(seed);
        Ok(Mask { seeds: [seed as u32, (seed >> 32) as u32], last_dropped, scale })
    }

    /// 0 for a dropped element, `1 / (1 − p)` for a kept one.
    #[inline(always)]
    pub(super) fn factor(&self, index: usize) -> f32 {
        if hash(index as u32, self.seeds) <= self.last_dropped { 0.0 } else { self.scale }
    }
}

/// Makes neighbouring seeds unlike each other (splitmix64; G. Steele, D. Lea, C. Flood 2014).
fn scatter(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A 32-bit finaliser ("lowbias32", C. Wellons, <https://nullprogram.com/blog/2018/07/31/>), keyed before and in the middle so
/// that masks of different seeds are not shifted copies of each other.
#[inline(always)]
fn hash(index: u32, seeds: [u32; 2]) -> u32 {
    let mut h = index.wrapping_add(seeds[0]);
    h ^= h >> 16;
    h = h.wrapping_mul(0x7feb_352d).wrapping_add(seeds[1]);
    h ^= h >> 15;
    h = h.wrapping_mul(0x846c_a68b);
    h ^ (h >> 16)
}

impl CustomOp1 for Mask {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        Ok((CpuStorage::F32(self.apply(values(x, layout)?)), layout.shape().clone()))
    }

    // y = x · factor, so ∂x = g · factor, with the same mask.
    fn bwd(&self, x: &Tensor, _y: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        Ok(Some(Tensor::from_vec(self.apply(&Values::of(&grad)?), x.shape(), &Device::Cpu)?))
    }
}

impl Mask {
    fn apply(&self, x: &[f32]) -> Vec<f32> {
        let mut y = vec![0.0; x.len()];
        for_rows(&mut y, 1, |first, y| {
            vectorized(
                #[inline(always)]
                |_| {
                    for (i, (y, x)) in y.iter_mut().zip(&x[first..]).enumerate() {
                        *y = x * self.factor(first + i);
                    }
                },
            );
        });
        y
    }
}
