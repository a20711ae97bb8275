//! Displays that change in place: about ten updates a second each, the last one always.

use serde_json::{Map, Value};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Least time between two updates of one display.
const PAUSE: Duration = Duration::from_millis(100);

/// A display to publish.
#[derive(Debug, PartialEq)]
pub struct Show {
    /// `display_data` or `update_display_data`.
    pub kind: &'static str,
    /// The display in several formats, by MIME type.
    pub data: Value,
    /// Metadata of the formats.
    pub metadata: Value,
    /// Id of the display, unique in this kernel's life.
    pub id: Option<String>,
}

struct Known {
    id: String,
    shown: Instant,
    waiting: Option<(Value, Value)>,
}

/// The displays of the running cell, by the program's own ids.
#[derive(Default)]
pub struct Displays {
    prefix: String,
    cell: u64,
    known: HashMap<String, Known>,
}

impl Displays {
    /// No displays yet; their ids will begin with `prefix`.
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned(), ..Self::default() }
    }

    /// Begins a cell, in which all ids mean new displays.
    pub fn begin(&mut self) {
        self.cell += 1;
        self.known.clear();
    }

    /// The display of a message of the channel, or `None` if it has to wait.
    pub fn show(&mut self, message: &Value, now: Instant) -> Option<Show> {
        let object =
            |name: &str| message[name].as_object().cloned().map_or_else(|| Value::Object(Map::new()), Value::Object);
        let (data, metadata) = (object("data"), object("metadata"));
        let Some(name) = message["id"].as_str() else {
            return Some(Show { kind: "display_data", data, metadata, id: None });
        };
        if let Some(known) = self.known.get_mut(name) {
            known.waiting = Some((data, metadata));
            return known.due(now, PAUSE);
        }
        let id = format!("{}-{}-{name}", self.prefix, self.cell);
        self.known.insert(name.to_owned(), Known { id: id.clone(), shown: now, waiting: None });
        Some(Show { kind: "display_data", data, metadata, id: Some(id) })
    }

    /// The updates whose time has come.
    pub fn due(&mut self, now: Instant) -> Vec<Show> {
        self.known.values_mut().filter_map(|known| known.due(now, PAUSE)).collect()
    }

    /// All updates that wait.
    pub fn flush(&mut self) -> Vec<Show> {
        let now = Instant::now();
        self.known.values_mut().filter_map(|known| known.due(now, Duration::ZERO)).collect()
    }

    /// Time of the next update.
    pub fn next(&self) -> Option<Instant> {
        self.known.values().filter(|known| known.waiting.is_some()).map(|known| known.shown + PAUSE).min()
    }
}

impl Known {
    fn due(&mut self, now: Instant, pause: Duration) -> Option<Show> {
        if now.duration_since(self.shown) < pause {
            return None;
        }
        let (data, metadata) = self.waiting.take()?;
        self.shown = now;
        Some(Show { kind: "update_display_data", data, metadata, id: Some(self.id.clone()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_thousand_updates_in_a_second_become_ten_and_the_last_is_among_them() {
        let mut displays = Displays::new("k");
        displays.begin();
        let start = Instant::now();
        let mut shown = Vec::new();
        for step in 0..1000u64 {
            let now = start + Duration::from_millis(step);
            shown.extend(displays.due(now));
            shown.extend(displays.show(&json!({"id": "loss", "data": {"text/plain": step.to_string()}}), now));
        }
        assert!(displays.next().is_some());
        std::thread::sleep(Duration::from_millis(1));
        shown.extend(displays.due(start + Duration::from_secs(2)));
        assert!((10..=12).contains(&shown.len()), "{}", shown.len());
        assert_eq!(shown[0].kind, "display_data");
        assert!(shown[1..].iter().all(|show| show.kind == "update_display_data" && show.id == shown[0].id));
        assert_eq!(shown.last().unwrap().data["text/plain"], "999");
        assert!(displays.next().is_none());
    }

    #[test]
    fn a_new_cell_shows_its_own() {
        let mut displays = Displays::new("k");
        let message = json!({"id": "a", "data": {}});
        displays.begin();
        let first = displays.show(&message, Instant::now()).unwrap();
        displays.begin();
        let second = displays.show(&message, Instant::now()).unwrap();
        assert_eq!(second.kind, "display_data");
        assert_ne!(first.id, second.id);
    }

    #[test]
    fn without_an_id_everything_is_shown() {
        let mut displays = Displays::new("k");
        let show = displays.show(&json!({"data": {"text/plain": "x"}}), Instant::now()).unwrap();
        assert_eq!((show.kind, show.id), ("display_data", None));
    }
}
