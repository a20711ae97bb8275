//! A linear layer with a low-rank update (Hu et al. 2021, "LoRA", <https://arxiv.org/abs/2106.09685>, equation 3). Rows
//! go through in spans, so that what is added to a row, and what goes back through it, is computed while the row is in
//! the cache.

use rayon::prelude::*;

use crate::dropout::{Mask, dropped};
use crate::linear::{self, Weight};
use crate::matrix::{Matrix, multiply, multiply_add};
use crate::rows::total;
use crate::spans::SPAN;

/// Number of parts into which the rows are cut for the gradients of A and B, whatever the number of threads: the parts'
/// sums are added in order, so the same input gives the same bits.
const PARTS: usize = 16;

/// `s · (drop(x) Aᵀ) Bᵀ`.
#[derive(Debug, Clone, Copy)]
pub struct Update<'a> {
    /// A, `[r, n_in]`.
    pub a: &'a [f32],
    /// B, `[n_out, r]`.
    pub b: &'a [f32],
    /// r.
    pub rank: usize,
    /// s.
    pub scale: f32,
    /// The dropout of `x`.
    pub mask: Option<Mask>,
}

/// `y = x W + b + s · (drop(x) Aᵀ) Bᵀ`; `[rows, n_in]` → `[rows, n_out]`. The second result, `s · drop(x) Aᵀ` of size
/// `[rows, r]`, is saved for the backward pass.
pub fn forward(x: &[f32], weight: Weight, bias: Option<&[f32]>, update: &Update) -> (Vec<f32>, Vec<f32>) {
    // The projection is that of a layer without adapters, bit for bit: with B = 0 nothing changes.
    let mut y = linear::forward(x, weight, bias);
    let (Update { a, b, rank: r, scale, mask }, Weight { n_in, n_out, .. }) = (*update, weight);
    let mut hidden = vec![0.0; x.len() / n_in * r];
    let spans = y.par_chunks_mut(SPAN * n_out).zip(hidden.par_chunks_mut(SPAN * r)).zip(x.par_chunks(SPAN * n_in));
    spans.enumerate().for_each_init(
        || update.place(n_in),
        |place, (i, ((y, h), x))| {
            let x = dropped(x, mask, i * SPAN * n_in, update.part_of(place, x));
            multiply(Matrix::new(x, n_in), Matrix::new(a, n_in).t(), h);
            h.iter_mut().for_each(|h| *h *= scale);
            multiply_add(Matrix::new(h, r), Matrix::new(b, r).t(), y);
        },
    );
    (y, hidden)
}

// y = x W + b + h Bᵀ with h = s x̃ Aᵀ and x̃ = drop(x), so with u = s g B:
//   ∂B = gᵀ h,   ∂A = uᵀ x̃,   ∂x = g Wᵀ + drop(u A), where drop uses the same mask
/// `∂x`, `∂A` and `∂B`, from the `hidden` that [`forward`] saved; `∂x` only if it is wanted.
pub fn backward(
    [x, grad, hidden]: [&[f32]; 3],
    weight: Weight,
    update: &Update,
    wants_x: bool,
) -> [Option<Vec<f32>>; 3] {
    let (r, Weight { n_in, n_out, .. }) = (update.rank, weight);
    let rows = (x.len() / n_in).div_ceil(PARTS).next_multiple_of(SPAN);
    // If it is not wanted, there are empty pieces in its place.
    let mut dx = wants_x.then(|| vec![0.0; x.len()]);
    let pieces: Vec<&mut [f32]> = match &mut dx {
        Some(dx) => dx.chunks_mut(rows * n_in).collect(),
        None => (0..(x.len() / n_in).div_ceil(rows)).map(|_| &mut [][..]).collect(),
    };
    let parts = pieces.into_par_iter().zip(x.par_chunks(rows * n_in)).zip(grad.par_chunks(rows * n_out));
    let parts = parts.zip(hidden.par_chunks(rows * r)).enumerate().map(|(i, (((dx, x), g), h))| {
        let mut part = Backward::new(weight, update);
        let spans = x.chunks(SPAN * n_in).zip(g.chunks(SPAN * n_out)).zip(h.chunks(SPAN * r));
        for (j, ((x, g), h)) in spans.enumerate() {
            let dx = if wants_x { &mut dx[j * SPAN * n_in..][..x.len()] } else { &mut [] };
            part.span([x, g, h], (i * rows + j * SPAN) * n_in, dx);
        }
        (part.da, part.db)
    });
    let (das, dbs): (Vec<Vec<f32>>, Vec<Vec<f32>>) = parts.unzip();
    [dx, Some(total(das)), Some(total(dbs))]
}

/// The backward pass of one part.
struct Backward<'a> {
    weight: Weight<'a>,
    update: &'a Update<'a>,
    da: Vec<f32>,
    db: Vec<f32>,
    /// For a span's u.
    u: Vec<f32>,
    place: Vec<f32>,
}

impl<'a> Backward<'a> {
    fn new(weight: Weight<'a>, update: &'a Update<'a>) -> Self {
        let (da, db) = (vec![0.0; update.a.len()], vec![0.0; update.b.len()]);
        Backward { weight, update, da, db, u: vec![0.0; SPAN * update.rank], place: update.place(weight.n_in) }
    }

    /// Adds a span's gradients of A and B, writes that of `x` unless `dx` is empty. `first` is the span's place in the
    /// mask.
    fn span(&mut self, [x, g, h]: [&[f32]; 3], first: usize, dx: &mut [f32]) {
        let (Update { a, b, rank: r, scale, mask }, Weight { n_in, n_out, .. }) = (*self.update, self.weight);
        let u = &mut self.u[..h.len()];
        multiply(Matrix::new(g, n_out), Matrix::new(b, r), u);
        u.iter_mut().for_each(|u| *u *= scale);
        multiply_add(Matrix::new(g, n_out).t(), Matrix::new(h, r), &mut self.db);
        let kept = dropped(x, mask, first, self.update.part_of(&mut self.place, x));
        multiply_add(Matrix::new(u, r).t(), Matrix::new(kept, n_in), &mut self.da);
        if dx.is_empty() {
            return;
        }
        multiply(Matrix::new(g, n_out), self.weight.matrix().t(), dx);
        let Some(mask) = mask else { return multiply_add(Matrix::new(u, r), Matrix::new(a, n_in), dx) };
        let place = self.update.part_of(&mut self.place, x);
        multiply(Matrix::new(u, r), Matrix::new(a, n_in), place);
        let factors = (first..).map(|at| mask.factor(at));
        dx.iter_mut().zip(place).zip(factors).for_each(|((dx, p), factor)| *dx += *p * factor);
    }
}

impl Update<'_> {
    /// A place for a span of `x` of which something is dropped.
    fn place(&self, n_in: usize) -> Vec<f32> {
        vec![0.0; self.mask.map_or(0, |_| SPAN * n_in)]
    }

    /// As much of that place as `x` needs.
    fn part_of<'a>(&self, place: &'a mut [f32], x: &[f32]) -> &'a mut [f32] {
        &mut place[..self.mask.map_or(0, |_| x.len())]
    }
}
