//! Products of small matrices in registers: a few rows of the left one with a register's width of the right one.

use crate::simd::Lanes;

/// `out[r, ..W] (+)= Σ_k a[r, k] · b[k, ..W]` for some rows `r`, `W` being the width of the lanes.
#[derive(Clone, Copy)]
pub(crate) struct Tile<'a> {
    pub(crate) a: Left<'a>,
    pub(crate) b: &'a [f32],
    /// Distance between rows of `b`.
    pub(crate) b_row: usize,
    /// Number of columns of `a` and of rows of `b`.
    pub(crate) inner: usize,
}

/// The left matrix.
#[derive(Clone, Copy)]
pub(crate) enum Left<'a> {
    /// Row `r` from `r · stride` on.
    Rows(&'a [f32], usize),
    /// Transposed: column `k` from `k · stride` on.
    Columns(&'a [f32], usize),
}

impl<'a> Left<'a> {
    /// The matrix without its first rows.
    #[inline(always)]
    fn skip(self, rows: usize) -> Self {
        match self {
            Left::Rows(a, stride) => Left::Rows(&a[rows * stride..], stride),
            Left::Columns(a, stride) => Left::Columns(&a[rows..], stride),
        }
    }
}

impl Tile<'_> {
    /// Row `r` of the result goes to, or with `ADD` is added to, `out[r · out_row ..]`.
    #[inline(always)]
    fn product<V: Lanes, const R: usize, const ADD: bool>(self, unit: V::Unit, out: &mut [f32], out_row: usize) {
        let Tile { a, b, b_row, inner } = self;
        let last = inner.checked_sub(1).expect("something to add up");
        let (a, row, column) = match a {
            Left::Rows(a, stride) => (a, stride, 1),
            Left::Columns(a, stride) => (a, 1, stride),
        };
        assert!(a.len() > (R - 1) * row + last * column, "size of the left matrix");
        assert!(b.len() >= last * b_row + V::WIDTH, "size of the right matrix");
        assert!(out.len() >= (R - 1) * out_row + V::WIDTH, "size of the result");
        let mut sums = [V::splat(unit, 0.0); R];
        if ADD {
            for (r, sum) in sums.iter_mut().enumerate() {
                // SAFETY: the third assertion, since `r < R`.
                *sum = V::load(unit, unsafe { out.get_unchecked(r * out_row..r * out_row + V::WIDTH) });
            }
        }
        for k in 0..inner {
            // SAFETY: the second assertion, since `k ≤ last`.
            let b = V::load(unit, unsafe { b.get_unchecked(k * b_row..k * b_row + V::WIDTH) });
            for (r, sum) in sums.iter_mut().enumerate() {
                // SAFETY: the first assertion, since `r < R` and `k ≤ last`.
                let a = unsafe { *a.get_unchecked(r * row + k * column) };
                *sum = V::splat(unit, a).mul_add(b, *sum);
            }
        }
        for (r, sum) in sums.into_iter().enumerate() {
            // SAFETY: the third assertion, since `r < R`.
            sum.store(unsafe { out.get_unchecked_mut(r * out_row..r * out_row + V::WIDTH) });
        }
    }

    /// The product for any number of rows that is a multiple of eight.
    #[inline(always)]
    pub(crate) fn rows<V: Lanes, const ADD: bool>(self, unit: V::Unit, rows: usize, out: &mut [f32], out_row: usize) {
        for first in (0..rows).step_by(V::SUMS) {
            let tile = Tile { a: self.a.skip(first), ..self };
            let out = &mut out[first * out_row..];
            match V::SUMS {
                8 => tile.product::<V, 8, ADD>(unit, out, out_row),
                _ => tile.product::<V, 4, ADD>(unit, out, out_row),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Unit, on_every_unit};

    const ROWS: usize = 16;
    const WIDTH: usize = 24;
    const INNER: usize = 5;

    fn a(at: usize) -> f32 {
        (at * 7 % 11) as f32 - 5.0
    }

    fn b(at: usize) -> f32 {
        (at * 5 % 13) as f32 - 6.0
    }

    /// `[ROWS, WIDTH]`: a product in the first sixteen columns, and one added to 1 in the last eight.
    fn product<U: Unit>(unit: U, a: Left, b: &[f32]) -> Vec<f32> {
        let mut out = vec![1.0; ROWS * WIDTH];
        let tile = Tile { a, b, b_row: WIDTH, inner: INNER };
        tile.rows::<U::Sixteen, false>(unit, ROWS, &mut out, WIDTH);
        Tile { b: &b[16..], ..tile }.rows::<U::Eight, true>(unit.half(), ROWS, &mut out[16..], WIDTH);
        out
    }

    #[test]
    fn tiles_are_products_on_every_unit() {
        let expected = |at: usize| {
            let (row, column) = (at / WIDTH, at % WIDTH);
            let sum: f32 = (0..INNER).map(|k| a(row * INNER + k) * b(k * WIDTH + column)).sum();
            if column < 16 { sum } else { 1.0 + sum }
        };
        let expected: Vec<f32> = (0..ROWS * WIDTH).map(expected).collect(); // small integers: no rounding
        let rows: Vec<f32> = (0..ROWS * INNER).map(a).collect();
        let columns: Vec<f32> = (0..ROWS * INNER).map(|at| a(at % ROWS * INNER + at / ROWS)).collect();
        let b: Vec<f32> = (0..INNER * WIDTH).map(b).collect();
        on_every_unit!(|unit| {
            assert_eq!(product(unit, Left::Rows(&rows, INNER), &b), expected, "{unit:?}");
            assert_eq!(product(unit, Left::Columns(&columns, ROWS), &b), expected, "{unit:?}");
        });
    }
}
