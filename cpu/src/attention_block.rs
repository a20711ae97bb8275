//! The first half of a transformer block: layer norm, self-attention, dropout and the residual connection.

use rayon::prelude::*;

use crate::attention::CausalAttention;
use crate::block::{Gradients, Half, Wanted};
use crate::rows::add_bias;
use crate::spans::{Part, span_of};

/// Results of the forward pass that the backward pass needs.
pub struct Saved {
    /// Queries, keys and values, `[B, T, 3C]`.
    qkv: Vec<f32>,
    /// The attention's result, `[B, T, C]`.
    mixed: Vec<f32>,
}

/// `y = x + M ∘ (attention(layer_norm(x) W₁ + b₁) W₂ + b₂)`; `[B, T, C]` → `[B, T, C]`.
pub fn forward(half: &Half, attention: &CausalAttention, x: &[f32], t: usize) -> (Vec<f32>, Saved) {
    let c = half.width();
    let span = span_of(x.len() / c);
    let mut qkv = vec![0.0; 3 * x.len()];
    qkv.par_chunks_mut(span * 3 * c).zip(x.par_chunks(span * c)).for_each_init(
        || vec![0.0; span * c],
        |h, (qkv, x)| {
            half.enter(x, &mut h[..x.len()], qkv);
            half.first_bias.into_iter().for_each(|bias| add_bias(qkv, bias));
        },
    );
    let mixed = attention.forward(&qkv, t);
    let mut y = vec![0.0; x.len()];
    let spans = y.par_chunks_mut(span * c).zip(mixed.par_chunks(span * c)).zip(x.par_chunks(span * c));
    spans.enumerate().for_each(|(i, ((y, mixed), x))| half.leave(mixed, x, i * span * c, y));
    (y, Saved { qkv, mixed })
}

// With h = layer_norm(x), q = h W₁ + b₁, m = attention(q), y = x + M ∘ (m W₂ + b₂) and d = M ∘ ∂y:
//   ∂W₂ = mᵀ d,   ∂m = d W₂ᵀ,   ∂q = attention'(∂m),   ∂W₁ = hᵀ ∂q,   ∂h = ∂q W₁ᵀ,   ∂x = ∂y + layer_norm'(∂h)
/// `∂x` and the gradients of the parameters, from what [`forward`] saved.
pub fn backward(
    half: &Half,
    attention: &CausalAttention,
    [x, grad]: [&[f32]; 2],
    t: usize,
    saved: &Saved,
    wanted: &Wanted,
) -> (Vec<f32>, Gradients) {
    let c = half.width();
    let Saved { qkv, mixed } = saved;
    let mut dx = vec![0.0; x.len()];
    let (rows, span) = (half.part_rows(wanted, x.len() / c), span_of(x.len() / c));
    // ∂m, in the place of ∂x.
    let parts = dx.par_chunks_mut(rows * c).zip(mixed.par_chunks(rows * c)).zip(grad.par_chunks(rows * c));
    let parts = parts.enumerate().map_init(
        || vec![0.0; span * c],
        |place, (i, ((dm, mixed), grad))| {
            let mut part = Part::new(wanted);
            let spans = dm.chunks_mut(span * c).zip(mixed.chunks(span * c)).zip(grad.chunks(span * c));
            for (j, ((dm, mixed), grad)) in spans.enumerate() {
                let d = half.leave_back(grad, (i * rows + j * span) * c, &mut place[..grad.len()], dm);
                half.leave_sums(mixed, d, &mut part);
            }
            part
        },
    );
    let mut parts: Vec<Part> = parts.collect();
    let dqkv = attention.backward(qkv, &dx, t);
    let spans = dx.par_chunks_mut(rows * c).zip(x.par_chunks(rows * c)).zip(grad.par_chunks(rows * c));
    spans.zip(dqkv.par_chunks(rows * 3 * c)).zip(&mut parts).for_each_init(
        || vec![0.0; span * c],
        |h, ((((dx, x), grad), dqkv), part)| {
            let spans = dx.chunks_mut(span * c).zip(x.chunks(span * c)).zip(grad.chunks(span * c));
            for (((dx, x), grad), dqkv) in spans.zip(dqkv.chunks(span * 3 * c)) {
                half.enter_back([x, grad, dqkv], &mut h[..x.len()], dx, part);
            }
        },
    );
    (dx, Part::total(parts))
}
