//! Embedding tables: from ids to vectors.

use candle_core::Tensor;
use gpt_lab_cpu::embedding::{backward, forward};

use super::custom::{Op, fast};
use super::ids::checked_ids;
use super::reference;
use crate::Result;

/// Row `ids[…]` of `weight` for every id.
///
/// Shapes: `weight` is `[V, C]`, `ids` is `[…]` (integers), the result is `[…, C]`. The gradient of a row is the sum
/// over all places where its id occurs.
///
/// # Errors
/// An id that the table has no row for.
///
/// ```
/// # use gpt_lab::{candle_core::{Device, Tensor}, ops};
/// let table = Tensor::new(&[[0f32, 1.0], [2.0, 3.0]], &Device::Cpu)?;
/// let y = ops::embedding(&table, &Tensor::new(&[1u32, 1, 0], &Device::Cpu)?)?;
/// assert_eq!(y.to_vec2::<f32>()?, [[2.0, 3.0], [2.0, 3.0], [0.0, 1.0]]);
/// # Ok::<(), gpt_lab::Error>(())
/// ```
pub fn embedding(weight: &Tensor, ids: &Tensor) -> Result<Tensor> {
    if !fast(&[weight]) {
        return reference::embedding(weight, ids);
    }
    let (vocab, n_embd) = weight.dims2()?;
    let rows = checked_ids(ids, vocab)?;
    let forward_rows = rows.clone();
    let op = Op::new(
        "embedding",
        [ids.dims(), &[n_embd]].concat(),
        move |[weight]| Ok((forward(weight, n_embd, &forward_rows), ())),
        move |pass| Ok([Some(backward(pass.grad, n_embd, &rows, vocab))]),
    );
    op.apply([weight])
}
