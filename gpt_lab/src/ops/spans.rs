//! Rows of a batch in spans, each of which goes through a whole op on one thread while it is in the cache; and the sums over all
//! rows (the gradients of weights and biases): several spans make a part, which has sums of its own, and the parts' sums are
//! added in the order of the parts. How rows are divided depends on shapes only, so the same input gives the same bits.

use candle_core::{Device, Tensor};

use super::kernel::{for_rows, vectorized};
use super::product::{Matrix, multiply_add, product};
use super::ties::Ties;

/// Rows in a span: enough for a matrix product at full speed, few enough for what lies between two of them to stay in the cache.
pub(super) const SPAN: usize = 128;

/// Rows in a span of so many: twice [`SPAN`] where there are many, since each span's products put the weights into an order of their own
/// first.
pub(super) fn span_of(rows: usize) -> usize {
    if rows >= 16 * SPAN { 2 * SPAN } else { SPAN }
}

/// Numbers that the sums of all parts may hold together (128 MiB), as long as there are enough parts for some threads.
const BUDGET: usize = 1 << 25;
const PARTS: std::ops::RangeInclusive<usize> = 8..=16;

/// One part's sums: the gradient of each parameter that wants one, empty until something is added to it.
pub(super) struct Part<'a> {
    ties: &'a Ties,
    sums: Vec<Vec<f32>>,
}

/// How many rows make a part, in whole spans, for an op with these parameters.
pub(super) fn part_rows(ties: &Ties, rows: usize) -> usize {
    let wanted = (0..ties.tensors.len()).filter(|at| ties.wants(*at));
    let size: usize = wanted.map(|at| ties.tensors[at].elem_count()).sum();
    let most = (BUDGET / size.max(1)).clamp(*PARTS.start(), *PARTS.end());
    rows.div_ceil(most).next_multiple_of(span_of(rows))
}

impl<'a> Part<'a> {
    pub(super) fn new(ties: &'a Ties) -> Self {
        Part { ties, sums: vec![Vec::new(); ties.tensors.len()] }
    }

    /// Adds `xᵀ grad` to the gradient of weight `at`, if it is wanted.
    pub(super) fn weight(&mut self, at: usize, x: Matrix, grad: Matrix) {
        if !self.ties.wants(at) {
            return;
        }
        match &mut self.sums[at] {
            sum if sum.is_empty() => *sum = product(x.t(), grad),
            sum => multiply_add(x.t(), grad, sum),
        }
    }

    /// Adds the rows of `grad` to the gradient of bias `at`, if it is wanted.
    pub(super) fn bias(&mut self, at: usize, grad: &[f32]) {
        if !self.ties.wants(at) {
            return;
        }
        let sums = self.begun(at);
        vectorized(
            #[inline(always)]
            |_| {
                for row in grad.chunks_exact(sums.len()) {
                    sums.iter_mut().zip(row).for_each(|(sum, g)| *sum += g);
                }
            },
        );
    }

    /// Adds to the gradients of two parameters that follow each other, if either is wanted; `body` gets a place for both.
    pub(super) fn pair(&mut self, at: usize, body: impl FnOnce(&mut [f32], &mut [f32])) {
        if !self.ties.wants(at) && !self.ties.wants(at + 1) {
            return;
        }
        self.begun(at);
        self.begun(at + 1);
        let (first, second) = self.sums.split_at_mut(at + 1);
        body(&mut first[at], &mut second[0]);
    }

    /// The gradients, from all parts.
    pub(super) fn total(parts: Vec<Part>) -> candle_core::Result<Vec<Option<Tensor>>> {
        let mut parts = parts.into_iter();
        let Some(Part { ties, mut sums }) = parts.next() else { return Ok(Vec::new()) };
        let others: Vec<Part> = parts.collect();
        let gradient = |(at, tensor): (usize, &Tensor)| {
            if !ties.wants(at) {
                return Ok(None);
            }
            let mut total = std::mem::take(&mut sums[at]);
            add(&mut total, &others, at);
            Ok(Some(Tensor::from_vec(total, tensor.shape(), &Device::Cpu)?))
        };
        ties.tensors.iter().enumerate().map(gradient).collect()
    }

    /// The place for a gradient, filled with zeros if nothing was added to it so far.
    fn begun(&mut self, at: usize) -> &mut [f32] {
        self.sums[at].resize(self.ties.tensors[at].elem_count(), 0.0);
        &mut self.sums[at]
    }
}

/// Adds what the other parts have for parameter `at`, in their order.
fn add(total: &mut [f32], others: &[Part], at: usize) {
    for_rows(total, 1, |first, total| {
        for part in others {
            total.iter_mut().zip(&part.sums[at][first..]).for_each(|(total, part)| *total += part);
        }
    });
}
