//! A linear layer with a low-rank update (Hu et al. 2021, "LoRA", <https://arxiv.org/abs/2106.09685>, equation 3).

use candle_core::Tensor;
use gpt_lab_cpu::linear::Weight;
use gpt_lab_cpu::low_rank::{Update, backward, forward};

use super::custom::{Op, Values, fast};
use super::{Dropout, LowRank, Projection, dropout, linear, linear_transposed};
use crate::Result;

/// `y = x W + b + s · (drop(x) Aᵀ) Bᵀ`.
///
/// Shapes: `x` is `[…, n_in]`, the result is `[…, n_out]`. With a frozen weight and bias this is one operation: what it
/// adds is written into the projection's result, and the backward pass keeps nothing of the size of that result.
///
/// # Errors
/// Shapes that do not fit together.
///
/// ```
/// # use gpt_lab::{candle_core::{Device, Tensor}, ops};
/// let of = |values: &[f32], shape: (usize, usize)| Tensor::from_slice(values, shape, &Device::Cpu);
/// let projection = ops::Projection { weight: of(&[1.0, 2.0], (2, 1))?, bias: None, transposed: false };
/// let update = ops::LowRank { a: of(&[1.0, 1.0], (1, 2))?, b: of(&[2.0], (1, 1))?, scale: 0.5, dropout: None };
/// let y = ops::low_rank(&of(&[1.0, 2.0], (1, 2))?, &projection, &update)?;
/// assert_eq!(y.to_vec2::<f32>()?, [[5.0 + 0.5 * 3.0 * 2.0]]);
/// # Ok::<(), gpt_lab::Error>(())
/// ```
pub fn low_rank(x: &Tensor, projection: &Projection, update: &LowRank) -> Result<Tensor> {
    if !suits(x, projection, update) {
        return added(&projection.forward(x)?, x, update);
    }
    let (n_in, n_out) = projection.sizes()?;
    let frozen = Frozen {
        weight: projection.weight.contiguous()?.detach(),
        bias: projection.bias.as_ref().map(|bias| bias.contiguous().map(|bias| bias.detach())).transpose()?,
        sizes: [n_in, n_out, update.a.dim(0)?],
        transposed: projection.transposed,
    };
    let (scale, mask) = (update.scale as f32, update.dropout.map(Dropout::mask).transpose()?);
    let held = frozen.clone();
    let op = Op::new(
        "low_rank",
        [&x.dims()[..x.rank() - 1], &[n_out]].concat(),
        move |[x, a, b]| {
            held.with_weight(|weight, bias, rank| forward(x, weight, bias, &Update { a, b, rank, scale, mask }))
        },
        move |pass| {
            let ([x, a, b], [wants_x, wants_a, wants_b]) = (pass.args, pass.wanted);
            let [dx, da, db] = frozen.with_weight(|weight, _, rank| {
                let update = Update { a, b, rank, scale, mask };
                backward([x, pass.grad, pass.saved], weight, &update, wants_x)
            })?;
            Ok([dx, da.filter(|_| wants_a), db.filter(|_| wants_b)])
        },
    );
    op.apply([x, &update.a, &update.b])
}

/// `y + s · (drop(x) Aᵀ) Bᵀ`, for the second and further updates of one projection.
///
/// Shapes: `y` is `[…, n_out]`, `x` is `[…, n_in]`, the result is `[…, n_out]`.
///
/// # Errors
/// Shapes that do not fit together.
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
        let apply = if self.transposed { linear_transposed } else { linear };
        apply(x, &self.weight, self.bias.as_ref())
    }

    /// `n_in`, `n_out`.
    fn sizes(&self) -> Result<(usize, usize)> {
        let (first, second) = self.weight.dims2()?;
        Ok(if self.transposed { (second, first) } else { (first, second) })
    }
}

/// A check whether one operation can do it: a frozen projection, matching shapes, f32 on the CPU.
fn suits(x: &Tensor, projection: &Projection, LowRank { a, b, .. }: &LowRank) -> bool {
    let Ok((n_in, n_out)) = projection.sizes() else { return false };
    let bias_fits =
        projection.bias.as_ref().is_none_or(|bias| fast(&[bias]) && bias.dims() == [n_out] && !bias.track_op());
    let shapes_fit = x.dims().last() == Some(&n_in)
        && matches!((a.dims(), b.dims()), ([r, i], [o, s]) if r == s && *i == n_in && *o == n_out);
    let frozen = !projection.weight.track_op();
    frozen && bias_fits && shapes_fit && fast(&[x, &projection.weight, a, b]) && x.elem_count() * a.elem_count() > 0
}

/// A projection that records no gradients.
#[derive(Clone)]
struct Frozen {
    weight: Tensor,
    bias: Option<Tensor>,
    /// `n_in`, `n_out`, `r`.
    sizes: [usize; 3],
    transposed: bool,
}

impl Frozen {
    /// `body`'s result for the weight, the bias and the update's rank.
    fn with_weight<R>(&self, body: impl FnOnce(Weight, Option<&[f32]>, usize) -> R) -> candle_core::Result<R> {
        let (values, bias) = (Values::of(&self.weight)?, self.bias.as_ref().map(Values::of).transpose()?);
        let ([n_in, n_out, rank], transposed) = (self.sizes, self.transposed);
        Ok(body(Weight { values: &values, n_in, n_out, transposed }, bias.as_deref(), rank))
    }
}
