//! Causal self-attention of many heads (Vaswani et al. 2017, <https://arxiv.org/abs/1706.03762>, section 3.2): the work
//! divided among sequences and heads. One head's part is in `head.rs`.

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

    /// Calls `body` for each sequence and head; it writes `parts` times `[T, D]` to its places in `out`
    /// `[B, T, parts · C]`. No sum depends on how the work is divided.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Unit, on_every_unit};

    #[test]
    fn equal_scores_give_means_of_the_values_seen() {
        for (t, n_head, d) in [(1, 1, 1), (3, 2, 8), (19, 1, 20)] {
            let (c, attention) = (n_head * d, CausalAttention { n_head, d, scale: 1.0, mask: None });
            let value = |at: usize, column: usize| ((at * 7 + column * 3) % 5) as f32;
            let number = |i: usize| if i % (3 * c) < 2 * c { 0.0 } else { value(i / (3 * c), i % (3 * c) - 2 * c) };
            let qkv: Vec<f32> = (0..t * 3 * c).map(number).collect();
            for (i, y) in attention.forward(&qkv, t).iter().enumerate() {
                let (at, column) = (i / c, i % c);
                let mean = (0..=at).map(|j| value(j, column)).sum::<f32>() / (at + 1) as f32;
                assert!((y - mean).abs() < 1e-5, "{t} {n_head} {d}: {y}, should be {mean}");
            }
            // Of a value, position i takes 1 / (i + 1).
            let dqkv = attention.backward(&qkv, &vec![1.0; t * c], t);
            for (at, row) in dqkv.chunks(3 * c).enumerate() {
                let taken: f32 = (at..t).map(|i| 1.0 / (i + 1) as f32).sum();
                assert!(row[2 * c..].iter().all(|dv| (dv - taken).abs() < 1e-5), "{t} {n_head} {d}, position {at}");
            }
        }
    }

    /// Both passes of all heads of one sequence with this unit.
    fn passes<U: Unit>(unit: U, attention: &CausalAttention, qkv: &[f32], grad: &[f32]) -> [Vec<f32>; 2] {
        let (d, c) = (attention.d, attention.n_head * attention.d);
        let t = grad.len() / c;
        let mut buffers = Buffers::new(t, d, true, true);
        let [mut y, mut dqkv] = [vec![0.0; t * c], vec![0.0; t * 3 * c]];
        for head in 0..attention.n_head {
            let column = head * d;
            Head { attention, t, head, at: head, qkv, buffers: &mut buffers }
                .forward(unit, Output { out: &mut y, width: c, column, next: c });
            Head { attention, t, head, at: head, qkv, buffers: &mut buffers }.backward(
                unit,
                grad,
                Output { out: &mut dqkv, width: 3 * c, column, next: c },
            );
        }
        [y, dqkv]
    }

    #[test]
    fn units_of_every_width_give_the_same_bits() {
        let sizes = if cfg!(miri) { [(3, 1, 1), (17, 1, 9)] } else { [(5, 1, 3), (33, 2, 20)] };
        for (t, n_head, d) in sizes {
            let attention = CausalAttention { n_head, d, scale: 0.3, mask: Some(Mask::new(0.3, 9)) };
            let qkv: Vec<f32> = (0..t * 3 * n_head * d).map(|i| (i as f32 * 0.37).sin()).collect();
            let grad: Vec<f32> = (0..t * n_head * d).map(|i| (i as f32 * 0.11).cos()).collect();
            // The scalar unit alone rounds products before it adds them.
            let (mut fused, mut rounded): (Vec<_>, Vec<_>) = (Vec::new(), Vec::new());
            on_every_unit!(|unit| {
                let found = passes(unit, &attention, &qkv, &grad);
                if is_scalar(unit) { rounded.push(found) } else { fused.push(found) }
            });
            assert!(fused.windows(2).all(|pair| pair[0] == pair[1]));
            for (a, b) in fused.iter().flatten().flatten().zip(rounded.iter().flatten().flatten()) {
                assert!((a - b).abs() < 1e-5, "{a} and {b}");
            }
        }
    }

    fn is_scalar<U: Unit>(_: U) -> bool {
        U::IS_SCALAR
    }
}
