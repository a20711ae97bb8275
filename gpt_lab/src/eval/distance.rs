//! How far a policy has moved from where it began, and how sure it is.

use candle_core::{D, DType, Tensor};

use crate::data::{Completion, padding};
use crate::gpt2::Gpt2;
use crate::lora::Lora;
use crate::{Error, Pass, Result, ops};

/// Rows of one forward pass of policy and reference.
const ROWS: usize = 16;

/// A policy seen by the distributions of its next tokens, at every place of some completions.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Distance {
    /// The KL divergence from the reference, `Σ_v π(v) (log π(v) − log π_ref(v))` summed over a completion's tokens, in
    /// nats a completion.
    pub kl: f64,
    /// The entropy, `−Σ_v π(v) log π(v)`, in nats a token: 0 for a policy that always says the same.
    pub entropy: f64,
}

/// The KL divergence of the policy from its reference (its adapters off) on these completions, in nats a completion.
/// For completions that the policy drew itself this estimates `KL(π ‖ π_ref)`.
///
/// # Errors
/// Those of [`distance`].
pub fn answer_kl(policy: &Lora<Gpt2>, completions: &[Completion]) -> Result<f64> {
    Ok(distance(policy, &[], completions)?.kl)
}

/// KL divergence and entropy of a policy on these completions. The reference is the same model with these adapters
/// active in place of the present ones: none is the base, the first of several a stage on the way.
///
/// # Errors
/// [`Error::EmptyInput`] without completions or for an empty prompt; those of the model and of
/// [`Adapters::activate`](crate::lora::Adapters::activate).
pub fn distance(policy: &Lora<Gpt2>, reference: &[String], completions: &[Completion]) -> Result<Distance> {
    if completions.is_empty() {
        return Err(Error::empty("the answers"));
    }
    let (mut kl, mut entropy, mut tokens) = (0.0, 0.0, 0.0);
    for rows in completions.chunks(ROWS) {
        let ids = padding::ids(rows)?;
        let new = log_probs(policy.model(), &ids)?; // [N, T, V]
        let old = under(policy, reference, |model| log_probs(model, &ids))?;
        let p = new.exp()?;
        // The logits at t are about the token at t + 1.
        let before = ids.dim(1)? - 1;
        let is_answer = padding::answer_mask(rows)?.narrow(1, 1, before)?.to_dtype(DType::F32)?; // [N, T − 1]
        let sum = |terms: Tensor| -> Result<f64> {
            let of_places = terms.sum(D::Minus1)?.narrow(1, 0, before)?; // [N, T − 1]
            Ok(f64::from((of_places * &is_answer)?.sum_all()?.to_scalar::<f32>()?))
        };
        kl += sum((&p * (&new - &old)?)?)?;
        entropy -= sum((&p * &new)?)?;
        tokens += f64::from(is_answer.sum_all()?.to_scalar::<f32>()?);
    }
    Ok(Distance { kl: kl / completions.len() as f64, entropy: entropy / tokens })
}

/// `log π`, bounded below: a token of probability 0 costs nothing, and not 0 · ∞.
fn log_probs(model: &Gpt2, ids: &Tensor) -> Result<Tensor> {
    Ok(ops::softmax(&model.forward(ids, &mut Pass::eval())?.detach())?.maximum(1e-30)?.log()?)
}

/// Runs this with other adapters active.
fn under(policy: &Lora<Gpt2>, adapters: &[String], run: impl FnOnce(&Gpt2) -> Result<Tensor>) -> Result<Tensor> {
    if adapters.is_empty() {
        return policy.disabled(run)?;
    }
    let before = policy.active();
    policy.activate(adapters)?;
    let found = run(policy.model());
    policy.activate(&before)?;
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpt2::Gpt2Config;
    use crate::lora::LoraConfig;

    fn policy() -> Lora<Gpt2> {
        let sizes =
            Gpt2Config { vocab_size: 12, n_positions: 8, n_embd: 16, n_layer: 2, n_head: 2, ..Default::default() };
        let lora = Lora::new(&Gpt2::new(&Gpt2Config { initializer_range: 0.2, ..sizes }, 1).unwrap()).unwrap();
        for (name, seed) in [("one", 2), ("two", 3)] {
            lora.add(name, &LoraConfig { r: 2, ..Default::default() }, seed).unwrap();
            lora.activate([name]).unwrap();
            for param in lora.params().iter().filter(|param| param.name().contains("lora_B")) {
                param.var().set(&crate::Rng::new(seed).normal_tensor(0.0, 0.5, param.dims()).unwrap()).unwrap();
            }
        }
        lora
    }

    #[test]
    fn distances_are_measured_from_the_reference_that_is_named() {
        let policy = policy();
        let rows = [Completion::ended(&[1, 2], &[3, 4, 0]), Completion::ended(&[5], &[6, 0])];
        let from_base = distance(&policy, &[], &rows).unwrap();
        assert_eq!(from_base.kl, answer_kl(&policy, &rows).unwrap());
        let from_one = distance(&policy, &["one".into()], &rows).unwrap();
        let from_itself = distance(&policy, &["two".into()], &rows).unwrap();
        assert!(from_base.kl > 0.1 && from_one.kl > 0.1 && from_one.kl != from_base.kl);
        assert!(from_itself.kl.abs() < 1e-6 && from_itself.entropy == from_base.entropy);
        assert_eq!(policy.active(), ["two"], "the policy is as it was");
        assert!(distance(&policy, &["none".into()], &rows).is_err() && policy.active() == ["two"]);
        assert!(distance(&policy, &[], &[]).is_err());
    }

    #[test]
    fn entropy_and_kl_by_hand() {
        let policy = policy();
        let row = Completion::ended(&[1, 2], &[3]);
        let ids = Tensor::new(&[[1u32, 2, 3]], &candle_core::Device::Cpu).unwrap();
        let of = |model: &Gpt2| -> Vec<f32> {
            let logits = model.forward(&ids, &mut Pass::eval()).unwrap();
            ops::softmax(&logits).unwrap().squeeze(0).unwrap().to_vec2::<f32>().unwrap()[1].clone()
        };
        let (p, q) = (of(policy.model()), policy.disabled(of).unwrap());
        let kl: f32 = p.iter().zip(&q).map(|(p, q)| p * (p / q).ln()).sum();
        let entropy: f32 = -p.iter().map(|p| p * p.ln()).sum::<f32>();
        let found = distance(&policy, &[], &[row]).unwrap();
        assert!((found.kl as f32 - kl).abs() < 1e-5 && (found.entropy as f32 - entropy).abs() < 1e-5);
    }
}
