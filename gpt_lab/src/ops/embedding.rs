//! Embedding tables: from ids to vectors.

use candle_core::{CpuStorage, CustomOp1, Device, Layout, Shape, Tensor};

use super::ids::checked_ids;
use super::kernel::{Values, fast, for_rows, values};
use super::reference;
use crate::Result;

/// Row `ids[…]` of `weight` for every id.
///
/// Shapes: `weight` is `[V, C]`, `ids` is `[…]` (integers), the result is `[…, C]`. The gradient of a row is the sum over all
/// places where its id occurs. Errors: an id that the table has no row for.
pub fn embedding(weight: &Tensor, ids: &Tensor) -> Result<Tensor> {
    if !fast(&[weight]) {
        return reference::embedding(weight, ids);
    }
    let (vocab, n_embd) = weight.dims2()?;
    let mut shape = ids.dims().to_vec();
    shape.push(n_embd);
    Ok(weight.contiguous()?.apply_op1(Lookup { rows: checked_ids(ids, vocab)?, shape })?)
}

/// The fast version. The forward pass is a copy; candle's gradient of it (`index_add`) is not.
struct Lookup {
    rows: Vec<u32>,
    /// Of the result.
    shape: Vec<usize>,
}

impl CustomOp1 for Lookup {
    fn name(&self) -> &'static str {
        "embedding"
    }

    fn cpu_fwd(&self, weight: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (weight, c) = (values(weight, layout)?, layout.dims()[1]);
        let mut y = vec![0.0; self.rows.len() * c];
        for_rows(&mut y, c, |first, y| {
            for (y, row) in y.chunks_exact_mut(c).zip(&self.rows[first..]) {
                y.copy_from_slice(&weight[*row as usize * c..][..c]);
            }
        });
        Ok((CpuStorage::F32(y), Shape::from(self.shape.clone())))
    }

    // y_i = W[row_i], so ∂W[r] = Σ over i with row_i = r of g_i, in the order of i.
    fn bwd(&self, weight: &Tensor, _y: &Tensor, grad: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let grad = grad.contiguous()?;
        let (grad, c) = (Values::of(&grad)?, weight.dim(1)?);
        let mut dw = vec![0.0; weight.elem_count()];
        for (g, row) in grad.chunks_exact(c).zip(&self.rows) {
            dw[*row as usize * c..][..c].iter_mut().zip(g).for_each(|(dw, g)| *dw += g);
        }
        Ok(Some(Tensor::from_vec(dw, weight.shape(), &Device::Cpu)?))
    }
}
