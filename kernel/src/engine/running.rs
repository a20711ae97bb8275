//! A cell while it runs: its standard input, and its end.

use super::control::Input;
use super::output::pump::{Event, SharedOutput};
use super::output::record::Prompt;
use super::process::{CellsProcess, input_pipe, pipe_number};
use super::reply::Reply;
use crate::cells::{End, ToCells};
use crate::protocol::FromEngine;
use crate::sys::{lock, procs};
use serde_json::Value;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Time between two looks at whether the cell waits for input.
const LOOK: Duration = Duration::from_millis(60);
/// Time for which an announced question waits until the cell reads the answer; after it, it was no question.
const QUESTION_TIME: Duration = Duration::from_millis(400);

/// How a cell's run has ended.
pub enum Finished {
    /// Its process says so.
    Ended { end: End, variables: Vec<String> },
    /// The process is gone.
    Gone,
}

/// A cell's run.
pub struct Run<'a> {
    /// The process.
    pub process: &'a CellsProcess,
    /// Its output.
    pub output: &'a SharedOutput,
    /// The way to the relay.
    pub reply: &'a Reply,
    /// Answers of the learner.
    pub inputs: &'a Receiver<Input>,
    /// True if the client lets cells ask.
    pub allow_stdin: bool,
}

/// The standard input of the running cell.
struct Stdin {
    writer: Option<File>,
    number: Option<u64>,
}

impl Run<'_> {
    /// Runs the cell in a shared object to its end.
    pub fn run(&self, library: &Path) -> Finished {
        let order = ToCells::Run { library: library.display().to_string() };
        let mut stdin = Stdin { writer: None, number: None };
        match input_pipe().ok().filter(|_| self.allow_stdin) {
            Some((reader, writer)) => {
                stdin = Stdin { number: pipe_number(&reader), writer: Some(File::from(writer)) };
                self.process.send(&order, Some(reader.as_fd()));
                drop::<OwnedFd>(reader);
            }
            None => self.process.send(&order, None),
        }
        let mut announced: Option<Instant> = None;
        loop {
            match self.process.events().recv_timeout(LOOK) {
                Ok(Event::Ended { end, variables }) => return Finished::Ended { end, variables },
                Ok(Event::Gone) | Err(RecvTimeoutError::Disconnected) => return Finished::Gone,
                Err(RecvTimeoutError::Timeout) => self.look_for_question(&mut stdin, &mut announced),
            }
        }
    }

    /// Asks the learner if the cell waits for it.
    fn look_for_question(&self, stdin: &mut Stdin, announced: &mut Option<Instant>) {
        let prompt = lock(self.output).record().prompt.clone();
        let waits = stdin.number.map(|number| procs::waits_for_pipe(self.process.id(), number));
        let is_sure = prompt.as_ref().is_some_and(|prompt| prompt.as_json);
        match (waits, &prompt) {
            (Some(Some(true)), _) => {}
            // Where the system does not tell who waits, the announcement has to do.
            (Some(None), Some(_)) => {}
            (_, Some(_)) if is_sure => {}
            (_, Some(_)) => {
                if announced.get_or_insert_with(Instant::now).elapsed() > QUESTION_TIME {
                    *announced = None;
                    lock(self.output).no_question();
                }
                return;
            }
            _ => return,
        }
        *announced = None;
        lock(self.output).record().prompt = None;
        lock(self.output).flush();
        let empty = Prompt { words: String::new(), is_password: false, as_json: false, text: String::new() };
        self.ask(prompt.unwrap_or(empty), stdin);
    }

    fn ask(&self, prompt: Prompt, stdin: &mut Stdin) {
        if stdin.writer.is_none() {
            return;
        }
        // What came before the question is no answer to it.
        while let Ok(early) = self.inputs.try_recv() {
            if matches!(early, Input::Stop) {
                *stdin = Stdin { writer: None, number: None };
                return;
            }
        }
        self.reply.send(&FromEngine::InputRequest { prompt: prompt.words.clone(), password: prompt.is_password });
        match self.inputs.recv() {
            Ok(Input::Answer(text)) => stdin.write(&prompt, &text),
            // The end of the input: the cell goes on, and ends if it looks at the stop flag.
            Ok(Input::Stop) | Err(_) => *stdin = Stdin { writer: None, number: None },
        }
    }
}

impl Stdin {
    /// Hands an answer over; one of several lines is one answer to whoever has announced a question.
    fn write(&mut self, prompt: &Prompt, text: &str) {
        let line = if prompt.as_json {
            Value::String(text.to_owned()).to_string()
        } else if prompt.text.is_empty() {
            text.to_owned()
        } else {
            text.replace("\r\n", " ").replace(['\n', '\r'], " ")
        };
        if let Some(writer) = &mut self.writer {
            // A cell that has closed its input does not want it.
            let _ = writer.write_all(format!("{line}\n").as_bytes());
        }
    }
}
