//! `lora_forward` and `lora_training`: PEFT's adapters on one base, and one of them trained.

use std::collections::{BTreeSet, HashMap};

use gpt_lab::lora::Adaptable;
use gpt_lab::prelude::*;
use gpt_lab::train::{AdamW, AdamWOptions, Decay, Gradients, Schedule, clip_factor};
use serde_json::Value;

use super::training::numbers;
use super::{Case, Report};

/// Every adapter on the one model, all at once: each is switched on in its turn.
pub fn check_forward(case: &Case, report: &mut Report) {
    let ids = &case.tensors("inputs")["input_ids"];
    let expected = case.tensors("expected");
    let (grads, merged) = (case.tensors("expected_grads"), case.tensors("expected_merged"));
    let adapters = case.json["adapters"].as_object().expect("adapters");
    let model = Gpt2::load(case.path("model")).unwrap();
    report.compare(case, "logits", "base", &model.forward(ids, &mut Pass::eval()).unwrap(), &expected["base.logits"]);
    let lora = Lora::new(&model).unwrap();
    let on_base = |spec: &Value| spec.get("model").is_none();
    for (name, spec) in adapters.iter().filter(|(_, spec)| on_base(spec)) {
        lora.load(name, case.dir.join(spec["dir"].as_str().unwrap())).unwrap_or_else(|e| panic!("{name}: {e}"));
        counts(case, report, name, spec);
    }
    for name in lora.names() {
        lora.activate([&name]).unwrap();
        let logits = model.forward(ids, &mut Pass::eval()).unwrap();
        report.compare(case, "logits", &format!("{name}.logits"), &logits, &expected[&format!("{name}.logits")]);
        let loss = model.loss_hf(ids, ids).unwrap();
        report.compare(case, "loss", &format!("{name}.loss"), &loss, &expected[&format!("{name}.loss")]);
        gradients(case, report, &name, &lora, &loss, &grads);
        merging(case, report, &name, &lora, ids, &expected, &merged);
        let off = lora.disabled(|model| model.forward(ids, &mut Pass::eval())).unwrap().unwrap();
        let disabled = expected.get(&format!("{name}.disabled_logits")).unwrap_or(&expected["base.logits"]);
        report.compare(case, "logits", &format!("{name}.disabled_logits"), &off, disabled);
    }
    for (name, spec) in adapters.iter().filter(|(_, spec)| !on_base(spec)) {
        scores(case, report, name, spec, ids, &expected);
    }
}

/// PEFT's line and numbers, for a model with this adapter alone.
fn counts(case: &Case, report: &mut Report, name: &str, spec: &Value) {
    fn line<M: Adaptable>(model: &M, name: &str, case: &Case, spec: &Value) -> (usize, usize, String, f64) {
        let lora = Lora::new(model).unwrap();
        lora.load(name, case.dir.join(spec["dir"].as_str().unwrap())).unwrap();
        let (report, config) = (lora.report(), lora.config(name).unwrap());
        (report.trainable, report.all, report.to_string(), config.rank_and_scale("").unwrap().1)
    }
    let found = match spec.get("model") {
        Some(dir) => line(&ScoreModel::load(case.dir.join(dir.as_str().unwrap())).unwrap(), name, case, spec),
        None => line(&Gpt2::load(case.path("model")).unwrap(), name, case, spec),
    };
    let (trainable, all, printed, scale) = found;
    let expected = &spec["parameters"];
    report.expect(printed == expected["printed"], "counts", || format!("{name}: {printed}, PEFT: {expected}"));
    report.expect(expected["trainable"] == trainable && expected["all"] == all, "counts", || {
        format!("{name}: {trainable} of {all}, PEFT: {expected}")
    });
    let expected = spec["scale"].as_f64().unwrap();
    report.expect((scale - expected).abs() < 1e-12, "scales", || format!("{name}: scale {scale}, PEFT: {expected}"));
}

/// A parameter's key in PEFT's files.
fn key(param: &Param, adapter: &str) -> String {
    let name = param.name().replace(&format!(".{adapter}.weight"), ".weight");
    if name.starts_with("base_model.") { name } else { format!("base_model.model.{name}") }
}

/// The gradient of everything that trains, and of nothing else.
pub fn compare_gradients<M: Adaptable>(
    case: &Case,
    report: &mut Report,
    adapter: &str,
    lora: &Lora<M>,
    loss: &Tensor,
    expected: &HashMap<String, Tensor>,
) {
    let store = loss.backward().unwrap();
    let params = lora.params();
    let ours: BTreeSet<String> = params.iter().map(|param| key(param, adapter)).collect();
    let theirs: BTreeSet<String> = expected.keys().cloned().collect();
    report.expect(ours == theirs, "names", || {
        format!("{adapter}: names differ: {:?}", ours.symmetric_difference(&theirs).collect::<Vec<_>>())
    });
    for param in lora.all_params() {
        let name = format!("{adapter}/{}", param.name());
        match (store.get(param.var().as_tensor()), expected.get(&key(&param, adapter))) {
            (Some(grad), Some(expected)) if param.trainable() => report.compare(case, "grad", &name, grad, expected),
            (found, _) => report.expect(found.is_none() && !param.trainable(), "frozen", || {
                format!("{name}: gradient {}, trainable {}", found.is_some(), param.trainable())
            }),
        }
    }
}

fn gradients(
    case: &Case,
    report: &mut Report,
    name: &str,
    lora: &Lora<Gpt2>,
    loss: &Tensor,
    all: &HashMap<String, Tensor>,
) {
    let prefix = format!("{name}.");
    let own = all.iter().filter_map(|(key, grad)| Some((key.strip_prefix(&prefix)?.to_string(), grad.clone())));
    compare_gradients(case, report, name, lora, loss, &own.collect());
}

fn merging(
    case: &Case,
    report: &mut Report,
    name: &str,
    lora: &Lora<Gpt2>,
    ids: &Tensor,
    expected: &HashMap<String, Tensor>,
    weights: &HashMap<String, Tensor>,
) {
    let unmerged = lora.model().forward(ids, &mut Pass::eval()).unwrap();
    lora.merge().unwrap();
    let merged = lora.model().forward(ids, &mut Pass::eval()).unwrap();
    report.compare(case, "logits", &format!("{name}: merged and unmerged"), &merged, &unmerged);
    if let Some(expected) = expected.get(&format!("{name}.merged_logits")) {
        report.compare(case, "logits", &format!("{name}.merged_logits"), &merged, expected);
    }
    let prefix = format!("{name}.");
    for (key, expected) in weights {
        let Some(param) = key.strip_prefix(&prefix) else { continue };
        let param = lora.model().param(param).unwrap();
        report.compare(case, "merged_weight", key, param.var().as_tensor(), expected);
    }
    lora.unmerge().unwrap();
}

fn scores(
    case: &Case,
    report: &mut Report,
    name: &str,
    spec: &Value,
    ids: &Tensor,
    expected: &HashMap<String, Tensor>,
) {
    counts(case, report, name, spec);
    let model = ScoreModel::load(case.dir.join(spec["model"].as_str().unwrap())).unwrap();
    let lora = Lora::new(&model).unwrap();
    lora.load(name, case.dir.join(spec["dir"].as_str().unwrap())).unwrap();
    let on = model.scores(ids, &mut Pass::eval()).unwrap();
    report.compare(case, "scores", &format!("{name}.scores"), &on, &expected[&format!("{name}.scores")]);
    let off = lora.disabled(|model| model.scores(ids, &mut Pass::eval())).unwrap().unwrap();
    let disabled = &expected[&format!("{name}.disabled_scores")];
    report.compare(case, "scores", &format!("{name}.disabled_scores"), &off, disabled);
}

/// Some steps of AdamW on an adapter, with the pieces of the training loop.
pub fn check_training(case: &Case, report: &mut Report) {
    let model = Gpt2::load(case.path("model")).unwrap();
    let lora = Lora::new(&model).unwrap();
    lora.load("default", case.path("adapter_init")).unwrap();
    let (losses, norms) = train(case, &model, &lora.params());
    report.compare_numbers(case, "loss", "loss", &losses, &numbers(&case.json["loss_per_micro_batch"]));
    report.compare_numbers(case, "grad_norm", "norm", &norms, &numbers(&case.json["grad_norm_per_step"]));
    let clip = case.json["hyper"]["clip"].as_f64().unwrap();
    let clipped: Vec<usize> = (0..norms.len()).filter(|step| norms[*step] > clip).collect();
    report.expect(Value::from(clipped.clone()) == case.json["steps_clipped"], "steps_clipped", || {
        format!("clipped in steps {clipped:?}, expected {}", case.json["steps_clipped"])
    });
    let expected = case.tensors("expected_adapter");
    report.expect(expected.len() == lora.params().len(), "names", || "another number of tensors".into());
    for param in lora.params() {
        let name = key(&param, "default");
        report.compare(case, "final_adapter", &name, param.var().as_tensor(), &expected[&name]);
    }
}

/// The loss of every small batch, and the gradient's norm (before clipping) at every step.
fn train(case: &Case, model: &Gpt2, params: &[Param]) -> (Vec<f64>, Vec<f64>) {
    let hyper = &case.json["hyper"];
    let number = |key: &str| hyper[key].as_f64().unwrap_or_else(|| panic!("hyper.{key}"));
    let count = |key: &str| hyper[key].as_u64().unwrap_or_else(|| panic!("hyper.{key}")) as usize;
    let inputs = case.tensors("inputs");
    let (betas, accum) = (numbers(&hyper["betas"]), count("accum"));
    let options =
        AdamWOptions { betas: (betas[0], betas[1]), eps: number("eps"), weight_decay: number("wd"), decay: Decay::All };
    let schedule =
        Schedule::WarmupCosine { warmup: count("warmup"), decay_end: count("decay_end"), min_lr: number("min_lr") };
    let mut optimizer = AdamW::new(params, options).unwrap();
    let (mut losses, mut norms) = (Vec::new(), Vec::new());
    for step in 0..count("steps") {
        let mut sum: Option<Gradients> = None;
        for row in step * accum..(step + 1) * accum {
            let loss = model.loss_hf(&inputs["input_ids"].i(row).unwrap(), &inputs["labels"].i(row).unwrap()).unwrap();
            losses.push(f64::from(loss.to_scalar::<f32>().unwrap()));
            let gradients = Gradients::of(&(loss / accum as f64).unwrap(), params).unwrap();
            match &mut sum {
                Some(sum) => sum.add(gradients).unwrap(),
                None => sum = Some(gradients),
            }
        }
        let gradients = sum.expect("at least one batch a step");
        let norm = gradients.norm().unwrap();
        let clip = clip_factor(norm, Some(number("clip")));
        optimizer.step(&gradients, schedule.at(number("lr"), step), clip).unwrap();
        norms.push(norm);
    }
    (losses, norms)
}
