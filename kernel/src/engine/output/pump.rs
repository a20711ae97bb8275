//! Reads what the cells' process prints and sends, tells the learner's output from evcxr's control lines, and hands
//! each to whom it belongs: output to the relay, control lines to evcxr.

use super::gather::Output;
use super::markers::{Piece, Splitter};
use crate::names::line;
use crate::protocol::{FromEngine, Stream};
use crate::sys::fds::{self, Read};
use crate::sys::lock;
use anyhow::{Context, Result};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The output of the running cell, shared by the pump and the one who starts cells.
pub type SharedOutput = Arc<Mutex<Output<Box<dyn FnMut(FromEngine) + Send>>>>;

/// The socket of the process that runs cells now, for commands to it.
pub type CellSocket = Arc<Mutex<Option<UnixStream>>>;

/// Time for which the beginning of a possible control line is held back.
const MARKER_TIME: Duration = Duration::from_millis(50);

/// Serves the processes that run cells, one after the other.
pub fn serve(listener: UnixListener, channel: File, output: SharedOutput, current: CellSocket) {
    for socket in listener.incoming().flatten() {
        match Pump::start(socket, &channel, &output) {
            Ok((mut pump, commands)) => {
                *lock(&current) = Some(commands);
                pump.run();
                *lock(&current) = None;
            }
            Err(error) => eprintln!("gpt_lab_kernel: no output from the cells' process: {error:#}"),
        }
    }
}

struct Pump<'a> {
    socket: UnixStream,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    evcxr: File,
    channel: &'a File,
    channel_buffer: Vec<u8>,
    /// Marked messages that were handled before their marks were read, at the end of a cell.
    ahead: usize,
    splitter: Splitter,
    output: &'a SharedOutput,
    buffer: Vec<u8>,
}

impl<'a> Pump<'a> {
    fn start(socket: UnixStream, channel: &'a File, output: &'a SharedOutput) -> Result<(Pump<'a>, UnixStream)> {
        let (_, mut handed) = fds::receive_fds(&socket)?;
        let stderr = handed.pop().context("no standard error")?;
        let stdout = handed.pop().context("no standard output")?;
        let evcxr = File::from(handed.pop().context("no way to evcxr")?);
        for end in [&stdout, &stderr] {
            fds::set_nonblocking(end)?;
        }
        socket.set_nonblocking(true)?;
        let commands = socket.try_clone()?;
        let pump = Pump {
            socket,
            stdout: Some(stdout),
            stderr: Some(stderr),
            evcxr,
            channel,
            channel_buffer: Vec::new(),
            ahead: 0,
            splitter: Splitter::default(),
            output,
            buffer: vec![0; 1 << 16],
        };
        Ok((pump, commands))
    }

    /// Works until the process has ended and everything that it wrote is read.
    fn run(&mut self) {
        loop {
            let mut timeout = lock(self.output).tick();
            if self.splitter.holds_text() {
                timeout = Some(timeout.map_or(MARKER_TIME, |time| time.min(MARKER_TIME)));
            }
            let mut waiting = vec![self.socket.as_fd(), self.channel.as_fd()];
            waiting.extend(self.stdout.as_ref().map(AsFd::as_fd));
            waiting.extend(self.stderr.as_ref().map(AsFd::as_fd));
            fds::wait_readable(&waiting, timeout);
            let got_text = self.read_stdout() | self.read_stderr();
            if !got_text && let Some(Piece::Text(text)) = self.splitter.release() {
                lock(self.output).bytes(Stream::Stdout, &text);
            }
            self.read_channel();
            if fds::read_available(&self.socket, &mut [0; 16]) == Read::Closed {
                break;
            }
        }
        self.drain();
        lock(self.output).flush();
    }

    /// Reads everything that is there: text first, then the channel.
    fn drain(&mut self) {
        while self.read_stdout() | self.read_stderr() {}
        self.collect_messages();
        self.handle_all();
    }

    fn read_stdout(&mut self) -> bool {
        let Some(stdout) = &self.stdout else { return false };
        match fds::read_available(stdout, &mut self.buffer) {
            Read::Bytes(count) => {
                for piece in self.splitter.push(&self.buffer[..count]) {
                    self.piece(piece);
                }
                true
            }
            Read::Empty => false,
            Read::Closed => {
                self.stdout = None;
                false
            }
        }
    }

    fn read_stderr(&mut self) -> bool {
        let Some(stderr) = &self.stderr else { return false };
        match fds::read_available(stderr, &mut self.buffer) {
            Read::Bytes(count) => {
                lock(self.output).bytes(Stream::Stderr, &self.buffer[..count]);
                true
            }
            Read::Empty => false,
            Read::Closed => {
                self.stderr = None;
                false
            }
        }
    }

    /// Handles messages, after the text that was written before them.
    fn read_channel(&mut self) {
        if self.collect_messages() {
            self.read_stdout();
            self.read_stderr();
            self.handle_unmarked();
        }
    }

    /// Moves what the channel holds to the queue; true if the queue holds a message.
    fn collect_messages(&mut self) -> bool {
        while let Read::Bytes(count) = fds::read_available(self.channel, &mut self.buffer) {
            self.channel_buffer.extend_from_slice(&self.buffer[..count]);
        }
        self.channel_buffer.contains(&b'\n')
    }

    /// Handles messages up to the first one whose place the text will tell.
    fn handle_unmarked(&mut self) {
        while self.next_is_marked() == Some(false) {
            self.handle_message();
        }
    }

    /// Handles all messages: no text follows that could tell their place.
    fn handle_all(&mut self) {
        while let Some(marked) = self.handle_message() {
            self.ahead += usize::from(marked);
        }
    }

    fn next_is_marked(&self) -> Option<bool> {
        let end = self.channel_buffer.iter().position(|&byte| byte == b'\n')?;
        Some(is_marked(&self.channel_buffer[..end]))
    }

    /// Handles the message whose mark the text has come to, and those sent before it, unless that was done earlier.
    fn mark(&mut self) {
        if self.ahead > 0 {
            self.ahead -= 1;
            return;
        }
        self.collect_messages();
        while self.handle_message() == Some(false) {}
    }

    /// Handles the next message, if there is one; true if a mark in the text belongs to it.
    fn handle_message(&mut self) -> Option<bool> {
        let end = self.channel_buffer.iter().position(|&byte| byte == b'\n')?;
        let line: Vec<u8> = self.channel_buffer.drain(..=end).collect();
        if line.len() == 1 {
            return Some(false);
        }
        match serde_json::from_slice(&line) {
            Ok(message) => lock(self.output).channel(message),
            Err(error) => {
                let text = format!("[a display message could not be read: {error}]\n");
                lock(self.output).bytes(Stream::Stderr, text.as_bytes());
            }
        }
        Some(is_marked(&line))
    }

    fn piece(&mut self, piece: Piece) {
        match piece {
            Piece::Text(text) => lock(self.output).bytes(Stream::Stdout, &text),
            Piece::Content { mime, data } => {
                self.collect_messages();
                self.handle_unmarked();
                lock(self.output).content(mime, data);
            }
            Piece::Sent => self.mark(),
            Piece::Result => lock(self.output).value_follows(),
            Piece::Error { line, type_name, message } => {
                lock(self.output).record().error = Some((line, type_name, message));
            }
            Piece::Panic => {
                self.drain_stderr_and_channel();
                lock(self.output).panicked();
                self.forward(line::PANIC);
            }
            Piece::Question => {
                lock(self.output).record().question = true;
                self.forward(line::QUESTION);
            }
            Piece::Complete => {
                self.drain_stderr_and_channel();
                lock(self.output).complete();
                self.forward(line::COMPLETE);
            }
            Piece::Input { prompt, password } => {
                self.drain_stderr_and_channel();
                lock(self.output).input(prompt);
                self.forward(if password { line::PASSWORD } else { line::INPUT });
            }
            Piece::ForEvcxr(line) => self.forward(&line),
        }
    }

    fn drain_stderr_and_channel(&mut self) {
        while self.read_stderr() {}
        self.collect_messages();
        self.handle_all();
    }

    fn forward(&mut self, line: &str) {
        // evcxr reads until this process ends; a broken pipe means that it is ending too.
        let _ = writeln!(self.evcxr, "{line}");
    }
}

/// True if a mark in the text belongs to this message.
fn is_marked(line: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(line).is_ok_and(|json| json["marked"] == true)
}
