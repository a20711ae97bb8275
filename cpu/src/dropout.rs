//! Dropout (Srivastava et al. 2014, <https://jmlr.org/papers/v15/srivastava14a.html>), with the kept values scaled up
//! so that the expectation stays the same.

use crate::rows::for_rows;
use crate::simd::with_unit;

/// A dropout mask as a function of the element's index.
#[derive(Debug, Clone, Copy)]
pub struct Mask {
    seeds: [u32; 2],
    /// Hashes up to and including this are dropped.
    last_dropped: u32,
    scale: f32,
}

impl Mask {
    /// Dropping with probability `p` in `[0, 1]`; the same seed drops the same elements.
    pub fn new(p: f64, seed: u64) -> Self {
        let last_dropped = (p * 4_294_967_296.0 - 1.0).round() as u32; // as many hashes as p asks for, of 2³²
        let scale = if p < 1.0 { (1.0 / (1.0 - p)) as f32 } else { 0.0 };
        let seed = scatter(seed);
        Mask { seeds: [seed as u32, (seed >> 32) as u32], last_dropped, scale }
    }

    /// 0 for a dropped element, `1 / (1 − p)` for a kept one.
    #[inline(always)]
    pub fn factor(&self, index: usize) -> f32 {
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

/// A 32-bit finaliser ("lowbias32", C. Wellons, <https://nullprogram.com/blog/2018/07/31/>), keyed before and in the
/// middle so that masks of different seeds are not shifted copies of each other.
#[inline(always)]
fn hash(index: u32, seeds: [u32; 2]) -> u32 {
    let mut h = index.wrapping_add(seeds[0]);
    h ^= h >> 16;
    h = h.wrapping_mul(0x7feb_352d).wrapping_add(seeds[1]);
    h ^= h >> 15;
    h = h.wrapping_mul(0x846c_a68b);
    h ^ (h >> 16)
}

impl Mask {
    // y = x ∘ M, so ∂x = g ∘ M, with the same mask.
    /// `x ∘ M`, element by element: forward and, of the gradient, backward.
    pub fn apply(&self, x: &[f32]) -> Vec<f32> {
        let mut y = vec![0.0; x.len()];
        for_rows(&mut y, 1, |first, y| self.write(&x[first..], first, y));
        y
    }

    /// `y = x ∘ M`, for elements from `first` on in the mask.
    fn write(&self, x: &[f32], first: usize, y: &mut [f32]) {
        with_unit!(|_unit| for (i, (y, x)) in y.iter_mut().zip(x).enumerate() {
            *y = x * self.factor(first + i);
        });
    }
}

/// `x ∘ M`, in `place` if there is something to drop; for elements from `first` on in the mask.
pub(crate) fn dropped<'a>(x: &'a [f32], mask: Option<Mask>, first: usize, place: &'a mut [f32]) -> &'a [f32] {
    let Some(mask) = mask else { return x };
    mask.write(x, first, place);
    place
}
