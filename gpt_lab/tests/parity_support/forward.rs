//! `gpt2_forward`: logits, loss, everything on the way, and the gradient of every parameter.

use std::collections::{BTreeSet, HashMap};

use gpt_lab::prelude::*;

use super::{Case, Report};

pub fn check(case: &Case, report: &mut Report) {
    let ids = &case.tensors("inputs")["input_ids"];
    let expected = case.tensors("expected");
    let grads = case.tensors("expected_grads");
    let models = case.json["models"].as_object().expect("models");
    for (layout, dir) in models {
        let model = Gpt2::load(case.dir.join(dir.as_str().unwrap())).unwrap_or_else(|e| panic!("{layout}: {e}"));
        let count = case.json["parameter_count"].as_u64().unwrap() as usize;
        report.expect(model.num_params() == count, "parameter_count", || {
            format!("{layout}: {} parameters, expected {count}", model.num_params())
        });
        outputs(case, report, layout, &model, ids, &expected);
        gradients(case, report, layout, &model, ids, &grads);
    }
}

fn outputs(
    case: &Case,
    report: &mut Report,
    layout: &str,
    model: &Gpt2,
    ids: &Tensor,
    expected: &HashMap<String, Tensor>,
) {
    let inspection = model.inspect(ids).unwrap();
    let loss = model.loss_hf(ids, ids).unwrap();
    for (name, expected) in expected {
        let (group, number) = match name.split_once('.') {
            Some((group, number)) => (group, number.parse::<usize>().unwrap()),
            None => (name.as_str(), 0),
        };
        let actual = match group {
            "logits" => &inspection.logits,
            "loss" => &loss,
            "embeddings" => &inspection.embeddings,
            "block_out" => &inspection.block_out[number],
            "final_hidden" => &inspection.final_hidden,
            "attn_probs" => &inspection.attentions[number],
            _ => panic!("expected tensor `{name}` is of no known kind"),
        };
        report.compare(case, group, &format!("{layout}/{name}"), actual, expected);
    }
    let forward = model.forward(ids, &mut Pass::eval()).unwrap();
    report.compare(case, "logits", &format!("{layout}/forward"), &forward, &expected["logits"]);
}

fn gradients(
    case: &Case,
    report: &mut Report,
    layout: &str,
    model: &Gpt2,
    ids: &Tensor,
    expected: &HashMap<String, Tensor>,
) {
    let store = model.loss_hf(ids, ids).unwrap().backward().unwrap();
    let params = model.params();
    let ours: BTreeSet<&str> = params.iter().map(Param::name).collect();
    let theirs: BTreeSet<&str> = expected.keys().map(String::as_str).collect();
    report.expect(ours == theirs, "names", || {
        format!("{layout}: names differ: {:?}", ours.symmetric_difference(&theirs).collect::<Vec<_>>())
    });
    for param in &params {
        match (store.get(param.var().as_tensor()), expected.get(param.name())) {
            (Some(grad), Some(expected)) => {
                report.compare(case, "grad", &format!("{layout}/{}", param.name()), grad, expected);
            }
            _ => report.failures.push(format!("{layout}/{}: no gradient", param.name())),
        }
    }
}
