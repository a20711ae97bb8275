//! Outputs of the cells: text, displays, and the channel by which a program sends both displays and checkpoints.

use super::displays::{Displays, Show};
use super::outbox::Outbox;
use crate::protocol::{Bundle, Stream};
use serde_json::{Value, json};
use std::rc::Rc;
use std::time::Instant;

/// A checkpoint that a program has written.
pub struct Checkpoint {
    /// Its file.
    pub path: String,
    /// The step of training, if the program has told it.
    pub step: Option<u64>,
}

/// Outputs of the latest cell; what comes after its end still belongs to it.
pub struct Outputs {
    out: Rc<Outbox>,
    /// Header of the cell's request.
    cell: Value,
    displays: Displays,
    checkpoint: Option<Checkpoint>,
}

impl Outputs {
    /// The outputs before the first cell; the ids of displays will begin with `prefix`.
    pub fn new(out: Rc<Outbox>, prefix: &str) -> Outputs {
        Outputs { out, cell: json!({}), displays: Displays::new(prefix), checkpoint: None }
    }

    /// Begins the outputs of a cell.
    pub fn begin(&mut self, cell: Value) {
        self.cell = cell;
        self.displays.begin();
    }

    /// The latest checkpoint of all cells.
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoint.as_ref()
    }

    /// Shows text.
    pub fn text(&self, stream: Stream, text: &str) {
        self.out.publish("stream", &self.cell, json!({"name": stream.name(), "text": text}));
    }

    /// Shows a display that will not change.
    pub fn display(&self, data: Bundle) {
        self.out.publish("display_data", &self.cell, json!({"data": data, "metadata": {}, "transient": {}}));
    }

    /// Takes a message of the channel.
    pub fn channel(&mut self, message: &Value) {
        let problem = match message["type"].as_str() {
            Some("display") if message["data"].is_object() => {
                if let Some(show) = self.displays.show(message, Instant::now()) {
                    self.publish(show);
                }
                return;
            }
            Some("checkpoint") if message["path"].is_string() => {
                let path = message["path"].as_str().unwrap_or_default().to_owned();
                self.checkpoint = Some(Checkpoint { path, step: message["step"].as_u64() });
                return;
            }
            Some("display") => "it has no data",
            Some("checkpoint") => "it has no path",
            _ => "its type is not known",
        };
        self.text(Stream::Stderr, &format!("[a message of the display channel was dropped: {problem}]\n"));
    }

    /// Shows the updates of displays whose time has come.
    pub fn show_due(&mut self, now: Instant) {
        for show in self.displays.due(now) {
            self.publish(show);
        }
    }

    /// Shows all updates that wait.
    pub fn flush(&mut self) {
        for show in self.displays.flush() {
            self.publish(show);
        }
    }

    /// Time of the next call of [`Outputs::show_due`].
    pub fn next(&self) -> Option<Instant> {
        self.displays.next()
    }

    fn publish(&self, show: Show) {
        let transient = show.id.map_or_else(|| json!({}), |id| json!({"display_id": id}));
        let content = json!({"data": show.data, "metadata": show.metadata, "transient": transient});
        self.out.publish(show.kind, &self.cell, content);
    }
}

#[cfg(test)]
mod tests {
    use super::super::sockets::testing;
    use super::*;

    #[test]
    fn a_message_of_the_channel_that_cannot_be_used_is_named() {
        let (out, mut wire) = testing::outbox();
        let mut outputs = Outputs::new(out, "k");
        outputs.begin(json!({"msg_id": "cell"}));
        for (message, problem) in [
            (json!({"type": "display"}), "it has no data"),
            (json!({"type": "checkpoint", "step": 1}), "it has no path"),
            (json!({"type": "else"}), "its type is not known"),
            (json!([]), "its type is not known"),
        ] {
            outputs.channel(&message);
            let published = wire.published();
            let [message] = &published[..] else { panic!("{} messages", published.len()) };
            let text = format!("[a message of the display channel was dropped: {problem}]\n");
            assert_eq!(message.content, json!({"name": "stderr", "text": text}));
            assert_eq!(message.parent["msg_id"], "cell");
        }
        assert!(outputs.checkpoint().is_none());
    }

    #[test]
    fn an_update_that_waits_is_shown_by_a_flush() {
        let (out, mut wire) = testing::outbox();
        let mut outputs = Outputs::new(out, "k");
        outputs.begin(json!({}));
        for text in ["1", "2", "3"] {
            outputs.channel(&json!({"type": "display", "id": "loss", "data": {"text/plain": text}}));
        }
        outputs.flush();
        assert!(outputs.next().is_none());
        let published = wire.published();
        let kinds: Vec<&str> = published.iter().filter_map(|message| message.header["msg_type"].as_str()).collect();
        assert_eq!(kinds, ["display_data", "update_display_data"]);
        assert_eq!(published[1].content["data"]["text/plain"], "3");
        assert_eq!(published[1].content["transient"], json!({"display_id": "k-1-loss"}));
    }
}
