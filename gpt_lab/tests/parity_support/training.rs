//! `full_training`: every parameter trained for some steps with AdamW, a schedule and clipping, next to PyTorch's.

use std::collections::BTreeMap;

use gpt_lab::prelude::*;
use gpt_lab::train::{AdamW, AdamWOptions, Decay, Gradients, Schedule, clip_factor};
use serde_json::Value;

use super::{Case, Report};

pub fn check(case: &Case, report: &mut Report) {
    let runs = case.json["runs"].as_object().expect("runs");
    for (name, run) in runs {
        let model = Gpt2::load(case.dir.join(run["model"].as_str().unwrap())).unwrap();
        report.expect(model.config.activation_function == run["activation_function"], "activation_function", || {
            format!("{name}: the configuration says {}", model.config.activation_function)
        });
        let ids = &case.tensors("inputs")["input_ids"]; // [steps, B, T]
        let logits = model.forward(&ids.get(0).unwrap(), &mut Pass::eval()).unwrap();
        let expected = &case.tensors("expected")[&format!("{name}.first_logits")];
        report.compare(case, "first_logits", &format!("{name}/first_logits"), &logits, expected);
        let (losses, norms) = train(&model, ids, &case.json["hyper"], &run["weight_decay_on"]);
        report.compare_numbers(case, "loss", &format!("{name}/loss"), &losses, &numbers(&run["loss_per_step"]));
        report.compare_numbers(
            case,
            "grad_norm",
            &format!("{name}/norm"),
            &norms,
            &numbers(&run["grad_norm_per_step"]),
        );
        checksums(case, report, name, &model, run["final_checksums"].as_object().unwrap());
    }
}

/// The loss and the gradient's norm (before clipping) at every step.
fn train(model: &Gpt2, ids: &Tensor, hyper: &Value, decay_on: &Value) -> (Vec<f64>, Vec<f64>) {
    let number = |key: &str| hyper[key].as_f64().unwrap_or_else(|| panic!("hyper.{key}"));
    let count = |key: &str| hyper[key].as_u64().unwrap_or_else(|| panic!("hyper.{key}")) as usize;
    assert_eq!(count("accum"), 1, "this kind of case accumulates nothing");
    let decay = match decay_on.as_str() {
        Some("matrices") => Decay::Matrices,
        Some("all") => Decay::All,
        other => panic!("weight_decay_on: {other:?}"),
    };
    let betas = numbers(&hyper["betas"]);
    let options = AdamWOptions { betas: (betas[0], betas[1]), eps: number("eps"), weight_decay: number("wd"), decay };
    let schedule =
        Schedule::WarmupCosine { warmup: count("warmup"), decay_end: count("decay_end"), min_lr: number("min_lr") };
    let params = model.params();
    let mut optimizer = AdamW::new(&params, options).unwrap();
    let (mut losses, mut norms) = (Vec::new(), Vec::new());
    for step in 0..count("steps") {
        let batch = ids.get(step).unwrap();
        let loss = model.loss_hf(&batch, &batch).unwrap();
        let gradients = Gradients::of(&loss, &params).unwrap();
        let norm = gradients.norm().unwrap();
        let clip = clip_factor(norm, Some(number("clip")));
        optimizer.step(&gradients, schedule.at(number("lr"), step), clip).unwrap();
        losses.push(f64::from(loss.to_scalar::<f32>().unwrap()));
        norms.push(norm);
    }
    (losses, norms)
}

/// Sum and sum of squares of every trained tensor, in f64. The bias of the keys has no gradient but rounding noise; the
/// case leaves it out and names the two other thirds.
fn checksums(case: &Case, report: &mut Report, run: &str, model: &Gpt2, expected: &serde_json::Map<String, Value>) {
    let mut ours: BTreeMap<String, Vec<f32>> = BTreeMap::new();
    for param in model.params() {
        let values: Vec<f32> = param.var().flatten_all().unwrap().to_vec1().unwrap();
        if param.name().ends_with("attn.c_attn.bias") {
            let third = values.len() / 3;
            ours.insert(format!("{}[query]", param.name()), values[..third].to_vec());
            ours.insert(format!("{}[value]", param.name()), values[2 * third..].to_vec());
        } else {
            ours.insert(param.name().to_string(), values);
        }
    }
    report.expect(ours.keys().eq(expected.keys().collect::<std::collections::BTreeSet<_>>()), "names", || {
        format!("{run}: other tensors than the checksums")
    });
    for (name, values) in &ours {
        let Some(expected) = expected.get(name) else { continue };
        let sum: f64 = values.iter().map(|v| f64::from(*v)).sum();
        let squares: f64 = values.iter().map(|v| f64::from(*v).powi(2)).sum();
        let (label, number) = (format!("{run}/{name}"), |key: &str| expected[key].as_f64().unwrap());
        report.compare_numbers(case, "checksum_sum", &label, &[sum], &[number("sum")]);
        report.compare_numbers(case, "checksum_sumsq", &label, &[squares], &[number("sumsq")]);
    }
}

pub fn numbers(list: &Value) -> Vec<f64> {
    list.as_array().expect("a list").iter().map(|x| x.as_f64().expect("a number")).collect()
}
