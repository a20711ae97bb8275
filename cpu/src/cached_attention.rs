//! Causal attention of new positions on cached keys and values: what generation computes for each token.

use rayon::prelude::*;

use crate::few_rows::dot;
use crate::math::mul_add;
use crate::simd::{Unit, with_unit};
use crate::softmax::softmax_row;

/// Numbers read below which a second thread is not worth waking.
const SMALL: usize = 1 << 15;

/// The keys and values of one layer.
#[derive(Clone, Copy)]
pub struct KeysValues<'a> {
    /// `[rows, H, capacity, D]`.
    pub keys: &'a [f32],
    /// `[rows, H, capacity, D]`.
    pub values: &'a [f32],
    /// H.
    pub n_head: usize,
    /// Number of positions for which there is room.
    pub capacity: usize,
    /// Head size.
    pub d: usize,
}

/// A position that asks.
#[derive(Clone, Copy)]
pub struct Query<'a> {
    /// Its query vector, `[C]`, head after head.
    pub q: &'a [f32],
    /// For each position that it sees, itself included, the row in which that one's key and value lie.
    pub rows: &'a [u32],
}

impl KeysValues<'_> {
    /// The place at which the key and the value of a position begin.
    #[inline(always)]
    pub fn at(&self, row: usize, head: usize, position: usize) -> usize {
        ((row * self.n_head + head) * self.capacity + position) * self.d
    }

    /// `softmax(q Kᵀ · scale) V` of every query, `[queries, C]`.
    pub fn attend(&self, queries: &[Query], scale: f32) -> Vec<f32> {
        let mut y = vec![0.0; queries.len() * self.n_head * self.d];
        let one = |(at, y): (usize, &mut [f32])| {
            let (query, head) = (queries[at / self.n_head], at % self.n_head);
            with_unit!(|unit| self.head(unit, query, head, scale, y));
        };
        let read: usize = queries.iter().map(|query| 2 * query.rows.len() * query.q.len()).sum();
        match read < SMALL {
            true => y.chunks_exact_mut(self.d).enumerate().for_each(one),
            false => y.par_chunks_exact_mut(self.d).enumerate().for_each(one),
        }
        y
    }

    #[inline(always)]
    fn head<U: Unit>(&self, unit: U, query: Query, head: usize, scale: f32, y: &mut [f32]) {
        let d = self.d;
        let q = &query.q[head * d..(head + 1) * d];
        let place = |(position, row): (usize, &u32)| self.at(*row as usize, head, position);
        let mut weights = Vec::with_capacity(query.rows.len());
        for at in query.rows.iter().enumerate().map(place) {
            weights.push(scale * dot(unit, q, &self.keys[at..at + d]));
        }
        softmax_row(unit, &mut weights);
        for (at, weight) in query.rows.iter().enumerate().map(place).zip(weights) {
            for (y, v) in y.iter_mut().zip(&self.values[at..at + d]) {
                *y = mul_add(unit, weight, *v, *y);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_positions_in_different_rows_by_hand() {
        // Two rows, one head of two, room for two positions. The query sees position 0 in row 1 and position 1 in
        // row 0.
        let keys = [9.0, 9.0, 0.0, 1.0, /* row 1 */ 1.0, 0.0, 9.0, 9.0];
        let values = [9.0, 9.0, 3.0, 0.0, /* row 1 */ 1.0, 4.0, 9.0, 9.0];
        let cached = KeysValues { keys: &keys, values: &values, n_head: 1, capacity: 2, d: 2 };
        let ln_3 = 3f32.ln();
        let y = cached.attend(&[Query { q: &[2.0 * ln_3, 0.0], rows: &[1, 0] }], 0.5);
        // Scores ln 3 and 0: weights ¾ and ¼.
        assert!((y[0] - 1.5).abs() < 1e-6 && (y[1] - 3.0).abs() < 1e-6, "{y:?}");
    }
}
