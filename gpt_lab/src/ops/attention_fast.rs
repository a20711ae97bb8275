//! The fast version of causal attention: one head at a time, sixteen queries at a time, from queries, keys and values to the weighted
//! sum, in buffers that stay in the cache. The `[B, H, T, T]` weights are never written to memory; the backward pass computes them again.
//!
//! Sixteen queries lie side by side in the lanes of a register. So the softmax of sixteen rows is maxima, exponentials and sums of whole
//! registers, and scores and sums are products in which one number of a key or value meets sixteen queries.

use candle_core::{CpuStorage, CustomOp1, Device, Layout, Shape, Tensor};
use rayon::prelude::*;

use super::dropout::Mask;
use super::kernel::{Values, values};
use super::lanes::{Lanes, Machine, Tile, Work, exp, with_lanes};

/// Queries handled together.
const GROUP: usize = 16;
/// Up to so many products of a query's number with a key's, it is not worth waking a second thread.
const SMALL: usize = 1 << 20;
/// From so many sequences on, a thread takes a whole sequence; with fewer, a head.
const MANY: usize = 8;

/// See [`causal_attention`](super::causal_attention).
pub(super) struct CausalAttention {
    pub(super) n_head: usize,
    /// Head size.
    pub(super) d: usize,
    pub(super) scale: f32,
    pub(super) mask: Option<Mask>,
}

impl CustomOp1 for CausalAttention {
    fn name(&self) -> &'static str {
        "causal_attention"
    }

    fn cpu_fwd(&self, qkv: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (b, t, width) = layout.shape().dims3()?;
        let mut y = vec![0.0; b * t * width / 3];
        self.forward(values(qkv, layout)?, t, &mut y);
        Ok((CpuStorage::F32(y), Shape::from((b, t, width / 3))))
    }

    // For one head, with S = Q Kᵀ · scale (masked), P = softmax(S), Y = P V and the gradient g of Y:
    //   ∂V = Pᵀ g,   ∂P = g Vᵀ,   ∂S = P ∘ (∂P − rowsum(∂P ∘ P)),   ∂Q = ∂S K · scale,   ∂K = ∂Sᵀ Q · scale
    // With dropout factors M: Y = (P ∘ M) V, so ∂V = (P ∘ M)ᵀ g and ∂P = (g Vᵀ) ∘ M.
    fn bwd(&self, qkv: &Tensor, _y: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let (b, t, width) = qkv.dims3()?;
        let grad = grad.contiguous()?;
        let mut dqkv = vec![0.0; b * t * width];
        self.backward(&Values::of(qkv)?, &Values::of(&grad)?, t, &mut dqkv);
        Ok(Some(Tensor::from_vec(dqkv, (b, t, width), &Device::Cpu)?))
    }
}

impl CausalAttention {
    /// From queries, keys and values `[B, T, 3C]` to the weighted sums `[B, T, C]`.
    pub(super) fn forward(&self, qkv: &[f32], t: usize, y: &mut [f32]) {
        let c = self.n_head * self.d;
        self.for_heads(t, y, 1, |buffers, sequence, head, place| {
            let qkv = &qkv[sequence * t * 3 * c..][..t * 3 * c];
            let head = Head { attention: self, t, head, at: sequence * self.n_head + head, qkv, buffers };
            with_lanes(Forward(head, place));
        });
    }

    /// The gradient of queries, keys and values `[B, T, 3C]`, given that of the result.
    pub(super) fn backward(&self, qkv: &[f32], grad: &[f32], t: usize, dqkv: &mut [f32]) {
        let c = self.n_head * self.d;
        self.for_heads(t, dqkv, 3, |buffers, sequence, head, place| {
            let (qkv, grad) = (&qkv[sequence * t * 3 * c..][..t * 3 * c], &grad[sequence * t * c..][..t * c]);
            let head = Head { attention: self, t, head, at: sequence * self.n_head + head, qkv, buffers };
            with_lanes(Backward(head, grad, place));
        });
    }

    /// Has `body` write what comes of every sequence and head: `parts` times `[T, D]`, to the places in `out` `[B, T, parts · C]` that
    /// it is told. No sum depends on how the work is divided.
    fn for_heads(
        &self,
        t: usize,
        out: &mut [f32],
        parts: usize,
        body: impl Fn(&mut Buffers, usize, usize, Place) + Sync,
    ) {
        let (d, h) = (self.d, self.n_head);
        let width = parts * h * d;
        let new = || Buffers::new(t, d, parts > 1, self.mask.is_some());
        let in_place = |buffers: &mut Buffers, (sequence, out): (usize, &mut [f32])| {
            for head in 0..h {
                body(buffers, sequence, head, Place { out: &mut *out, width, column: head * d, next: h * d });
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
                body(buffers, at / h, at % h, Place { out: &mut out, width: parts * d, column: 0, next: d });
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

/// Where a head's results go: row `i` of part `p` to `out[i · width + column + p · next ..]`.
struct Place<'a> {
    out: &'a mut [f32],
    width: usize,
    column: usize,
    next: usize,
}

/// Buffers for one head after another. `T` is rounded up to whole groups, `D` to whole registers of eight; what is beyond is zero.
struct Buffers {
    /// `[T, D]`: queries times scale, keys, values, and the result's gradient.
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    g: Vec<f32>,
    /// A group's queries and gradients turned, and what comes of them, `[D, GROUP]`.
    q_t: Vec<f32>,
    g_t: Vec<f32>,
    y_t: Vec<f32>,
    /// A group's weights and their gradients, and the dropout's factors, `[T, GROUP]`: a row for a key.
    p: Vec<f32>,
    ds: Vec<f32>,
    factors: Vec<f32>,
    /// `[T, D]`.
    dk: Vec<f32>,
    dv: Vec<f32>,
}

impl Buffers {
    fn new(t: usize, d: usize, backward: bool, dropout: bool) -> Self {
        let (t, d) = (t.next_multiple_of(GROUP), d.next_multiple_of(8));
        let zeros = |size: usize, used: bool| vec![0.0; if used { size } else { 0 }];
        Buffers {
            q: zeros(t * d, true),
            k: zeros(t * d, true),
            v: zeros(t * d, true),
            g: zeros(t * d, backward),
            q_t: zeros(d * GROUP, true),
            g_t: zeros(d * GROUP, backward),
            y_t: zeros(d * GROUP, true),
            p: zeros(t * GROUP, true),
            ds: zeros(t * GROUP, backward),
            factors: zeros(t * GROUP, dropout),
            dk: zeros(t * d, backward),
            dv: zeros(t * d, backward),
        }
    }
}

/// One head of one sequence.
struct Head<'a> {
    attention: &'a CausalAttention,
    t: usize,
    /// Its number in the sequence …
    head: usize,
    /// … and in the whole batch, from which the dropout is drawn.
    at: usize,
    /// The sequence's `[T, 3C]`.
    qkv: &'a [f32],
    buffers: &'a mut Buffers,
}

struct Forward<'a>(Head<'a>, Place<'a>);

impl Work for Forward<'_> {
    #[inline(always)]
    fn run<M: Machine>(self) {
        let Forward(mut head, mut place) = self;
        head.gather::<M>();
        let (d_pad, d) = (head.d_pad(), head.attention.d);
        for first in (0..head.t).step_by(GROUP) {
            let seen = first + GROUP;
            let sums = head.weights::<M>(first);
            head.drop::<M>(first);
            let Buffers { v, p, y_t, .. } = &mut *head.buffers;
            let product = Tile { a: v, a_strides: [1, d_pad], b: p, b_row: GROUP, inner: seen };
            product.rows::<M::Sixteen, false>(d_pad, y_t, GROUP);
            let scale = M::Sixteen::splat(1.0).div(sums);
            place.turn_back::<M>(y_t, d, first, head.t, scale);
        }
    }
}

struct Backward<'a>(Head<'a>, &'a [f32], Place<'a>);

impl Work for Backward<'_> {
    #[inline(always)]
    fn run<M: Machine>(self) {
        let Backward(mut head, grad, mut place) = self;
        let (d, d_pad, t) = (head.attention.d, head.d_pad(), head.t);
        head.gather::<M>();
        let c = d * head.attention.n_head;
        gather::<M>(grad, c, head.head * d, d, 1.0, &mut head.buffers.g);
        head.buffers.dk.fill(0.0);
        head.buffers.dv.fill(0.0);
        for first in (0..t).step_by(GROUP) {
            let seen = first + GROUP;
            head.score_gradients::<M>(first);
            let Buffers { q, k, g, y_t, p, ds, dk, dv, .. } = &mut *head.buffers;
            let dq = Tile { a: k, a_strides: [1, d_pad], b: ds, b_row: GROUP, inner: seen };
            dq.rows::<M::Sixteen, false>(d_pad, y_t, GROUP);
            place.turn_back::<M>(y_t, d, first, t, M::Sixteen::splat(head.attention.scale));
            // ∂K has the scale already: the queries were scaled.
            add_product::<M>(ds, &q[first * d_pad..], d_pad, seen, dk);
            add_product::<M>(p, &g[first * d_pad..], d_pad, seen, dv);
        }
        place.copy::<M>(1, &head.buffers.dk, d, t);
        place.copy::<M>(2, &head.buffers.dv, d, t);
    }
}

/// `out ← out + a b`: `a` is `[seen, GROUP]`, `b` is `[GROUP, D]`.
#[inline(always)]
fn add_product<M: Machine>(a: &[f32], b: &[f32], d_pad: usize, seen: usize, out: &mut [f32]) {
    for column in (0..d_pad).step_by(16) {
        let tile = Tile { a, a_strides: [GROUP, 1], b: &b[column..], b_row: d_pad, inner: GROUP };
        let out = &mut out[column..];
        match column + 16 <= d_pad {
            true => tile.rows::<M::Sixteen, true>(seen, out, d_pad),
            false => tile.rows::<M::Eight, true>(seen, out, d_pad),
        }
    }
}

impl Head<'_> {
    #[inline(always)]
    fn d_pad(&self) -> usize {
        self.attention.d.next_multiple_of(8)
    }

    /// Collects the head's queries, keys and values.
    #[inline(always)]
    fn gather<M: Machine>(&mut self) {
        let CausalAttention { d, n_head, scale, .. } = *self.attention;
        let (c, column) = (n_head * d, self.head * d);
        let Buffers { q, k, v, .. } = &mut *self.buffers;
        gather::<M>(self.qkv, 3 * c, column, d, scale, q);
        gather::<M>(self.qkv, 3 * c, c + column, d, 1.0, k);
        gather::<M>(self.qkv, 3 * c, 2 * c + column, d, 1.0, v);
    }

    /// `exp(S − max S)` of the queries from `first` on, a row for each key that one of them sees; returned are the sums over the keys.
    #[inline(always)]
    fn weights<M: Machine>(&mut self, first: usize) -> M::Sixteen {
        let (d, d_pad, seen) = (self.attention.d, self.d_pad(), first + GROUP);
        let Buffers { q, k, q_t, p, .. } = &mut *self.buffers;
        turn(&q[first * d_pad..][..GROUP * d_pad], d_pad, q_t);
        Tile { a: k, a_strides: [d_pad, 1], b: q_t, b_row: GROUP, inner: d }.rows::<M::Sixteen, false>(seen, p, GROUP);
        for (hidden, row) in UNSEEN.iter().zip(p[first * GROUP..].chunks_exact_mut(GROUP)) {
            // Whatever the score is, NaN and ∞ included: what a query must not see does not touch it.
            let hidden = M::Sixteen::load(hidden);
            M::Sixteen::load(row).zero_where_below(hidden, M::Sixteen::splat(0.0)).add(hidden).store(row);
        }
        let p = &mut p[..seen * GROUP];
        let mut top = M::Sixteen::splat(f32::NEG_INFINITY);
        for row in p.chunks_exact(GROUP) {
            top = M::Sixteen::load(row).max(top);
        }
        let mut sum = M::Sixteen::splat(0.0);
        for row in p.chunks_exact_mut(GROUP) {
            let x = exp(M::Sixteen::load(row).sub(top));
            sum = sum.add(x);
            x.store(row);
        }
        sum
    }

    /// `P ∘ M` and `∂S` of the queries from `first` on.
    #[inline(always)]
    fn score_gradients<M: Machine>(&mut self, first: usize) {
        let (d, d_pad, seen) = (self.attention.d, self.d_pad(), first + GROUP);
        let scale = M::Sixteen::splat(1.0).div(self.weights::<M>(first));
        self.draw_factors(first);
        let dropout = self.attention.mask.is_some();
        let Buffers { v, g, g_t, p, ds, factors, .. } = &mut *self.buffers;
        turn(&g[first * d_pad..][..GROUP * d_pad], d_pad, g_t);
        Tile { a: v, a_strides: [d_pad, 1], b: g_t, b_row: GROUP, inner: d }.rows::<M::Sixteen, false>(seen, ds, GROUP);
        let (p, ds) = (&mut p[..seen * GROUP], &mut ds[..seen * GROUP]);
        let mut along = M::Sixteen::splat(0.0);
        for (at, (p, ds)) in p.chunks_exact_mut(GROUP).zip(ds.chunks_exact_mut(GROUP)).enumerate() {
            let weight = M::Sixteen::load(p).mul(scale);
            let mut dp = M::Sixteen::load(ds);
            if dropout {
                dp = dp.mul(M::Sixteen::load(&factors[at * GROUP..]));
                dp.store(ds);
            }
            along = weight.mul_add(dp, along);
            weight.store(p);
        }
        for (at, (p, ds)) in p.chunks_exact_mut(GROUP).zip(ds.chunks_exact_mut(GROUP)).enumerate() {
            let weight = M::Sixteen::load(p);
            weight.mul(M::Sixteen::load(ds).sub(along)).store(ds);
            if dropout {
                weight.mul(M::Sixteen::load(&factors[at * GROUP..])).store(p);
            }
        }
    }

    /// Multiplies the weights of the queries from `first` on by their dropout factors.
    #[inline(always)]
    fn drop<M: Machine>(&mut self, first: usize) {
        if self.attention.mask.is_none() {
            return;
        }
        self.draw_factors(first);
        let Buffers { p, factors, .. } = &mut *self.buffers;
        for (p, factor) in p.chunks_exact_mut(GROUP).zip(factors.chunks_exact(GROUP)).take(first + GROUP) {
            M::Sixteen::load(p).mul(M::Sixteen::load(factor)).store(p);
        }
    }

    /// The dropout's factors for the queries from `first` on: those of the elements of `[B, H, T, T]`.
    #[inline(always)]
    fn draw_factors(&mut self, first: usize) {
        let Some(mask) = self.attention.mask else { return };
        for (key, row) in self.buffers.factors.chunks_exact_mut(GROUP).enumerate().take(first + GROUP) {
            for (lane, factor) in row.iter_mut().enumerate() {
                *factor = mask.factor((self.at * self.t + first + lane) * self.t + key);
            }
        }
    }
}

/// What is added to scores: row `j` is for the key `j` places behind a group's first query, which sees it only if `j` is 0.
static UNSEEN: [[f32; GROUP]; GROUP] = {
    let mut rows = [[0.0; GROUP]; GROUP];
    let mut key = 0;
    while key < GROUP {
        let mut query = 0;
        while query < key {
            rows[key][query] = f32::NEG_INFINITY;
            query += 1;
        }
        key += 1;
    }
    rows
};

/// `scale ·` the `[T, D]` that begins at `column` of rows of this width, into rows that are padded to whole registers.
#[inline(always)]
fn gather<M: Machine>(rows: &[f32], width: usize, column: usize, d: usize, scale: f32, out: &mut [f32]) {
    let whole = d / 8 * 8;
    for (out, row) in out.chunks_exact_mut(d.next_multiple_of(8)).zip(rows.chunks_exact(width)) {
        let row = &row[column..column + d];
        for at in (0..whole).step_by(8) {
            M::Eight::load(&row[at..]).mul(M::Eight::splat(scale)).store(&mut out[at..]);
        }
        for (out, x) in out[whole..].iter_mut().zip(&row[whole..]) {
            *out = x * scale;
        }
    }
}

/// `[GROUP, D]` to `[D, GROUP]`.
#[inline(always)]
fn turn(rows: &[f32], d_pad: usize, out: &mut [f32]) {
    for (lane, row) in rows.chunks_exact(d_pad).enumerate().take(GROUP) {
        for (out, x) in out.chunks_exact_mut(GROUP).zip(row) {
            out[lane] = *x;
        }
    }
}

impl Place<'_> {
    /// Writes `scale ·` a group's `[D, GROUP]` as rows of the first part, from row `first` on up to `t`.
    #[inline(always)]
    fn turn_back<M: Machine>(&mut self, turned: &mut [f32], d: usize, first: usize, t: usize, scale: M::Sixteen) {
        for row in turned.chunks_exact_mut(GROUP) {
            M::Sixteen::load(row).mul(scale).store(row);
        }
        for (lane, row) in self.out.chunks_exact_mut(self.width).skip(first).enumerate().take(GROUP.min(t - first)) {
            for (out, column) in row[self.column..self.column + d].iter_mut().zip(turned.chunks_exact(GROUP)) {
                *out = column[lane];
            }
        }
    }

    /// Writes `[T, D]`, padded, as a part.
    #[inline(always)]
    fn copy<M: Machine>(&mut self, part: usize, rows: &[f32], d: usize, t: usize) {
        let (whole, column) = (d / 8 * 8, self.column + part * self.next);
        for (out, row) in self.out.chunks_exact_mut(self.width).zip(rows.chunks_exact(d.next_multiple_of(8))).take(t) {
            let out = &mut out[column..column + d];
            for at in (0..whole).step_by(8) {
                M::Eight::load(&row[at..]).store(&mut out[at..]);
            }
            out[whole..].copy_from_slice(&row[whole..d]);
        }
    }
}
