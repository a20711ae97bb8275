//! `reward`: scores at the last real token, the pairwise loss, its gradients.

use gpt_lab::prelude::*;
use gpt_lab::reward::{accuracy, pairwise_loss};

use super::lora::compare_gradients;
use super::{Case, Report};

pub fn check(case: &Case, report: &mut Report) {
    let (inputs, expected) = (case.tensors("inputs"), case.tensors("expected"));
    let model = ScoreModel::load(case.path("model")).unwrap();
    let lora = Lora::new(&model).unwrap();
    lora.load("default", case.path("adapter")).unwrap();
    let rewards = |side: &str| {
        let ids = &inputs[&format!("{side}_ids")];
        let mask = mask(&inputs[&format!("{side}_lengths")], ids.dim(1).unwrap());
        model.rewards(ids, &mask, &mut Pass::eval()).unwrap()
    };
    let (chosen, rejected) = (rewards("chosen"), rewards("rejected"));
    report.compare(case, "rewards", "chosen", &chosen, &expected["chosen_rewards"]);
    report.compare(case, "rewards", "rejected", &rejected, &expected["rejected_rewards"]);
    let loss = pairwise_loss(&chosen, &rejected).unwrap();
    report.compare(case, "loss", "loss", &loss, &expected["loss"]);
    let (found, wanted) = (accuracy(&chosen, &rejected).unwrap(), expected["accuracy"].to_scalar::<f32>().unwrap());
    report.expect((found - wanted).abs() < 1e-6, "accuracy", || format!("accuracy {found}, expected {wanted}"));
    compare_gradients(case, report, "default", &lora, &loss, &case.tensors("expected_grads"));
}

/// Ones for the first `lengths[i]` of `width` places, then zeros.
fn mask(lengths: &Tensor, width: usize) -> Tensor {
    let lengths: Vec<i64> = lengths.to_vec1().unwrap();
    let row = |length: &i64| (0..width as i64).map(|at| u8::from(at < *length)).collect::<Vec<_>>();
    Tensor::new(lengths.iter().map(row).collect::<Vec<_>>(), &Device::Cpu).unwrap()
}
