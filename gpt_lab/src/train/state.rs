//! The state of a run between two steps.

use super::checkpoint::{self, Identity, State};
use super::evaluate::evaluate_or_stop;
use super::gradients::require_trainable;
use super::order::Order;
use super::tracker::Tracker;
use super::{AdamW, EvalRecord, Event, Gradients, History, Listener, StepRecord, Stopped, TrainConfig, Trainable};
use crate::data::{Examples, Split};
use crate::{Error, Param, Pass, Result, Rng, lab};

/// Streams of the seed: the order of the rows, the dropout masks.
const ORDER: u64 = 1;
const DROPOUT: u64 = 2;

/// A run in progress.
pub(super) struct Run<'a, M, E> {
    pub tracker: Tracker<StepRecord>,
    pub optimizer: AdamW,
    model: &'a M,
    data: &'a Split<E>,
    config: &'a TrainConfig,
    params: Vec<Param>,
    order: Order,
    dropout: Rng,
    identity: Identity,
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
            return Err(Error::empty("the training data"));
        }
        let params = model.params();
        require_trainable(&params)?;
        let seed = Rng::new(config.seed);
        let mut run = Run {
            tracker: Tracker::new(config.total_steps(rows), &params),
            optimizer: AdamW::new(&params, config.adamw())?,
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
        self.saved_at = Some(state.step);
        self.tracker.resume(state.step, History { stopped: Stopped::Running, ..state.history });
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
        if self.tracker.is_fresh() {
            gradients.require_all(&self.params)?;
        }
        Ok((mean, gradients, tokens))
    }

    /// Evaluates before the first step, every `eval_every` steps and after the last one.
    pub fn evaluate_if_due(&mut self, listener: &mut dyn Listener) -> Result<()> {
        let done = self.tracker.history.evals.last().is_some_and(|last| last.step == self.tracker.step);
        if done || !(self.is_due(self.config.eval_every) || self.config.eval_every > 0 && self.tracker.is_over()) {
            return Ok(());
        }
        let (size, batches) = (self.config.batch_size, self.config.eval_batches);
        let Some(train_loss) = evaluate_or_stop(self.model, &self.data.train, size, batches)? else { return Ok(()) };
        let Some(validation_loss) = evaluate_or_stop(self.model, &self.data.validation, size, batches)? else {
            return Ok(());
        };
        // Before anything is saved: a checkpoint with such a number in it could not be read back.
        self.tracker.require_finite("the loss on the training data", train_loss)?;
        self.tracker.require_finite("the loss on the validation data", validation_loss)?;
        self.tracker.history.evals.push(EvalRecord { step: self.tracker.step, train_loss, validation_loss });
        self.tracker.tell(Event::Evaluated, listener);
        Ok(())
    }

    /// Saves every `checkpoint_every` steps.
    pub fn save_if_due(&mut self, listener: &mut dyn Listener) -> Result<()> {
        if self.is_due(self.config.checkpoint_every) { self.save(listener) } else { Ok(()) }
    }

    /// Notes why the run ended, saves, and hands out its record.
    pub fn end(mut self, listener: &mut dyn Listener) -> Result<History> {
        self.tracker.history.stopped = match (self.tracker.is_over(), self.gets_no_better()) {
            (true, _) => Stopped::Finished,
            (false, true) => Stopped::NoProgress,
            (false, false) => Stopped::Interrupted,
        };
        self.save(listener)?;
        self.tracker.tell(Event::Ended, listener);
        Ok(self.tracker.history)
    }

    /// Saves a checkpoint of this step, if one is wanted and not there yet.
    fn save(&mut self, listener: &mut dyn Listener) -> Result<()> {
        let Some(folder) = &self.config.checkpoint else { return Ok(()) };
        if self.saved_at == Some(self.tracker.step) {
            return Ok(());
        }
        let (position, dropout) = (self.order.position(), self.dropout.state());
        let state =
            State::new(self.tracker.step, position, dropout, self.identity.clone(), self.tracker.history.clone());
        let config = self.model.config_json()?;
        checkpoint::save(folder, &self.params, config.as_deref(), &self.optimizer, &state)?;
        self.saved_at = Some(self.tracker.step);
        lab::checkpoint_saved(folder, self.tracker.step);
        self.tracker.tell(Event::Saved(folder.clone()), listener);
        Ok(())
    }

    fn is_due(&self, every: usize) -> bool {
        every > 0 && self.tracker.step.is_multiple_of(every)
    }

    /// `true` if all evaluations since the best one, as many as there is patience for, were no better.
    pub fn gets_no_better(&self) -> bool {
        let (Some(patience), Some(best)) = (self.config.patience, self.tracker.history.best()) else { return false };
        self.tracker.history.evals.iter().filter(|eval| eval.step > best.step).count() >= patience
    }
}
