//! The ladder under every op: a value worked by hand, the gradient against finite differences (in f64, through the
//! reference), the fast version against the reference in values and gradients over odd shapes, and large numbers.

use gpt_lab::ops;
use gpt_lab::prelude::*;

const ODD: [usize; 6] = [1, 2, 7, 16, 65, 130];

fn normal(seed: u64, shape: &[usize]) -> Tensor {
    Rng::new(seed).normal_tensor(0.0, 1.0, shape).unwrap()
}

fn flat(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn close(name: &str, actual: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(actual.dims(), expected.dims(), "{name}");
    let (a, e) = (flat(actual), flat(expected));
    let scale = e.iter().fold(1.0, |m: f64, x| m.max(x.abs()));
    for (i, (a, e)) in a.iter().zip(&e).enumerate() {
        assert!((a - e).abs() <= tolerance * scale, "{name}: element {i} is {a}, expected {e}");
    }
}

/// A function of tensors; the last one of its results.
type Function<'a> = &'a dyn Fn(&[Tensor]) -> Result<Tensor>;

/// `Σ weights ∘ f(inputs)` and its gradients, with fixed weights that no symmetry of `f` can hide behind.
fn value_and_gradients(f: Function, inputs: &[Tensor]) -> (Tensor, Vec<Tensor>) {
    let vars: Vec<Var> = inputs.iter().map(|t| Var::from_tensor(t).unwrap()).collect();
    let tensors: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
    let y = f(&tensors).unwrap();
    let weights = normal(77, y.dims()).to_dtype(y.dtype()).unwrap();
    let grads = (&y * weights).unwrap().sum_all().unwrap().backward().unwrap();
    let grad = |v: &Var| grads.get(v.as_tensor()).expect("a gradient for every input").clone();
    (y, vars.iter().map(grad).collect())
}

/// The fast version against the reference: values and the gradient of every input.
fn fast_is_reference(name: &str, fast: Function, reference: Function, inputs: &[Tensor], tolerance: f64) {
    let (y, grads) = value_and_gradients(fast, inputs);
    let (y_reference, grads_reference) = value_and_gradients(reference, inputs);
    close(&format!("{name}: value"), &y, &y_reference, tolerance);
    for (i, (grad, reference)) in grads.iter().zip(&grads_reference).enumerate() {
        close(&format!("{name}: gradient {i}"), grad, reference, tolerance);
    }
}

/// The reference's gradient in f64 against `(f(x + hu) − f(x − hu)) / 2h` along a few random directions `u`.
fn gradient_is_slope(name: &str, reference: Function, inputs: &[Tensor]) {
    let inputs: Vec<Tensor> = inputs.iter().map(|t| t.to_dtype(DType::F64).unwrap()).collect();
    let (y, grads) = value_and_gradients(reference, &inputs);
    let weights = normal(77, y.dims()).to_dtype(DType::F64).unwrap();
    let total = |inputs: &[Tensor]| -> f64 {
        (reference(inputs).unwrap() * &weights).unwrap().sum_all().unwrap().to_scalar().unwrap()
    };
    let h = 1e-5;
    for seed in 0..3 {
        let steps: Vec<Tensor> =
            inputs.iter().map(|t| normal(1000 + seed, t.dims()).to_dtype(DType::F64).unwrap()).collect();
        let moved = |by: f64| -> Vec<Tensor> {
            inputs.iter().zip(&steps).map(|(t, u)| (t + (u * by).unwrap()).unwrap()).collect()
        };
        let slope = (total(&moved(h)) - total(&moved(-h))) / (2.0 * h);
        let product = |(g, u): (&Tensor, &Tensor)| (g * u).unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap();
        let along: f64 = grads.iter().zip(&steps).map(product).sum();
        // candle's own derivative of erf has six digits.
        assert!((slope - along).abs() < 1e-5 * slope.abs().max(1.0), "{name}: slope {slope}, gradient {along}");
    }
}

fn check(name: &str, fast: Function, reference: Function, inputs: &[Tensor], tolerance: f64) {
    fast_is_reference(name, fast, reference, inputs, tolerance);
    gradient_is_slope(name, reference, inputs);
}

#[test]
fn layer_norm() {
    // Mean 2.5 and variance 1.25 of 1, 2, 3, 4; with ε = 1.25 the deviation is √2.5.
    let x = Tensor::new(&[[1f32, 2.0, 3.0, 4.0]], &Device::Cpu).unwrap();
    let w = Tensor::new(&[1f32, 1.0, 1.0, 2.0], &Device::Cpu).unwrap();
    let b = Tensor::new(&[0f32, 10.0, 0.0, 0.0], &Device::Cpu).unwrap();
    let s = 2.5f64.sqrt();
    let expected = Tensor::new(&[[-1.5 / s, 10.0 - 0.5 / s, 0.5 / s, 3.0 / s]], &Device::Cpu).unwrap();
    close("by hand", &ops::layer_norm(&x, &w, &b, 1.25).unwrap(), &expected, 1e-6);
    for c in ODD {
        for rows in [1, 3, 700] {
            let inputs = [(normal(1, &[rows, c]) * 3.0).unwrap(), normal(2, &[c]), normal(3, &[c])];
            let fast: Function = &|t| ops::layer_norm(&t[0], &t[1], &t[2], 0.1);
            check(
                &format!("{rows} × {c}"),
                fast,
                &|t| ops::reference::layer_norm(&t[0], &t[1], &t[2], 0.1),
                &inputs,
                2e-5,
            );
        }
    }
}

#[test]
fn layer_norm_of_large_and_constant_rows() {
    let x = Tensor::new(&[[1e4f32, 1e4, 1e4, 1e4], [-1e18, 1e18, 0.0, 0.0]], &Device::Cpu).unwrap();
    let (w, b) = (normal(1, &[4]), normal(2, &[4]));
    let (y, grads) = value_and_gradients(&|t| ops::layer_norm(&t[0], &t[1], &t[2], 1e-5), &[x, w, b]);
    assert!(flat(&y).iter().all(|y| y.is_finite()));
    assert!(grads.iter().all(|g| flat(g).iter().all(|g| g.is_finite())));
}

#[test]
fn softmax() {
    let x = Tensor::new(&[[0f32, 2f32.ln(), 3f32.ln()]], &Device::Cpu).unwrap();
    let expected = Tensor::new(&[[1.0 / 6.0, 2.0 / 6.0, 3.0 / 6.0]], &Device::Cpu).unwrap();
    close("by hand", &ops::softmax(&x).unwrap(), &expected, 1e-7);
    for n in ODD {
        let inputs = [(normal(4, &[5, 9, n]) * 4.0).unwrap()];
        check(&format!("{n}"), &|t| ops::softmax(&t[0]), &|t| ops::reference::softmax(&t[0]), &inputs, 2e-6);
    }
    let large = Tensor::new(&[1e4f32, -1e4, 1e4, f32::NEG_INFINITY], &Device::Cpu).unwrap();
    assert_eq!(flat(&ops::softmax(&large).unwrap()), [0.5, 0.0, 0.5, 0.0]);
    let transposed: Function = &|t| ops::softmax(&t[0].t()?);
    fast_is_reference("transposed", transposed, &|t| ops::reference::softmax(&t[0].t()?), &[normal(5, &[6, 7])], 2e-6);
}

#[test]
fn both_gelus() {
    let x = Tensor::new(&[1f32, -1.0, 0.0, 3.0], &Device::Cpu).unwrap();
    // From torch.nn.functional.gelu, approximate='tanh' and 'none'.
    let tanh = Tensor::new(&[0.841_191_99, -0.158_808_01, 0.0, 2.996_362_6], &Device::Cpu).unwrap();
    let exact = Tensor::new(&[0.841_344_75, -0.158_655_25, 0.0, 2.995_950_3], &Device::Cpu).unwrap();
    close("tanh", &ops::gelu(&x).unwrap(), &tanh, 2e-7);
    close("exact", &ops::gelu_exact(&x).unwrap(), &exact, 2e-7);
    for n in [1, 7, 65, 40_001] {
        let inputs = [(normal(6, &[n]) * 3.0).unwrap()];
        check("tanh", &|t| ops::gelu(&t[0]), &|t| ops::reference::gelu(&t[0]), &inputs, 2e-6);
        check("exact", &|t| ops::gelu_exact(&t[0]), &|t| ops::reference::gelu_exact(&t[0]), &inputs, 1e-5);
    }
    let large = Tensor::new(&[1e4f32, -1e4, 1e30, -1e30], &Device::Cpu).unwrap();
    let functions: [Function; 2] = [&|t| ops::gelu(&t[0]), &|t| ops::gelu_exact(&t[0])];
    for f in functions {
        let (y, grads) = value_and_gradients(f, std::slice::from_ref(&large));
        assert_eq!(flat(&y), flat(&large.relu().unwrap()));
        assert!(flat(&grads[0]).iter().all(|g| g.is_finite()));
    }
}

#[test]
fn cross_entropy() {
    let target = |ids: &[i64]| Tensor::new(ids, &Device::Cpu).unwrap();
    let logits = Tensor::new(&[[0f32, 3f32.ln()], [5.0, 5.0], [9.0, 1.0]], &Device::Cpu).unwrap();
    // −log(3/4) and −log(1/2); the third row does not count.
    let expected = Tensor::new((4f64 / 3.0).ln() / 2.0 + 2f64.ln() / 2.0, &Device::Cpu).unwrap();
    close("by hand", &ops::cross_entropy(&logits, &target(&[1, 0, -100])).unwrap(), &expected, 1e-7);
    for vocab in ODD {
        for n in [1, 33, 1000] {
            let mut rng = Rng::new(7);
            let mut ids: Vec<i64> = (0..n).map(|_| rng.below(vocab) as i64).collect();
            if n > 1 {
                ids[n / 2] = ops::IGNORE_INDEX;
            }
            let ids = target(&ids);
            let inputs = [(normal(8, &[n, vocab]) * 5.0).unwrap()];
            let fast: Function = &|t| ops::cross_entropy(&t[0], &ids);
            check(&format!("{n} × {vocab}"), fast, &|t| ops::reference::cross_entropy(&t[0], &ids), &inputs, 2e-6);
        }
    }
}

#[test]
fn cross_entropy_of_large_logits_and_bad_targets() {
    let logits = Tensor::new(&[[1e4f32, -1e4, 0.0], [-1e4, -1e4, -1e4]], &Device::Cpu).unwrap();
    let targets = Tensor::new(&[1u32, 2], &Device::Cpu).unwrap();
    let (loss, grads) = value_and_gradients(&|t| ops::cross_entropy(&t[0], &targets), std::slice::from_ref(&logits));
    close("loss", &loss, &Tensor::new((2e4 + 3f64.ln()) / 2.0, &Device::Cpu).unwrap(), 1e-6);
    assert!(flat(&grads[0]).iter().all(|g| g.is_finite()));
    let with = |ids: &[i64]| ops::cross_entropy(&logits, &Tensor::new(ids, &Device::Cpu).unwrap());
    assert!(matches!(with(&[-100, -100]), Err(Error::EmptyInput { .. })));
    assert!(matches!(with(&[0, 3]), Err(Error::TokenOutOfRange { id: 3, row: 1, .. })));
    assert!(matches!(with(&[0, -1]), Err(Error::TokenOutOfRange { id: -1, .. })));
    assert!(matches!(with(&[0]), Err(Error::InvalidArgument { .. })));
}

#[test]
fn linear_in_both_layouts() {
    let x = Tensor::new(&[[1f32, 2.0]], &Device::Cpu).unwrap();
    let w = Tensor::new(&[[1f32, 0.0, 2.0], [0.0, 1.0, 3.0]], &Device::Cpu).unwrap();
    let b = Tensor::new(&[10f32, 20.0, 30.0], &Device::Cpu).unwrap();
    let expected = Tensor::new(&[[11f64, 22.0, 38.0]], &Device::Cpu).unwrap();
    close("by hand", &ops::linear(&x, &w, Some(&b)).unwrap(), &expected, 0.0);
    close("by hand, transposed", &ops::linear_transposed(&x, &w.t().unwrap(), Some(&b)).unwrap(), &expected, 0.0);
    for (n_in, n_out) in [(1, 1), (7, 65), (130, 16)] {
        for rows in [1, 3, 300] {
            let inputs = [normal(9, &[2, rows, n_in]), normal(10, &[n_in, n_out]), normal(11, &[n_out])];
            let reference: Function = &|t| ops::reference::linear(&t[0], &t[1], Some(&t[2]));
            check("bias", &|t| ops::linear(&t[0], &t[1], Some(&t[2])), reference, &inputs, 2e-6);
            let reference: Function = &|t| ops::reference::linear(&t[0], &t[1], None);
            check("no bias", &|t| ops::linear(&t[0], &t[1], None), reference, &inputs[..2], 2e-6);
            let turned = [inputs[0].clone(), normal(12, &[n_out, n_in]), inputs[2].clone()];
            let reference: Function = &|t| ops::reference::linear(&t[0], &t[1].t()?, Some(&t[2]));
            check("transposed", &|t| ops::linear_transposed(&t[0], &t[1], Some(&t[2])), reference, &turned, 2e-6);
        }
    }
    assert!(ops::linear(&x, &w.t().unwrap(), None).is_err(), "a wrong layout is an error, not a wrong result");
}

#[test]
fn a_frozen_weight_gets_no_gradient_and_passes_one_on() {
    let x = Var::from_tensor(&normal(1, &[4, 3])).unwrap();
    let w = Var::from_tensor(&normal(2, &[3, 5])).unwrap();
    let b = Var::from_tensor(&normal(3, &[5])).unwrap();
    let y = ops::linear(x.as_tensor(), &w.as_detached_tensor(), Some(b.as_tensor())).unwrap();
    let grads = y.sum_all().unwrap().backward().unwrap();
    assert!(grads.get(w.as_tensor()).is_none());
    assert!(grads.get(x.as_tensor()).is_some() && grads.get(b.as_tensor()).is_some());
    let y = ops::linear(&x.as_detached_tensor(), w.as_tensor(), None).unwrap();
    let grads = y.sum_all().unwrap().backward().unwrap();
    assert!(grads.get(x.as_tensor()).is_none() && grads.get(w.as_tensor()).is_some());
}

#[test]
fn low_rank_updates_in_both_layouts() {
    // x W = 5, x Aᵀ = 3, times B = 2 and s = ½: 5 + 3.
    let of = |values: &[f32], shape: (usize, usize)| Tensor::from_slice(values, shape, &Device::Cpu).unwrap();
    let projection = ops::Projection { weight: of(&[1.0, 2.0], (2, 1)), bias: None, transposed: false };
    let update = ops::LowRank { a: of(&[1.0, 1.0], (1, 2)), b: of(&[2.0], (1, 1)), scale: 0.5, dropout: None };
    let y = ops::low_rank(&of(&[1.0, 2.0], (1, 2)), &projection, &update).unwrap();
    close("by hand", &y, &of(&[8.0], (1, 1)), 0.0);
    for (n_in, n_out, r) in [(1, 1, 1), (7, 65, 3), (130, 16, 8)] {
        for (rows, p) in [(1, 0.0), (3, 0.5), (300, 0.25)] {
            for transposed in [false, true] {
                let dropout = (p > 0.0).then_some(ops::Dropout { p, seed: 5 });
                let shape = if transposed { [n_out, n_in] } else { [n_in, n_out] };
                let (weight, bias) = (normal(10, &shape), (rows != 3).then(|| normal(11, &[n_out])));
                let with = |t: &[Tensor]| {
                    let like = |w: &Tensor| w.to_dtype(t[0].dtype()).unwrap();
                    let bias = bias.as_ref().map(like);
                    let projection = ops::Projection { weight: like(&weight), bias, transposed };
                    (projection, ops::LowRank { a: t[1].clone(), b: t[2].clone(), scale: 1.5, dropout })
                };
                let inputs = [normal(9, &[2, rows, n_in]), normal(12, &[r, n_in]), normal(13, &[n_out, r])];
                let fast: Function = &|t| {
                    let (projection, update) = with(t);
                    ops::low_rank(&t[0], &projection, &update)
                };
                let reference: Function = &|t| {
                    let (projection, update) = with(t);
                    ops::reference::low_rank(&t[0], &projection, &update)
                };
                check("low rank", fast, reference, &inputs, 3e-6);
                let added: Function = &|t| {
                    let (projection, update) = with(t);
                    ops::low_rank::added(&projection.forward(&t[0])?, &t[0], &update)
                };
                fast_is_reference("added", added, reference, &inputs, 3e-6);
            }
        }
    }
    let wrong = ops::LowRank { a: of(&[1.0], (1, 1)), ..update };
    assert!(ops::low_rank(&of(&[1.0, 2.0], (1, 2)), &projection, &wrong).is_err());
}

#[test]
fn a_low_rank_update_of_a_weight_that_trains_gives_both_their_gradients() {
    let inputs = [normal(9, &[5, 4]), normal(10, &[4, 6]), normal(11, &[6]), normal(12, &[2, 4]), normal(13, &[6, 2])];
    let split = |t: &[Tensor]| {
        let projection = ops::Projection { weight: t[1].clone(), bias: Some(t[2].clone()), transposed: false };
        (projection, ops::LowRank { a: t[3].clone(), b: t[4].clone(), scale: 0.5, dropout: None })
    };
    let fast: Function = &|t| {
        let (projection, update) = split(t);
        ops::low_rank(&t[0], &projection, &update)
    };
    let reference: Function = &|t| {
        let (projection, update) = split(t);
        ops::reference::low_rank(&t[0], &projection, &update)
    };
    fast_is_reference("all", fast, reference, &inputs, 3e-6);
}

#[test]
fn log_probabilities_and_log_sigmoid() {
    let target = |ids: &[i64]| Tensor::new(ids, &Device::Cpu).unwrap();
    let logits = Tensor::new(&[[0f32, 3f32.ln()], [5.0, 5.0], [9.0, 1.0]], &Device::Cpu).unwrap();
    let expected = Tensor::new(&[0.75f64.ln(), 0.5f64.ln(), 0.0], &Device::Cpu).unwrap();
    close("by hand", &ops::log_probs(&logits, &target(&[1, 0, -100])).unwrap(), &expected, 1e-6);
    for vocab in ODD {
        let mut ids: Vec<i64> = (0..33).map(|i| i * 7 % vocab as i64).collect();
        ids[20] = ops::IGNORE_INDEX;
        let ids = target(&ids);
        let inputs = [(normal(8, &[33, vocab]) * 5.0).unwrap()];
        let fast: Function = &|t| ops::log_probs(&t[0], &ids);
        check(&format!("{vocab}"), fast, &|t| ops::reference::log_probs(&t[0], &ids), &inputs, 2e-6);
    }
    assert!(matches!(ops::log_probs(&logits, &target(&[0, 3, 0])), Err(Error::TokenOutOfRange { id: 3, row: 1, .. })));
    let x = Tensor::new(&[0f64, 100.0, -100.0, 1.0], &Device::Cpu).unwrap();
    let (y, grads) = value_and_gradients(&|t| ops::log_sigmoid(&t[0]), std::slice::from_ref(&x));
    close(
        "log σ",
        &y,
        &Tensor::new(&[-(2f64.ln()), 0.0, -100.0, -0.313_261_687_518_222_8], &Device::Cpu).unwrap(),
        1e-12,
    );
    let weights = flat(&normal(77, &[4]));
    let slopes: Vec<f64> = flat(&grads[0]).iter().zip(weights).map(|(g, w)| g / w).collect();
    for (slope, expected) in slopes.iter().zip([0.5, 0.0, 1.0, 0.268_941_421_369_995]) {
        assert!((slope - expected).abs() < 1e-6, "{slopes:?}");
    }
    gradient_is_slope("log σ", &|t| ops::log_sigmoid(&t[0]), &[normal(3, &[20])]);
}

#[test]
fn embedding() {
    let ids = Tensor::new(&[[2i64, 0], [2, 2]], &Device::Cpu).unwrap();
    let fast: Function = &|t| ops::embedding(&t[0], &ids);
    check("embedding", fast, &|t| ops::reference::embedding(&t[0], &ids), &[normal(13, &[4, 7])], 1e-6);
    let table = Var::from_tensor(&normal(14, &[4, 1])).unwrap();
    let y = ops::embedding(table.as_tensor(), &ids).unwrap();
    assert_eq!(y.dims(), [2, 2, 1]);
    let grads = y.sum_all().unwrap().backward().unwrap();
    assert_eq!(flat(grads.get(table.as_tensor()).unwrap()), [1.0, 0.0, 3.0, 0.0], "how often each id occurs");
    let bad = Tensor::new(&[[1i64, 2], [4, 0]], &Device::Cpu).unwrap();
    let error = ops::embedding(table.as_tensor(), &bad).unwrap_err();
    assert!(matches!(error, Error::TokenOutOfRange { id: 4, row: 1, position: 0, vocab_size: 4 }), "{error}");
}

#[test]
fn causal_attention() {
    // One head of size 1: with q = 0 every position takes the mean of the values so far.
    let qkv = Tensor::new(&[[[0f32, 5.0, 1.0], [0.0, 7.0, 3.0], [0.0, -2.0, 8.0]]], &Device::Cpu).unwrap();
    let expected = Tensor::new(&[[[1f64], [2.0], [4.0]]], &Device::Cpu).unwrap();
    close("by hand", &ops::causal_attention(&qkv, 1, 1.0, None).unwrap(), &expected, 1e-6);
    let small = [(1, 1, 1, 1), (2, 7, 3, 5), (1, 16, 2, 8), (3, 65, 2, 12), (2, 64, 4, 8), (1, 130, 1, 64)];
    let many_sequences_and_few_long_ones = [(9, 65, 2, 20), (16, 17, 1, 1), (2, 140, 3, 7), (1, 300, 2, 40)];
    for (b, t, h, d) in small.into_iter().chain(many_sequences_and_few_long_ones) {
        let inputs = [normal(15, &[b, t, 3 * h * d])];
        let scale = 1.0 / (d as f64).sqrt();
        for dropout in [None, Some(ops::Dropout { p: 0.3, seed: 9 })] {
            let fast: Function = &|x| ops::causal_attention(&x[0], h, scale, dropout);
            let reference: Function = &|x| ops::reference::causal_attention(&x[0], h, scale, dropout);
            check(&format!("{b} × {t}, {h} heads of {d}, {dropout:?}"), fast, reference, &inputs, 3e-6);
        }
    }
}

#[test]
fn attention_weights_are_causal_distributions() {
    let (b, t, h) = (2, 9, 3);
    let weights = ops::attention::probabilities(&normal(16, &[b, t, 3 * 12]), h, 0.5).unwrap();
    assert_eq!(weights.dims(), [b, h, t, t]);
    for (at, row) in flat(&weights).chunks(t).enumerate() {
        let i = at % t;
        assert!((row.iter().sum::<f64>() - 1.0).abs() < 1e-6);
        assert!(row[i + 1..].iter().all(|w| *w == 0.0), "position {i} looks ahead");
    }
    assert!(matches!(ops::causal_attention(&normal(1, &[1, 2, 36]), 5, 1.0, None), Err(Error::InvalidArgument { .. })));
    assert!(matches!(ops::causal_attention(&normal(1, &[1, 2, 36]), 0, 1.0, None), Err(Error::InvalidArgument { .. })));
    let large = (normal(17, &[1, 20, 24]) * 1e4).unwrap();
    let (y, grads) = value_and_gradients(&|x| ops::causal_attention(&x[0], 2, 0.5, None), &[large]);
    assert!(flat(&y).iter().chain(&flat(&grads[0])).all(|x| x.is_finite()));
}

#[test]
fn mlp_block() {
    for (rows, c, m) in [(1, 1, 1), (7, 4, 16), (65, 7, 3), (300, 24, 65)] {
        let inputs = [
            normal(30, &[1, rows, c]),
            normal(31, &[c]),
            normal(32, &[c]),
            normal(33, &[c, m]),
            normal(34, &[m]),
            normal(35, &[m, c]),
            normal(36, &[c]),
        ];
        for dropout in [None, Some(ops::Dropout { p: 0.3, seed: 9 })] {
            let block = |t: &[Tensor]| ops::MlpBlock {
                ln_weight: t[1].clone(),
                ln_bias: t[2].clone(),
                eps: 0.1,
                fc_weight: t[3].clone(),
                fc_bias: t[4].clone(),
                proj_weight: t[5].clone(),
                proj_bias: t[6].clone(),
            };
            let fast: Function = &|t| ops::mlp_block(&t[0], &block(t), dropout);
            let reference: Function = &|t| ops::reference::mlp_block(&t[0], &block(t), dropout);
            check(&format!("{rows} × {c} × {m}, {dropout:?}"), fast, reference, &inputs, 3e-5);
        }
    }
}

#[test]
fn attention_block() {
    for (b, t, n_head, d) in [(1, 1, 1, 1), (3, 7, 2, 5), (2, 65, 3, 8), (5, 33, 2, 16), (1, 270, 2, 4), (33, 64, 1, 4)]
    {
        let c = n_head * d;
        let mut inputs = vec![
            normal(40, &[b, t, c]),
            normal(41, &[c]),
            normal(42, &[c]),
            normal(43, &[c, 3 * c]),
            normal(44, &[c, c]),
            normal(45, &[c]),
        ];
        for bias in [false, true] {
            if bias {
                inputs.push(normal(46, &[3 * c]));
            }
            for p in [0.0, 0.3] {
                let block = |t: &[Tensor]| ops::AttentionBlock {
                    ln_weight: t[1].clone(),
                    ln_bias: t[2].clone(),
                    eps: 0.1,
                    qkv_weight: t[3].clone(),
                    qkv_bias: t.get(6).cloned(),
                    proj_weight: t[4].clone(),
                    proj_bias: t[5].clone(),
                    n_head,
                    scale: 0.3,
                };
                let drop = |seed| (p > 0.0).then_some(ops::Dropout { p, seed });
                let fast: Function = &|t| ops::attention_block(&t[0], &block(t), drop(1), drop(2));
                let reference: Function = &|t| ops::reference::attention_block(&t[0], &block(t), drop(1), drop(2));
                check(&format!("{b} × {t} × {n_head} × {d}, {bias}, {p}"), fast, reference, &inputs, 3e-5);
            }
        }
    }
}

#[test]
fn blocks_of_frozen_parameters_give_only_what_is_asked_for() {
    let (c, m) = (8, 12);
    let frozen = [normal(51, &[c]), normal(52, &[c]), normal(53, &[c, m]), normal(54, &[m]), normal(55, &[m, c])];
    let bias = Var::from_tensor(&normal(56, &[c])).unwrap();
    let [ln_weight, ln_bias, fc_weight, fc_bias, proj_weight] = frozen;
    let proj_bias = bias.as_tensor().clone();
    let block = ops::MlpBlock { ln_weight, ln_bias, eps: 1e-5, fc_weight, fc_bias, proj_weight, proj_bias };
    let x = normal(50, &[1, 5, c]);
    let grads = ops::mlp_block(&x, &block, None).unwrap().sum_all().unwrap().backward().unwrap();
    assert_eq!(flat(grads.get(bias.as_tensor()).unwrap()), vec![5.0; c]);
    assert!(grads.get(&x).is_none() && grads.get(&block.proj_weight).is_none());
    // The same block used twice: both uses count.
    let twice = ops::mlp_block(&ops::mlp_block(&x, &block, None).unwrap(), &block, None).unwrap();
    let reference = ops::reference::mlp_block(&x, &block, None).unwrap();
    let reference = ops::reference::mlp_block(&reference, &block, None).unwrap();
    let gradient = |y: Tensor| y.sum_all().unwrap().backward().unwrap().get(bias.as_tensor()).unwrap().clone();
    close("twice", &gradient(twice), &gradient(reference), 1e-5);
}

#[test]
fn blocks_refuse_what_does_not_fit() {
    let [c, m] = [8, 12];
    let block = |c: usize| ops::MlpBlock {
        ln_weight: normal(1, &[c]),
        ln_bias: normal(2, &[c]),
        eps: 1e-5,
        fc_weight: normal(3, &[c, m]),
        fc_bias: normal(4, &[m]),
        proj_weight: normal(5, &[m, c]),
        proj_bias: normal(6, &[c]),
    };
    assert!(ops::mlp_block(&normal(7, &[1, 5, c]), &block(c + 1), None).is_err());
    let dropout = Some(ops::Dropout { p: 1.5, seed: 1 });
    assert!(matches!(ops::mlp_block(&normal(7, &[1, 5, c]), &block(c), dropout), Err(Error::InvalidArgument { .. })));
}

#[test]
fn dropout() {
    let inputs = [normal(18, &[70, 333])];
    for p in [0.0, 0.1, 0.4, 0.999, 1.0] {
        let fast: Function = &|t| ops::dropout(&t[0], p, 5);
        check(&format!("p = {p}"), fast, &|t| ops::reference::dropout(&t[0], p, 5), &inputs, 1e-6);
    }
    let ones = Tensor::ones(200_000, DType::F32, &Device::Cpu).unwrap();
    let kept = |p, seed| flat(&ops::dropout(&ones, p, seed).unwrap());
    for p in [0.1, 0.5, 0.9] {
        let mask = kept(p, 1);
        let zeros = mask.iter().filter(|m| **m == 0.0).count() as f64 / mask.len() as f64;
        assert!((zeros - p).abs() < 0.005, "{zeros} dropped, expected {p}");
        assert!(mask.iter().all(|m| *m == 0.0 || (m - 1.0 / (1.0 - p)).abs() < 1e-5));
        // Neighbours and masks of other seeds, also close ones, are independent.
        let both = |a: &[f64], b: &[f64]| {
            a.iter().zip(b).filter(|(a, b)| **a == 0.0 && **b == 0.0).count() as f64 / b.len() as f64
        };
        for other in [mask[1..].to_vec(), mask[128..].to_vec(), kept(p, 2), kept(p, 1 << 32 | 1)] {
            assert!((both(&mask, &other) - p * p).abs() < 0.005, "p = {p}: {}", both(&mask, &other));
        }
    }
    assert_eq!(kept(0.0, 1), vec![1.0; 200_000]);
    assert_eq!(kept(1.0, 1), vec![0.0; 200_000]);
    for p in [-0.1, 1.1, f64::NAN] {
        assert!(matches!(ops::dropout(&ones, p, 1), Err(Error::InvalidArgument { .. })));
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let inputs = [normal(1, &[4, 65, 96]), normal(2, &[96, 288]), normal(3, &[288]), normal(4, &[96])];
            let f: Function = &|t| {
                let x = ops::layer_norm(&t[0], &t[3], &t[3], 1e-5)?;
                let y = ops::causal_attention(&ops::linear(&x, &t[1], Some(&t[2]))?, 12, 0.4, None)?;
                ops::dropout(&ops::gelu(&y)?, 0.2, 3)
            };
            let (y, grads) = value_and_gradients(f, &inputs);
            [vec![y], grads].concat().iter().map(flat).collect::<Vec<_>>()
        })
    };
    let one = run(1);
    assert!(run(2) == one && run(5) == one);
}
