//! AdamW's change of a parameter (Loshchilov and Hutter 2019, <https://arxiv.org/abs/1711.05101>, algorithm 2).

use rayon::prelude::*;

use crate::simd::with_unit;

/// Number of values that one thread changes at a time; for fewer no second thread is woken.
const CHUNK: usize = 1 << 13;

/// The numbers of one step that are the same for a whole tensor, rounded to f32 where PyTorch rounds them.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Factor on the gradient.
    pub scale: f32,
    /// `1 − β₁`.
    pub blend1: f32,
    /// β₂.
    pub beta2: f32,
    /// `1 − β₂`.
    pub blend2: f32,
    /// `1 − lr · weight_decay`.
    pub keep: f32,
    /// `lr / (1 − β₁ᵗ)`.
    pub step_size: f32,
    /// `√(1 − β₂ᵗ)`.
    pub root2: f32,
    /// Added to the root of the second moment.
    pub eps: f32,
}

impl Rule {
    /// Changes a parameter `p` and its moments `m` and `v` in place, given its gradient, in one pass over the four:
    /// `g' = scale · g`, `m ← m + (1 − β₁) (g' − m)`, `v ← β₂ v + (1 − β₂) g'²`,
    /// `p ← keep · p − step · m / (√v / root2 + eps)`.
    pub fn step(&self, p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
        if p.len() <= CHUNK {
            return self.chunk(p, g, m, v); // not worth waking another thread
        }
        let chunks = p.par_chunks_mut(CHUNK).zip(g.par_chunks(CHUNK));
        let chunks = chunks.zip(m.par_chunks_mut(CHUNK)).zip(v.par_chunks_mut(CHUNK));
        chunks.for_each(|(((p, g), m), v)| self.chunk(p, g, m, v));
    }

    fn chunk(&self, p: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
        with_unit!(|_unit| for (((p, &g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
            let g = g * self.scale;
            *m += self.blend1 * (g - *m);
            *v = *v * self.beta2 + self.blend2 * g * g;
            *p = *p * self.keep - self.step_size * (*m / (v.sqrt() / self.root2 + self.eps));
        });
    }
}
