//! The two halves of a transformer block, each in one op. What lies between their steps stays in the cache, and
//! candle's backward pass, which adds every gradient to a tensor of zeros, meets one tensor instead of six.

use candle_core::{D, Tensor};
use gpt_lab_cpu::attention::CausalAttention;
use gpt_lab_cpu::block::{Gradients, Half, Wanted};
use gpt_lab_cpu::{attention_block as attention, mlp_block as mlp};

use super::custom::{Op, fast};
use super::parameters::Parameters;
use super::{AttentionBlock, Dropout, MlpBlock, reference};
use crate::Result;

/// `x + dropout(causal_attention(layer_norm(x) W₁ + b₁) W₂ + b₂)`; `[B, T, C]` → `[B, T, C]`. `drop_weights` is the
/// dropout of the attention weights, `drop_result` that of the result.
///
/// One op instead of five. The backward pass needs `x`, queries, keys and values, and what the attention made of them.
///
/// # Errors
/// Shapes that do not fit together.
///
/// ```
/// # use gpt_lab::{Rng, ops};
/// let normal = |shape: &[usize]| Rng::new(1).normal_tensor(0.0, 1.0, shape);
/// let block = ops::AttentionBlock {
///     ln_weight: normal(&[4])?,
///     ln_bias: normal(&[4])?,
///     eps: 1e-5,
///     qkv_weight: normal(&[4, 12])?,
///     qkv_bias: None,
///     proj_weight: normal(&[4, 4])?,
///     proj_bias: normal(&[4])?,
///     n_head: 2,
///     scale: 0.7,
/// };
/// let x = normal(&[1, 3, 4])?;
/// let y = ops::attention_block(&x, &block, None, None)?;
/// assert!(ops::max_difference(&y, &ops::reference::attention_block(&x, &block, None, None)?)? < 1e-5);
/// # Ok::<(), gpt_lab::Error>(())
/// ```
pub fn attention_block(
    x: &Tensor,
    block: &AttentionBlock,
    drop_weights: Option<Dropout>,
    drop_result: Option<Dropout>,
) -> Result<Tensor> {
    let Ok((_, t, c)) = x.dims3() else { return reference::attention_block(x, block, drop_weights, drop_result) };
    let heads_fit = block.n_head > 0 && c.is_multiple_of(block.n_head);
    let shapes: [&[usize]; 6] = [&[c], &[c], &[c, c], &[c], &[c, 3 * c], &[3 * c]];
    if !heads_fit || !suits(x, &block.tensors(), shapes) {
        return reference::attention_block(x, block, drop_weights, drop_result);
    }
    let mask = drop_weights.map(Dropout::mask).transpose()?;
    let attention = CausalAttention { n_head: block.n_head, d: c / block.n_head, scale: block.scale as f32, mask };
    let op = HalfOp {
        name: "attention_block",
        forward: move |half: &Half, x: &[f32]| attention::forward(half, &attention, x, t),
        backward: move |half: &Half, [x, grad]: [&[f32]; 2], saved: &attention::Saved, wanted: &Wanted| {
            attention::backward(half, &attention, [x, grad], t, saved, wanted)
        },
    };
    op.apply(x, block.tensors(), block.eps, drop_result)
}

impl AttentionBlock {
    fn tensors(&self) -> Vec<Tensor> {
        let always = [&self.ln_weight, &self.ln_bias, &self.proj_weight, &self.proj_bias, &self.qkv_weight];
        always.into_iter().chain(&self.qkv_bias).cloned().collect()
    }
}

/// `x + dropout(gelu(layer_norm(x) W₁ + b₁) W₂ + b₂)`, with GPT-2's GELU; `[…, C]` → `[…, C]`.
///
/// One op instead of six: a span of rows goes through all of them while it is in the cache, and the backward pass needs
/// nothing but `x` and the input of the GELU.
///
/// # Errors
/// Shapes that do not fit together.
///
/// ```
/// # use gpt_lab::{Rng, ops};
/// let normal = |shape: &[usize]| Rng::new(1).normal_tensor(0.0, 1.0, shape);
/// let block = ops::MlpBlock {
///     ln_weight: normal(&[4])?,
///     ln_bias: normal(&[4])?,
///     eps: 1e-5,
///     fc_weight: normal(&[4, 16])?,
///     fc_bias: normal(&[16])?,
///     proj_weight: normal(&[16, 4])?,
///     proj_bias: normal(&[4])?,
/// };
/// let x = normal(&[3, 4])?;
/// let y = ops::mlp_block(&x, &block, None)?;
/// assert!(ops::max_difference(&y, &ops::reference::mlp_block(&x, &block, None)?)? < 1e-5);
/// # Ok::<(), gpt_lab::Error>(())
/// ```
pub fn mlp_block(x: &Tensor, block: &MlpBlock, dropout: Option<Dropout>) -> Result<Tensor> {
    let (Ok(c), Ok((_, m))) = (x.dim(D::Minus1), block.fc_weight.dims2()) else {
        return reference::mlp_block(x, block, dropout);
    };
    let shapes: [&[usize]; 6] = [&[c], &[c], &[m, c], &[c], &[c, m], &[m]];
    if m == 0 || !suits(x, &block.tensors(), shapes) {
        return reference::mlp_block(x, block, dropout);
    }
    let op = HalfOp {
        name: "mlp_block",
        forward: mlp::forward,
        backward: |half: &Half, [x, grad]: [&[f32]; 2], f: &Vec<f32>, wanted: &Wanted| {
            mlp::backward(half, x, f, grad, wanted)
        },
    };
    op.apply(x, block.tensors(), block.eps, dropout)
}

impl MlpBlock {
    fn tensors(&self) -> Vec<Tensor> {
        [&self.ln_weight, &self.ln_bias, &self.proj_weight, &self.proj_bias, &self.fc_weight, &self.fc_bias]
            .map(Tensor::clone)
            .into()
    }
}

/// A check whether the fast version can do this; what it cannot, the reference does or refuses.
fn suits(x: &Tensor, parameters: &[Tensor], shapes: [&[usize]; 6]) -> bool {
    let fit = parameters.iter().zip(shapes).all(|(tensor, shape)| tensor.dims() == shape && tensor.is_contiguous());
    fit && fast(&[x]) && fast(&parameters.iter().collect::<Vec<_>>()) && x.elem_count() > 0
}

/// Half a block as an op, from its two passes.
struct HalfOp<F, B> {
    name: &'static str,
    forward: F,
    backward: B,
}

impl<F, B> HalfOp<F, B> {
    /// The op's result; the parameters come in the order of [`Half::new`].
    fn apply<S>(self, x: &Tensor, parameters: Vec<Tensor>, eps: f64, dropout: Option<Dropout>) -> Result<Tensor>
    where
        S: Send + Sync + 'static,
        F: Fn(&Half, &[f32]) -> (Vec<f32>, S) + Send + Sync + 'static,
        B: Fn(&Half, [&[f32]; 2], &S, &Wanted) -> (Vec<f32>, Gradients) + Send + Sync + 'static,
    {
        let HalfOp { name, forward, backward } = self;
        let (mask, eps) = (dropout.map(Dropout::mask).transpose()?, eps as f32);
        let (parameters, end) = Parameters::new(parameters)?;
        let parameters = std::sync::Arc::new(parameters);
        let held = parameters.clone();
        let op = Op::new(
            name,
            x.shape(),
            move |[x, _end]| held.with_values(|values| forward(&Half::new(values, eps, mask), x)),
            move |pass| {
                let ([x, _], wanted) = (pass.args, parameters.wanted());
                let half =
                    |values: &[&[f32]]| backward(&Half::new(values, eps, mask), [x, pass.grad], pass.saved, &wanted);
                let (dx, gradients) = parameters.with_values(half)?;
                parameters.leave(gradients)?;
                let [wants_x, wants_end] = pass.wanted;
                Ok([wants_x.then_some(dx), wants_end.then(|| vec![0.0])])
            },
        );
        op.apply([x, &end])
    }
}
