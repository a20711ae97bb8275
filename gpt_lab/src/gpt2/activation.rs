//! The functions between the two layers of a feed-forward network, by Hugging Face's names.

use candle_core::Tensor;

use crate::{Result, ops};

/// The function between the two layers of a feed-forward network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// GELU, tanh form.
    GeluTanh,
    /// GELU, exact form.
    GeluExact,
    /// max(x, 0).
    Relu,
    /// x · σ(x).
    Silu,
    /// The hyperbolic tangent.
    Tanh,
}

impl Activation {
    /// Hugging Face's names. Four of them are the tanh form, written differently.
    pub(super) const NAMES: [(&'static str, Activation); 9] = [
        ("gelu_new", Activation::GeluTanh),
        ("gelu_fast", Activation::GeluTanh),
        ("gelu_pytorch_tanh", Activation::GeluTanh),
        ("gelu", Activation::GeluExact),
        ("gelu_python", Activation::GeluExact),
        ("relu", Activation::Relu),
        ("silu", Activation::Silu),
        ("swish", Activation::Silu),
        ("tanh", Activation::Tanh),
    ];

    /// The function with this name, if there is one.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, activation)| *activation)
    }

    /// The function, element by element.
    pub fn forward(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Activation::GeluTanh => ops::gelu(x),
            Activation::GeluExact => ops::gelu_exact(x),
            Activation::Relu => Ok(x.relu()?),
            Activation::Silu => Ok(x.silu()?),
            Activation::Tanh => Ok(x.tanh()?),
        }
    }
}
