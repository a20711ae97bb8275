//! Seeded random numbers. candle's own generator on the CPU cannot be seeded, so everything random in the lab draws
//! from here: the same seed gives the same numbers on every run.

use candle_core::{Device, Tensor};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde::{Deserialize, Serialize};

/// A ChaCha8 generator whose state can be saved with a checkpoint.
#[derive(Debug, Clone)]
pub struct Rng {
    inner: ChaCha8Rng,
}

/// All that is needed to go on where a generator stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RngState {
    seed: [u8; 32],
    stream: u64,
    /// Position in 32-bit words; a string because JSON numbers end at 2⁵³.
    word_pos: String,
}

impl Rng {
    /// A generator for this seed.
    pub fn new(seed: u64) -> Self {
        Rng { inner: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// A generator for the same seed whose numbers are independent of this one's and of other streams'.
    pub fn stream(&self, stream: u64) -> Self {
        let mut inner = ChaCha8Rng::from_seed(self.inner.get_seed());
        inner.set_stream(stream);
        Rng { inner }
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.inner.next_u64()
    }

    /// Uniform in `[0, 1)`.
    pub fn uniform(&mut self) -> f32 {
        (self.inner.next_u32() >> 8) as f32 / (1u32 << 24) as f32
    }

    /// A uniform integer below `n` (Lemire's multiplication, without bias that could be seen: n is far below 2⁶⁴).
    pub fn below(&mut self, n: usize) -> usize {
        assert!(n > 0, "Rng::below needs a positive bound");
        ((u128::from(self.inner.next_u64()) * n as u128) >> 64) as usize
    }

    /// Standard normal, by Box and Muller.
    pub fn normal(&mut self) -> f32 {
        let u = 1.0 - f64::from(self.uniform());
        let v = f64::from(self.uniform());
        ((-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()) as f32
    }

    /// A tensor of normal numbers with this mean and standard deviation, f32 on the CPU.
    pub fn normal_tensor(&mut self, mean: f32, std: f32, shape: &[usize]) -> crate::Result<Tensor> {
        let n = shape.iter().product();
        let values: Vec<f32> = (0..n).map(|_| mean + std * self.normal()).collect();
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
    }

    /// A tensor of numbers uniform between `−bound` and `bound`, f32 on the CPU.
    pub(crate) fn uniform_tensor(&mut self, bound: f32, shape: &[usize]) -> crate::Result<Tensor> {
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| bound * (2.0 * self.uniform() - 1.0)).collect();
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
    }

    /// Shuffles in place (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }

    /// The state to be saved.
    pub fn state(&self) -> RngState {
        RngState {
            seed: self.inner.get_seed(),
            stream: self.inner.get_stream(),
            word_pos: self.inner.get_word_pos().to_string(),
        }
    }

    /// A generator that goes on from a saved state; `None` if the state is not one of ours.
    pub fn from_state(state: &RngState) -> Option<Self> {
        let mut inner = ChaCha8Rng::from_seed(state.seed);
        inner.set_stream(state.stream);
        inner.set_word_pos(state.word_pos.parse().ok()?);
        Some(Rng { inner })
    }
}

impl From<u64> for Rng {
    fn from(seed: u64) -> Self {
        Rng::new(seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_state_goes_on_with_the_same_numbers() {
        let mut rng = Rng::new(3).stream(9);
        for _ in 0..5 {
            rng.normal();
        }
        let mut again = Rng::from_state(&rng.state()).unwrap();
        assert_eq!(rng.next_u64(), again.next_u64());
        assert_ne!(Rng::new(3).next_u64(), Rng::new(4).next_u64());
        assert_ne!(Rng::new(3).stream(1).next_u64(), Rng::new(3).stream(2).next_u64());
    }

    #[test]
    fn normal_numbers_have_mean_zero_and_deviation_one() {
        let mut rng = Rng::new(0);
        let n = 100_000;
        let xs: Vec<f64> = (0..n).map(|_| f64::from(rng.normal())).collect();
        let mean = xs.iter().sum::<f64>() / f64::from(n);
        let var = xs.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / f64::from(n);
        assert!(mean.abs() < 0.01, "mean {mean}");
        assert!((var - 1.0).abs() < 0.02, "variance {var}");
    }
}
