//! The kernel's five ZeroMQ sockets, each served by tasks of its own, so that none waits for another.

use super::request::Incoming;
use super::wire::{Key, Message, Via};
use anyhow::{Context, Result};
use serde::Deserialize;
use std::path::Path;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use zeromq::{PubSocket, RepSocket, RouterSocket, Socket, SocketRecv, SocketSend, ZmqMessage};

/// The signature of messages.
const SCHEME: &str = "hmac-sha256";

/// The sending sides.
#[derive(Clone)]
pub struct Outgoing {
    key: Key,
    iopub: UnboundedSender<ZmqMessage>,
    shell: UnboundedSender<ZmqMessage>,
    control: UnboundedSender<ZmqMessage>,
    stdin: UnboundedSender<ZmqMessage>,
}

impl Outgoing {
    /// Sends to everyone who listens.
    pub fn publish(&self, message: &Message) {
        // The tasks end only with the kernel.
        let _ = self.iopub.send(message.frames(&self.key));
    }

    /// Sends to the client named by the message's identities.
    pub fn reply(&self, via: Via, message: &Message) {
        let channel = match via {
            Via::Shell => &self.shell,
            Via::Control => &self.control,
            Via::Stdin => &self.stdin,
        };
        let _ = channel.send(message.frames(&self.key));
    }
}

/// The connection file: the addresses of the sockets, and the key.
#[derive(Deserialize)]
struct Connection {
    #[serde(default = "tcp")]
    transport: String,
    #[serde(default = "this_machine")]
    ip: String,
    shell_port: u16,
    control_port: u16,
    stdin_port: u16,
    iopub_port: u16,
    hb_port: u16,
    #[serde(default)]
    key: String,
    #[serde(default = "scheme")]
    signature_scheme: String,
}

fn tcp() -> String {
    "tcp".to_owned()
}

fn this_machine() -> String {
    "127.0.0.1".to_owned()
}

fn scheme() -> String {
    SCHEME.to_owned()
}

impl Connection {
    fn read(file: &Path) -> Result<Connection> {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read the connection file {}", file.display()))?;
        Connection::parse(&text).with_context(|| format!("the connection file {} cannot be used", file.display()))
    }

    fn parse(text: &str) -> Result<Connection> {
        let connection: Connection = serde_json::from_str(text)?;
        let scheme = &connection.signature_scheme;
        anyhow::ensure!(scheme == SCHEME, "the signature scheme {scheme} is not known, only {SCHEME}");
        Ok(connection)
    }

    fn address(&self, port: u16) -> String {
        format!("{}://{}:{port}", self.transport, self.ip)
    }
}

/// Binds everything that the connection file names; requests go to `inbox`.
pub async fn bind(connection_file: &Path, inbox: UnboundedSender<Incoming>) -> Result<Outgoing> {
    let connection = Connection::read(connection_file)?;
    let key = Key::new(&connection.key)?;
    let router = |via: Via, port: u16| serve_router(via, connection.address(port), key.clone(), inbox.clone());
    let mut heartbeat = RepSocket::new();
    heartbeat.bind(&connection.address(connection.hb_port)).await.context("cannot bind the heartbeat socket")?;
    tokio::spawn(async move {
        while let Ok(message) = heartbeat.recv().await {
            let _ = heartbeat.send(message).await;
        }
    });
    let mut publisher = PubSocket::new();
    publisher.bind(&connection.address(connection.iopub_port)).await.context("cannot bind the iopub socket")?;
    let (iopub, queue) = unbounded_channel();
    tokio::spawn(forward(publisher, queue));
    Ok(Outgoing {
        iopub,
        shell: router(Via::Shell, connection.shell_port).await?,
        control: router(Via::Control, connection.control_port).await?,
        stdin: router(Via::Stdin, connection.stdin_port).await?,
        key,
    })
}

async fn forward(mut socket: impl SocketSend, mut queue: UnboundedReceiver<ZmqMessage>) {
    while let Some(message) = queue.recv().await {
        // A client that has gone needs no message.
        let _ = socket.send(message).await;
    }
}

async fn serve_router(
    via: Via,
    address: String,
    key: Key,
    inbox: UnboundedSender<Incoming>,
) -> Result<UnboundedSender<ZmqMessage>> {
    let mut socket = RouterSocket::new();
    socket.bind(&address).await.with_context(|| format!("cannot bind {address}"))?;
    let (sender, mut receiver) = socket.split();
    let (outbox, queue) = unbounded_channel();
    tokio::spawn(forward(sender, queue));
    tokio::spawn(async move {
        loop {
            match receiver.recv().await {
                // Frames without the right signature, or of no message at all, get no answer.
                Ok(frames) => {
                    if let Ok(message) = Message::read(frames, &key) {
                        let _ = inbox.send(Incoming::new(via, message));
                    }
                }
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            }
        }
    });
    Ok(outbox)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_file_needs_ports_and_the_one_scheme() {
        let ports = r#""shell_port": 1, "control_port": 2, "stdin_port": 3, "iopub_port": 4"#;
        let connection = Connection::parse(&format!(r#"{{{ports}, "hb_port": 5, "kernel_name": "x"}}"#)).unwrap();
        assert_eq!(connection.address(connection.iopub_port), "tcp://127.0.0.1:4");
        assert_eq!(connection.key, "");
        for (more, problem) in [
            ("", "missing field `hb_port`"),
            (r#", "hb_port": 5, "signature_scheme": "hmac-md5""#, "the signature scheme hmac-md5 is not known"),
        ] {
            let error = Connection::parse(&format!("{{{ports}{more}}}")).err().map(|error| error.to_string());
            assert!(error.as_ref().is_some_and(|error| error.contains(problem)), "{error:?}");
        }
    }
}

#[cfg(test)]
pub mod testing {
    //! Sockets that end in a test.

    use super::super::outbox::Outbox;
    use super::*;
    use std::rc::Rc;

    /// The receiving ends.
    pub struct Wire {
        iopub: UnboundedReceiver<ZmqMessage>,
        replies: Vec<(Via, UnboundedReceiver<ZmqMessage>)>,
        key: Key,
    }

    impl Wire {
        /// The messages published since the last call.
        pub fn published(&mut self) -> Vec<Message> {
            drain(&mut self.iopub, &self.key)
        }

        /// The messages to single clients since the last call, by socket.
        pub fn replies(&mut self) -> Vec<(Via, Message)> {
            let key = &self.key;
            let by_socket = self.replies.iter_mut();
            by_socket.flat_map(|(via, queue)| drain(queue, key).into_iter().map(|message| (*via, message))).collect()
        }
    }

    fn drain(queue: &mut UnboundedReceiver<ZmqMessage>, key: &Key) -> Vec<Message> {
        std::iter::from_fn(|| queue.try_recv().ok()).map(|frames| Message::read(frames, key).unwrap()).collect()
    }

    /// Sending sides without sockets, and their other ends.
    pub fn outgoing() -> (Outgoing, Wire) {
        let key = Key::new("key").unwrap();
        let (iopub, published) = unbounded_channel();
        let ((shell, a), (control, b), (stdin, c)) = (unbounded_channel(), unbounded_channel(), unbounded_channel());
        let replies = vec![(Via::Shell, a), (Via::Control, b), (Via::Stdin, c)];
        (Outgoing { key: key.clone(), iopub, shell, control, stdin }, Wire { iopub: published, replies, key })
    }

    /// An outbox over [`outgoing`].
    pub fn outbox() -> (Rc<Outbox>, Wire) {
        let (out, wire) = outgoing();
        (Rc::new(Outbox::new(out, "session".to_owned())), wire)
    }
}
