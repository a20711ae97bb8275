//! A linear layer with a low-rank update (Hu et al. 2021, "LoRA", <https://arxiv.org/abs/2106.09685>, equation 3).

use candle_core::{CpuStorage, CustomOp3, Device, Layout, Shape, Storage, Tensor};

use super::kernel::{Values, fast, for_rows, values, vectorized};
use super::linear::{self, Linear};
use super::{Dropout, dropout, linear_transposed};
use crate::Result;

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
    let x = x.contiguous()?;
    let hidden = linear_transposed(&dropped(&x.detach(), *dropout)?, &a.detach(), None)?;
    let hidden = hidden.reshape(((), a.dim(0)?))?;
    let op = Frozen { projection, scale: *scale, dropout: *dropout, hidden };
    Ok(x.apply_op3(a, &b.contiguous()?, op)?)
}

/// The same in plain candle operations.
pub fn reference(x: &Tensor, projection: &Projection, update: &LowRank) -> Result<Tensor> {
    let dropped = match update.dropout {
        Some(Dropout { p, seed }) => dropout::reference(x, p, seed)?,
        None => x.clone(),
    };
    let weight = if projection.transposed { projection.weight.t()? } else { projection.weight.clone() };
    let y = linear::reference(x, &weight, projection.bias.as_ref())?;
    let hidden = linear::reference(&dropped, &update.a.t()?, None)?; // […, r]
    Ok((y + (linear::reference(&hidden, &update.b.t()?, None)? * update.scale)?)?)
}

/// `y + s · (drop(x) Aᵀ) Bᵀ`, for the second and further updates of one projection.
pub fn added(y: &Tensor, x: &Tensor, update: &LowRank) -> Result<Tensor> {
    let hidden = (linear_transposed(&dropped(x, update.dropout)?, &update.a, None)? * update.scale)?; // […, r]
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

fn dropped(x: &Tensor, mask: Option<Dropout>) -> Result<Tensor> {
    match mask {
        Some(Dropout { p, seed }) => dropout(x, p, seed),
        None => Ok(x.clone()),
    }
}

/// The fast version; its arguments are `x`, A and B.
struct Frozen {
    projection: Projection,
    scale: f64,
    dropout: Option<Dropout>,
    /// `drop(x) Aᵀ`, `[rows, r]`: small, so it is kept for the backward pass.
    hidden: Tensor,
}

impl CustomOp3 for Frozen {
    fn name(&self) -> &'static str {
        "low_rank"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        _a: &CpuStorage,
        _al: &Layout,
        b: &CpuStorage,
        bl: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let (mut y, shape) = self.project(x, xl)?;
        let b = Tensor::from_slice(values(b, bl)?, bl.dims(), &Device::Cpu)?;
        let update = (&self.hidden * self.scale)?.matmul(&b.t()?)?; // [rows, n_out]
        if let CpuStorage::F32(y) = &mut y {
            add(y, &Values::of(&update)?);
        }
        Ok((y, shape))
    }

    // y = x W + b + s h Bᵀ with h = x̃ Aᵀ and x̃ = drop(x), so with u = s g B:
    // ∂B = s gᵀ h, ∂A = uᵀ x̃, ∂x = g Wᵀ + drop(u A), where drop uses the same mask.
    fn bwd(
        &self,
        x: &Tensor,
        a: &Tensor,
        b: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (n_in, n_out) = self.projection.sizes()?;
        let grad = grad.contiguous()?.reshape(((), n_out))?.detach();
        let x_flat = x.detach().reshape(((), n_in))?;
        let u = (grad.matmul(&b.detach())? * self.scale)?; // [rows, r]
        let db = b.track_op().then(|| grad.t()?.matmul(&self.hidden)? * self.scale).transpose()?;
        let da = a.track_op().then(|| u.t()?.matmul(&self.dropped(&x_flat)?)).transpose()?;
        let dx = x.track_op().then(|| {
            let weight = &self.projection.weight;
            let weight = if self.projection.transposed { weight.clone() } else { weight.t()? };
            (grad.matmul(&weight)? + self.dropped(&u.matmul(&a.detach())?)?)?.reshape(x.shape())
        });
        Ok((dx.transpose()?, da, db))
    }
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

    fn dropped(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        Ok(dropped(x, self.dropout)?)
    }
}

/// `y += x`.
fn add(y: &mut [f32], x: &[f32]) {
    for_rows(y, 1, |first, y| {
        vectorized(
            #[inline(always)]
            |_| y.iter_mut().zip(&x[first..]).for_each(|(y, x)| *y += x),
        );
    });
}
