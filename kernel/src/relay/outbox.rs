//! The way out: messages of the kernel to its clients.

use super::request::Origin;
use super::sockets::Outgoing;
use super::wire::{Message, Via};
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};

/// The way to all clients, shared by the modules of the relay.
pub struct Outbox {
    out: Outgoing,
    session: String,
    /// Header of the request of the running cell; kept by [`super::busy::Busy`].
    pub(super) running: RefCell<Option<Value>>,
    closed: Cell<bool>,
}

impl Outbox {
    /// The outbox of the kernel session named `session`.
    pub fn new(out: Outgoing, session: String) -> Outbox {
        Outbox { out, session, running: RefCell::new(None), closed: Cell::new(false) }
    }

    /// Ends publishing: what is still in work ends with the kernel and not by itself.
    pub fn close(&self) {
        self.closed.set(true);
    }

    /// Publishes to all clients, as caused by the request with header `parent`.
    pub fn publish(&self, kind: &str, parent: &Value, content: Value) {
        if self.closed.get() {
            return;
        }
        self.out.publish(&Message::new(kind, &self.session, parent.clone(), content));
    }

    /// Publishes `busy`, `idle` or `starting`.
    pub fn status(&self, state: &str, parent: &Value) {
        self.publish("status", parent, json!({"execution_state": state}));
    }

    /// Answers a request where it came in.
    pub fn reply(&self, origin: &Origin, content: Value) {
        self.send(origin.via, &origin.reply_type(), origin, content);
    }

    /// Asks the client of a request for a line of text.
    pub fn ask(&self, origin: &Origin, content: Value) {
        self.send(Via::Stdin, "input_request", origin, content);
    }

    fn send(&self, via: Via, kind: &str, origin: &Origin, content: Value) {
        let mut message = Message::new(kind, &self.session, origin.header.clone(), content);
        message.identities.clone_from(&origin.identities);
        self.out.reply(via, &message);
    }
}
