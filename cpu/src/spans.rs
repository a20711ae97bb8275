//! Rows of a batch in spans, each of which goes through a whole op on one thread while it is in the cache; and the sums
//! over all rows (the gradients of weights and biases): several spans make a part, which has sums of its own, and the
//! parts' sums are added in the order of the parts. The division depends on shapes only, so the same input gives the
//! same bits.

use crate::matrix::{Matrix, multiply_add, product};
use crate::rows::{add, add_column_sums, for_rows};

/// Rows in a span: enough for a matrix product at full speed, few enough for what lies between two of them to stay in
/// the cache.
pub(crate) const SPAN: usize = 128;

/// Rows in a span of so many: twice [`SPAN`] where there are many, since each span's products put the weights into an
/// order of their own first.
pub(crate) fn span_of(rows: usize) -> usize {
    if rows >= 16 * SPAN { 2 * SPAN } else { SPAN }
}

/// Number of values that the sums of all parts may hold together (128 MiB), as long as there are enough parts for some
/// threads.
const BUDGET: usize = 1 << 25;
const PARTS: std::ops::RangeInclusive<usize> = 8..=16;

/// Number of rows in a part, in whole spans, for gradients of these sizes in all.
pub(crate) fn part_rows(size: usize, rows: usize) -> usize {
    let most = (BUDGET / size.max(1)).clamp(*PARTS.start(), *PARTS.end());
    rows.div_ceil(most).next_multiple_of(span_of(rows))
}

/// One part's sums: the gradient of each parameter that wants one, empty until something is added to it.
pub(crate) struct Part<'a> {
    /// Size of the parameters that want a gradient, `None` for the others.
    sizes: &'a [Option<usize>],
    sums: Vec<Vec<f32>>,
}

impl<'a> Part<'a> {
    pub(crate) fn new(sizes: &'a [Option<usize>]) -> Self {
        Part { sizes, sums: vec![Vec::new(); sizes.len()] }
    }

    /// Adds `xᵀ grad` to the gradient of weight `at`, if it is wanted.
    pub(crate) fn weight(&mut self, at: usize, x: Matrix, grad: Matrix) {
        if self.sizes[at].is_none() {
            return;
        }
        match &mut self.sums[at] {
            sum if sum.is_empty() => *sum = product(x.t(), grad),
            sum => multiply_add(x.t(), grad, sum),
        }
    }

    /// Adds the rows of `grad` to the gradient of bias `at`, if it is wanted.
    pub(crate) fn bias(&mut self, at: usize, grad: &[f32]) {
        let Some(size) = self.sizes[at] else { return };
        add_column_sums(grad, self.begun(at, size));
    }

    /// Adds to the gradients of two parameters of one size that follow each other, if either is wanted; `body` gets a
    /// place for both.
    pub(crate) fn pair(&mut self, at: usize, body: impl FnOnce(&mut [f32], &mut [f32])) {
        let Some(size) = self.sizes[at].or(self.sizes[at + 1]) else { return };
        self.begun(at, size);
        self.begun(at + 1, size);
        let (first, second) = self.sums.split_at_mut(at + 1);
        body(&mut first[at], &mut second[0]);
    }

    /// The gradients, from all parts.
    pub(crate) fn total(parts: Vec<Part>) -> Vec<Option<Vec<f32>>> {
        let mut parts = parts.into_iter();
        let Some(Part { sizes, sums }) = parts.next() else { return Vec::new() };
        let others: Vec<Part> = parts.collect();
        let gradient = |(at, mut total): (usize, Vec<f32>)| {
            sizes[at]?;
            for_rows(&mut total, 1, |first, total| {
                others.iter().for_each(|part| add(total, &part.sums[at][first..]));
            });
            Some(total)
        };
        sums.into_iter().enumerate().map(gradient).collect()
    }

    /// The place for a gradient, filled with zeros if nothing was added to it so far.
    fn begun(&mut self, at: usize, size: usize) -> &mut [f32] {
        self.sums[at].resize(size, 0.0);
        &mut self.sums[at]
    }
}
