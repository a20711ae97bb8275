//! One head, sixteen queries at a time, from queries, keys and values to the weighted sum, in buffers that stay in the
//! cache. The `[B, H, T, T]` weights are never written to memory; the backward pass computes them again.
//!
//! Sixteen queries lie side by side in the lanes of a register. So the softmax of sixteen rows is maxima, exponentials
//! and sums of whole registers, and scores and sums are products in which one number of a key or value meets sixteen
//! queries.

use super::CausalAttention;
use crate::math::exp_lanes;
use crate::simd::{Lanes, Unit};
use crate::tile::{Left, Tile};

/// Queries handled together.
const GROUP: usize = 16;

/// The places of a head's results: row `i` of part `p` goes to `out[i · width + column + p · next ..]`.
pub(super) struct Output<'a> {
    pub(super) out: &'a mut [f32],
    pub(super) width: usize,
    pub(super) column: usize,
    pub(super) next: usize,
}

/// Buffers for one head after another. `T` is rounded up to whole groups, `D` to whole registers of eight; what is
/// beyond is zero.
pub(super) struct Buffers {
    /// `[T, D]`: queries times scale, keys, values, and the result's gradient.
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    g: Vec<f32>,
    /// A group's queries and gradients transposed, and the group's results, `[D, GROUP]`.
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
    pub(super) fn new(t: usize, d: usize, backward: bool, dropout: bool) -> Self {
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
pub(super) struct Head<'a> {
    pub(super) attention: &'a CausalAttention,
    pub(super) t: usize,
    /// Its number in the sequence …
    pub(super) head: usize,
    /// … and in the whole batch, from which the dropout is drawn.
    pub(super) at: usize,
    /// The sequence's `[T, 3C]`.
    pub(super) qkv: &'a [f32],
    pub(super) buffers: &'a mut Buffers,
}

/// `out ← out + a b`: `a` is `[seen, GROUP]`, `b` is `[GROUP, D]`.
#[inline(always)]
fn add_product<U: Unit>(unit: U, a: &[f32], b: &[f32], d_pad: usize, seen: usize, out: &mut [f32]) {
    for column in (0..d_pad).step_by(16) {
        let tile = Tile { a: Left::Rows(a, GROUP), b: &b[column..], b_row: d_pad, inner: GROUP };
        let out = &mut out[column..];
        match column + 16 <= d_pad {
            true => tile.rows::<U::Sixteen, true>(unit, seen, out, d_pad),
            false => tile.rows::<U::Eight, true>(unit.half(), seen, out, d_pad),
        }
    }
}

impl Head<'_> {
    /// Writes the weighted sums of the values.
    #[inline(always)]
    pub(super) fn forward<U: Unit>(mut self, unit: U, mut out: Output) {
        self.gather(unit);
        let (d_pad, d) = (self.d_pad(), self.attention.d);
        for first in (0..self.t).step_by(GROUP) {
            let seen = first + GROUP;
            let sums = self.weights(unit, first);
            self.drop(unit, first);
            let Buffers { v, p, y_t, .. } = &mut *self.buffers;
            let product = Tile { a: Left::Columns(v, d_pad), b: p, b_row: GROUP, inner: seen };
            product.rows::<U::Sixteen, false>(unit, d_pad, y_t, GROUP);
            let scale = U::Sixteen::splat(unit, 1.0).div(sums);
            out.write_transposed(unit, y_t, d, first, self.t, scale);
        }
    }

    /// Writes the gradients of queries, keys and values.
    #[inline(always)]
    pub(super) fn backward<U: Unit>(mut self, unit: U, grad: &[f32], mut out: Output) {
        let (d, d_pad, t) = (self.attention.d, self.d_pad(), self.t);
        self.gather(unit);
        let c = d * self.attention.n_head;
        gather(unit, grad, c, self.head * d, d, 1.0, &mut self.buffers.g);
        self.buffers.dk.fill(0.0);
        self.buffers.dv.fill(0.0);
        for first in (0..t).step_by(GROUP) {
            let seen = first + GROUP;
            self.score_gradients(unit, first);
            let Buffers { q, k, g, y_t, p, ds, dk, dv, .. } = &mut *self.buffers;
            let dq = Tile { a: Left::Columns(k, d_pad), b: ds, b_row: GROUP, inner: seen };
            dq.rows::<U::Sixteen, false>(unit, d_pad, y_t, GROUP);
            out.write_transposed(unit, y_t, d, first, t, U::Sixteen::splat(unit, self.attention.scale));
            // ∂K has the scale already: the queries were scaled.
            add_product(unit, ds, &q[first * d_pad..], d_pad, seen, dk);
            add_product(unit, p, &g[first * d_pad..], d_pad, seen, dv);
        }
        out.copy(unit, 1, &self.buffers.dk, d, t);
        out.copy(unit, 2, &self.buffers.dv, d, t);
    }

    #[inline(always)]
    fn d_pad(&self) -> usize {
        self.attention.d.next_multiple_of(8)
    }

    /// Collects the head's queries, keys and values.
    #[inline(always)]
    fn gather<U: Unit>(&mut self, unit: U) {
        let CausalAttention { d, n_head, scale, .. } = *self.attention;
        let (c, column) = (n_head * d, self.head * d);
        let Buffers { q, k, v, .. } = &mut *self.buffers;
        gather(unit, self.qkv, 3 * c, column, d, scale, q);
        gather(unit, self.qkv, 3 * c, c + column, d, 1.0, k);
        gather(unit, self.qkv, 3 * c, 2 * c + column, d, 1.0, v);
    }

    /// `exp(S − max S)` of the queries from `first` on, a row for each key that one of them sees; returned are the sums
    /// over the keys.
    #[inline(always)]
    fn weights<U: Unit>(&mut self, unit: U, first: usize) -> U::Sixteen {
        let (d, d_pad, seen) = (self.attention.d, self.d_pad(), first + GROUP);
        let Buffers { q, k, q_t, p, .. } = &mut *self.buffers;
        transpose(&q[first * d_pad..][..GROUP * d_pad], d_pad, q_t);
        Tile { a: Left::Rows(k, d_pad), b: q_t, b_row: GROUP, inner: d }
            .rows::<U::Sixteen, false>(unit, seen, p, GROUP);
        for (hidden, row) in UNSEEN.iter().zip(p[first * GROUP..].chunks_exact_mut(GROUP)) {
            // Whatever the score is, NaN and ∞ included: what a query must not see does not touch it.
            let hidden = U::Sixteen::load(unit, hidden);
            U::Sixteen::load(unit, row).zero_where_below(hidden, U::Sixteen::splat(unit, 0.0)).add(hidden).store(row);
        }
        let p = &mut p[..seen * GROUP];
        let mut top = U::Sixteen::splat(unit, f32::NEG_INFINITY);
        for row in p.chunks_exact(GROUP) {
            top = U::Sixteen::load(unit, row).max(top);
        }
        let mut sum = U::Sixteen::splat(unit, 0.0);
        for row in p.chunks_exact_mut(GROUP) {
            let x = exp_lanes(unit, U::Sixteen::load(unit, row).sub(top));
            sum = sum.add(x);
            x.store(row);
        }
        sum
    }

    /// `P ∘ M` and `∂S` of the queries from `first` on.
    #[inline(always)]
    fn score_gradients<U: Unit>(&mut self, unit: U, first: usize) {
        let (d, d_pad, seen) = (self.attention.d, self.d_pad(), first + GROUP);
        let scale = U::Sixteen::splat(unit, 1.0).div(self.weights(unit, first));
        self.draw_factors(first);
        let dropout = self.attention.mask.is_some();
        let Buffers { v, g, g_t, p, ds, factors, .. } = &mut *self.buffers;
        transpose(&g[first * d_pad..][..GROUP * d_pad], d_pad, g_t);
        Tile { a: Left::Rows(v, d_pad), b: g_t, b_row: GROUP, inner: d }
            .rows::<U::Sixteen, false>(unit, seen, ds, GROUP);
        let (p, ds) = (&mut p[..seen * GROUP], &mut ds[..seen * GROUP]);
        let mut along = U::Sixteen::splat(unit, 0.0);
        for (at, (p, ds)) in p.chunks_exact_mut(GROUP).zip(ds.chunks_exact_mut(GROUP)).enumerate() {
            let weight = U::Sixteen::load(unit, p).mul(scale);
            let mut dp = U::Sixteen::load(unit, ds);
            if dropout {
                dp = dp.mul(U::Sixteen::load(unit, &factors[at * GROUP..]));
                dp.store(ds);
            }
            along = weight.mul_add(dp, along);
            weight.store(p);
        }
        for (at, (p, ds)) in p.chunks_exact_mut(GROUP).zip(ds.chunks_exact_mut(GROUP)).enumerate() {
            let weight = U::Sixteen::load(unit, p);
            weight.mul(U::Sixteen::load(unit, ds).sub(along)).store(ds);
            if dropout {
                weight.mul(U::Sixteen::load(unit, &factors[at * GROUP..])).store(p);
            }
        }
    }

    /// Multiplies the weights of the queries from `first` on by their dropout factors.
    #[inline(always)]
    fn drop<U: Unit>(&mut self, unit: U, first: usize) {
        if self.attention.mask.is_none() {
            return;
        }
        self.draw_factors(first);
        let Buffers { p, factors, .. } = &mut *self.buffers;
        for (p, factor) in p.chunks_exact_mut(GROUP).zip(factors.chunks_exact(GROUP)).take(first + GROUP) {
            U::Sixteen::load(unit, p).mul(U::Sixteen::load(unit, factor)).store(p);
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

/// The mask that is added to scores: row `j` is for the key `j` places behind a group's first query, which sees it only
/// if `j` is 0.
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
fn gather<U: Unit>(unit: U, rows: &[f32], width: usize, column: usize, d: usize, scale: f32, out: &mut [f32]) {
    let whole = d / 8 * 8;
    for (out, row) in out.chunks_exact_mut(d.next_multiple_of(8)).zip(rows.chunks_exact(width)) {
        let row = &row[column..column + d];
        for at in (0..whole).step_by(8) {
            U::Eight::load(unit.half(), &row[at..]).mul(U::Eight::splat(unit.half(), scale)).store(&mut out[at..]);
        }
        for (out, x) in out[whole..].iter_mut().zip(&row[whole..]) {
            *out = x * scale;
        }
    }
}

/// `[GROUP, D]` to `[D, GROUP]`.
#[inline(always)]
fn transpose(rows: &[f32], d_pad: usize, out: &mut [f32]) {
    for (lane, row) in rows.chunks_exact(d_pad).enumerate().take(GROUP) {
        for (out, x) in out.chunks_exact_mut(GROUP).zip(row) {
            out[lane] = *x;
        }
    }
}

impl Output<'_> {
    /// Writes `scale ·` a group's `[D, GROUP]` as rows of the first part, from row `first` on up to `t`.
    #[inline(always)]
    fn write_transposed<U: Unit>(
        &mut self,
        unit: U,
        transposed: &mut [f32],
        d: usize,
        first: usize,
        t: usize,
        scale: U::Sixteen,
    ) {
        for row in transposed.chunks_exact_mut(GROUP) {
            U::Sixteen::load(unit, row).mul(scale).store(row);
        }
        for (lane, row) in self.out.chunks_exact_mut(self.width).skip(first).enumerate().take(GROUP.min(t - first)) {
            for (out, column) in row[self.column..self.column + d].iter_mut().zip(transposed.chunks_exact(GROUP)) {
                *out = column[lane];
            }
        }
    }

    /// Writes `[T, D]`, padded, as a part.
    #[inline(always)]
    fn copy<U: Unit>(&mut self, unit: U, part: usize, rows: &[f32], d: usize, t: usize) {
        let (whole, column) = (d / 8 * 8, self.column + part * self.next);
        for (out, row) in self.out.chunks_exact_mut(self.width).zip(rows.chunks_exact(d.next_multiple_of(8))).take(t) {
            let out = &mut out[column..column + d];
            for at in (0..whole).step_by(8) {
                U::Eight::load(unit.half(), &row[at..]).store(&mut out[at..]);
            }
            out[whole..].copy_from_slice(&row[whole..d]);
        }
    }
}
