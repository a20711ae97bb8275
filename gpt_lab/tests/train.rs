//! The training loop from outside: reproducible, resumable, and harmless when things go wrong.

use std::cell::Cell;
use std::fs;
use std::path::PathBuf;

use gpt_lab::candle_core::{Device, Tensor};
use gpt_lab::data::{Batch, Split, Windows};
use gpt_lab::gpt2::{Gpt2, Gpt2Config};
use gpt_lab::train::{
    Event, History, Length, Listener, Progress, Schedule, Silent, Stopped, TrainConfig, Trainable, train,
};
use gpt_lab::{Error, Param, Pass, Result};
use tempfile::TempDir;

/// A tiny GPT-2 with dropout and the repeating text it is to learn.
fn tiny(seed: u64) -> (Gpt2, Split<Windows>) {
    let config = Gpt2Config {
        vocab_size: 7,
        n_positions: 8,
        n_embd: 8,
        n_layer: 2,
        n_head: 2,
        resid_pdrop: 0.1,
        embd_pdrop: 0.1,
        attn_pdrop: 0.1,
        ..Default::default()
    };
    let tokens = |n: u32, step: u32| (0..n).map(|i| i * step % 7).collect();
    let windows = |n, step| Windows::from_tokens(tokens(n, step), 8).unwrap();
    (Gpt2::new(&config, seed).unwrap(), Split { train: windows(385, 3), validation: windows(90, 3) })
}

fn config(steps: usize) -> TrainConfig {
    TrainConfig {
        length: Length::Steps(steps),
        batch_size: 4,
        accumulate: 2,
        lr: 3e-3,
        schedule: Schedule::WarmupCosine { warmup: 3, decay_end: 20, min_lr: 1e-4 },
        eval_every: 6,
        eval_batches: 2,
        seed: 11,
        ..Default::default()
    }
}

/// A place for a checkpoint, and the temporary folder that it is in.
fn folder() -> (PathBuf, TempDir) {
    let root = tempfile::tempdir().unwrap();
    (root.path().join("checkpoint"), root)
}

/// A number for the bits of all weights, and all recorded numbers but the times.
fn outcome(model: &Gpt2, history: &History) -> (u64, String) {
    let weights = weights(model).into_iter().fold(0, |hash: u64, w| hash.rotate_left(5) ^ u64::from(w.to_bits()));
    (weights, format!("{:?} {:?} {}", history.steps, history.evals, history.tokens))
}

fn weights(model: &Gpt2) -> Vec<f32> {
    let values = |param: &Param| param.var().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    model.params().iter().flat_map(values).collect()
}

#[test]
fn the_same_seed_gives_the_same_bits_and_the_loss_falls() {
    let runs = [11, 11, 12].map(|seed| {
        let (model, data) = tiny(1);
        let history = train(
            &model,
            &data,
            &TrainConfig { seed, lr: 1e-2, schedule: Schedule::Constant, ..config(60) },
            &mut Silent,
        )
        .unwrap();
        assert_eq!(history.stopped, Stopped::Finished);
        assert_eq!((history.steps.len(), history.tokens), (60, 60 * 2 * 4 * 8));
        let (first, last) = (history.evals[0], *history.evals.last().unwrap());
        assert_eq!((first.step, last.step), (0, 60));
        assert!((first.validation_loss - 7f32.ln()).abs() < 0.05, "untrained: {}", first.validation_loss);
        assert!(last.validation_loss < 0.6 * first.validation_loss, "trained: {}", last.validation_loss);
        outcome(&model, &history)
    });
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

#[test]
fn a_resumed_run_is_as_if_it_had_never_stopped() {
    let (folder, _root) = folder();
    let (straight, data) = tiny(1);
    let expected = train(&straight, &data, &config(20), &mut Silent).unwrap();
    let mut last = None;
    for (steps, seed) in [(7, 1), (13, 2), (20, 3)] {
        let (model, data) = tiny(seed); // another start each time: the checkpoint must bring the weights
        let config = TrainConfig { checkpoint: Some(folder.clone()), resume: true, ..config(steps) };
        let model = if seed == 1 { tiny(1).0 } else { model };
        let history = train(&model, &data, &config, &mut Silent).unwrap();
        last = Some((model, history));
    }
    let (model, mut history) = last.unwrap();
    history.evals.retain(|eval| eval.step % 6 == 0 || eval.step == 20); // the ends of the parts were evaluated too
    assert_eq!(outcome(&model, &history), outcome(&straight, &expected));
    let loaded = Gpt2::load(&folder).unwrap();
    assert_eq!(outcome(&loaded, &history).0, outcome(&straight, &expected).0, "a checkpoint is a model folder");
}

#[test]
fn a_run_that_gets_no_better_ends_and_a_resumed_one_at_once() {
    let (model, data) = tiny(1);
    let (folder, _root) = folder();
    // A rate at which nothing is learnt: no evaluation can be better than the first.
    let still = TrainConfig {
        lr: 0.0,
        schedule: Schedule::Constant,
        eval_every: 2,
        patience: Some(3),
        checkpoint: Some(folder.clone()),
        ..config(40)
    };
    let history = train(&model, &data, &still, &mut Silent).unwrap();
    assert_eq!((history.stopped, history.steps.len(), history.evals.len()), (Stopped::NoProgress, 6, 4));
    assert!(history.to_string().ends_with("no better"), "{history}");
    let again = train(&model, &data, &TrainConfig { resume: true, ..still }, &mut Silent).unwrap();
    assert_eq!((again.stopped, again.steps.len()), (Stopped::NoProgress, 6));
    // One that learns is not disturbed.
    let learning = TrainConfig { eval_every: 2, patience: Some(3), ..config(12) };
    assert_eq!(train(&tiny(1).0, &data, &learning, &mut Silent).unwrap().stopped, Stopped::Finished);
}

#[test]
fn an_accumulated_step_is_one_large_batch() {
    let run = |batch_size, accumulate| {
        let (model, data) = tiny(1);
        let still = Gpt2Config { resid_pdrop: 0.0, embd_pdrop: 0.0, attn_pdrop: 0.0, ..model.config };
        let model = Gpt2::new(&still, 1).unwrap();
        let history = train(&model, &data, &TrainConfig { batch_size, accumulate, ..config(3) }, &mut Silent).unwrap();
        (weights(&model), history)
    };
    let ((large, a), (small, b)) = (run(8, 1), run(2, 4));
    assert!((a.steps[0].loss - b.steps[0].loss).abs() < 1e-6);
    assert!((a.steps[0].grad_norm - b.steps[0].grad_norm).abs() < 1e-6);
    let gap = large.iter().zip(&small).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(gap < 2e-3, "weights differ by {gap}");
}

/// A model of one number that becomes NaN at a step of choice.
struct Fragile {
    weight: Param,
    breaks_at: usize,
    calls: Cell<usize>,
}

impl Trainable for Fragile {
    fn params(&self) -> Vec<Param> {
        vec![self.weight.clone()]
    }

    fn loss(&self, _: &Batch, pass: &mut Pass) -> Result<Tensor> {
        if pass.is_training() {
            self.calls.set(self.calls.get() + 1);
        }
        let factor = if self.calls.get() == self.breaks_at { f64::NAN } else { 1.0 };
        Ok((self.weight.tensor().sum_all()? * factor)?)
    }
}

#[test]
fn a_loss_that_is_not_a_number_ends_the_run_before_it_spoils_the_weights() {
    let run = |steps, breaks_at| {
        let weight = Param::new("w", &Tensor::new(&[1f32], &Device::Cpu).unwrap()).unwrap();
        let model = Fragile { weight, breaks_at, calls: Cell::new(0) };
        let result = train(&model, &tiny(1).1, &TrainConfig { accumulate: 1, ..config(steps) }, &mut Silent);
        (result, model.weight.var().to_vec1::<f32>().unwrap())
    };
    let (result, weights) = run(10, 5);
    let error = result.unwrap_err();
    assert!(matches!(&error, Error::NotFinite { step: 5, .. }), "{error}");
    assert_eq!(weights, run(4, 99).1, "the weights are those of step 4");
}

#[test]
fn a_parameter_out_of_reach_is_named() {
    struct Detached(Gpt2);
    impl Trainable for Detached {
        fn params(&self) -> Vec<Param> {
            self.0.params()
        }
        fn loss(&self, batch: &Batch, pass: &mut Pass) -> Result<Tensor> {
            let gain = self.0.params().remove(0).tensor().sum_all()?;
            Ok((gain * self.0.loss(&batch.inputs, &batch.targets, pass)?.detach())?)
        }
    }
    let (model, data) = tiny(1);
    let error = train(&Detached(model), &data, &config(3), &mut Silent).unwrap_err().to_string();
    assert!(error.contains("transformer.h.1.mlp.c_proj.weight") && !error.contains("wte"), "{error}");
}

#[test]
fn settings_that_cannot_be_meant_are_refused() {
    let (model, data) = tiny(1);
    for (config, name) in [
        (TrainConfig { batch_size: 0, ..config(1) }, "batch_size"),
        (TrainConfig { accumulate: 0, ..config(1) }, "accumulate"),
        (TrainConfig { lr: f64::NAN, ..config(1) }, "lr"),
        (TrainConfig { clip: Some(0.0), ..config(1) }, "clip"),
        (TrainConfig { betas: (0.9, 1.0), ..config(1) }, "betas"),
    ] {
        let error = train(&model, &data, &config, &mut Silent).unwrap_err();
        assert!(matches!(&error, Error::InvalidArgument { argument, .. } if *argument == name), "{error}");
    }
}

#[test]
fn a_listener_hears_everything_in_order() {
    #[derive(Default)]
    struct Log(Vec<String>);
    impl Listener for Log {
        fn on(&mut self, event: &Event, progress: &Progress<'_>) {
            assert_eq!(progress.history.steps.len(), progress.step);
            assert_eq!(progress.remaining.is_some(), progress.step > 0);
            let name = match event {
                Event::Saved(_) => "Saved".to_string(),
                event => format!("{event:?}"),
            };
            self.0.push(format!("{name} {}/{}", progress.step, progress.total_steps));
        }
    }
    let (folder, _root) = folder();
    let (model, data) = tiny(1);
    let config = TrainConfig { eval_every: 2, checkpoint: Some(folder.clone()), checkpoint_every: 2, ..config(3) };
    let mut log = Log::default();
    train(&model, &data, &config, &mut log).unwrap();
    let expected = "Started 0/3, Evaluated 0/3, Step 1/3, Step 2/3, Evaluated 2/3, Saved 2/3, Step 3/3, Evaluated 3/3, \
                    Saved 3/3, Ended 3/3";
    assert_eq!(log.0.join(", "), expected);
}

#[test]
fn foreign_and_damaged_checkpoints_are_refused_and_nothing_is_lost() {
    let (folder, _root) = folder();
    let (model, data) = tiny(1);
    let config = TrainConfig { checkpoint: Some(folder.clone()), resume: true, ..config(4) };
    train(&model, &data, &config, &mut Silent).unwrap();
    let refused = |model: &Gpt2, config: &TrainConfig, says: &str| {
        let before = outcome(model, &History::default());
        let error = train(model, &data, config, &mut Silent).unwrap_err().to_string();
        assert!(error.contains(says) && error.contains(folder.to_str().unwrap()), "{error}");
        assert_eq!(outcome(model, &History::default()), before, "the model is as it was");
    };
    let wide = Gpt2::new(&Gpt2Config { n_embd: 16, ..model.config.clone() }, 1).unwrap();
    refused(&wide, &config, "has shape [7, 8] there and [7, 16] in this model");
    let deep = Gpt2::new(&Gpt2Config { n_layer: 3, ..model.config.clone() }, 1).unwrap();
    refused(&deep, &config, "lacks this model's tensor `transformer.h.2");
    let flat = Gpt2::new(&Gpt2Config { n_layer: 1, ..model.config.clone() }, 1).unwrap();
    refused(&flat, &config, "that this model lacks");
    refused(&model, &TrainConfig { batch_size: 5, ..config.clone() }, "batch_size 4, this run has 5");
    let weights = folder.join("model.safetensors");
    let bytes = fs::read(&weights).unwrap();
    fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
    refused(&model, &config, "truncated");
    fs::write(&weights, &bytes).unwrap();
    let state = fs::read(folder.join("state.json")).unwrap();
    fs::write(folder.join("state.json"), &state[..state.len() / 2]).unwrap();
    refused(&model, &config, "truncated");
    fs::write(folder.join("state.json"), b"{\"format\": \"other\"}").unwrap();
    refused(&model, &config, "format \"other\"");
    fs::remove_file(folder.join("state.json")).unwrap();
    refused(&model, &config, "which saving would replace");
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "a file of the learner's").unwrap();
    refused(&model, &config, "which saving would replace");
    assert_eq!(fs::read_to_string(&folder).unwrap(), "a file of the learner's");
}
