//! `dpo` and `ppo_pieces`.

use std::collections::HashMap;

use gpt_lab::align::{Dpo, answer_log_probs, dpo, ppo};
use gpt_lab::prelude::*;
use gpt_lab::reward::accuracy;

use super::lora::compare_gradients;
use super::{Case, Report};

/// The reference is the same model with its adapter switched off.
pub fn check_dpo(case: &Case, report: &mut Report) {
    let (inputs, expected) = (case.tensors("inputs"), case.tensors("expected"));
    let model = Gpt2::load(case.path("model")).unwrap();
    let lora = Lora::new(&model).unwrap();
    lora.load("default", case.path("adapter")).unwrap();
    let log_probs = |model: &Gpt2, side: &str| {
        let ids = &inputs[&format!("{side}_ids")];
        let answer = answer_mask(&inputs["prompt_lengths"], &inputs[&format!("{side}_lengths")], ids.dim(1).unwrap());
        answer_log_probs(&model.forward(ids, &mut Pass::eval()).unwrap(), ids, &answer).unwrap()
    };
    let both = |model: &Gpt2| (log_probs(model, "chosen"), log_probs(model, "rejected"));
    let policy = both(&model);
    let reference = lora.disabled(both).unwrap();
    let sums = [
        ("policy_chosen_logps", &policy.0),
        ("policy_rejected_logps", &policy.1),
        ("reference_chosen_logps", &reference.0),
        ("reference_rejected_logps", &reference.1),
    ];
    sums.iter().for_each(|(name, found)| report.compare(case, "logps", name, found, &expected[*name]));
    let beta = case.json["beta"].as_f64().unwrap();
    let Dpo { losses, chosen_rewards, rejected_rewards } =
        dpo(&policy.0, &policy.1, &reference.0, &reference.1, beta).unwrap();
    report.compare(case, "loss", "loss_per_pair", &losses, &expected["loss_per_pair"]);
    let loss = losses.mean_all().unwrap();
    report.compare(case, "loss", "loss", &loss, &expected["loss"]);
    for (name, found) in [("chosen_rewards", &chosen_rewards), ("rejected_rewards", &rejected_rewards)] {
        report.compare(case, "implicit_rewards", name, found, &expected[name]);
    }
    let found = accuracy(&chosen_rewards, &rejected_rewards).unwrap();
    let wanted = expected["accuracy"].to_scalar::<f32>().unwrap();
    report.expect((found - wanted).abs() < 1e-6, "accuracy", || format!("accuracy {found}, expected {wanted}"));
    compare_gradients(case, report, "default", &lora, &loss, &case.tensors("expected_grads"));
}

/// Ones from the end of the prompt to the end of the text.
fn answer_mask(prompts: &Tensor, lengths: &Tensor, width: usize) -> Tensor {
    let (prompts, lengths): (Vec<i64>, Vec<i64>) = (prompts.to_vec1().unwrap(), lengths.to_vec1().unwrap());
    let row = |(prompt, length): (&i64, &i64)| -> Vec<u8> {
        (0..width as i64).map(|at| u8::from(prompt <= &at && at < *length)).collect()
    };
    Tensor::new(prompts.iter().zip(&lengths).map(row).collect::<Vec<_>>(), &Device::Cpu).unwrap()
}

pub fn check_ppo(case: &Case, report: &mut Report) {
    let (inputs, expected) = (case.tensors("inputs"), case.tensors("expected"));
    let setting = |name: &str| case.json["settings"][name].as_f64().unwrap_or_else(|| panic!("settings.{name}"));
    let mask = &inputs["mask"].to_dtype(DType::U8).unwrap();
    let (old, new) = (&inputs["old_logps"], Var::from_tensor(&inputs["new_logps"]).unwrap());
    let (v_old, v_new) = (&inputs["values_old"], Var::from_tensor(&inputs["values_new"]).unwrap());
    let mut found: HashMap<&str, Tensor> = HashMap::new();
    let tokens = ppo::token_rewards(old, &inputs["ref_logps"], &inputs["scores"], mask, setting("kl")).unwrap();
    let gae = ppo::advantages(&tokens.rewards, v_old, mask, setting("gamma"), setting("lam")).unwrap();
    let white = ppo::whiten(&gae.advantages, mask).unwrap();
    let policy = ppo::policy_loss(new.as_tensor(), old, &white, mask, setting("clip")).unwrap();
    let value = ppo::value_loss(v_new.as_tensor(), v_old, &gae.returns, mask, Some(setting("vclip"))).unwrap();
    let total = (&policy.loss + (&value.loss * setting("vf")).unwrap()).unwrap();
    let grads = total.backward().unwrap();
    let number = |x: f32| Tensor::new(x, &Device::Cpu).unwrap();
    found.insert("approx_kl", number(ppo::approx_kl(new.as_tensor(), old, mask).unwrap()));
    found.insert("mean_kl", number(ppo::mean_kl(&tokens.kl).unwrap()));
    found.extend([("kl", tokens.kl), ("rewards", tokens.rewards)]);
    found.extend([("advantages", gae.advantages), ("returns", gae.returns), ("whitened_advantages", white)]);
    found.extend([("policy_loss", policy.loss), ("value_loss", value.loss), ("total_loss", total)]);
    found.insert("policy_clip_fraction", number(policy.clip_fraction));
    found.insert("value_clip_fraction", number(value.clip_fraction));
    // With weight 0 a part is left out of the sum, and there is no gradient where PyTorch has zeros.
    let gradient = |var: &Var| grads.get(var.as_tensor()).cloned().unwrap_or(var.zeros_like().unwrap());
    found.extend([("grad_new_logps", gradient(&new)), ("grad_values_new", gradient(&v_new))]);
    report.expect(found.len() == expected.len(), "names", || "other tensors than these are expected".into());
    for (name, expected) in &expected {
        report.compare(case, name, name, &found[name.as_str()], expected);
    }
}
