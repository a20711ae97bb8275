//! The output of a cell on its way to the relay: text gathered for a few milliseconds and capped, displays bundled,
//! panics recognised.

use super::cap::{self, Cap};
use super::panic;
use super::record::Record;
use super::utf8::Assembler;
use crate::protocol::{Bundle, FromEngine, Stream};
use serde_json::Value;
use std::time::{Duration, Instant};

/// Length at which gathered text is sent …
const GATHER_BYTES: usize = 1 << 14;
/// … and age at which it is sent anyway.
const GATHER_TIME: Duration = Duration::from_millis(20);
/// Time for which a bundle waits for a further format of the same thing, or for the end of the cell.
const BUNDLE_TIME: Duration = Duration::from_millis(100);
/// Time for which a panic's text waits for evcxr's word that it ended the cell.
const PANIC_TIME: Duration = Duration::from_millis(300);

/// The output of the running cell.
pub struct Output<S: FnMut(FromEngine)> {
    send: S,
    decoders: [Assembler; 2],
    gathered: Option<(Stream, String, Instant)>,
    cap: Cap,
    bundle: Option<(Bundle, Instant)>,
    /// True while what is shown is the cell's value.
    value: bool,
    panic_text: Option<(String, Instant)>,
    quiet: bool,
    record: Record,
}

impl<S: FnMut(FromEngine)> Output<S> {
    /// Output that goes to `send`.
    pub fn new(send: S) -> Self {
        Self {
            send,
            decoders: Default::default(),
            gathered: None,
            cap: Cap::default(),
            bundle: None,
            value: false,
            panic_text: None,
            quiet: false,
            record: Record::default(),
        }
    }

    /// Begins a new cell. A `quiet` one shows nothing; its value is in the record.
    pub fn begin(&mut self, quiet: bool) {
        self.flush();
        self.cap = Cap::default();
        self.value = false;
        self.record = Record::default();
        self.quiet = quiet;
    }

    /// Takes what is known about the cell that has ended.
    pub fn take_record(&mut self) -> Record {
        self.flush();
        self.quiet = false;
        std::mem::take(&mut self.record)
    }

    /// The record of the running cell, to be changed.
    pub fn record(&mut self) -> &mut Record {
        &mut self.record
    }

    /// Adds bytes of one of the streams.
    pub fn bytes(&mut self, stream: Stream, bytes: &[u8]) {
        let text = self.decoders[stream as usize].push(bytes);
        match stream {
            Stream::Stdout => self.text(stream, &text),
            Stream::Stderr => self.stderr(&text),
        }
    }

    /// Takes the display that comes next for the value of the cell's last expression.
    pub fn value_follows(&mut self) {
        self.flush_bundle();
        self.value = true;
    }

    /// Adds a block of evcxr's display format.
    pub fn content(&mut self, mime: String, data: String) {
        self.flush_text();
        let value = if mime.contains("json") {
            serde_json::from_str(&data).unwrap_or(Value::String(data))
        } else {
            Value::String(data)
        };
        if self.bundle.as_ref().is_some_and(|(bundle, _)| bundle.contains_key(&mime)) {
            self.flush_bundle();
        }
        self.bundle.get_or_insert_with(|| (Bundle::new(), Instant::now())).0.insert(mime, value);
    }

    /// Adds a message of the channel.
    pub fn channel(&mut self, message: Value) {
        self.flush_bundle();
        self.flush_text();
        if !self.quiet {
            (self.send)(FromEngine::Channel { message });
        }
    }

    /// Shows everything before the cell asks for input.
    pub fn input(&mut self, prompt: String) {
        self.flush();
        self.record.prompt = prompt;
    }

    /// Takes note of a panic that evcxr has caught; its text is on stderr by now.
    pub fn panicked(&mut self) {
        self.record.panicked = true;
        if let Some((text, _)) = self.panic_text.take() {
            match panic::parse(&text) {
                Some(panic) => self.record.panic = Some(panic),
                None => self.text(Stream::Stderr, &text),
            }
        }
    }

    /// Ends the cell: a display that is still held is its value. `()`, the value of a loop, is not worth a line.
    pub fn complete(&mut self) {
        self.flush_text();
        let value = std::mem::take(&mut self.value);
        // Text alone is a value even if nobody has said so: that is how evcxr shows one.
        let is_value = |data: &Bundle| value || data.keys().eq(["text/plain"]);
        if let Some((data, _)) = self.bundle.take_if(|(data, _)| is_value(data)) {
            let nothing = data.len() == 1 && data.get("text/plain").is_some_and(|text| text == "()");
            if self.quiet {
                self.record.value = Some(data);
            } else if !nothing {
                (self.send)(FromEngine::Result { data });
            }
        }
        self.flush();
        if let Some(text) = self.cap.take_end() {
            (self.send)(FromEngine::Text { stream: Stream::Stdout, text });
        }
    }

    /// Sends what has waited long enough; returns the time until the next.
    pub fn tick(&mut self) -> Option<Duration> {
        let now = Instant::now();
        let due = |since: Instant, time: Duration| time.saturating_sub(now.duration_since(since));
        if self.panic_text.as_ref().is_some_and(|(_, since)| due(*since, PANIC_TIME).is_zero()) {
            self.release_panic();
        }
        if self.bundle.as_ref().is_some_and(|(_, since)| due(*since, BUNDLE_TIME).is_zero()) {
            self.flush_bundle();
        }
        if self.gathered.as_ref().is_some_and(|(_, _, since)| due(*since, GATHER_TIME).is_zero()) {
            self.flush_text();
        }
        let waits = [
            self.gathered.as_ref().map(|(_, _, since)| due(*since, GATHER_TIME)),
            self.bundle.as_ref().map(|(_, since)| due(*since, BUNDLE_TIME)),
            self.panic_text.as_ref().map(|(_, since)| due(*since, PANIC_TIME)),
        ];
        waits.into_iter().flatten().min()
    }

    /// Sends everything now.
    pub fn flush(&mut self) {
        self.release_panic();
        for stream in [Stream::Stdout, Stream::Stderr] {
            let rest = self.decoders[stream as usize].finish();
            self.text(stream, &rest);
        }
        self.flush_bundle();
        self.flush_text();
    }

    fn stderr(&mut self, text: &str) {
        if let Some((held, _)) = &mut self.panic_text {
            held.push_str(text);
            return;
        }
        match panic::start(text) {
            Some(start) => {
                self.text(Stream::Stderr, &text[..start]);
                self.panic_text = Some((text[start..].to_owned(), Instant::now()));
            }
            None => self.text(Stream::Stderr, text),
        }
    }

    fn release_panic(&mut self) {
        if let Some((text, _)) = self.panic_text.take() {
            self.record.panic = panic::parse(&text).or(self.record.panic.take());
            self.text(Stream::Stderr, &text);
        }
    }

    fn text(&mut self, stream: Stream, text: &str) {
        if text.is_empty() || self.quiet {
            return;
        }
        if self.cap.is_reached() {
            return self.cap.hide(text);
        }
        self.flush_bundle();
        self.cap.show(text);
        if self.gathered.as_ref().is_some_and(|(other, ..)| *other != stream) {
            self.flush_text();
        }
        let (_, gathered, _) = self.gathered.get_or_insert_with(|| (stream, String::new(), Instant::now()));
        gathered.push_str(text);
        if gathered.len() >= GATHER_BYTES {
            self.flush_text();
        }
        if self.cap.is_reached() {
            self.flush_text();
            (self.send)(FromEngine::Text { stream: Stream::Stderr, text: cap::NOTICE.to_owned() });
        }
    }

    fn flush_text(&mut self) {
        if let Some((stream, text, _)) = self.gathered.take() {
            (self.send)(FromEngine::Text { stream, text });
        }
    }

    fn flush_bundle(&mut self) {
        if let Some((data, _)) = self.bundle.take()
            && !self.quiet
        {
            self.flush_text();
            (self.send)(FromEngine::Display { data });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(run: impl FnOnce(&mut Output<&mut dyn FnMut(FromEngine)>)) -> Vec<FromEngine> {
        let mut messages = Vec::new();
        let mut send = |message| messages.push(message);
        let mut output = Output::new(&mut send as &mut dyn FnMut(FromEngine));
        run(&mut output);
        drop(output);
        messages
    }

    fn printed(messages: &[FromEngine]) -> String {
        messages
            .iter()
            .filter_map(|m| if let FromEngine::Text { text, .. } = m { Some(text.as_str()) } else { None })
            .collect()
    }

    #[test]
    fn text_of_one_stream_is_gathered_and_order_is_kept() {
        let messages = collect(|output| {
            output.bytes(Stream::Stdout, b"a");
            output.bytes(Stream::Stdout, b"b");
            output.bytes(Stream::Stderr, b"c");
            output.complete();
        });
        assert_eq!(messages.len(), 2);
        assert_eq!(printed(&messages), "abc");
    }

    #[test]
    fn a_flood_is_capped_with_a_notice_and_its_end() {
        let messages = collect(|output| {
            for line in 0..1_000_000 {
                output.bytes(Stream::Stdout, format!("line {line}\n").as_bytes());
            }
            output.complete();
        });
        let text = printed(&messages);
        assert!(text.len() < cap::TEXT_LIMIT + 2 * cap::TAIL_LIMIT, "{}", text.len());
        assert!(text.starts_with("line 0\n") && text.ends_with("line 999999\n"));
        assert_eq!(text.matches("1 MiB").count(), 1);
    }

    #[test]
    fn an_announced_bundle_is_the_result_and_others_are_displays() {
        let messages = collect(|output| {
            output.content("text/html".into(), "1".into());
            output.value_follows();
            output.content("text/html".into(), "2".into());
            output.content("text/plain".into(), "two".into());
            output.complete();
        });
        assert!(matches!(&messages[0], FromEngine::Display { data } if data["text/html"] == "1"));
        assert!(matches!(&messages[1], FromEngine::Result { data } if data.len() == 2));
    }

    #[test]
    fn the_value_of_a_loop_is_not_shown() {
        let messages = collect(|output| {
            output.content("text/plain".into(), "()".into());
            output.complete();
        });
        assert!(messages.is_empty());
    }

    #[test]
    fn a_bundle_that_nobody_announced_is_a_display() {
        let messages = collect(|output| {
            output.content("text/html".into(), "1".into());
            output.complete();
        });
        assert!(matches!(&messages[..], [FromEngine::Display { .. }]));
    }

    #[test]
    fn text_after_a_bundle_makes_it_a_display() {
        let messages = collect(|output| {
            output.content("application/json".into(), "{\"a\":1}".into());
            output.bytes(Stream::Stdout, b"x\n");
            output.complete();
        });
        assert!(matches!(&messages[0], FromEngine::Display { data } if data["application/json"]["a"] == 1));
        assert_eq!(printed(&messages), "x\n");
    }

    #[test]
    fn a_panic_is_reported_once_and_not_as_text() {
        let messages = collect(|output| {
            output.bytes(Stream::Stderr, b"before\n\nthread 'main' (7) panicked at src/lib.rs:3:9:\nboom\n");
            output.panicked();
            output.complete();
            let panic = output.take_record().panic.expect("the panic is known");
            assert_eq!((panic.line, panic.message.as_str()), (3, "boom"));
        });
        assert_eq!(printed(&messages), "before\n");
    }

    #[test]
    fn a_panic_that_did_not_end_the_cell_is_shown_as_text() {
        let messages = collect(|output| {
            output.bytes(Stream::Stderr, b"thread 'worker' panicked at src/lib.rs:3:9:\nboom\n");
            output.complete();
        });
        assert!(printed(&messages).contains("boom"));
    }
}
