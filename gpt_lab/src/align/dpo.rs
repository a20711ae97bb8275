//! Direct preference optimisation (Rafailov et al. 2023, <https://arxiv.org/abs/2305.18290>, equation 7).

use candle_core::{DType, Tensor};

use crate::ops::{self, IGNORE_INDEX, log_sigmoid};
use crate::{Error, Result};

/// The losses and rewards of a batch of comparisons; one number a pair.
#[derive(Debug, Clone)]
pub struct Dpo {
    /// `−log σ(β ((π_c − π_r) − (ref_c − ref_r)))`, `[N]`; its mean is what to minimise.
    pub losses: Tensor,
    /// The implicit reward of the chosen answer, `β (π_c − ref_c)`, `[N]`, without gradient.
    pub chosen_rewards: Tensor,
    /// That of the rejected one, `β (π_r − ref_r)`, `[N]`, without gradient.
    pub rejected_rewards: Tensor,
}

/// The loss of each pair from the log-probabilities of whole answers, each `[N]`. Those of the reference are constants:
/// detach them. With a larger β the policy stays closer to the reference.
pub fn dpo(
    policy_chosen: &Tensor,
    policy_rejected: &Tensor,
    reference_chosen: &Tensor,
    reference_rejected: &Tensor,
    beta: f64,
) -> Result<Dpo> {
    let chosen = ((policy_chosen - reference_chosen)? * beta)?;
    let rejected = ((policy_rejected - reference_rejected)? * beta)?;
    let losses = log_sigmoid(&(&chosen - &rejected)?)?.neg()?;
    Ok(Dpo { losses, chosen_rewards: chosen.detach(), rejected_rewards: rejected.detach() })
}

/// `Σ log p(ids[t] | ids before t)` over the places where `answer` is 1, one number a row: `[B]`.
///
/// Shapes: `logits` is `[B, T, V]` for `ids` `[B, T]`, `answer` is `[B, T]`, 1 for the tokens of the answer and 0 for
/// prompt and padding.
///
/// # Errors
/// [`Error::InvalidArgument`] if a row's first token is marked: nothing comes before it, so it has no probability.
pub fn answer_log_probs(logits: &Tensor, ids: &Tensor, answer: &Tensor) -> Result<Tensor> {
    let (b, t, v) = logits.dims3()?;
    let (ids, answer) = (ops::ids_to_vec(ids)?, answer.flatten_all()?.to_dtype(DType::U8)?.to_vec1::<u8>()?);
    if ids.len() != b * t || answer.len() != b * t {
        let found = format!("{} ids, {} marks", ids.len(), answer.len());
        return Err(Error::argument("answer", found, format!("{} of each", b * t)));
    }
    if let Some(row) = (0..b).find(|row| answer[row * t] != 0) {
        return Err(Error::argument("answer", format!("1 at the start of row {row}"), "a token before the answer"));
    }
    let target =
        |at: usize| if !(at + 1).is_multiple_of(t) && answer[at + 1] != 0 { ids[at + 1] } else { IGNORE_INDEX };
    let targets = Tensor::from_vec((0..b * t).map(target).collect(), b * t, logits.device())?;
    let log_probs = ops::log_probs(&logits.reshape((b * t, v))?, &targets)?; // [B · T]
    Ok(log_probs.reshape((b, t))?.sum(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn a_pair_by_hand() {
        // β (3 − 1) = 1: loss log(1 + e⁻¹), rewards ½ · 2 and ½ · 0.
        let of = |x: f32| Tensor::new(&[x], &Device::Cpu).unwrap();
        let out = dpo(&of(-4.0), &of(-9.0), &of(-6.0), &of(-9.0), 0.5).unwrap();
        let value = |t: &Tensor| t.to_vec1::<f32>().unwrap()[0];
        assert!((value(&out.losses) - 0.313_261_7).abs() < 1e-6);
        assert_eq!((value(&out.chosen_rewards), value(&out.rejected_rewards)), (1.0, 0.0));
    }

    #[test]
    fn answers_are_summed_where_they_are_marked() {
        let logits = Tensor::zeros((2, 3, 4), DType::F32, &Device::Cpu).unwrap(); // every token has probability ¼
        let ids = Tensor::new(&[[0u32, 1, 2], [3, 3, 3]], &Device::Cpu).unwrap();
        let answer = Tensor::new(&[[0u8, 1, 1], [0, 0, 1]], &Device::Cpu).unwrap();
        let sums: Vec<f32> = answer_log_probs(&logits, &ids, &answer).unwrap().to_vec1().unwrap();
        let quarter = 0.25f32.ln();
        assert!((sums[0] - 2.0 * quarter).abs() < 1e-6 && (sums[1] - quarter).abs() < 1e-6, "{sums:?}");
        let first = Tensor::new(&[[0u8, 1, 1], [1, 0, 1]], &Device::Cpu).unwrap();
        assert!(answer_log_probs(&logits, &ids, &first).unwrap_err().to_string().contains("row 1"));
    }
}
