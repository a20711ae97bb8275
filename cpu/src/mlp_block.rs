//! The second half of a transformer block: layer norm, MLP with GPT-2's GELU, dropout and the residual connection. A
//! span of rows goes through all of them while it is in the cache.

use rayon::prelude::*;

use crate::block::{Gradients, Half, Wanted};
use crate::gelu::{value, value_and_slope};
use crate::simd::with_unit;
use crate::spans::{Part, span_of};

/// `y = x + M ∘ (gelu(layer_norm(x) W₁ + b₁) W₂ + b₂)`; `[rows, C]` → `[rows, C]`. The second result, the input of the
/// GELU `[rows, M]`, is saved for the backward pass.
pub fn forward(half: &Half, x: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let (c, m) = (half.width(), half.first_width());
    let span = span_of(x.len() / c);
    let mut f = vec![0.0; x.len() / c * m];
    let mut y = vec![0.0; x.len()];
    let spans = f.par_chunks_mut(span * m).zip(y.par_chunks_mut(span * c)).zip(x.par_chunks(span * c));
    spans.enumerate().for_each_init(
        || (vec![0.0; span * c], vec![0.0; span * m]),
        |(h, g), (i, ((f, y), x))| {
            let (h, g) = (&mut h[..x.len()], &mut g[..f.len()]);
            half.enter(x, h, f);
            add_bias_and_activate(f, half.first_bias, g);
            half.leave(g, x, i * span * c, y);
        },
    );
    (y, f)
}

// With h = layer_norm(x), f = h W₁ + b₁, g = gelu(f), y = x + M ∘ (g W₂ + b₂) and d = M ∘ ∂y:
//   ∂W₂ = gᵀ d,   ∂f = d W₂ᵀ ∘ gelu'(f),   ∂W₁ = hᵀ ∂f,   ∂h = ∂f W₁ᵀ,   ∂x = ∂y + layer_norm'(∂h)
/// `∂x` and the gradients of the parameters, from what [`forward`] saved.
pub fn backward(half: &Half, x: &[f32], f: &[f32], grad: &[f32], wanted: &Wanted) -> (Vec<f32>, Gradients) {
    let (c, m) = (half.width(), half.first_width());
    let mut dx = vec![0.0; x.len()];
    let (rows, span) = (half.part_rows(wanted, x.len() / c), span_of(x.len() / c));
    let parts = dx.par_chunks_mut(rows * c).zip(x.par_chunks(rows * c)).zip(grad.par_chunks(rows * c));
    let parts = parts.zip(f.par_chunks(rows * m)).enumerate().map_init(
        || (vec![0.0; span * c], vec![0.0; span * m], vec![0.0; span * m]),
        |(h, g, df), (i, (((dx, x), grad), f))| {
            let mut part = Part::new(wanted);
            let spans = dx.chunks_mut(span * c).zip(x.chunks(span * c)).zip(grad.chunks(span * c));
            for (j, (((dx, x), grad), f)) in spans.zip(f.chunks(span * m)).enumerate() {
                let (h, g, df) = (&mut h[..x.len()], &mut g[..f.len()], &mut df[..f.len()]);
                let d = half.leave_back(grad, (i * rows + j * span) * c, h, df);
                activate_back(f, g, df);
                half.leave_sums(g, d, &mut part);
                half.enter_back([x, grad, df], h, dx, &mut part);
            }
            part
        },
    );
    let parts: Vec<Part> = parts.collect();
    (dx, Part::total(parts))
}

/// `f ← f + bias`, `g = gelu(f)`.
fn add_bias_and_activate(f: &mut [f32], bias: Option<&[f32]>, g: &mut [f32]) {
    let Some(bias) = bias else {
        return with_unit!(|unit| f.iter().zip(g).for_each(|(f, g)| *g = value(unit, *f)));
    };
    with_unit!(|unit| for (f, g) in f.chunks_exact_mut(bias.len()).zip(g.chunks_exact_mut(bias.len())) {
        for ((f, g), b) in f.iter_mut().zip(g).zip(bias) {
            *f += b;
            *g = value(unit, *f);
        }
    });
}

/// `g = gelu(f)`, `df ← df ∘ gelu'(f)`.
fn activate_back(f: &[f32], g: &mut [f32], df: &mut [f32]) {
    with_unit!(|unit| for ((f, g), df) in f.iter().zip(g).zip(df) {
        let (value, slope) = value_and_slope(unit, *f);
        *g = value;
        *df *= slope;
    });
}
