//! The engine's way to the relay.

use crate::protocol::FromEngine;
use crate::sys::lock;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

/// The sending side of the relay's socket.
#[derive(Clone)]
pub struct Reply(Arc<Mutex<UnixStream>>);

impl Reply {
    /// Replies that go to this socket.
    pub fn new(relay: UnixStream) -> Reply {
        Reply(Arc::new(Mutex::new(relay)))
    }

    /// Sends a message to the relay.
    pub fn send(&self, message: &FromEngine) {
        let Ok(mut line) = serde_json::to_vec(message) else { return };
        line.push(b'\n');
        // If the relay is gone, the listener sees it and ends this process.
        let _ = lock(&self.0).write_all(&line);
    }
}
