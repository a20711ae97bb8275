//! A linear layer with a low-rank update (Hu et al. 2021, "LoRA", <https://arxiv.org/abs/2106.09685>, equation 3).

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp3, Device, Layout, Shape, Storage, Tensor};
use rayon::prelude::*;

use super::dropout::Mask;
use super::kernel::{Values, fast, values};
use super::linear::{self, Linear};
use super::mlp_block::dropped;
use super::product::{Matrix, multiply, multiply_add};
use super::spans::SPAN;
use super::{Dropout, dropout, linear_transposed};
use crate::Result;

/// Into so many parts the rows are cut for the gradients of A and B, whatever the number of threads: the parts' sums are added in
/// order, so the same input gives the same bits.
const PARTS: usize = 16;

/// A linear layer's weight, bias and layout.
#[derive(Debug, Clone)]
pub struct Projection {
    /// `[n_in, n_out]`, or `[n_out, n_in]` if `transposed`.
    pub weight: Tensor,
    /// `[n_out]`.
    pub bias: Option<Tensor>,
    /// The weight is stored output first, as PyTorch's `nn.Linear` has it.
    pub transposed: bool,
}

/// What is added to it: `s · (drop(x) Aᵀ) Bᵀ`.
#[derive(Debug, Clone)]
pub struct LowRank {
    /// A, `[r, n_in]`.
    pub a: Tensor,
    /// B, `[n_out, r]`.
    pub b: Tensor,
    /// s.
    pub scale: f64,
    /// What is dropped of `x` on its way into A; the projection itself gets all of it.
    pub dropout: Option<Dropout>,
}

/// `y = x W + b + s · (drop(x) Aᵀ) Bᵀ`.
///
/// Shapes: `x` is `[…, n_in]`, the result is `[…, n_out]`. With a frozen weight and bias this is one operation: what it adds is
/// written into the projection's result, and the backward pass keeps nothing of the size of that result.
pub fn low_rank(x: &Tensor, projection: &Projection, update: &LowRank) -> Result<Tensor> {
    let LowRank { a, b, scale, dropout } = update;
    if !suits(x, projection, update) {
        return added(&projection.forward(x)?, x, update);
    }
    let projection = Projection {
        weight: projection.weight.contiguous()?.detach(),
        bias: projection.bias.as_ref().map(|bias| bias.contiguous().map(|bias| bias.detach())).transpose()?,
        transposed: projection.transposed,
    };
    let mask = dropout.map(Mask::new).transpose()?;
    let op = Frozen { projection, scale: *scale as f32, mask, hidden: OnceLock::new() };
    Ok(x.contiguous()?.apply_op3(&a.contiguous()?, &b.contiguous()?, op)?)
}

/// `y + s · (drop(x) Aᵀ) Bᵀ`, for the second and further updates of one projection.
pub fn added(y: &Tensor, x: &Tensor, update: &LowRank) -> Result<Tensor> {
    let kept = match update.dropout {
        Some(Dropout { p, seed }) => dropout(x, p, seed)?,
        None => x.clone(),
    };
    let hidden = (linear_transposed(&kept, &update.a, None)? * update.scale)?; // […, r]
    Ok((y + linear_transposed(&hidden, &update.b, None)?)?)
}

impl Projection {
    /// `x W + b`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let apply = if self.transposed { linear_transposed } else { linear::linear };
        apply(x, &self.weight, self.bias.as_ref())
    }

    /// `n_in`, `n_out`.
    fn sizes(&self) -> Result<(usize, usize)> {
        let (first, second) = self.weight.dims2()?;
        Ok(if self.transposed { (second, first) } else { (first, second) })
    }
}

/// Whether one operation can do it: a frozen projection, matching shapes, f32 on the CPU.
fn suits(x: &Tensor, projection: &Projection, LowRank { a, b, .. }: &LowRank) -> bool {
    let Ok((n_in, n_out)) = projection.sizes() else { return false };
    let bias_fits =
        projection.bias.as_ref().is_none_or(|bias| fast(&[bias]) && bias.dims() == [n_out] && !bias.track_op());
    let shapes_fit = x.dims().last() == Some(&n_in)
        && matches!((a.dims(), b.dims()), ([r, i], [o, s]) if r == s && *i == n_in && *o == n_out);
    let frozen = !projection.weight.track_op();
    frozen && bias_fits && shapes_fit && fast(&[x, &projection.weight, a, b]) && x.elem_count() * a.elem_count() > 0
}

/// The fast version; its arguments are `x`, A and B. Rows go through in spans, so that what is added to a row, and what goes back
/// through it, is computed while the row is in the cache.
struct Frozen {
    projection: Projection,
    scale: f32,
    mask: Option<Mask>,
    /// `s · drop(x) Aᵀ`, `[rows, r]`: small, so it is kept for the backward pass.
    hidden: OnceLock<Vec<f32>>,
}

impl CustomOp3 for Frozen {
    fn name(&self) -> &'static str {
        "low_rank"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        a: &CpuStorage,
        al: &Layout,
        b: &CpuStorage,
        bl: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        // The projection is that of a layer without adapters, bit for bit: with B = 0 nothing changes.
        let (mut y, shape) = self.project(x, xl)?;
        let CpuStorage::F32(result) = &mut y else { candle_core::bail!("the projection's result is not f32") };
        let (x, a, b) = (values(x, xl)?, values(a, al)?, values(b, bl)?);
        let (r, n_in) = al.shape().dims2()?;
        let n_out = b.len() / r;
        let mut hidden = vec![0.0; x.len() / n_in * r];
        let spans =
            result.par_chunks_mut(SPAN * n_out).zip(hidden.par_chunks_mut(SPAN * r)).zip(x.par_chunks(SPAN * n_in));
        spans.enumerate().for_each_init(
            || vec![0.0; self.mask.map_or(0, |_| SPAN * n_in)],
            |place, (i, ((y, h), x))| {
                let place = &mut place[..self.mask.map_or(0, |_| x.len())];
                let x = dropped(x, self.mask, i * SPAN * n_in, place);
                multiply(Matrix::new(x, n_in), Matrix::new(a, n_in).t(), h);
                h.iter_mut().for_each(|h| *h *= self.scale);
                multiply_add(Matrix::new(h, r), Matrix::new(b, r).t(), y);
            },
        );
        let _ = self.hidden.set(hidden); // the op is applied once, so the cell is empty
        Ok((y, shape))
    }

    // y = x W + b + h Bᵀ with h = s x̃ Aᵀ and x̃ = drop(x), so with u = s g B:
    // ∂B = gᵀ h, ∂A = uᵀ x̃, ∂x = g Wᵀ + drop(u A), where drop uses the same mask.
    fn bwd(
        &self,
        x: &Tensor,
        a: &Tensor,
        b: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let ((r, n_in), n_out) = (a.dims2()?, b.dim(0)?);
        let (xs, gs, weight) = (Values::of(x)?, Values::of(&grad)?, Values::of(&self.projection.weight)?);
        let (av, bv) = (Values::of(a)?, Values::of(b)?);
        let hidden = self.hidden.get().expect("forward comes before backward");
        let back = match self.projection.transposed {
            true => Matrix::new(&weight, n_in),
            false => Matrix::new(&weight, n_out).t(),
        };
        let rows = (xs.len() / n_in).div_ceil(PARTS).next_multiple_of(SPAN);
        // Without anybody who wants it there is no ∂x: empty pieces take its place.
        let width = if x.track_op() { n_in } else { 0 };
        let mut dx = vec![0.0; xs.len() / n_in * width];
        let pieces: Vec<&mut [f32]> = match width {
            0 => (0..(xs.len() / n_in).div_ceil(rows)).map(|_| &mut [][..]).collect(),
            _ => dx.chunks_mut(rows * width).collect(),
        };
        let parts = pieces.into_par_iter().zip(xs.par_chunks(rows * n_in)).zip(gs.par_chunks(rows * n_out));
        let parts = parts.zip(hidden.par_chunks(rows * r)).enumerate().map(|(i, (((dx, x), g), h))| {
            let (mut da, mut db) = (vec![0.0; r * n_in], vec![0.0; n_out * r]);
            let (mut u, mut place) = (vec![0.0; SPAN * r], vec![0.0; self.mask.map_or(0, |_| SPAN * n_in)]);
            let spans = x.chunks(SPAN * n_in).zip(g.chunks(SPAN * n_out)).zip(h.chunks(SPAN * r));
            for (j, ((x, g), h)) in spans.enumerate() {
                let (first, u) = ((i * rows + j * SPAN) * n_in, &mut u[..h.len()]);
                let place = &mut place[..self.mask.map_or(0, |_| x.len())];
                multiply(Matrix::new(g, n_out), Matrix::new(&bv, r), u);
                u.iter_mut().for_each(|u| *u *= self.scale);
                multiply_add(Matrix::new(g, n_out).t(), Matrix::new(h, r), &mut db);
                let kept = dropped(x, self.mask, first, place);
                multiply_add(Matrix::new(u, r).t(), Matrix::new(kept, n_in), &mut da);
                if width == 0 {
                    continue;
                }
                let dx = &mut dx[j * SPAN * n_in..][..x.len()];
                multiply(Matrix::new(g, n_out), back, dx);
                match self.mask {
                    None => multiply_add(Matrix::new(u, r), Matrix::new(&av, n_in), dx),
                    Some(mask) => {
                        multiply(Matrix::new(u, r), Matrix::new(&av, n_in), place);
                        let factors = (first..).map(|at| mask.factor(at));
                        dx.iter_mut().zip(place).zip(factors).for_each(|((dx, p), factor)| *dx += *p * factor);
                    }
                }
            }
            (da, db)
        });
        let (das, dbs): (Vec<Vec<f32>>, Vec<Vec<f32>>) = parts.unzip();
        let tensor = |values: Vec<f32>, like: &Tensor| Tensor::from_vec(values, like.shape(), &Device::Cpu);
        Ok((
            x.track_op().then(|| tensor(dx, x)).transpose()?,
            a.track_op().then(|| tensor(total(das), a)).transpose()?,
            b.track_op().then(|| tensor(total(dbs), b)).transpose()?,
        ))
    }
}

/// The sum of the parts, in their order.
fn total(parts: Vec<Vec<f32>>) -> Vec<f32> {
    let mut parts = parts.into_iter();
    let mut total = parts.next().unwrap_or_default();
    for part in parts {
        total.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
    }
    total
}

impl Frozen {
    /// `x W + b`.
    fn project(&self, x: &CpuStorage, xl: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let Projection { weight, bias, transposed } = &self.projection;
        let (weight, layout) = weight.storage_and_layout();
        let Storage::Cpu(weight) = &*weight else { candle_core::bail!("the weight is not on the CPU") };
        let bias = bias.as_ref().map(Values::of).transpose()?;
        Linear { transposed: *transposed }.forward(x, xl, weight, layout, bias.as_deref())
    }
}
