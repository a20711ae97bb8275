//! A bar for what cargo does.

use crate::engine::reply::Reply;
use crate::protocol::FromEngine;
use serde_json::json;
use std::time::Instant;

/// A bar for what cargo does.
pub struct Progress<'a> {
    reply: &'a Reply,
    id: String,
    begin: Instant,
    count: usize,
    last: String,
}

impl Progress<'_> {
    /// A bar that is shown when there is something to show.
    pub fn new(reply: &Reply) -> Progress<'_> {
        let id = format!("dep-{}", uuid::Uuid::new_v4().simple());
        Progress { reply, id, begin: Instant::now(), count: 0, last: String::new() }
    }

    /// Shows a line of cargo's.
    pub fn line(&mut self, line: &str) {
        let line = line.trim();
        let shown = ["Compiling", "Downloading", "Downloaded", "Updating", "Locking", "Adding", "Blocking"];
        if !shown.iter().any(|word| line.starts_with(word)) {
            return;
        }
        self.count += usize::from(line.starts_with("Compiling"));
        self.last = line.to_owned();
        self.show();
    }

    fn show(&self) {
        let seconds = self.begin.elapsed().as_secs();
        let text = format!("{} · {} crates · {seconds} s", self.last, self.count);
        let bar = "<div style=\"height:8px;max-width:640px;border-radius:4px;\
                   background:repeating-linear-gradient(90deg,rgb(66,133,214) 0 24px,\
                   rgba(66,133,214,0.5) 24px 48px)\"></div>";
        let html =
            format!("{bar}<div style=\"padding-top:3px\">{}</div>", text.replace('&', "&amp;").replace('<', "&lt;"));
        let message =
            json!({"type": "display", "id": self.id, "data": {"text/plain": text, "text/html": html}, "metadata": {}});
        self.reply.send(&FromEngine::Channel { message });
    }

    /// Shows that all is done.
    pub fn end(mut self) {
        if self.count > 0 {
            self.last = "built".to_owned();
            self.show();
        }
    }
}
