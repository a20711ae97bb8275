//! What a run consists of between two steps.

use std::time::Instant;

use super::checkpoint::{self, Identity, State};
use super::evaluate::evaluate_or_stop;
use super::gradients::require_trainable;
use super::order::Order;
use super::{AdamW, EvalRecord, Event, Gradients, History, Listener, Progress, Stopped, TrainConfig, Trainable};
use crate::data::{Examples, Split};
use crate::{Error, Param, Pass, Result, Rng, lab};

/// Streams of the seed: the order of the rows, the dropout masks.
const ORDER: u64 = 1;
const DROPOUT: u64 = 2;

/// A run in progress.
pub(super) struct Run<'a, M, E> {
    pub step: usize,
    pub total_steps: usize,
    pub optimizer: AdamW,
    pub history: History,
    model: &'a M,
    data: &'a Split<E>,
    config: &'a TrainConfig,
    params: Vec<Param>,
    order: Order,
    dropout: Rng,
    identity: Identity,
    /// When and with which step this call of `train` began.
    began: (Instant, usize),
    saved_at: Option<usize>,
}

impl<'a, M, E> Run<'a, M, E>
where
    M: Trainable<E::Batch>,
    E: Examples,
{
    /// A new run, or the one of the checkpoint if the configuration says so and there is one.
    pub fn begin(model: &'a M, data: &'a Split<E>, config: &'a TrainConfig) -> Result<Self> {
        config.check()?;
        let rows = data.train.count();
        if rows == 0 {
            return Err(Error::EmptyInput { what: "the training data".into() });
        }
        let params = model.params();
        require_trainable(&params)?;
        let seed = Rng::new(config.seed);
        let mut run = Run {
            step: 0,
            total_steps: config.total_steps(rows),
            optimizer: AdamW::new(&params, config.adamw())?,
            history: History::default(),
            model,
            data,
            config,
            params,
            order: Order::new(rows, Rng::new(seed.stream(ORDER).next_u64())),
            dropout: seed.stream(DROPOUT),
            identity: Identity {
                seed: config.seed,
                batch_size: config.batch_size,
                accumulate: config.accumulate,
                rows,
                data: format!("{:016x}", data.train.fingerprint()),
            },
            began: (Instant::now(), 0),
            saved_at: None,
        };
        run.open_checkpoint()?;
        Ok(run)
    }

    fn open_checkpoint(&mut self) -> Result<()> {
        let Some(folder) = &self.config.checkpoint else { return Ok(()) };
        checkpoint::prepare(folder)?;
        if !self.config.resume {
            return Ok(());
        }
        let Some(state) = checkpoint::load(folder, &self.params, &mut self.optimizer, &self.identity)? else {
            return Ok(());
        };
        self.dropout = Rng::from_state(&state.dropout).ok_or_else(|| Error::ForeignCheckpoint {
            path: folder.clone(),
            detail: "its generator state cannot be read".into(),
        })?;
        self.order.set_position(state.position);
        self.step = state.step;
        self.began.1 = state.step;
        self.saved_at = Some(state.step);
        self.history = History { stopped: Stopped::Running, ..state.history };
        Ok(())
    }

    /// Loss, gradients and number of tokens of the next step: the mean over `accumulate` batches.
    pub fn gradients(&mut self) -> Result<(f32, Gradients, usize)> {
        let parts = self.config.accumulate;
        let (mut mean, mut sum, mut tokens) = (0.0, None::<Gradients>, 0);
        let mut pass = Pass::train(self.dropout.clone());
        for _ in 0..parts {
            let rows = self.order.next(self.config.batch_size);
            tokens += self.data.train.tokens(&rows);
            let loss = self.model.loss(&self.data.train.batch(&rows)?, &mut pass)?;
            let loss = if parts == 1 { loss } else { (loss / parts as f64)? };
            mean += loss.to_scalar::<f32>()?;
            let gradients = Gradients::of(&loss, &self.params)?;
            match &mut sum {
                Some(sum) => sum.add(gradients)?,
                None => sum = Some(gradients),
            }
        }
        if let Some(dropout) = pass.into_rng() {
            self.dropout = dropout;
        }
        let gradients = sum.expect("at least one batch a step");
        if self.step == self.began.1 {
            gradients.require_all(&self.params)?;
        }
        Ok((mean, gradients, tokens))
    }

    /// Refuses to go on with a loss or gradient that is not finite; the weights are those of the step before.
    pub fn require_finite(&self, what: &str, value: f32) -> Result<()> {
        let step = self.step + 1;
        if value.is_finite() { Ok(()) } else { Err(Error::NotFinite { what: what.into(), value, step }) }
    }

    /// Evaluates before the first step, every `eval_every` steps and after the last one.
    pub fn evaluate_if_due(&mut self, listener: &mut dyn Listener) -> Result<()> {
        let done = self.history.evals.last().is_some_and(|last| last.step == self.step);
        if done || !(self.is_due(self.config.eval_every) || self.config.eval_every > 0 && self.is_over()) {
            return Ok(());
        }
        let (size, batches) = (self.config.batch_size, self.config.eval_batches);
        let Some(train_loss) = evaluate_or_stop(self.model, &self.data.train, size, batches)? else { return Ok(()) };
        let Some(validation_loss) = evaluate_or_stop(self.model, &self.data.validation, size, batches)? else {
            return Ok(());
        };
        // Before anything is saved: a checkpoint with such a number in it could not be read back.
        self.require_finite("the loss on the training data", train_loss)?;
        self.require_finite("the loss on the validation data", validation_loss)?;
        self.history.evals.push(EvalRecord { step: self.step, train_loss, validation_loss });
        self.tell(Event::Evaluated, listener);
        Ok(())
    }

    /// Saves every `checkpoint_every` steps.
    pub fn save_if_due(&mut self, listener: &mut dyn Listener) -> Result<()> {
        if self.is_due(self.config.checkpoint_every) { self.save(listener) } else { Ok(()) }
    }

    /// Notes why the run ended, saves, and hands out its record.
    pub fn end(mut self, listener: &mut dyn Listener) -> Result<History> {
        self.history.stopped = match (self.is_over(), self.gets_no_better()) {
            (true, _) => Stopped::Finished,
            (false, true) => Stopped::NoProgress,
            (false, false) => Stopped::Interrupted,
        };
        self.save(listener)?;
        self.tell(Event::Ended, listener);
        Ok(self.history)
    }

    /// Tells the listener what happened.
    pub fn tell(&self, event: Event, listener: &mut dyn Listener) {
        let elapsed = self.began.0.elapsed();
        let made = (self.step - self.began.1) as u32;
        let left = self.total_steps.saturating_sub(self.step) as u32;
        let progress = Progress {
            history: &self.history,
            step: self.step,
            total_steps: self.total_steps,
            trainable_parameters: self.params.iter().filter(|p| p.trainable()).map(Param::count).sum(),
            elapsed,
            remaining: (made > 0).then(|| elapsed / made * left),
        };
        listener.on(&event, &progress);
    }

    /// Saves a checkpoint of this step, if one is wanted and not there yet.
    fn save(&mut self, listener: &mut dyn Listener) -> Result<()> {
        let Some(folder) = &self.config.checkpoint else { return Ok(()) };
        if self.saved_at == Some(self.step) {
            return Ok(());
        }
        let (position, dropout) = (self.order.position(), self.dropout.state());
        let state = State::new(self.step, position, dropout, self.identity.clone(), self.history.clone());
        let config = self.model.config_json()?;
        checkpoint::save(folder, &self.params, config.as_deref(), &self.optimizer, &state)?;
        self.saved_at = Some(self.step);
        lab::checkpoint_saved(folder, self.step);
        self.tell(Event::Saved(folder.clone()), listener);
        Ok(())
    }

    fn is_due(&self, every: usize) -> bool {
        every > 0 && self.step.is_multiple_of(every)
    }

    /// Whether the last evaluations were all no better than the best one, for longer than there is patience.
    pub fn gets_no_better(&self) -> bool {
        let (Some(patience), Some(best)) = (self.config.patience, self.history.best()) else { return false };
        self.history.evals.iter().filter(|eval| eval.step > best.step).count() >= patience
    }

    fn is_over(&self) -> bool {
        self.step >= self.total_steps
    }
}
