//! Causal self-attention of many heads (Vaswani et al. 2017, <https://arxiv.org/abs/1706.03762>, section 3.2): the work divided
//! among sequences and heads. One head's part is in `head.rs`.

mod head;

use rayon::prelude::*;

use crate::dropout::Mask;
use crate::simd::with_unit;
use head::{Buffers, Head, Output};

/// Up to so many products of a query's number with a key's, it is not worth waking a second thread.
const SMALL: usize = 1 << 20;
/// From so many sequences on, a thread takes a whole sequence; with fewer, a head.
const MANY: usize = 8;

/// Causal self-attention: `softmax(mask(Q Kᵀ · scale)) V` of every head, where position `i` sees the positions `j ≤ i`.
#[derive(Debug, Clone, Copy)]
pub struct CausalAttention {
    /// H.
    pub n_head: usize,
    /// Head size.
    pub d: usize,
    /// The factor on the scores.
    pub scale: f32,
    /// The dropout of the attention weights, over `[B, H, T, T]`.
    pub mask: Option<Mask>,
}

impl CausalAttention {
    /// From queries, keys and values `[B, T, 3C]` to the weighted sums `[B, T, C]`.
    pub fn forward(&self, qkv: &[f32], t: usize) -> Vec<f32> {
        let c = self.n_head * self.d;
        let mut y = vec![0.0; qkv.len() / 3];
        self.for_heads(t, &mut y, 1, |buffers, sequence, head, out| {
            let qkv = &qkv[sequence * t * 3 * c..][..t * 3 * c];
            let head = Head { attention: self, t, head, at: sequence * self.n_head + head, qkv, buffers };
            with_unit!(|unit| head.forward(unit, out));
        });
        y
    }

    // For one head, with S = Q Kᵀ · scale (masked), P = softmax(S), Y = P V and the gradient g of Y:
    //   ∂V = Pᵀ g,   ∂P = g Vᵀ,   ∂S = P ∘ (∂P − rowsum(∂P ∘ P)),   ∂Q = ∂S K · scale,   ∂K = ∂Sᵀ Q · scale
    // With dropout factors M: Y = (P ∘ M) V, so ∂V = (P ∘ M)ᵀ g and ∂P = (g Vᵀ) ∘ M.
    /// The gradient of queries, keys and values `[B, T, 3C]`, given that of the result.
    pub fn backward(&self, qkv: &[f32], grad: &[f32], t: usize) -> Vec<f32> {
        let c = self.n_head * self.d;
        let mut dqkv = vec![0.0; qkv.len()];
        self.for_heads(t, &mut dqkv, 3, |buffers, sequence, head, out| {
            let (qkv, grad) = (&qkv[sequence * t * 3 * c..][..t * 3 * c], &grad[sequence * t * c..][..t * c]);
            let head = Head { attention: self, t, head, at: sequence * self.n_head + head, qkv, buffers };
            with_unit!(|unit| head.backward(unit, grad, out));
        });
        dqkv
    }

    /// Calls `body` for each sequence and head; it writes `parts` times `[T, D]` to its places in `out` `[B, T, parts · C]`. No
    /// sum depends on how the work is divided.
    fn for_heads(
        &self,
        t: usize,
        out: &mut [f32],
        parts: usize,
        body: impl Fn(&mut Buffers, usize, usize, Output) + Sync,
    ) {
        let (d, h) = (self.d, self.n_head);
        let width = parts * h * d;
        let new = || Buffers::new(t, d, parts > 1, self.mask.is_some());
        let in_place = |buffers: &mut Buffers, (sequence, out): (usize, &mut [f32])| {
            for head in 0..h {
                body(buffers, sequence, head, Output { out: &mut *out, width, column: head * d, next: h * d });
            }
        };
        let sequences = out.len() / (t * width);
        if sequences * h * t * t * d <= SMALL {
            let mut buffers = new();
            out.chunks_exact_mut(t * width).enumerate().for_each(|item| in_place(&mut buffers, item));
        } else if sequences >= MANY {
            out.par_chunks_exact_mut(t * width).enumerate().for_each_init(new, in_place);
        } else {
            let apart = |buffers: &mut Buffers, at: usize| {
                let mut out = vec![0.0; t * parts * d];
                body(buffers, at / h, at % h, Output { out: &mut out, width: parts * d, column: 0, next: d });
                out
            };
            let heads: Vec<_> = (0..sequences * h).into_par_iter().map_init(new, apart).collect();
            interleave(&heads, h, d, parts, out);
        }
    }
}

/// From the heads' `[T, parts · D]` to `[B, T, parts · C]` with part after part, in each head after head.
fn interleave(heads: &[Vec<f32>], n_head: usize, d: usize, parts: usize, out: &mut [f32]) {
    let (c, width) = (n_head * d, parts * n_head * d);
    let t = heads[0].len() / (parts * d);
    out.par_chunks_exact_mut(width).enumerate().for_each(|(i, row)| {
        let heads = &heads[i / t * n_head..];
        for (part, row) in row.chunks_exact_mut(c).enumerate() {
            for (piece, head) in row.chunks_exact_mut(d).zip(heads) {
                piece.copy_from_slice(&head[(i % t * parts + part) * d..][..d]);
            }
        }
    });
}
