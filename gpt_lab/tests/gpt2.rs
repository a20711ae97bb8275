//! The model as a whole: sizes, initial weights, files, errors. Numbers against PyTorch are in `parity.rs`.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use gpt_lab::gpt2::{Activation, Gpt2, Gpt2Config, grad_audit};
use gpt_lab::prelude::*;
use gpt_lab::train::Gradients;

fn tiny() -> Gpt2Config {
    Gpt2Config { vocab_size: 11, n_positions: 8, n_embd: 12, n_layer: 2, n_head: 3, ..Gpt2Config::default() }
}

fn ids(rows: &[&[u32]]) -> Tensor {
    Tensor::new(rows.concat(), &Device::Cpu).unwrap().reshape((rows.len(), rows[0].len())).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// A folder of this test's own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        Folder(std::env::temp_dir().join(format!("gpt_lab-gpt2-{name}-{}", std::process::id())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_chapters_model_has_the_chapters_number_of_parameters() {
    let model = Gpt2::new(&Gpt2Config::chapter(98), 0).unwrap();
    assert_eq!(model.num_params(), 2_408_290);
    let tree = model.summary();
    assert_eq!((tree.count, tree.trainable), (2_408_290, 2_408_290));
    assert_eq!(tree.children.iter().map(|child| child.name.as_str()).collect::<Vec<_>>(), ["transformer", "lm_head"]);
    // GPT-2's own details at the same size: biases of queries, keys and values more, the separate head less.
    let config =
        Gpt2Config { tie_word_embeddings: true, qkv_bias: true, lm_head_bias: false, ..Gpt2Config::chapter(98) };
    assert_eq!(Gpt2::new(&config, 0).unwrap().num_params(), 2_408_290 + 12 * 384 - 98 * 128 - 98);
}

#[test]
fn a_block_as_two_ops_is_the_block_layer_by_layer() {
    let config = Gpt2Config { n_positions: 65, ..tiny() };
    let model = Gpt2::new(&config, 1).unwrap();
    let (block, params) = (&model.blocks[0], model.blocks[0].params());
    let x = Rng::new(2).normal_tensor(0.0, 1.0, &[5, 65, config.n_embd]).unwrap();
    let weights = Rng::new(3).normal_tensor(0.0, 1.0, &[5, 65, config.n_embd]).unwrap();
    for pass in [Pass::eval, || Pass::train(4)] {
        let loss = |y: Tensor| (y * &weights).unwrap().sum_all().unwrap();
        // Who asks for the attention weights gets the layers one by one.
        let (fast, slow) =
            (block.forward(&x, &mut pass()).unwrap(), block.forward(&x, &mut pass().recording()).unwrap());
        assert_eq!(values(&fast), values(&slow), "bit for bit");
        let (fast, slow) = (loss(fast), loss(slow));
        let (short_cut, whole) = (Gradients::of(&fast, &params).unwrap(), fast.backward().unwrap());
        let expected = slow.backward().unwrap();
        for (i, param) in params.iter().enumerate() {
            let expected = values(expected.get(param.var().as_tensor()).unwrap());
            let size = expected.iter().fold(1f32, |size, g| size.max(g.abs()));
            for found in [short_cut.get(i).unwrap(), whole.get(param.var().as_tensor()).unwrap()] {
                let far = values(found).iter().zip(&expected).any(|(a, b)| (a - b).abs() > 3e-5 * size);
                assert!(!far, "{}", param.name());
            }
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit_of_a_gradient() {
    let model = Gpt2::new(&Gpt2Config { n_positions: 65, ..tiny() }, 1).unwrap();
    let batch = Tensor::from_vec((0..9 * 65).map(|i| i as u32 % 11).collect(), (9, 65), &Device::Cpu).unwrap();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let loss = model.loss(&batch, &batch, &mut Pass::train(4)).unwrap();
            let gradients = Gradients::of(&loss, &model.params()).unwrap();
            (0..model.params().len()).map(|i| values(gradients.get(i).unwrap())).collect::<Vec<_>>()
        })
    };
    let one = run(1);
    assert!(run(2) == one && run(5) == one);
}

#[test]
fn an_untrained_model_knows_nothing_and_every_parameter_learns() {
    let config = Gpt2Config::chapter(98);
    let model = Gpt2::new(&config, 1).unwrap();
    let mut rng = Rng::new(2);
    let batch: Vec<u32> = (0..2 * 64).map(|_| rng.below(98) as u32).collect();
    let batch = Tensor::from_vec(batch, (2, 64), &Device::Cpu).unwrap();
    let loss = model.loss_hf(&batch, &batch).unwrap();
    let value: f32 = loss.to_scalar().unwrap();
    assert!((value - 98f32.ln()).abs() < 0.15, "{value} is not near ln 98 = {}", 98f32.ln());
    let loss = model.loss(&batch, &batch, &mut Pass::train(3)).unwrap();
    let audit = grad_audit(&model.params(), &loss.backward().unwrap()).unwrap();
    audit.check().unwrap_or_else(|e| panic!("{e}\n{audit}"));
}

#[test]
fn the_audit_names_what_does_not_learn_and_leaves_frozen_parameters_alone() {
    let model = Gpt2::new(&tiny(), 1).unwrap();
    model.wpe.set_trainable(false);
    let x = ids(&[&[1, 2, 3]]);
    let hidden = model.hidden(&x, &mut Pass::eval()).unwrap();
    let cut = hidden.detach().broadcast_mul(&model.ln_f.weight.tensor()).unwrap().sum_all().unwrap();
    let audit = grad_audit(&model.params(), &cut.backward().unwrap()).unwrap();
    let Err(Error::NoGradient { names }) = audit.check() else { panic!("the cut was not noticed\n{audit}") };
    assert_eq!(names.len(), model.params().len() - 2, "all but ln_f.weight and the frozen wpe: {names:?}");
    assert!(names.contains(&"transformer.h.1.mlp.c_proj.bias".to_string()));
    assert!(audit.to_string().contains("does not learn"));
}

#[test]
fn initial_weights_are_gpt2s_and_follow_the_seed() {
    let config = Gpt2Config { n_embd: 96, n_layer: 8, vocab_size: 500, ..tiny() };
    let model = Gpt2::new(&config, 5).unwrap();
    let deviation = |tensor: &Tensor| {
        let v = values(tensor);
        (v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / v.len() as f64).sqrt()
    };
    assert!((deviation(&model.wte.tensor()) - 0.02).abs() < 5e-4);
    assert!((deviation(&model.blocks[3].mlp.c_fc.weight.tensor()) - 0.02).abs() < 5e-4);
    assert!((deviation(&model.blocks[3].mlp.c_proj.weight.tensor()) - 0.02 / 16f64.sqrt()).abs() < 2e-4);
    assert_eq!(deviation(&model.blocks[0].attn.c_attn.bias.as_ref().unwrap().tensor()), 0.0);
    assert!(values(&model.ln_f.weight.tensor()).iter().all(|w| *w == 1.0));
    let same = Gpt2::new(&config, 5).unwrap();
    assert_eq!(values(&same.wte.tensor()), values(&model.wte.tensor()));
    assert_ne!(values(&Gpt2::new(&config, 6).unwrap().wte.tensor()), values(&model.wte.tensor()));
}

#[test]
fn dropout_acts_in_training_only_and_follows_the_seed() {
    let model = Gpt2::new(&tiny(), 1).unwrap();
    let x = ids(&[&[1, 2, 3, 4]]);
    let eval = values(&model.forward(&x, &mut Pass::eval()).unwrap());
    let train = |seed| values(&model.forward(&x, &mut Pass::train(seed)).unwrap());
    assert_eq!(values(&model.forward(&x, &mut Pass::eval()).unwrap()), eval);
    assert_ne!(train(1), eval);
    assert_eq!(train(1), train(1));
    assert_ne!(train(1), train(2));
}

#[test]
fn later_tokens_change_nothing_before_them() {
    let model = Gpt2::new(&tiny(), 1).unwrap();
    let a = model.forward(&ids(&[&[1, 2, 3, 4, 5]]), &mut Pass::eval()).unwrap();
    let b = model.forward(&ids(&[&[1, 2, 3, 9, 10]]), &mut Pass::eval()).unwrap();
    let first_three = |t: &Tensor| values(&t.narrow(1, 0, 3).unwrap());
    assert_eq!(first_three(&a), first_three(&b));
    assert_ne!(values(&a), values(&b));
}

#[test]
fn a_saved_model_comes_back_the_same() {
    for config in [tiny(), Gpt2Config { n_layer: 1, ..Gpt2Config::chapter(11) }] {
        let folder = Folder::new(if config.tie_word_embeddings { "tied" } else { "untied" });
        let model = Gpt2::new(&config, 4).unwrap();
        model.save(&folder.0).unwrap();
        model.save(&folder.0).unwrap(); // over an older version
        let again = Gpt2::load(&folder.0).unwrap();
        assert_eq!(again.config, config);
        let x = ids(&[&[1, 2, 3]]);
        assert_eq!(
            values(&again.forward(&x, &mut Pass::eval()).unwrap()),
            values(&model.forward(&x, &mut Pass::eval()).unwrap())
        );
        assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 2, "no temporary file stays behind");
    }
}

/// The file's tensors in two files and an index.
fn split(folder: &Folder) {
    let whole = gpt_lab::candle_core::safetensors::load(folder.0.join("model.safetensors"), &Device::Cpu).unwrap();
    let mut map = BTreeMap::new();
    for (file, blocks) in [("a.safetensors", true), ("b.safetensors", false)] {
        let names = whole.iter().filter(|(name, _)| name.contains(".h.") == blocks);
        let part: HashMap<String, Tensor> = names.map(|(name, tensor)| (name.clone(), tensor.clone())).collect();
        gpt_lab::candle_core::safetensors::save(&part, folder.0.join(file)).unwrap();
        map.extend(part.into_keys().map(|name| (name, file)));
    }
    let index = serde_json::json!({ "metadata": {}, "weight_map": map }).to_string();
    std::fs::write(folder.0.join("model.safetensors.index.json"), index).unwrap();
    std::fs::remove_file(folder.0.join("model.safetensors")).unwrap();
}

#[test]
fn weights_may_be_in_several_files() {
    let folder = Folder::new("shards");
    let model = Gpt2::new(&tiny(), 4).unwrap();
    model.save(&folder.0).unwrap();
    split(&folder);
    let x = ids(&[&[1, 2, 3]]);
    assert_eq!(
        values(&Gpt2::load(&folder.0).unwrap().forward(&x, &mut Pass::eval()).unwrap()),
        values(&model.forward(&x, &mut Pass::eval()).unwrap())
    );

    let index = folder.0.join("model.safetensors.index.json");
    let text = std::fs::read_to_string(&index).unwrap();
    let refused = |text: String, words: &[&str]| {
        std::fs::write(&index, text).unwrap();
        let error = Gpt2::load(&folder.0).map(|_| ()).unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{words:?}: {error}");
    };
    refused(text.replace("\"b.safetensors\"", "\"../b.safetensors\""), &["index.json", "../b.safetensors"]);
    refused(text.replace("transformer.ln_f.bias", "x"), &["index.json", "transformer.ln_f.bias", "missing"]);
    refused(text.replace("b.safetensors", "c.safetensors"), &["c.safetensors", "no such file"]);
    refused("{}".into(), &["index.json", "weight_map"]);
    std::fs::write(&index, text).unwrap();
    Gpt2::load(&folder.0).unwrap();
}

#[test]
fn a_head_in_the_file_counts_as_in_transformers() {
    let folder = Folder::new("heads");
    let config = Gpt2Config { tie_word_embeddings: false, ..tiny() };
    let untied = Gpt2::new(&config, 1).unwrap();
    let says_tied = |model: &Gpt2| {
        model.save(&folder.0).unwrap();
        let path = folder.0.join("config.json");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(path, text.replace("\"tie_word_embeddings\": false", "\"tie_word_embeddings\": true")).unwrap();
        Gpt2::load(&folder.0).unwrap()
    };
    let logits = |model: &Gpt2| values(&model.forward(&ids(&[&[1, 2, 3]]), &mut Pass::eval()).unwrap());
    let other = says_tied(&untied);
    assert!(!other.config.tie_word_embeddings && logits(&other) == logits(&untied), "another table: not tied");
    untied.lm_head.as_ref().unwrap().param().unwrap().var().set(&untied.wte.tensor()).unwrap();
    let same = says_tied(&untied);
    assert!(same.config.tie_word_embeddings && same.lm_head.is_none() && logits(&same) == logits(&untied));
    let only_head: HashMap<String, Tensor> =
        gpt_lab::candle_core::safetensors::load(folder.0.join("model.safetensors"), &Device::Cpu)
            .unwrap()
            .into_iter()
            .filter(|(name, _)| name != "transformer.wte.weight")
            .collect();
    gpt_lab::candle_core::safetensors::save(&only_head, folder.0.join("model.safetensors")).unwrap();
    assert_eq!(logits(&Gpt2::load(&folder.0).unwrap()), logits(&untied));
}

#[test]
fn half_precision_files_become_f32() {
    let folder = Folder::new("halves");
    let model = Gpt2::new(&tiny(), 4).unwrap();
    for dtype in [DType::F16, DType::BF16] {
        model.save(&folder.0).unwrap();
        let path = folder.0.join("model.safetensors");
        let whole = gpt_lab::candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
        let half: HashMap<String, Tensor> =
            whole.iter().map(|(name, tensor)| (name.clone(), tensor.to_dtype(dtype).unwrap())).collect();
        gpt_lab::candle_core::safetensors::save(&half, &path).unwrap();
        for param in Gpt2::load(&folder.0).unwrap().params() {
            let expected = half[param.name()].to_dtype(DType::F32).unwrap();
            assert_eq!(values(&param.tensor()), values(&expected), "{dtype:?} {}", param.name());
        }
    }
}

#[test]
fn a_loaded_model_learns_on_its_own() {
    let folder = Folder::new("learns");
    Gpt2::new(&tiny(), 4).unwrap().save(&folder.0).unwrap();
    let (a, b) = (Gpt2::load(&folder.0).unwrap(), Gpt2::load(&folder.0).unwrap());
    let x = ids(&[&[1, 2, 3, 4]]);
    let before = values(&b.forward(&x, &mut Pass::eval()).unwrap());
    let grads = a.loss_hf(&x, &x).unwrap().backward().unwrap();
    for param in a.params() {
        let grad = grads.get(param.var().as_tensor()).unwrap_or_else(|| panic!("{} has no gradient", param.name()));
        param.var().set(&(param.var().as_tensor() - grad).unwrap()).unwrap();
    }
    assert_ne!(values(&a.forward(&x, &mut Pass::eval()).unwrap()), before);
    assert_eq!(values(&b.forward(&x, &mut Pass::eval()).unwrap()), before);
}

#[test]
fn every_activation_bends_and_lets_gradients_through() {
    let x = Tensor::new(&[-1.5f32, -0.5, 0.5, 2.0], &Device::Cpu).unwrap();
    // Worked out in f64 from the formulas behind transformers' names (`ACT2FN`).
    let expected: [(&str, [f32; 4]); 9] = [
        ("gelu_new", [-0.100_428_4, -0.154_285_9, 0.345_714_1, 1.954_597_7]),
        ("gelu_fast", [-0.100_428_4, -0.154_285_9, 0.345_714_1, 1.954_597_7]),
        ("gelu_pytorch_tanh", [-0.100_428_4, -0.154_285_9, 0.345_714_1, 1.954_597_7]),
        ("gelu", [-0.100_210_8, -0.154_268_8, 0.345_731_2, 1.954_499_7]),
        ("gelu_python", [-0.100_210_8, -0.154_268_8, 0.345_731_2, 1.954_499_7]),
        ("relu", [0.0, 0.0, 0.5, 2.0]),
        ("silu", [-0.273_638_2, -0.188_770_3, 0.311_229_7, 1.761_594_2]),
        ("swish", [-0.273_638_2, -0.188_770_3, 0.311_229_7, 1.761_594_2]),
        ("tanh", [-0.905_148_3, -0.462_117_2, 0.462_117_2, 0.964_027_6]),
    ];
    for (name, expected) in expected {
        let found = values(&Activation::named(name).unwrap().forward(&x).unwrap());
        let close = found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 2e-6);
        assert!(close, "{name}: {found:?}, expected {expected:?}");
        let model = Gpt2::new(&Gpt2Config { activation_function: name.into(), ..tiny() }, 1).unwrap();
        let loss = model.loss_hf(&ids(&[&[1, 2, 3, 4]]), &ids(&[&[1, 2, 3, 4]])).unwrap();
        let grads = loss.backward().unwrap();
        assert!(grads.get(model.blocks[0].mlp.c_fc.weight.param().unwrap().var().as_tensor()).is_some(), "{name}");
    }
}

#[test]
fn labels_are_shifted_and_ignored_as_hugging_face_does() {
    let model = Gpt2::new(&tiny(), 4).unwrap();
    let x = ids(&[&[1, 2, 3, 4]]);
    let labels = Tensor::new(&[[7i64, -100, 3, 4]], &Device::Cpu).unwrap(); // the first label is never used
    let log_probs = {
        let logits = model.forward(&x, &mut Pass::eval()).unwrap().squeeze(0).unwrap();
        values(&gpt_lab::candle_nn::ops::log_softmax(&logits, D::Minus1).unwrap())
    };
    let expected = -(log_probs[11 + 3] + log_probs[2 * 11 + 4]) / 2.0;
    let found: f32 = model.loss_hf(&x, &labels).unwrap().to_scalar().unwrap();
    assert!((found - expected).abs() < 1e-6, "{found} {expected}");
    let nothing = Tensor::new(&[[5i64, -100, -100, -100]], &Device::Cpu).unwrap();
    assert!(matches!(model.loss_hf(&x, &nothing), Err(Error::EmptyInput { .. })));
}

#[test]
fn sizes_may_have_the_names_that_other_models_have() {
    let folder = Folder::new("names");
    std::fs::create_dir_all(&folder.0).unwrap();
    let path = folder.0.join("config.json");
    std::fs::write(&path, r#"{"n_embd": 64, "num_attention_heads": 16, "num_hidden_layers": 2, "n_layer": 2}"#)
        .unwrap();
    let config = Gpt2Config::load(&path).unwrap();
    assert_eq!((config.n_head, config.n_layer), (16, 2));
    std::fs::write(&path, r#"{"n_embd": 64, "hidden_size": 32}"#).unwrap();
    let error = Gpt2Config::load(&path).unwrap_err().to_string();
    assert!(error.contains("hidden_size is 32, but n_embd is 64"), "{error}");
    std::fs::write(&path, r#"{"n_embd": 9223372036854775807}"#).unwrap();
    assert!(Gpt2Config::load(&path).unwrap_err().to_string().contains("n_embd"));
}

#[test]
fn configurations_that_describe_no_model_are_refused() {
    let refused = |config: Gpt2Config, word: &str| {
        let error = Gpt2::new(&config, 0).map(|_| ()).unwrap_err();
        assert!(matches!(&error, Error::InvalidConfig { detail, .. } if detail.contains(word)), "{word}: {error}");
    };
    refused(Gpt2Config { n_head: 0, ..tiny() }, "n_head");
    refused(Gpt2Config { n_head: 5, ..tiny() }, "not divisible");
    refused(Gpt2Config { attn_pdrop: 1.5, ..tiny() }, "attn_pdrop");
    refused(Gpt2Config { layer_norm_epsilon: 0.0, ..tiny() }, "layer_norm_epsilon");
    refused(Gpt2Config { activation_function: "swoosh".into(), ..tiny() }, "swoosh");
    refused(Gpt2Config { lm_head_bias: true, ..tiny() }, "lm_head_bias");
    let folder = Folder::new("config");
    std::fs::create_dir_all(&folder.0).unwrap();
    let path = folder.0.join("config.json");
    let cases = [
        (r#"{"auto_map": {"AutoModel": "x.py"}}"#, "auto_map"),
        (r#"{"mup_width_scale": 0.1}"#, "mup_width_scale"),
        (r#"{"model_type": "llama"}"#, "llama"),
        (r#"{"use_mup": true}"#, "use_mup"),
        (r#"{"quantization_config": {"bits": 4}}"#, "quantization_config"),
        (r#"{"n_layer": 2, "n_embd": "many"}"#, "n_embd = \"many\": invalid type"),
        (r#"{"eos_token_id": "<|endoftext|>"}"#, "eos_token_id"),
        ("[]", "object"),
        ("{", "JSON"),
    ];
    for (text, word) in cases {
        std::fs::write(&path, text).unwrap();
        let error = Gpt2Config::load(&path).unwrap_err().to_string();
        assert!(error.contains(word) && error.contains("config.json"), "{text}: {error}");
    }
    std::fs::write(&path, r#"{"n_layer": 3, "eos_token_id": [1, 2], "task_specific_params": {"x": 1}}"#).unwrap();
    let config = Gpt2Config::load(&path).unwrap();
    assert_eq!((config.n_layer, config.n_embd, config.eos_tokens()), (3, 768, vec![1, 2]));
}

#[test]
fn attention_scores_are_scaled_as_the_configuration_says() {
    let config = Gpt2Config { n_embd: 64, n_head: 4, ..tiny() };
    assert_eq!(config.attention_scale(3), 0.25);
    let config = Gpt2Config { scale_attn_by_inverse_layer_idx: true, ..config };
    assert_eq!(config.attention_scale(3), 0.0625);
    assert_eq!(Gpt2Config { scale_attn_weights: false, ..config }.attention_scale(3), 0.25);
}
