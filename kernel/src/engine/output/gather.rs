//! The output of a cell on its way to the relay: text gathered for a few milliseconds and capped, displays bundled,
//! panics recognised.

use super::cap::{self, Cap};
use super::record::{Panic, Prompt, Record};
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
/// Time for which a panic waits for the word that it ended the cell.
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
    /// Panics of the cell's thread of which nobody knows yet whether they end it.
    panics: Vec<(Panic, Instant)>,
    /// Makes places in generated code the learner's.
    places: Box<dyn Fn(&str) -> String + Send>,
    quiet: bool,
    is_last: bool,
    record: Record,
}

impl<S: FnMut(FromEngine)> Output<S> {
    /// Output that goes to `send`; `places` makes places in generated code the learner's.
    pub fn new(send: S, places: Box<dyn Fn(&str) -> String + Send>) -> Self {
        Self {
            send,
            decoders: Default::default(),
            gathered: None,
            cap: Cap::default(),
            bundle: None,
            value: false,
            panics: Vec::new(),
            places,
            quiet: false,
            is_last: true,
            record: Record::default(),
        }
    }

    /// Begins a new cell, or a part of one. A `quiet` one shows nothing; its value is in the record. Only the value of
    /// the last part is the cell's result.
    pub fn begin(&mut self, quiet: bool, is_last: bool) {
        self.flush();
        self.cap = Cap::default();
        self.value = false;
        self.record = Record::default();
        self.quiet = quiet;
        self.is_last = is_last;
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
        self.text(stream, &text);
    }

    /// Shows the value of the cell's last expression as text.
    pub fn value(&mut self, mime: String, text: String) {
        self.value_follows();
        self.content(mime, text);
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
        // What the value shows of itself is the cell's result.
        if self.value
            && message["type"] == "display"
            && message.get("id").is_none()
            && let Some(data) = message["data"].as_object()
        {
            self.bundle = Some((data.clone(), Instant::now()));
            return;
        }
        self.flush_bundle();
        self.flush_text();
        if !self.quiet {
            (self.send)(FromEngine::Channel { message });
        }
    }

    /// Shows everything before the cell asks for input.
    pub fn input(&mut self, prompt: Prompt) {
        self.no_question();
        self.flush_text();
        self.record.prompt = Some(prompt);
    }

    /// What looked like a question was none: it is text.
    pub fn no_question(&mut self) {
        if let Some(prompt) = self.record.prompt.take() {
            self.text(Stream::Stdout, &prompt.text);
        }
    }

    /// Takes note of a panic; one of another thread is shown at once.
    pub fn panicked(&mut self, panic: Panic) {
        if panic.in_cell {
            self.panics.push((panic, Instant::now()));
        } else {
            self.show_panic(&panic);
        }
    }

    /// A panic has ended the cell: the latest one of its thread; those before were caught.
    pub fn ended_by_panic(&mut self) {
        self.record.panic = self.panics.pop().map(|(panic, _)| panic).or(self.record.panic.take());
        self.release_panics();
    }

    /// Ends the cell: a display that is still held is its value, if it was announced.
    pub fn complete(&mut self) {
        self.release_panics();
        self.no_question();
        self.flush_text();
        let value = std::mem::take(&mut self.value);
        if let Some((data, _)) = self.bundle.take_if(|_| value) {
            if self.quiet {
                self.record.value = Some(data);
            } else if self.is_last {
                (self.send)(FromEngine::Result { data });
            } else {
                (self.send)(FromEngine::Display { data });
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
        if self.panics.first().is_some_and(|(_, since)| due(*since, PANIC_TIME).is_zero()) {
            let (panic, _) = self.panics.remove(0);
            // It may still be the one that ends the cell, after long destructors: then it is told twice.
            self.record.panic = Some(panic.clone());
            self.show_panic(&panic);
        }
        if !self.value && self.bundle.as_ref().is_some_and(|(_, since)| due(*since, BUNDLE_TIME).is_zero()) {
            self.flush_bundle();
        }
        if self.gathered.as_ref().is_some_and(|(_, _, since)| due(*since, GATHER_TIME).is_zero()) {
            self.flush_text();
        }
        let waits = [
            self.gathered.as_ref().map(|(_, _, since)| due(*since, GATHER_TIME)),
            self.bundle.as_ref().filter(|_| !self.value).map(|(_, since)| due(*since, BUNDLE_TIME)),
            self.panics.first().map(|(_, since)| due(*since, PANIC_TIME)),
        ];
        waits.into_iter().flatten().min()
    }

    /// Sends everything now.
    pub fn flush(&mut self) {
        self.release_panics();
        for stream in [Stream::Stdout, Stream::Stderr] {
            let rest = self.decoders[stream as usize].finish();
            self.text(stream, &rest);
        }
        self.flush_bundle();
        self.flush_text();
    }

    fn release_panics(&mut self) {
        for (panic, _) in std::mem::take(&mut self.panics) {
            self.show_panic(&panic);
        }
    }

    fn show_panic(&mut self, panic: &Panic) {
        let thread = if panic.in_cell { "" } else { "a thread " };
        let text = format!("{thread}panicked at {}: {}\n", panic.place, panic.message);
        self.text(Stream::Stderr, &text);
    }

    fn text(&mut self, stream: Stream, text: &str) {
        if text.is_empty() || self.quiet {
            return;
        }
        if self.cap.is_reached() {
            return self.cap.hide(text);
        }
        // What is printed while the value is shown, by destructors or late threads, does not cut it in two.
        if !self.value {
            self.flush_bundle();
        }
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
            let text = if stream == Stream::Stderr { self.in_learners_places(&text) } else { text };
            (self.send)(FromEngine::Text { stream, text });
        }
    }

    fn in_learners_places(&mut self, text: &str) -> String {
        if let Some((_, rest)) = text.rsplit_once(" panicked at ") {
            self.record.printed_place = rest.lines().next().map(|place| place.trim_end_matches(':').to_owned());
        }
        (self.places)(text)
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
        let mut output = Output::new(&mut send as &mut dyn FnMut(FromEngine), Box::new(str::to_owned));
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

    fn panic(message: &str, in_cell: bool) -> Panic {
        Panic { message: message.into(), place: "cell-1.rs:3:5".into(), trace: Vec::new(), in_cell }
    }

    #[test]
    fn of_two_panics_the_latter_ended_the_cell() {
        let messages = collect(|output| {
            output.bytes(Stream::Stderr, b"before\n");
            output.panicked(panic("first", true));
            output.panicked(panic("second", true));
            output.ended_by_panic();
            output.complete();
            assert_eq!(output.take_record().panic.map(|panic| panic.message).as_deref(), Some("second"));
        });
        assert_eq!(printed(&messages), "before\npanicked at cell-1.rs:3:5: first\n");
    }

    #[test]
    fn a_panic_that_did_not_end_the_cell_is_shown_as_text() {
        let messages = collect(|output| {
            output.panicked(panic("caught", true));
            output.panicked(panic("elsewhere", false));
            output.complete();
            assert!(output.take_record().panic.is_none());
        });
        assert!(printed(&messages).contains("caught") && printed(&messages).contains("a thread panicked"));
    }

    #[test]
    fn a_value_is_not_cut_by_what_is_printed_after_it() {
        let messages = collect(|output| {
            output.value("text/plain".into(), "7".into());
            output.bytes(Stream::Stderr, b"late\n");
            output.complete();
        });
        assert!(matches!(&messages[..], [FromEngine::Text { .. }, FromEngine::Result { .. }]), "{messages:?}");
    }
}
