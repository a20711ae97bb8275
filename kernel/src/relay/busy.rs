//! `busy` and `idle`: a request in work as a value.

use super::outbox::Outbox;
use super::request::Origin;
use serde_json::Value;
use std::rc::Rc;

/// A request in work: the kernel says `busy` when it is made and `idle` when it is dropped, so that no way out of a
/// request leaves its client waiting.
pub struct Busy {
    /// The way to the clients.
    pub out: Rc<Outbox>,
    origin: Origin,
    is_cell: bool,
}

impl Busy {
    /// A request that is answered beside the cells.
    pub fn with(out: &Rc<Outbox>, origin: Origin) -> Busy {
        Busy::begin(out, origin, false)
    }

    /// The cell that runs from now on.
    pub fn with_cell(out: &Rc<Outbox>, origin: Origin) -> Busy {
        out.running.replace(Some(origin.header.clone()));
        Busy::begin(out, origin, true)
    }

    fn begin(out: &Rc<Outbox>, origin: Origin, is_cell: bool) -> Busy {
        out.status("busy", &origin.header);
        Busy { out: out.clone(), origin, is_cell }
    }

    /// Answers the request.
    pub fn reply(&self, content: Value) {
        self.out.reply(&self.origin, content);
    }

    /// Asks the request's client for a line of text.
    pub fn ask(&self, content: Value) {
        self.out.ask(&self.origin, content);
    }

    /// Publishes to all clients, as caused by the request.
    pub fn publish(&self, kind: &str, content: Value) {
        self.out.publish(kind, &self.origin.header, content);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if self.is_cell {
            self.out.running.take();
        }
        self.out.status("idle", &self.origin.header);
        // While a cell runs, the kernel as a whole is not idle.
        if let Some(cell) = &*self.out.running.borrow() {
            self.out.status("busy", cell);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sockets::testing;
    use super::super::wire::Via;
    use super::*;
    use serde_json::json;

    fn origin(name: &str) -> Origin {
        Origin { via: Via::Shell, identities: Vec::new(), header: json!({"msg_type": "x_request", "msg_id": name}) }
    }

    fn states(wire: &mut testing::Wire) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let messages = wire.published().into_iter();
        messages.map(|message| (text(&message.content["execution_state"]), text(&message.parent["msg_id"]))).collect()
    }

    fn said(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(state, name)| ((*state).to_owned(), (*name).to_owned())).collect()
    }

    #[test]
    fn a_request_is_idle_when_it_is_dropped() {
        let (out, mut wire) = testing::outbox();
        let busy = Busy::with(&out, origin("a"));
        assert_eq!(states(&mut wire), said(&[("busy", "a")]));
        drop(busy);
        assert_eq!(states(&mut wire), said(&[("idle", "a")]));
    }

    #[test]
    fn the_end_of_a_request_does_not_hide_that_a_cell_runs() {
        let (out, mut wire) = testing::outbox();
        let query = Busy::with(&out, origin("query"));
        let cell = Busy::with_cell(&out, origin("cell"));
        drop(query);
        assert_eq!(
            states(&mut wire),
            said(&[("busy", "query"), ("busy", "cell"), ("idle", "query"), ("busy", "cell")])
        );
        drop(cell);
        drop(Busy::with(&out, origin("later")));
        assert_eq!(states(&mut wire), said(&[("idle", "cell"), ("busy", "later"), ("idle", "later")]));
    }

    #[test]
    fn a_closed_outbox_is_silent() {
        let (out, mut wire) = testing::outbox();
        let cell = Busy::with_cell(&out, origin("cell"));
        out.close();
        drop(cell);
        assert_eq!(states(&mut wire), said(&[("busy", "cell")]));
    }
}
