//! A multilayer perceptron small enough to print, for learning on it how LoRA works.

use candle_core::Tensor;

use super::{Linear, Pass};
use crate::{Error, Param, Result, Rng};

/// Linear layers named `lin0`, `lin1` …, with ReLU between them. Clones share their weights.
#[derive(Debug, Clone)]
pub struct Mlp {
    /// First to last.
    pub layers: Vec<Linear>,
}

impl Mlp {
    /// A network of these widths, such as `[2, 4, 2]` for two layers, with PyTorch's initial weights: all of them, and
    /// the biases, uniform within ±1/√n_in.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for fewer than two widths or a width of 0.
    pub fn new(widths: &[usize], with_bias: bool, seed: u64) -> Result<Self> {
        if widths.len() < 2 || widths.contains(&0) {
            return Err(Error::argument("widths", format!("{widths:?}"), "at least two widths, none of them 0"));
        }
        let mut rng = Rng::new(seed);
        let layer = |(i, width): (usize, &[usize])| -> Result<Linear> {
            let (n_in, n_out) = (width[0], width[1]);
            let bound = 1.0 / (n_in as f32).sqrt();
            let weight = Param::new(format!("lin{i}.weight"), &rng.uniform_tensor(bound, &[n_out, n_in])?)?;
            let bias = match with_bias {
                true => Some(Param::new(format!("lin{i}.bias"), &rng.uniform_tensor(bound, &[n_out])?)?),
                false => None,
            };
            Ok(Linear::transposed(weight, bias))
        };
        Ok(Mlp { layers: widths.windows(2).enumerate().map(layer).collect::<Result<_>>()? })
    }

    /// `[…, n_in]` → `[…, n_out]`. Nothing is dropped, in adapters either.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let last = self.layers.len() - 1;
        let step = |x: Tensor, (i, layer): (usize, &Linear)| -> Result<Tensor> {
            let y = layer.forward(&x, &mut Pass::eval())?;
            if i < last { Ok(y.relu()?) } else { Ok(y) }
        };
        self.layers.iter().enumerate().try_fold(x.clone(), step)
    }

    /// Parameters, in order.
    pub fn params(&self) -> Vec<Param> {
        self.layers.iter().flat_map(Linear::params).collect()
    }
}
