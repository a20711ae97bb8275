//! Embedding tables: from ids to vectors.

use crate::rows::for_rows;

/// Row `rows[i]` of the table `[V, c]` for every `i`: `[N, c]`.
pub fn forward(weight: &[f32], c: usize, rows: &[u32]) -> Vec<f32> {
    let mut y = vec![0.0; rows.len() * c];
    for_rows(&mut y, c, |first, y| {
        for (y, row) in y.chunks_exact_mut(c).zip(&rows[first..]) {
            y.copy_from_slice(&weight[*row as usize * c..][..c]);
        }
    });
    y
}

// y_i = W[row_i], so ∂W[r] = Σ over i with row_i = r of g_i, in the order of i.
/// The gradient of the table, which has `vocab` rows.
pub fn backward(grad: &[f32], c: usize, rows: &[u32], vocab: usize) -> Vec<f32> {
    let mut dw = vec![0.0; vocab * c];
    for (g, row) in grad.chunks_exact(c).zip(rows) {
        dw[*row as usize * c..][..c].iter_mut().zip(g).for_each(|(dw, g)| *dw += g);
    }
    dw
}
