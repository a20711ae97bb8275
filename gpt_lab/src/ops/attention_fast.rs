//! The fast version of causal attention: one head at a time, from queries, keys and values to the weighted sum, in buffers
//! that stay in the cache. The `[B, H, T, T]` weights are never written to memory; the backward pass computes them again.

use candle_core::{CpuStorage, CustomOp1, Device, Layout, Shape, Tensor};
use rayon::prelude::*;

use super::dropout::Mask;
use super::kernel::{Values, mul_add, sum2, values, vectorized};
use super::softmax::softmax_row;

/// Rows of a result that are computed together; each number loaded from the right-hand side serves all of them.
const ROWS: usize = 4;
/// Positions are padded to a multiple of this, head sizes to a multiple of half of it (one vector).
const COLUMNS: usize = 16;

/// See [`causal_attention`](super::causal_attention).
pub(super) struct CausalAttention {
    pub(super) n_head: usize,
    /// Head size.
    pub(super) d: usize,
    pub(super) scale: f32,
    pub(super) mask: Option<Mask>,
}

/// Buffers for one head, with sizes rounded up to whole tiles; what is beyond `T` and `D` is zero.
struct Head {
    t: usize,
    d: usize,
    /// `T` and `D`, rounded up.
    t_pad: usize,
    d_pad: usize,
    /// `[T, D]`, row by row; the queries are multiplied by `scale`.
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    /// `[D, T]`, packed.
    k_t: Vec<f32>,
}

/// The right-hand side of a product, read in tiles of [`COLUMNS`] columns.
#[derive(Clone, Copy)]
struct Tiles<'a> {
    data: &'a [f32],
    /// From the beginning of one tile to that of the next …
    tile: usize,
    /// … and from row to row in a tile.
    row: usize,
}

impl CustomOp1 for CausalAttention {
    fn name(&self) -> &'static str {
        "causal_attention"
    }

    fn cpu_fwd(&self, qkv: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (b, t, width) = layout.shape().dims3()?;
        let y = self.forward(values(qkv, layout)?, b, t);
        Ok((CpuStorage::F32(y), Shape::from((b, t, width / 3))))
    }

    // For one head, with S = Q Kᵀ · scale (masked), P = softmax(S), Y = P V and the gradient g of Y:
    //   ∂V = Pᵀ g,   ∂P = g Vᵀ,   ∂S = P ∘ (∂P − rowsum(∂P ∘ P)),   ∂Q = ∂S K · scale,   ∂K = ∂Sᵀ Q · scale
    // With dropout factors M: Y = (P ∘ M) V, so ∂V = (P ∘ M)ᵀ g and ∂P = (g Vᵀ) ∘ M.
    fn bwd(&self, qkv: &Tensor, _y: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let (b, t, width) = qkv.dims3()?;
        let grad = grad.contiguous()?;
        let dx = self.backward(&Values::of(qkv)?, &Values::of(&grad)?, b, t);
        Ok(Some(Tensor::from_vec(dx, (b, t, width), &Device::Cpu)?))
    }
}

impl CausalAttention {
    /// From queries, keys and values `[B, T, 3C]` to the weighted sums `[B, T, C]`.
    pub(super) fn forward(&self, qkv: &[f32], b: usize, t: usize) -> Vec<f32> {
        let head = |at: usize| {
            vectorized(
                #[inline(always)]
                |fma| self.head_forward(fma, &self.head(qkv, t, at), at),
            )
        };
        let heads: Vec<Vec<f32>> = (0..b * self.n_head).into_par_iter().map(head).collect();
        self.interleave(&heads, t, self.d * self.n_head)
    }

    /// The gradient of `qkv`, given that of the result.
    pub(super) fn backward(&self, qkv: &[f32], grad: &[f32], b: usize, t: usize) -> Vec<f32> {
        let head = |at: usize| {
            vectorized(
                #[inline(always)]
                |fma| self.head_backward(fma, &self.head(qkv, t, at), grad, at),
            )
        };
        let heads: Vec<Vec<f32>> = (0..b * self.n_head).into_par_iter().map(head).collect();
        self.interleave(&heads, t, 3 * self.d * self.n_head)
    }

    /// Collects the queries, keys and values of head `at` (counted through batch and heads).
    #[inline(always)]
    fn head(&self, qkv: &[f32], t: usize, at: usize) -> Head {
        let (d, c) = (self.d, self.d * self.n_head);
        let (t_pad, d_pad) = (t.next_multiple_of(COLUMNS), d.next_multiple_of(COLUMNS / 2));
        let first = at / self.n_head * t * 3 * c + at % self.n_head * d;
        let q = gather(&qkv[first..], t, d, 3 * c, self.scale);
        let k = gather(&qkv[first + c..], t, d, 3 * c, 1.0);
        let v = gather(&qkv[first + 2 * c..], t, d, 3 * c, 1.0);
        let k_t = pack_transposed(&k, d_pad);
        Head { t, d, t_pad, d_pad, q, k, v, k_t }
    }

    /// `[T, D]` of this head's result.
    #[inline(always)]
    fn head_forward(&self, fma: bool, head: &Head, at: usize) -> Vec<f32> {
        let Head { t, d, t_pad, d_pad, .. } = *head;
        let mut weights = vec![0.0; ROWS * t_pad];
        let mut y = vec![0.0; t_pad * d_pad];
        for first in (0..t).step_by(ROWS) {
            head.weights(fma, first, &mut weights);
            self.drop(&mut weights, at, first, head);
            let seen = rows(&weights, t_pad).take(first + ROWS);
            multiply(fma, seen, Tiles::rows(&head.v, d_pad), d_pad, &mut y[first * d_pad..], d_pad);
        }
        unpad(y, t, d, d_pad)
    }

    /// `[T, 3 D]`: the gradients of this head's queries, keys and values, side by side.
    #[inline(always)]
    fn head_backward(&self, fma: bool, head: &Head, grad: &[f32], at: usize) -> Vec<f32> {
        let Head { t, d, t_pad, d_pad, .. } = *head;
        let c = d * self.n_head;
        let g = gather(&grad[at / self.n_head * t * c + at % self.n_head * d..], t, d, c, 1.0);
        let (mut p, mut ds) = (vec![0.0; t_pad * t_pad], vec![0.0; t_pad * t_pad]);
        self.score_gradients(fma, head, &g, at, &mut p, &mut ds);
        let [mut dq, mut dk, mut dv] = [(); 3].map(|()| vec![0.0; t_pad * d_pad]);
        for first in (0..t).step_by(ROWS) {
            let out = first * d_pad;
            let ds_rows = rows(&ds[first * t_pad..], t_pad).take(first + ROWS);
            multiply(fma, ds_rows, Tiles::rows(&head.k, d_pad), d_pad, &mut dq[out..], d_pad);
            // A key is seen by the queries from its own position on.
            let ds_columns = columns(&ds[first * t_pad..], t_pad, first).take(t - first);
            multiply(fma, ds_columns, Tiles::rows(&head.q[out..], d_pad), d_pad, &mut dk[out..], d_pad);
            let p_columns = columns(&p[first * t_pad..], t_pad, first).take(t - first);
            multiply(fma, p_columns, Tiles::rows(&g[out..], d_pad), d_pad, &mut dv[out..], d_pad);
        }
        for dq in &mut dq {
            *dq *= self.scale; // ∂K has it already: the queries were scaled
        }
        let mut rows = Vec::with_capacity(3 * t * d);
        for i in 0..t {
            [&dq, &dk, &dv].iter().for_each(|part| rows.extend_from_slice(&part[i * d_pad..][..d]));
        }
        rows
    }

    /// `P ∘ M` and `∂S`, both `[T, T]`.
    #[inline(always)]
    fn score_gradients(&self, fma: bool, head: &Head, g: &[f32], at: usize, p: &mut [f32], ds: &mut [f32]) {
        let Head { t, t_pad, d_pad, .. } = *head;
        let v_t = pack_transposed(&head.v, d_pad);
        let block = ROWS * t_pad;
        for (i, (p, ds)) in p.chunks_exact_mut(block).zip(ds.chunks_exact_mut(block)).enumerate().take(t.div_ceil(ROWS))
        {
            let first = i * ROWS;
            let visible = head.visible(first);
            head.weights(fma, first, p);
            multiply(fma, rows(&g[first * d_pad..], d_pad), Tiles::packed(&v_t, d_pad), visible, ds, t_pad);
            self.drop(ds, at, first, head);
            for (p, ds) in p.chunks_exact(t_pad).zip(ds.chunks_exact_mut(t_pad)) {
                let (p, ds) = (&p[..visible], &mut ds[..visible]);
                let along = sum2(
                    p,
                    ds,
                    #[inline(always)]
                    |sum, p, dp| mul_add(fma, p, dp, sum),
                );
                for (ds, p) in ds.iter_mut().zip(p) {
                    *ds = p * (*ds - along);
                }
            }
            self.drop(p, at, first, head);
        }
    }

    /// Multiplies four rows of weights, from row `first` on, by their dropout factors.
    #[inline(always)]
    fn drop(&self, rows: &mut [f32], at: usize, first: usize, head: &Head) {
        let Some(mask) = self.mask else { return };
        for (i, row) in (first..head.t).zip(rows.chunks_exact_mut(head.t_pad)) {
            let start = (at * head.t + i) * head.t;
            for (j, p) in row[..=i].iter_mut().enumerate() {
                *p *= mask.factor(start + j);
            }
        }
    }

    /// From the heads' `[T, n · D]`, holding `n` parts each, to `[B, T, n · C]` with part after part, in each head after head.
    fn interleave(&self, heads: &[Vec<f32>], t: usize, width: usize) -> Vec<f32> {
        let (d, c) = (self.d, self.d * self.n_head);
        let mut out = vec![0.0; heads.len() / self.n_head * t * width];
        out.par_chunks_mut(t * width).zip(heads.par_chunks(self.n_head)).for_each(|(out, heads)| {
            for (i, row) in out.chunks_exact_mut(width).enumerate() {
                for (part, row) in row.chunks_exact_mut(c).enumerate() {
                    for (piece, head) in row.chunks_exact_mut(d).zip(heads) {
                        piece.copy_from_slice(&head[i * (width / c) * d + part * d..][..d]);
                    }
                }
            }
        });
        out
    }
}

impl Head {
    /// Rows `first ..` of `softmax(Q Kᵀ)`, into `[ROWS, T]`; what a position must not see is zero.
    #[inline(always)]
    fn weights(&self, fma: bool, first: usize, out: &mut [f32]) {
        let visible = self.visible(first);
        let q = rows(&self.q[first * self.d_pad..], self.d_pad);
        multiply(fma, q, Tiles::packed(&self.k_t, self.d_pad), visible, out, self.t_pad);
        for (i, row) in (first..first + ROWS).zip(out.chunks_exact_mut(self.t_pad)) {
            // −∞ becomes 0; whole vectors are faster than stopping where the triangle ends.
            row[(i + 1).min(self.t)..visible].fill(f32::NEG_INFINITY);
            softmax_row(fma, &mut row[..visible]);
            row[visible..].fill(0.0);
        }
    }

    /// How many columns hold something in the rows from `first` on, in whole tiles.
    #[inline(always)]
    fn visible(&self, first: usize) -> usize {
        (first + ROWS).next_multiple_of(COLUMNS).min(self.t_pad)
    }
}

impl<'a> Tiles<'a> {
    /// Of a matrix with rows of this width.
    #[inline(always)]
    fn rows(data: &'a [f32], width: usize) -> Self {
        Tiles { data, tile: COLUMNS, row: width }
    }

    /// Of what [`pack_transposed`] made from rows of this width.
    #[inline(always)]
    fn packed(data: &'a [f32], width: usize) -> Self {
        Tiles { data, tile: width * COLUMNS, row: COLUMNS }
    }
}

/// Column after column of four rows of this width.
#[inline(always)]
fn rows(a: &[f32], width: usize) -> impl Iterator<Item = [f32; ROWS]> + Clone {
    let row = |r: usize| a[r * width..(r + 1) * width].iter();
    row(0).zip(row(1)).zip(row(2)).zip(row(3)).map(
        #[inline(always)]
        |(((a, b), c), d)| [*a, *b, *c, *d],
    )
}

/// Row after row of four columns, from column `first` on, of rows of this width.
#[inline(always)]
fn columns(a: &[f32], width: usize, first: usize) -> impl Iterator<Item = [f32; ROWS]> + Clone {
    a.chunks_exact(width).map(
        #[inline(always)]
        move |row| [row[first], row[first + 1], row[first + 2], row[first + 3]],
    )
}

/// `out[r, ..columns] = Σ_k a[r, k] · b[k, ..columns]` for four rows `r`; `a` gives them column by column, and `k` goes as far as
/// `a` does. Rows of `out` are `width` long, `columns` is a multiple of eight.
#[inline(always)]
fn multiply(
    fma: bool,
    a: impl Iterator<Item = [f32; ROWS]> + Clone,
    b: Tiles,
    columns: usize,
    out: &mut [f32],
    width: usize,
) {
    for column in (0..columns).step_by(COLUMNS) {
        let pairs = a.clone().zip(b.data[column / COLUMNS * b.tile..].chunks(b.row));
        if column + COLUMNS <= columns {
            tile::<COLUMNS>(fma, pairs, &mut out[column..], width);
        } else {
            tile::<{ COLUMNS / 2 }>(fma, pairs, &mut out[column..], width);
        }
    }
}

/// One tile of a product: `N` columns of four rows, their sums in registers from the first pair to the last.
#[inline(always)]
fn tile<'b, const N: usize>(
    fma: bool,
    pairs: impl Iterator<Item = ([f32; ROWS], &'b [f32])>,
    out: &mut [f32],
    width: usize,
) {
    #[cfg(target_arch = "x86_64")]
    if fma {
        // SAFETY: `fma` says that the machine has both.
        return unsafe { tile_avx2::<N>(pairs, out, width) };
    }
    let mut sums = [[0f32; N]; ROWS];
    for (a, b) in pairs {
        for r in 0..ROWS {
            for n in 0..N {
                sums[r][n] = mul_add(fma, a[r], b[n], sums[r][n]);
            }
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        out[r * width..][..N].copy_from_slice(sums);
    }
}

/// The same in so many words: left to itself, the compiler keeps these sums in memory.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
#[inline]
fn tile_avx2<'b, const N: usize>(pairs: impl Iterator<Item = ([f32; ROWS], &'b [f32])>, out: &mut [f32], width: usize) {
    use std::arch::x86_64::{_mm256_fmadd_ps, _mm256_loadu_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps};
    let mut sums = [[_mm256_setzero_ps(); 2]; ROWS];
    for (a, b) in pairs {
        for v in 0..N / 8 {
            // SAFETY: the slice has eight numbers.
            let b = unsafe { _mm256_loadu_ps(b[8 * v..8 * v + 8].as_ptr()) };
            for r in 0..ROWS {
                sums[r][v] = _mm256_fmadd_ps(_mm256_set1_ps(a[r]), b, sums[r][v]);
            }
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        for (v, sum) in sums.iter().enumerate().take(N / 8) {
            // SAFETY: as above.
            unsafe { _mm256_storeu_ps(out[r * width + 8 * v..][..8].as_mut_ptr(), *sum) };
        }
    }
}

/// `scale ·` a `[T, D]` part of rows that are `stride` long, padded with zeros.
#[inline(always)]
fn gather(part: &[f32], t: usize, d: usize, stride: usize, scale: f32) -> Vec<f32> {
    let d_pad = d.next_multiple_of(COLUMNS / 2);
    let mut out = vec![0.0; t.next_multiple_of(COLUMNS) * d_pad];
    for (out, row) in out.chunks_exact_mut(d_pad).zip(part.chunks(stride)).take(t) {
        for (out, x) in out.iter_mut().zip(&row[..d]) {
            *out = x * scale;
        }
    }
    out
}

/// The transpose of rows of this width, tile after tile of [`COLUMNS`] columns, so that a tile lies in one piece.
#[inline(always)]
fn pack_transposed(a: &[f32], width: usize) -> Vec<f32> {
    let mut out = vec![0.0; a.len()];
    for (out, rows) in out.chunks_exact_mut(width * COLUMNS).zip(a.chunks_exact(width * COLUMNS)) {
        for (r, row) in rows.chunks_exact(width).enumerate() {
            for (c, x) in row.iter().enumerate() {
                out[c * COLUMNS + r] = *x;
            }
        }
    }
    out
}

/// `[T, D]` without the padding.
#[inline(always)]
fn unpad(y: Vec<f32>, t: usize, d: usize, d_pad: usize) -> Vec<f32> {
    match d == d_pad {
        true => y,
        false => y.chunks_exact(d_pad).take(t).flat_map(|row| &row[..d]).copied().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tile_is_the_same_without_wide_vectors() {
        let (inner, width) = (5, 24);
        let a: Vec<f32> = (0..ROWS * inner).map(|i| (i * 7 % 11) as f32 - 5.0).collect();
        let b: Vec<f32> = (0..inner * width).map(|i| (i * 5 % 13) as f32 - 6.0).collect();
        let product = |r: usize, c: usize| (0..inner).map(|k| a[r * inner + k] * b[k * width + c]).sum::<f32>();
        let expected: Vec<f32> = (0..ROWS * width).map(|at| product(at / width, at % width)).collect();
        let plain = |fma| {
            let mut out = vec![0.0; ROWS * width];
            multiply(fma, rows(&a, inner), Tiles::rows(&b, width), width, &mut out, width);
            out
        };
        assert_eq!(plain(false), expected); // small integers: no rounding
        assert_eq!(vectorized(plain), expected);
    }
}
