//! The way out: messages of the kernel to its clients.

use super::sockets::{Outgoing, Via};
use super::wire::Message;
use serde_json::{Value, json};

/// The way to all clients, shared by the modules of the relay.
pub struct Outbox {
    out: Outgoing,
    session: String,
}

impl Outbox {
    /// The outbox of the kernel session named `session`.
    pub fn new(out: Outgoing, session: String) -> Outbox {
        Outbox { out, session }
    }

    /// Publishes to all clients, as caused by the request with header `parent`.
    pub fn publish(&self, kind: &str, parent: &Value, content: Value) {
        self.out.publish(&Message::new(kind, &self.session, parent.clone(), content));
    }

    /// Publishes `busy`, `idle` or `starting`.
    pub fn status(&self, state: &str, parent: &Value) {
        self.publish("status", parent, json!({"execution_state": state}));
    }

    /// Answers a request.
    pub fn reply(&self, via: Via, request: &Message, content: Value) {
        self.send(via, &request.kind().replace("_request", "_reply"), request, content);
    }

    /// Sends a message to the client of a request.
    pub fn send(&self, via: Via, kind: &str, request: &Message, content: Value) {
        let mut message = Message::new(kind, &self.session, request.header.clone(), content);
        message.identities.clone_from(&request.identities);
        self.out.reply(via, &message);
    }
}
