//! Adapters on models: what must hold whatever the numbers are. Numbers against PEFT are in `parity.rs`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use gpt_lab::data::Pairs;
use gpt_lab::gpt2::{Gpt2, Gpt2Config, grad_audit};
use gpt_lab::lora::{Adaptable, Bias, Init, Report};
use gpt_lab::prelude::*;
use gpt_lab::train::Silent;

fn tiny() -> Gpt2 {
    let sizes = Gpt2Config { vocab_size: 11, n_positions: 8, n_embd: 12, n_layer: 3, n_head: 3, ..Default::default() };
    // Wide weights, so that the layers have something to say.
    Gpt2::new(&Gpt2Config { initializer_range: 0.3, ..sizes }, 1).unwrap()
}

fn batch() -> Tensor {
    Tensor::new(&[[1u32, 2, 3, 4, 5], [10, 9, 8, 7, 0]], &Device::Cpu).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn logits(model: &Gpt2) -> Vec<f32> {
    values(&model.forward(&batch(), &mut Pass::eval()).unwrap())
}

fn weights(params: &[Param]) -> Vec<Vec<u32>> {
    params.iter().map(|param| values(param.var().as_tensor()).iter().map(|v| v.to_bits()).collect()).collect()
}

/// Does something from the start.
fn random(r: usize, targets: Targets) -> LoraConfig {
    LoraConfig { r, lora_alpha: 16.0, target_modules: targets, init_lora_weights: Init::Random, ..Default::default() }
}

fn attention() -> Targets {
    Targets::names(["c_attn"])
}

fn everything() -> Targets {
    Targets::pattern("all-linear")
}

/// A folder of this test's own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        Folder(std::env::temp_dir().join(format!("gpt_lab-lora-{name}-{}", std::process::id())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_toy_models_figures_are_the_chapters() {
    let line = |model: &Mlp, config: &LoraConfig| -> (String, String) {
        let lora = Lora::new(model).unwrap();
        let bare = Report::of(&model.params(), 0);
        lora.add("lora1", config, 0).unwrap();
        (bare.all.to_string(), lora.report().to_string())
    };
    let config = random(4, Targets::names(["lin0"]));
    let (bare, adapted) = line(&Mlp::new(&[10, 6], true, 0).unwrap(), &config);
    assert_eq!(bare, "66");
    assert_eq!(adapted, "trainable params: 64 || all params: 130 || trainable%: 49.2308");
    // 2-4-2 without biases: 16 weights, and r (2 + 4) for the first layer.
    let (bare, adapted) = line(&Mlp::new(&[2, 4, 2], false, 0).unwrap(), &random(2, Targets::names(["lin0"])));
    assert_eq!(bare, "16");
    assert_eq!(adapted, "trainable params: 12 || all params: 28 || trainable%: 42.8571");
}

#[test]
fn lora_by_hand_gives_the_same_numbers() {
    let model = Mlp::new(&[10, 20], true, 3).unwrap();
    let x = Rng::new(4).normal_tensor(0.0, 1.0, &[7, 10]).unwrap();
    let plain = model.forward(&x).unwrap();
    let lora = Lora::new(&model).unwrap();
    lora.add("default", &random(4, Targets::names(["lin0"])), 5).unwrap();
    let [a, b] = [0, 1].map(|i: usize| lora.params()[i].tensor());
    assert_eq!((a.dims(), b.dims()), (&[4, 10][..], &[20, 4][..]));
    let update = x.matmul(&a.t().unwrap()).unwrap().matmul(&b.t().unwrap()).unwrap();
    let by_hand = (plain + (update * (16.0 / 4.0)).unwrap()).unwrap();
    assert!(ops::max_difference(&model.forward(&x).unwrap(), &by_hand).unwrap() < 1e-6);
}

#[test]
fn a_fresh_adapter_changes_nothing_bit_for_bit_and_follows_its_seed() {
    for init in [Init::Kaiming, Init::Gaussian] {
        let model = tiny();
        let before = logits(&model);
        let lora = Lora::new(&model).unwrap();
        let config = LoraConfig { init_lora_weights: init, ..random(4, everything()) };
        lora.add("one", &config, 7).unwrap();
        assert_eq!(lora.active(), ["one"]);
        assert_eq!(logits(&model), before);
        lora.add("same", &config, 7).unwrap();
        lora.add("other", &config, 8).unwrap();
        let a = |name: &str| {
            lora.activate([name]).unwrap();
            weights(&lora.params())
        };
        assert_eq!(a("one"), a("same"));
        assert_ne!(a("one"), a("other"));
    }
    // A is uniform within ±1/√12 (layers of 12 inputs).
    let lora = Lora::new(&tiny()).unwrap();
    lora.add("one", &LoraConfig { r: 64, ..Default::default() }, 7).unwrap();
    let a = values(&lora.params()[0].tensor());
    let (largest, bound) = (a.iter().fold(0f32, |m, x| m.max(x.abs())), 1.0 / 12f32.sqrt());
    assert!(largest <= bound && largest > 0.98 * bound, "{largest}, bound {bound}");
    let deviation = (a.iter().map(|x| x * x).sum::<f32>() / a.len() as f32).sqrt();
    assert!((deviation - bound / 3f32.sqrt()).abs() < 0.01, "{deviation}");
}

#[test]
fn a_fresh_adapter_changes_no_bit_of_a_larger_model_at_any_length() {
    let config =
        Gpt2Config { vocab_size: 300, n_positions: 256, n_embd: 96, n_layer: 3, n_head: 4, ..Default::default() };
    let model = Gpt2::new(&config, 1).unwrap();
    for (batch, length) in [(1, 1), (1, 7), (2, 4), (1, 9), (3, 65), (2, 256)] {
        let ids: Vec<u32> = (0..batch * length).map(|i| (i * 7 % 300) as u32).collect();
        let ids = Tensor::from_vec(ids, (batch, length), &Device::Cpu).unwrap();
        let before = values(&model.forward(&ids, &mut Pass::eval()).unwrap());
        let lora = Lora::new(&model).unwrap();
        lora.add("one", &LoraConfig { r: 16, target_modules: everything(), ..Default::default() }, 7).unwrap();
        assert_eq!(values(&model.forward(&ids, &mut Pass::eval()).unwrap()), before, "{batch} x {length}");
        lora.unload().unwrap();
    }
}

#[test]
fn switching_gives_what_each_gave_alone_and_several_add_up() {
    let configs = [
        ("a", random(2, attention())),
        ("b", random(3, everything())),
        ("c", LoraConfig { use_rslora: true, ..random(4, Targets::names(["mlp.c_fc"])) }),
    ];
    let model = tiny();
    let bare = logits(&model);
    let alone: Vec<Vec<f32>> = configs
        .iter()
        .map(|(name, config)| {
            let model = tiny();
            Lora::new(&model).unwrap().add(name, config, 5).unwrap();
            logits(&model)
        })
        .collect();
    let lora = Lora::new(&model).unwrap();
    configs.iter().for_each(|(name, config)| lora.add(name, config, 5).unwrap());
    for (name, alone) in [2, 0, 1, 2].map(|i: usize| (configs[i].0, &alone[i])) {
        lora.activate([name]).unwrap();
        assert_eq!(&logits(&model), alone, "{name}");
        assert_ne!(alone, &bare);
        assert_eq!(lora.disabled(logits).unwrap(), bare);
    }
    lora.activate([] as [&str; 0]).unwrap();
    assert_eq!(logits(&model), bare);
    assert!(lora.params().is_empty());
    // On one linear layer the updates add up.
    let mlp = Mlp::new(&[6, 5], true, 1).unwrap();
    let x = Rng::new(4).normal_tensor(0.0, 1.0, &[3, 6]).unwrap();
    let lora = Lora::new(&mlp).unwrap();
    ["p", "q"].iter().for_each(|name| lora.add(name, &random(2, everything()), name.len() as u64 + 9).unwrap());
    let of = |names: &[&str]| {
        lora.activate(names).unwrap();
        mlp.forward(&x).unwrap()
    };
    let sum = ((of(&["p"]) + of(&["q"])).unwrap() - of(&[])).unwrap();
    assert!(ops::max_difference(&of(&["p", "q"]), &sum).unwrap() < 1e-5);
}

#[test]
fn merging_agrees_and_unmerging_restores_the_base_bit_for_bit() {
    let model = tiny();
    let (base, bare) = (weights(&model.params()), logits(&model));
    let lora = Lora::new(&model).unwrap();
    lora.add("a", &random(2, attention()), 1).unwrap();
    lora.add("b", &random(3, everything()), 2).unwrap();
    for names in [vec!["a"], vec!["b"], vec!["a", "b"]] {
        lora.activate(&names).unwrap();
        let beside = model.forward(&batch(), &mut Pass::eval()).unwrap();
        lora.merge().unwrap();
        assert!(lora.is_merged());
        assert_ne!(weights(&model.params()), base);
        let merged = model.forward(&batch(), &mut Pass::eval()).unwrap();
        assert!(ops::max_difference(&merged, &beside).unwrap() < 1e-5, "{names:?}");
        assert_eq!(lora.disabled(logits).unwrap(), bare, "disabled while merged");
        assert_eq!(
            values(&model.forward(&batch(), &mut Pass::eval()).unwrap()),
            values(&merged),
            "merged again after the scope"
        );
        lora.unmerge().unwrap();
        assert_eq!(weights(&model.params()), base);
        assert_eq!(logits(&model), values(&beside));
    }
    lora.merge().unwrap();
    lora.activate(["a"]).unwrap();
    assert!(!lora.is_merged());
    assert_eq!(weights(&model.params()), base);
}

#[test]
fn unloading_gives_the_model_back_and_merging_for_good_keeps_the_effect() {
    let model = tiny();
    model.wpe.set_trainable(false);
    let base = weights(&model.params());
    let lora = Lora::new(&model).unwrap();
    lora.add("a", &random(2, everything()), 1).unwrap();
    let adapted = model.forward(&batch(), &mut Pass::eval()).unwrap();
    assert!(model.params().iter().all(|param| !param.trainable()));
    assert!(Lora::new(&model).is_err(), "two owners of one model's slots");
    lora.merge().unwrap();
    lora.unload().unwrap();
    assert_eq!(weights(&model.params()), base);
    assert!(model.params().iter().all(|param| param.trainable() == (param.name() != "transformer.wpe.weight")));
    let lora = Lora::new(&model).unwrap();
    lora.add("a", &random(2, everything()), 1).unwrap();
    let merged = lora.merge_and_unload().unwrap().forward(&batch(), &mut Pass::eval()).unwrap();
    assert!(ops::max_difference(&merged, &adapted).unwrap() < 1e-5);
    assert!(lora.names().is_empty() && model.blocks[0].attn.c_attn.adapters.active().is_empty());
}

#[test]
fn deleted_adapters_are_gone() {
    let model = tiny();
    let bare = logits(&model);
    let lora = Lora::new(&model).unwrap();
    ["a", "b"].iter().for_each(|name| lora.add(name, &random(2, attention()), 3).unwrap());
    lora.merge().unwrap();
    lora.delete("a").unwrap();
    assert_eq!((lora.names(), lora.active(), logits(&model)), (vec!["b".to_string()], vec![], bare));
    for (result, word) in [
        (lora.delete("a"), "\"a\""),
        (lora.activate(["b", "b"]), "once"),
        (lora.add("b", &random(2, attention()), 0), "no other adapter"),
        (lora.add("x.y", &random(2, attention()), 0), "dots"),
        (lora.add("my_lora_1", &random(2, attention()), 0), "lora_"),
        (lora.add("c", &random(2, Targets::names(["wte"])), 0), "wte"),
        (lora.add("c", &LoraConfig { modules_to_save: vec!["wte".into()], ..random(2, attention()) }, 0), "shares"),
        (lora.add("c", &LoraConfig { modules_to_save: vec!["head".into()], ..random(2, attention()) }, 0), "head"),
    ] {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(word), "{word}: {error}");
    }
    assert_eq!(lora.names(), ["b"]);
}

#[test]
fn an_adapter_added_after_a_merged_one_is_gone_is_beside_the_weights() {
    let model = tiny();
    let base = weights(&model.params());
    let lora = Lora::new(&model).unwrap();
    lora.merge().unwrap();
    for name in ["a", "b"] {
        lora.add(name, &random(2, attention()), 3).unwrap();
        assert!(!lora.is_merged() && lora.report().trainable > 0 && weights(&model.params()) == base, "{name}");
        lora.merge().unwrap();
        let inside = lora.disabled(|_| lora.merge_and_unload().map(|_| ())).unwrap();
        assert!(inside.unwrap_err().to_string().contains("disabled"));
        lora.delete(name).unwrap();
    }
}

#[test]
fn what_cannot_learn_is_not_trained_in_silence() {
    let model = tiny();
    let windows = Windows::from_tokens((0..40).map(|i| i % 11).collect(), 4).unwrap();
    let data = Split { train: windows.clone(), validation: windows };
    let config = TrainConfig { length: Length::Steps(1), batch_size: 2, ..Default::default() };
    let lora = Lora::new(&model).unwrap();
    lora.add("a", &random(2, attention()), 3).unwrap();
    let error = train(lora.model(), &data, &config, &mut Silent).unwrap_err().to_string();
    assert!(error.contains("all of them frozen") && error.contains("`Lora` itself"), "{error}");
    lora.merge().unwrap();
    assert!(train(&lora, &data, &config, &mut Silent).is_err());
    lora.unmerge().unwrap();
    train(&lora, &data, &config, &mut Silent).unwrap();
    let folder = Folder::new("hybrid");
    let error = model.save(&folder.0).unwrap_err().to_string();
    assert!(error.contains("h.0.attn.c_attn") && !folder.0.join("config.json").exists(), "{error}");
}

#[test]
fn only_the_active_adapter_gets_gradients_and_the_base_costs_none() {
    let model = tiny();
    let lora = Lora::new(&model).unwrap();
    lora.add("a", &random(2, Targets::names(["h.1.attn.c_attn", "h.2.mlp.c_proj"])), 1).unwrap();
    lora.add("b", &random(3, everything()), 2).unwrap();
    for active in [vec!["a"], vec!["b"], vec!["a", "b"]] {
        lora.activate(&active).unwrap();
        let store = model.loss_hf(&batch(), &batch()).unwrap().backward().unwrap();
        let audit = grad_audit(&lora.all_params(), &store).unwrap();
        audit.check().unwrap_or_else(|e| panic!("{e}\n{audit}"));
        for row in &audit.rows {
            let of_active = active.iter().any(|name| row.name.contains(&format!(".{name}.weight")));
            assert_eq!((row.trainable, row.grad_norm.is_some()), (of_active, of_active), "{}", row.name);
        }
        // Nothing else stays behind but the residual stream's, where the first adapted layer branches off.
        let held: usize = store.get_ids().map(|id| store.get_id(*id).unwrap().elem_count()).sum();
        let stream = batch().elem_count() * model.config.n_embd;
        assert!(held <= lora.report().trainable + stream, "{held} numbers are held");
    }
}

#[test]
fn below_the_first_adapted_layer_nothing_is_differentiated() {
    let model = tiny();
    let lora = Lora::new(&model).unwrap();
    lora.add("a", &random(2, Targets::names(["h.1.mlp.c_fc"])), 1).unwrap();
    let inspection = model.inspect(&batch()).unwrap();
    assert!(!inspection.embeddings.track_op() && !inspection.block_out[0].track_op());
    assert!(inspection.block_out[1].track_op() && inspection.logits.track_op());
    lora.disabled(|model| assert!(!model.forward(&batch(), &mut Pass::eval()).unwrap().track_op())).unwrap();
    assert!(model.forward(&batch(), &mut Pass::eval()).unwrap().track_op());
}

#[test]
fn scopes_without_adapters_nest_and_survive_panics() {
    let model = tiny();
    let bare = logits(&model);
    let lora = Lora::new(&model).unwrap();
    lora.add("a", &random(2, attention()), 1).unwrap();
    let adapted = logits(&model);
    let both = lora.disabled(|model| {
        let inner = lora.disabled(logits).unwrap();
        // What is changed in a scope acts after it.
        lora.add("b", &random(3, everything()), 2).unwrap();
        lora.activate(["b"]).unwrap();
        (inner, logits(model))
    });
    assert_eq!(both.unwrap(), (bare.clone(), bare.clone()));
    assert_eq!(lora.active(), ["b"]);
    assert_ne!(logits(&model), bare);
    lora.activate(["a"]).unwrap();
    assert_eq!(logits(&model), adapted);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| lora.disabled(|_| panic!("in a cell"))));
    assert!(panicked.is_err());
    assert_eq!(logits(&model), adapted);
}

#[test]
fn adapters_dropout_acts_in_training_only_and_alone_if_asked() {
    let model = tiny();
    let lora = Lora::new(&model).unwrap();
    lora.add("a", &LoraConfig { lora_dropout: 0.5, ..random(2, attention()) }, 1).unwrap();
    let run = |pass: &mut Pass| values(&model.forward(&batch(), pass).unwrap());
    let eval = run(&mut Pass::eval());
    assert_ne!(run(&mut Pass::train_adapters(1)), eval);
    assert_eq!(run(&mut Pass::train_adapters(1)), run(&mut Pass::train_adapters(1)));
    let bare = lora.disabled(logits).unwrap();
    let without = lora.disabled(|model| values(&model.forward(&batch(), &mut Pass::train_adapters(1)).unwrap()));
    assert_eq!(without.unwrap(), bare, "the body itself drops nothing");
    assert_ne!(lora.disabled(|model| values(&model.forward(&batch(), &mut Pass::train(1)).unwrap())).unwrap(), bare);
}

#[test]
fn an_adapter_trains_by_the_loop_and_resumes_from_its_checkpoint() {
    let folder = Folder::new("train");
    let run = |steps: &[usize], folder: Option<PathBuf>| -> (Vec<f32>, Vec<Vec<u32>>) {
        let model = tiny();
        let before = weights(&model.params());
        let lora = Lora::new(&model).unwrap();
        lora.add("a", &LoraConfig { lora_dropout: 0.1, ..random(4, everything()) }, 1).unwrap();
        let mut losses = Vec::new();
        for &steps in steps {
            let config = TrainConfig {
                length: Length::Steps(steps),
                batch_size: 2,
                accumulate: 2,
                lr: 0.02,
                eval_every: 0,
                checkpoint: folder.clone(),
                resume: true,
                ..Default::default()
            };
            let history = train(&lora, &Rows::split(), &config, &mut Silent).unwrap();
            losses = history.steps.iter().map(|step| step.loss).collect();
        }
        assert_eq!(weights(&model.params()), before, "the base is frozen");
        (losses, weights(&lora.params()))
    };
    let (losses, whole) = run(&[30], None);
    let mean = |losses: &[f32]| losses.iter().sum::<f32>() / losses.len() as f32;
    assert!(mean(&losses[25..]) < 0.9 * mean(&losses[..5]), "{losses:?}");
    let (_, resumed) = run(&[12, 30], Some(folder.0.clone()));
    assert_eq!(whole, resumed);
}

/// Rows that count up, so that there is something to learn.
struct Rows;

impl Rows {
    fn split() -> Split<Rows> {
        Split { train: Rows, validation: Rows }
    }
}

impl Examples for Rows {
    type Batch = gpt_lab::data::Batch;

    fn count(&self) -> usize {
        11
    }

    fn batch(&self, rows: &[usize]) -> Result<Self::Batch> {
        let part = |by: usize| -> Vec<u32> {
            rows.iter().flat_map(|row| (0..6).map(move |i| ((row + i + by) % 11) as u32)).collect()
        };
        let shape = (rows.len(), 6);
        let inputs = Tensor::from_vec(part(0), shape, &Device::Cpu)?;
        let targets = Tensor::from_vec(part(1), shape, &Device::Cpu)?.to_dtype(DType::I64)?;
        Ok(gpt_lab::data::Batch { inputs, targets })
    }

    fn tokens(&self, rows: &[usize]) -> usize {
        6 * rows.len()
    }

    fn fingerprint(&self) -> u64 {
        6
    }
}

#[test]
fn whole_modules_and_biases_belong_to_the_adapter_that_trained_them() {
    let model = ScoreModel::new(&tiny(), 3).unwrap();
    let scores = || values(&model.scores(&batch(), &mut Pass::eval()).unwrap());
    let (bare, base) = (scores(), weights(&model.params()));
    let lora = Lora::new(&model).unwrap();
    let config = LoraConfig {
        modules_to_save: vec!["score".into()],
        bias: Bias::All,
        init_lora_weights: Init::Kaiming,
        ..random(2, attention())
    };
    lora.add("a", &config, 1).unwrap();
    lora.add("plain", &random(2, attention()), 2).unwrap();
    lora.add("c", &LoraConfig { bias: Bias::LoraOnly, ..config.clone() }, 1).unwrap();
    assert_eq!(scores(), bare, "copies begin as what they copy");
    // Two layer norms of a block, c_attn, attn.c_proj, c_fc, mlp.c_proj, and the last norm.
    let biases = 3 * (12 + 36 + 12 + 12 + 48 + 12) + 12;
    assert_eq!(lora.report().trainable, 3 * 2 * (12 + 36) + biases + 12);
    assert_eq!(lora.report().all, model.params().iter().map(Param::count).sum::<usize>() + 3 * 3 * 2 * 48 + 2 * 12);
    let (chosen, rejected) = (batch().i(0..1).unwrap(), batch().i(1..2).unwrap());
    let mask = Tensor::ones((1, 5), DType::U8, &Device::Cpu).unwrap();
    let pairs = Pairs { chosen, chosen_mask: mask.clone(), rejected, rejected_mask: mask };
    let loss = || lora.loss(&pairs, &mut Pass::eval()).unwrap();
    let mut optimizer = AdamW::new(&lora.params(), AdamWOptions::default()).unwrap();
    let before = loss().to_scalar::<f32>().unwrap();
    for _ in 0..5 {
        let gradients = Gradients::of(&loss(), &lora.params()).unwrap();
        gradients.require_all(&lora.params()).unwrap();
        optimizer.step(&gradients, 0.01, 1.0).unwrap();
    }
    assert!(loss().to_scalar::<f32>().unwrap() < before);
    let trained = scores();
    lora.add("late", &config, 1).unwrap();
    lora.activate(["late"]).unwrap();
    assert_eq!(scores(), bare, "a copy begins as the base has it, not as the active adapter");
    lora.delete("late").unwrap();
    lora.activate(["a"]).unwrap();
    assert_ne!(weights(&model.params()), base);
    assert_eq!(lora.disabled(|model| weights(&model.params())).unwrap(), base);
    lora.activate(["plain"]).unwrap();
    assert_eq!(weights(&model.params()), base);
    assert!(!model.score.weight.param().unwrap().trainable());
    lora.activate(["a"]).unwrap();
    assert_eq!(scores(), trained);
    let error = lora.activate(["a", "c"]).unwrap_err().to_string();
    assert!(error.contains("its own values of"), "{error}");
    lora.activate(["c"]).unwrap();
    assert_eq!(lora.report().trainable, 3 * 2 * 48 + 3 * 36 + 12);
    lora.unload().unwrap();
    assert_eq!((weights(&model.params()), scores()), (base, bare));
}

#[test]
fn files_come_back_the_same_by_name_and_in_sub_folders() {
    let folder = Folder::new("files");
    let model = ScoreModel::new(&tiny(), 3).unwrap();
    let lora = Lora::new(&model).unwrap();
    let a = LoraConfig {
        modules_to_save: vec!["score".into()],
        bias: Bias::LoraOnly,
        lora_dropout: 0.25,
        use_rslora: true,
        rank_pattern: BTreeMap::from([("mlp.c_fc".into(), 5)]),
        alpha_pattern: BTreeMap::from([(r"h\.0\.attn\.c_attn".into(), 2.5)]),
        task_type: Some("SEQ_CLS".into()),
        ..random(2, Targets::names(["c_attn", "c_fc"]))
    };
    let b = LoraConfig { task_type: Some("SEQ_CLS".into()), ..random(1, Targets::pattern(r".*c_proj")) };
    lora.add("default", &a, 1).unwrap();
    lora.add("b", &b, 2).unwrap();
    let scores = |model: &ScoreModel| values(&model.scores(&batch(), &mut Pass::eval()).unwrap());
    for param in lora.params() {
        let moved = (param.var().as_tensor() * 1.5).unwrap();
        param.var().set(&moved).unwrap();
    }
    let outputs = ["default", "b"].map(|name| {
        lora.activate([name]).unwrap();
        scores(&model)
    });
    // Saved while the other one is active, and again over the old files while it is active itself.
    for active in ["b", "default"] {
        lora.activate([active]).unwrap();
        lora.save("default", &folder.0).unwrap();
        lora.save("b", &folder.0).unwrap();
        let again = ScoreModel::new(&tiny(), 3).unwrap();
        let other = Lora::new(&again).unwrap();
        other.load("first", &folder.0).unwrap();
        other.load("second", folder.0.join("b")).unwrap();
        assert_eq!((other.config("first").unwrap(), other.config("second").unwrap()), (a.clone(), b.clone()));
        for (name, output) in ["first", "second"].iter().zip(&outputs) {
            other.activate([name]).unwrap();
            assert_eq!(&scores(&again), output, "{name}");
        }
    }
    let config: String = std::fs::read_to_string(folder.0.join("adapter_config.json")).unwrap();
    for line in
        ["\"peft_type\": \"LORA\"", "\"fan_in_fan_out\": true", "\"lora_alpha\": 16,", "\"task_type\": \"SEQ_CLS\""]
    {
        assert!(config.contains(line), "{line}\n{config}");
    }
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 3, "two files and a sub-folder, nothing temporary");
}

#[test]
fn adapter_files_that_do_not_fit_are_refused_by_name() {
    let folder = Folder::new("bad");
    let model = tiny();
    let lora = Lora::new(&model).unwrap();
    lora.add("default", &random(2, attention()), 1).unwrap();
    lora.save("default", &folder.0).unwrap();
    let path = folder.0.join("adapter_config.json");
    let good: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let before = logits(&model);
    for (field, value, words) in [
        ("use_dora", serde_json::json!(true), vec!["use_dora", "true"]),
        ("peft_type", serde_json::json!("IA3"), vec!["peft_type", "IA3"]),
        ("peft_type", serde_json::Value::Null, vec!["peft_type", "LORA"]),
        ("init_lora_weights", serde_json::json!("pissa"), vec!["init_lora_weights", "pissa"]),
        ("layers_to_transform", serde_json::json!([0]), vec!["layers_to_transform", "[0]"]),
        ("a_new_idea", serde_json::json!({ "strength": 2 }), vec!["a_new_idea", "strength"]),
        ("target_modules", serde_json::json!(["c_attn", "q_proj"]), vec!["target_modules", "q_proj", "attn.c_attn"]),
        ("target_modules", serde_json::json!(["c_fc"]), vec!["adapter_model.safetensors", "h.0.attn.c_attn.lora_A"]),
        ("target_modules", serde_json::Value::Null, vec!["target_modules", "missing"]),
        ("target_modules", serde_json::json!(["c_attn", "c_fc"]), vec!["h.0.mlp.c_fc.lora_A.weight", "missing"]),
        ("r", serde_json::json!(3), vec!["lora_A", "[2, 12]", "[3, 12]"]),
        ("r", serde_json::json!(1u64 << 50), vec!["adapter_config.json", "1125899906842624", "65536"]),
        ("r", serde_json::json!("many"), vec!["adapter_config.json", "invalid type"]),
        ("bias", serde_json::json!("some"), vec!["adapter_config.json", "some"]),
        ("lora_dropout", serde_json::json!(1.5), vec!["adapter_config.json", "lora_dropout", "1.5"]),
        ("modules_to_save", serde_json::json!(["ln_f"]), vec!["transformer.ln_f.bias", "missing"]),
    ] {
        let mut json = good.clone();
        json[field] = value;
        std::fs::write(&path, json.to_string()).unwrap();
        let error = lora.load("bad", &folder.0).unwrap_err().to_string();
        words.iter().for_each(|word| assert!(error.contains(word), "{field}: `{error}` does not name {word}"));
    }
    assert!(matches!(lora.load("bad", folder.0.join("nowhere")), Err(Error::FileNotFound { .. })));
    std::fs::write(&path, good.to_string()).unwrap();
    std::fs::rename(folder.0.join("adapter_model.safetensors"), folder.0.join("adapter_model.bin")).unwrap();
    let error = lora.load("bad", &folder.0).unwrap_err().to_string();
    assert!(error.contains("Python objects"), "{error}");
    assert_eq!((lora.names(), logits(&model)), (vec!["default".to_string()], before), "nothing was changed");
}

#[test]
fn padding_may_be_on_either_side_and_any_id_may_pad() {
    let model = ScoreModel::new(&tiny(), 3).unwrap();
    let reward = |ids: &[u32], mask: &[u8]| {
        let tensor = |width| (1, width);
        let ids = Tensor::from_slice(ids, tensor(ids.len()), &Device::Cpu).unwrap();
        let mask = Tensor::from_slice(mask, tensor(mask.len()), &Device::Cpu).unwrap();
        model.rewards(&ids, &mask, &mut Pass::eval()).map(|r| values(&r)[0])
    };
    let plain = reward(&[0, 5, 0], &[1, 1, 1]).unwrap();
    let scores =
        values(&model.scores(&Tensor::new(&[[0u32, 5, 0]], &Device::Cpu).unwrap(), &mut Pass::eval()).unwrap());
    assert!((plain - scores[2]).abs() < 1e-6);
    for (ids, mask) in [
        ([0, 5, 0, 0, 0], [1, 1, 1, 0, 0]),
        ([0, 5, 0, 7, 9], [1, 1, 1, 0, 0]),
        ([0, 0, 0, 5, 0], [0, 0, 1, 1, 1]),
        ([3, 0, 5, 0, 3], [0, 1, 1, 1, 0]),
    ] {
        assert_eq!(reward(&ids, &mask).unwrap(), plain, "{ids:?} {mask:?}");
    }
    assert!(matches!(reward(&[1, 2], &[0, 0]), Err(Error::EmptyInput { .. })));
    assert!(reward(&[1, 2, 3], &[1, 0, 1]).unwrap_err().to_string().contains("row 0"));
    assert!(reward(&[1, 2, 3], &[1, 1]).is_err());
}

#[test]
fn a_score_model_is_a_folder_too() {
    let folder = Folder::new("score");
    let model = ScoreModel::new(&tiny(), 3).unwrap();
    model.save(&folder.0).unwrap();
    let again = ScoreModel::load(&folder.0).unwrap();
    assert_eq!(weights(&again.params()), weights(&model.params()));
    assert_eq!(again.base_params().len(), 3 * 12 + 4 + 1);
    let untied = Gpt2Config { tie_word_embeddings: false, lm_head_bias: true, ..tiny().config };
    let untied = ScoreModel::new(&Gpt2::new(&untied, 1).unwrap(), 3).unwrap();
    untied.save(&folder.0).unwrap();
    assert_eq!(weights(&ScoreModel::load(&folder.0).unwrap().params()), weights(&untied.params()));
    let error = ScoreModel::load({
        tiny().save(&folder.0).unwrap();
        &folder.0
    });
    assert!(matches!(error, Err(Error::MissingTensor { name, .. }) if name == "score.weight"));
}
