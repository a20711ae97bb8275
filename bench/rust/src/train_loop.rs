// The training loop that the benches time. `bench/cases/cell_vs_binary.py` sends this file to a kernel as a cell, so it
// stands alone and has no inner doc comment.

/// Trains the model of a folder that `train init` wrote on its batches; returns the loss and the seconds of each step.
pub fn train_loop(folder: &str, steps: usize) -> gpt_lab::Result<(Vec<f32>, Vec<f64>)> {
    use gpt_lab::candle_core::{Device, IndexOp, safetensors};
    use gpt_lab::train::{AdamW, AdamWOptions, Gradients};

    let model = gpt_lab::gpt2::Gpt2::load(folder)?;
    let batches = safetensors::load(format!("{folder}/batches.safetensors"), &Device::Cpu)?;
    let (inputs, targets) = (&batches["inputs"], &batches["targets"]);
    let params = model.params();
    let mut optimizer = AdamW::new(&params, AdamWOptions::default())?;
    let (mut losses, mut seconds) = (Vec::new(), Vec::new());
    for step in 0..steps {
        let start = std::time::Instant::now();
        let i = step % inputs.dim(0)?;
        let loss = model.loss(&inputs.i(i)?, &targets.i(i)?, &mut gpt_lab::Pass::eval())?;
        optimizer.step(&Gradients::of(&loss, &params)?, 1e-3, 1.0)?;
        losses.push(loss.to_scalar::<f32>()?);
        seconds.push(start.elapsed().as_secs_f64());
    }
    Ok((losses, seconds))
}
