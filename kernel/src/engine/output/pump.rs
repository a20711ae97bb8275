//! Reads what the cells' process prints and sends, and hands each to whom it belongs: output to the relay, the end of a
//! cell to the worker.

use super::gather::Output;
use super::markers::{Piece, Splitter};
use super::record::Panic;
use crate::cells::{End, FromCells};
use crate::protocol::{FromEngine, Stream};
use crate::sys::fds::{self, Read};
use crate::sys::lock;
use anyhow::Result;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The output of the running cell, shared by the pump and the one who starts cells.
pub type SharedOutput = Arc<Mutex<Output<Box<dyn FnMut(FromEngine) + Send>>>>;

/// Time for which the beginning of a possible marker is held back …
const MARKER_TIME: Duration = Duration::from_millis(50);
/// … and that of a display whose end does not come.
const DISPLAY_TIME: Duration = Duration::from_millis(500);

/// What the worker is told.
#[derive(Debug)]
pub enum Event {
    /// The cell has ended; all that it printed has been sent.
    Ended { end: End, variables: Vec<String> },
    /// The process has ended, and all that it printed has been sent.
    Gone,
}

/// The descriptors of a process that runs cells.
pub struct Ends {
    /// What the process says.
    pub socket: UnixStream,
    /// Its standard output.
    pub stdout: OwnedFd,
    /// Its standard error.
    pub stderr: OwnedFd,
    /// The channel of displays.
    pub channel: File,
}

/// Serves a process that runs cells until it has ended.
pub fn serve(ends: Ends, mark: &str, output: SharedOutput, events: Sender<Event>) -> Result<()> {
    for end in [ends.stdout.as_fd(), ends.stderr.as_fd(), ends.channel.as_fd()] {
        fds::set_nonblocking(end)?;
    }
    fds::set_nonblocking(&ends.socket)?;
    let mut pump = Pump {
        socket: ends.socket,
        stdout: Some(ends.stdout),
        stderr: Some(ends.stderr),
        channel: ends.channel,
        said: Vec::new(),
        channel_buffer: Vec::new(),
        ahead: 0,
        splitter: Splitter::new(mark),
        held_since: Instant::now(),
        output,
        events,
        buffer: vec![0; 1 << 16],
    };
    pump.run();
    Ok(())
}

struct Pump {
    socket: UnixStream,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    channel: File,
    /// Bytes of messages of the process.
    said: Vec<u8>,
    channel_buffer: Vec<u8>,
    /// Marked messages that were handled before their marks were read, at the end of a cell.
    ahead: usize,
    splitter: Splitter,
    held_since: Instant,
    output: SharedOutput,
    events: Sender<Event>,
    buffer: Vec<u8>,
}

impl Pump {
    /// Works until the process has ended and everything that it wrote is read.
    fn run(&mut self) {
        loop {
            let mut timeout = lock(&self.output).tick();
            if self.splitter.holds_text() {
                timeout = Some(timeout.map_or(MARKER_TIME, |time| time.min(MARKER_TIME)));
            }
            let mut waiting = vec![self.socket.as_fd(), self.channel.as_fd()];
            waiting.extend(self.stdout.as_ref().map(AsFd::as_fd));
            waiting.extend(self.stderr.as_ref().map(AsFd::as_fd));
            fds::wait_readable(&waiting, timeout);
            if self.read_stdout() | self.read_stderr() {
                self.held_since = Instant::now();
            } else {
                self.release();
            }
            self.read_channel();
            if !self.read_socket() {
                break;
            }
        }
        self.drain();
        lock(&self.output).flush();
        // The worker may have stopped listening.
        let _ = self.events.send(Event::Gone);
    }

    /// Gives up waiting for the rest of what looked like a marker.
    fn release(&mut self) {
        let time = if self.splitter.holds_display() { DISPLAY_TIME } else { MARKER_TIME };
        if self.held_since.elapsed() >= time {
            let pieces = self.splitter.release();
            pieces.into_iter().for_each(|piece| self.piece(piece));
        }
    }

    /// Reads everything that is there: text first, then the channel.
    fn drain(&mut self) {
        while self.read_stdout() | self.read_stderr() {}
        let pieces = self.splitter.release();
        pieces.into_iter().for_each(|piece| self.piece(piece));
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
                lock(&self.output).bytes(Stream::Stderr, &self.buffer[..count]);
                true
            }
            Read::Empty => false,
            Read::Closed => {
                self.stderr = None;
                false
            }
        }
    }

    /// Reads what the process says; false once it has ended.
    fn read_socket(&mut self) -> bool {
        loop {
            match fds::read_available(&self.socket, &mut self.buffer) {
                Read::Bytes(count) => self.said.extend_from_slice(&self.buffer[..count]),
                Read::Empty => break,
                Read::Closed => return false,
            }
        }
        while let Some(end) = self.said.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.said.drain(..=end).collect();
            if let Ok(message) = serde_json::from_slice(&line) {
                self.hear(message);
            }
        }
        true
    }

    /// Handles what the process says, after what it has printed before.
    fn hear(&mut self, message: FromCells) {
        match message {
            FromCells::Put { name, type_name } => lock(&self.output).record().put.push((name, type_name)),
            FromCells::Caught { message } => lock(&self.output).record().caught = Some(message),
            FromCells::Failed { place, type_name, message } => {
                lock(&self.output).record().error = Some((place, type_name, message));
            }
            FromCells::Panicked { message, place, trace, in_cell } => {
                self.drain();
                lock(&self.output).panicked(Panic { message, place, trace, in_cell });
            }
            FromCells::Value { mime, text } => {
                self.drain();
                lock(&self.output).value(mime, text);
            }
            FromCells::Done { end, variables } => {
                self.drain();
                let mut output = lock(&self.output);
                if end == End::Panic {
                    output.ended_by_panic();
                }
                output.complete();
                drop(output);
                let _ = self.events.send(Event::Ended { end, variables });
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
        while let Read::Bytes(count) = fds::read_available(&self.channel, &mut self.buffer) {
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
            Ok(message) => lock(&self.output).channel(message),
            Err(error) => {
                let text = format!("[a display message could not be read: {error}]\n");
                lock(&self.output).bytes(Stream::Stderr, text.as_bytes());
            }
        }
        Some(is_marked(&line))
    }

    fn piece(&mut self, piece: Piece) {
        match piece {
            Piece::Text(text) => lock(&self.output).bytes(Stream::Stdout, &text),
            Piece::Content { mime, data } => {
                self.collect_messages();
                self.handle_unmarked();
                lock(&self.output).content(mime, data);
            }
            Piece::Sent => self.mark(),
            Piece::Value => {
                self.collect_messages();
                self.handle_unmarked();
                lock(&self.output).value_follows();
            }
            Piece::Input(prompt) => {
                while self.read_stderr() {}
                self.collect_messages();
                self.handle_all();
                lock(&self.output).input(prompt);
            }
        }
    }
}

/// True if a mark in the text belongs to this message.
fn is_marked(line: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(line).is_ok_and(|json| json["marked"] == true)
}
