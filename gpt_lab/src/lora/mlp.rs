//! A multilayer perceptron small enough to print, for learning on it what LoRA does.

use candle_core::{Device, Tensor};

use crate::nn::AdapterSlot;
use crate::{Error, Param, Pass, Result, Rng, ops};

/// A linear layer in PyTorch's layout (`nn.Linear`): weight `[n_out, n_in]`, bias `[n_out]`.
#[derive(Debug, Clone)]
pub struct Dense {
    /// `[n_out, n_in]`.
    pub weight: Param,
    /// `[n_out]`.
    pub bias: Option<Param>,
    /// What is added to it, if anything.
    pub adapters: AdapterSlot,
}

/// Linear layers named `lin0`, `lin1` …, with ReLU between them. Clones share their weights.
#[derive(Debug, Clone)]
pub struct Mlp {
    /// First to last.
    pub layers: Vec<Dense>,
}

impl Dense {
    /// A layer with these weights.
    pub fn new(weight: Param, bias: Option<Param>) -> Self {
        Dense { weight, bias, adapters: AdapterSlot::default() }
    }

    /// `[…, n_in]` → `[…, n_out]`, with the adapters' dropout in a training pass.
    pub fn forward(&self, x: &Tensor, pass: &mut Pass) -> Result<Tensor> {
        let bias = self.bias.as_ref().map(Param::tensor);
        self.adapters.forward(x, &ops::Projection { weight: self.weight.tensor(), bias, transposed: true }, pass)
    }

    /// Weight, then bias.
    pub fn params(&self) -> Vec<Param> {
        [Some(&self.weight), self.bias.as_ref()].into_iter().flatten().cloned().collect()
    }
}

impl Mlp {
    /// A network of these widths, such as `[2, 4, 2]` for two layers, with PyTorch's initial weights: all of them, and the biases,
    /// uniform within ±1/√n_in.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for fewer than two widths or a width of 0.
    pub fn new(widths: &[usize], with_bias: bool, seed: u64) -> Result<Self> {
        if widths.len() < 2 || widths.contains(&0) {
            let expected = "at least two widths, none of them 0".to_string();
            return Err(Error::InvalidArgument { argument: "widths", value: format!("{widths:?}"), expected });
        }
        let mut rng = Rng::new(seed);
        let layer = |(i, width): (usize, &[usize])| -> Result<Dense> {
            let (n_in, n_out) = (width[0], width[1]);
            let bound = 1.0 / (n_in as f32).sqrt();
            let weight = Param::new(format!("lin{i}.weight"), &uniform(&mut rng, bound, &[n_out, n_in])?)?;
            let bias = match with_bias {
                true => Some(Param::new(format!("lin{i}.bias"), &uniform(&mut rng, bound, &[n_out])?)?),
                false => None,
            };
            Ok(Dense::new(weight, bias))
        };
        Ok(Mlp { layers: widths.windows(2).enumerate().map(layer).collect::<Result<_>>()? })
    }

    /// `[…, n_in]` → `[…, n_out]`. Nothing is dropped, in adapters either.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let last = self.layers.len() - 1;
        let step = |x: Tensor, (i, layer): (usize, &Dense)| -> Result<Tensor> {
            let y = layer.forward(&x, &mut Pass::eval())?;
            if i < last { Ok(y.relu()?) } else { Ok(y) }
        };
        self.layers.iter().enumerate().try_fold(x.clone(), step)
    }

    /// Its parameters, in order.
    pub fn params(&self) -> Vec<Param> {
        self.layers.iter().flat_map(Dense::params).collect()
    }
}

/// Numbers between `−bound` and `bound`.
pub(super) fn uniform(rng: &mut Rng, bound: f32, shape: &[usize]) -> Result<Tensor> {
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| bound * (2.0 * rng.uniform() - 1.0)).collect();
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}
