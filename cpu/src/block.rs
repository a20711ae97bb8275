//! The common parts of the two halves of a transformer block: `y = x + M ∘ (f(layer_norm(x) W₁ + b₁) W₂ + b₂)`, where f
//! is the attention or the GELU and M a dropout mask.

use crate::dropout::{Mask, dropped};
use crate::layer_norm::LayerNorm;
use crate::matrix::{Matrix, multiply};
use crate::simd::with_unit;
use crate::spans::{Part, part_rows};

/// Number of parameters of a half.
pub const PARAMETERS: usize = 6;
/// The places of the parameters among their gradients.
pub(crate) const LN_WEIGHT: usize = 0;
const PROJ_WEIGHT: usize = 2;
const PROJ_BIAS: usize = 3;
const FIRST_WEIGHT: usize = 4;
const FIRST_BIAS: usize = 5;

/// Sizes of the parameters whose gradients are wanted, in the order of [`Half::new`].
pub type Wanted = [Option<usize>; PARAMETERS];
/// Those gradients.
pub type Gradients = Vec<Option<Vec<f32>>>;

/// The parameters of half a transformer block of width C, with K numbers a row between its two linear layers.
#[derive(Debug, Clone, Copy)]
pub struct Half<'a> {
    /// The norm before everything else.
    pub ln: LayerNorm<'a>,
    /// W₂, `[K, C]`, back to the residual stream.
    pub proj_weight: &'a [f32],
    /// b₂, `[C]`.
    pub proj_bias: &'a [f32],
    /// W₁, `[C, …]`.
    pub first_weight: &'a [f32],
    /// b₁.
    pub first_bias: Option<&'a [f32]>,
    /// The dropout of the result.
    pub mask: Option<Mask>,
}

impl<'a> Half<'a> {
    /// From the parameters in the order of their gradients: the layer norm's weight and bias, W₂, b₂, W₁ and, if there
    /// is one, b₁.
    pub fn new(parameters: &[&'a [f32]], eps: f32, mask: Option<Mask>) -> Self {
        let [weight, bias, proj_weight, proj_bias, first_weight] = std::array::from_fn(|at| parameters[at]);
        let ln = LayerNorm { weight, bias, eps };
        Half { ln, proj_weight, proj_bias, first_weight, first_bias: parameters.get(FIRST_BIAS).copied(), mask }
    }

    /// C.
    pub(crate) fn width(&self) -> usize {
        self.proj_bias.len()
    }

    /// Number of columns of W₁.
    pub(crate) fn first_width(&self) -> usize {
        self.first_weight.len() / self.width()
    }

    /// Number of rows of W₂, K.
    fn inner_width(&self) -> usize {
        self.proj_weight.len() / self.width()
    }

    /// Rows in a part of the backward pass.
    pub(crate) fn part_rows(&self, wanted: &Wanted, rows: usize) -> usize {
        part_rows(wanted.iter().flatten().sum(), rows)
    }

    /// `h = layer_norm(x)` and `f = h W₁`.
    pub(crate) fn enter(&self, x: &[f32], h: &mut [f32], f: &mut [f32]) {
        self.ln.rows(x, h);
        multiply(Matrix::new(h, self.width()), Matrix::new(self.first_weight, self.first_width()), f);
    }

    /// `y = x + M ∘ (inner W₂ + b₂)`, for elements from `first` on in the mask.
    pub(crate) fn leave(&self, inner: &[f32], x: &[f32], first: usize, y: &mut [f32]) {
        let c = self.width();
        multiply(Matrix::new(inner, self.inner_width()), Matrix::new(self.proj_weight, c), y);
        with_unit!(|_unit| for (row, (y, x)) in y.chunks_exact_mut(c).zip(x.chunks_exact(c)).enumerate() {
            for (i, ((y, b), x)) in y.iter_mut().zip(self.proj_bias).zip(x).enumerate() {
                let factor = self.mask.map_or(1.0, |mask| mask.factor(first + row * c + i));
                *y = x + (*y + b) * factor;
            }
        });
    }

    // With d = M ∘ ∂y:  ∂inner = d W₂ᵀ,   ∂W₂ = innerᵀ d,   ∂b₂ = Σ_rows d.

    /// d, in `place` if something was dropped, and from it `∂inner`.
    pub(crate) fn leave_back<'b>(
        &self,
        grad: &'b [f32],
        first: usize,
        place: &'b mut [f32],
        d_inner: &mut [f32],
    ) -> &'b [f32] {
        let d = dropped(grad, self.mask, first, place);
        multiply(Matrix::new(d, self.width()), Matrix::new(self.proj_weight, self.width()).t(), d_inner);
        d
    }

    /// Adds `∂W₂` and `∂b₂`.
    pub(crate) fn leave_sums(&self, inner: &[f32], d: &[f32], part: &mut Part) {
        part.weight(PROJ_WEIGHT, Matrix::new(inner, self.inner_width()), Matrix::new(d, self.width()));
        part.bias(PROJ_BIAS, d);
    }

    // With h = layer_norm(x):  ∂W₁ = hᵀ ∂f,   ∂b₁ = Σ_rows ∂f,   ∂h = ∂f W₁ᵀ,   ∂x = ∂y + layer_norm'(∂h).

    /// Adds `∂W₁`, `∂b₁` and the layer norm's gradients; writes `∂x`. `h` is a place for the norm's result.
    pub(crate) fn enter_back(&self, [x, grad, df]: [&[f32]; 3], h: &mut [f32], dx: &mut [f32], part: &mut Part) {
        let (c, width) = (self.width(), self.first_width());
        self.ln.rows(x, h);
        part.weight(FIRST_WEIGHT, Matrix::new(h, c), Matrix::new(df, width));
        part.bias(FIRST_BIAS, df);
        multiply(Matrix::new(df, width), Matrix::new(self.first_weight, width).t(), dx);
        part.pair(LN_WEIGHT, |dw, db| self.ln.add_grad_weight_bias(x, dx, dw, db));
        self.ln.grad_rows(x, dx);
        dx.iter_mut().zip(grad).for_each(|(dx, g)| *dx += g);
    }
}
