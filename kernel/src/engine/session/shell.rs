//! Lines for the shell.

use super::{Outcome, Session};
use crate::engine::output::Assembler;
use crate::engine::reply::Reply;
use crate::failure::Failure;
use crate::protocol::{FromEngine, Stream};
use std::process::{Command as Program, Stdio};

impl Session {
    /// Runs a line of the shell; what it prints is the cell's output.
    pub(super) fn shell(&self, line: &str) -> Outcome {
        let command = line.trim_start_matches('!').trim();
        let mut shell = Program::new("sh");
        shell.args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let failed = |words: String| Err(vec![Failure::new("error", words)]);
        let mut child = match shell.spawn() {
            Ok(child) => child,
            Err(error) => return failed(format!("the shell cannot be started: {error}")),
        };
        let stderr = child.stderr.take();
        let reply = self.reply.clone();
        let errors =
            std::thread::spawn(move || stderr.into_iter().for_each(|pipe| forward(pipe, Stream::Stderr, &reply)));
        if let Some(stdout) = child.stdout.take() {
            forward(stdout, Stream::Stdout, &self.reply);
        }
        let _ = errors.join();
        match child.wait() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => failed(format!("`{command}` ended with {status}")),
            Err(error) => failed(error.to_string()),
        }
    }
}

/// Hands on what a program prints.
fn forward(mut pipe: impl std::io::Read, stream: Stream, reply: &Reply) {
    let mut text = Assembler::default();
    let mut buffer = [0; 1 << 14];
    while let Ok(count @ 1..) = pipe.read(&mut buffer) {
        let text = text.push(&buffer[..count]);
        reply.send(&FromEngine::Text { stream, text });
    }
}
