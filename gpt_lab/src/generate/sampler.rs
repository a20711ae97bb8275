//! Choosing one token: the likeliest, or a draw.

use crate::Rng;
use crate::ops;

/// The number of the largest score, the first of several.
pub(super) fn likeliest(scores: &[f32]) -> u32 {
    let mut best = 0;
    for (id, &score) in scores.iter().enumerate() {
        if score > scores[best] {
            best = id;
        }
    }
    best as u32
}

/// Draws a number with these probabilities.
pub(super) fn draw(probabilities: &[f32], rng: &mut Rng) -> u32 {
    let total: f64 = probabilities.iter().map(|&p| f64::from(p)).sum();
    let mut left = (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64 * total;
    let mut last = 0;
    for (id, &p) in probabilities.iter().enumerate().filter(|(_, p)| **p > 0.0) {
        last = id;
        left -= f64::from(p);
        if left < 0.0 {
            break;
        }
    }
    last as u32
}

/// `exp(x) / Σ exp(x)`, computed after taking off the largest so that nothing overflows.
pub(super) fn softmax(logits: &[f32]) -> Vec<f32> {
    let (mut powers, _) = ops::exp_below_max(logits);
    let sum: f64 = powers.iter().map(|&power| f64::from(power)).sum();
    powers.iter_mut().for_each(|power| *power = (f64::from(*power) / sum) as f32);
    powers
}

/// `x − log Σ exp(x)`.
pub(super) fn log_softmax(mut logits: Vec<f32>) -> Vec<f32> {
    let (powers, largest) = ops::exp_below_max(&logits);
    let log_sum = powers.iter().map(|&power| f64::from(power)).sum::<f64>().ln() as f32;
    logits.iter_mut().for_each(|logit| *logit = *logit - largest - log_sum);
    logits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawing_is_seeded_and_follows_the_probabilities() {
        let probabilities = softmax(&[0.0, 2.0, f32::NEG_INFINITY]);
        let mut rng = Rng::new(5);
        let draws: Vec<u32> = (0..4000).map(|_| draw(&probabilities, &mut rng)).collect();
        let share = draws.iter().filter(|&&id| id == 1).count() as f64 / 4000.0;
        let expected = 1.0 / (1.0 + (-2f64).exp());
        assert!((share - expected).abs() < 0.02, "{share}, expected {expected}");
        assert!(!draws.contains(&2), "what has no probability is never drawn");
        let mut rng = Rng::new(5);
        let again: Vec<u32> = (0..4000).map(|_| draw(&probabilities, &mut rng)).collect();
        assert_eq!(draws, again);
    }

    #[test]
    fn the_likeliest_and_the_logarithms() {
        assert_eq!(likeliest(&[1.0, 3.0, 2.0, 3.0]), 1);
        let logs = log_softmax(vec![0.0, 3f32.ln(), f32::NEG_INFINITY]);
        assert!((logs[0] - 0.25f32.ln()).abs() < 1e-6 && (logs[1] - 0.75f32.ln()).abs() < 1e-6);
        assert_eq!(logs[2], f32::NEG_INFINITY);
    }
}
