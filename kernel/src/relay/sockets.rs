//! The kernel's five ZeroMQ sockets, each served by tasks of its own, so that none waits for another.

use super::wire::{Key, Message};
use anyhow::{Context, Result};
use serde_json::Value;
use std::path::Path;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use zeromq::{PubSocket, RepSocket, RouterSocket, Socket, SocketRecv, SocketSend, ZmqMessage};

/// Which socket a request came in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    Shell,
    Control,
    Stdin,
}

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
    /// To everyone who listens.
    pub fn publish(&self, message: &Message) {
        // The tasks end only with the kernel.
        let _ = self.iopub.send(message.frames(&self.key));
    }

    /// To the client named by the message's identities.
    pub fn reply(&self, via: Via, message: &Message) {
        let channel = match via {
            Via::Shell => &self.shell,
            Via::Control => &self.control,
            Via::Stdin => &self.stdin,
        };
        let _ = channel.send(message.frames(&self.key));
    }
}

/// Binds everything that the connection file names; requests go to `inbox`.
pub async fn bind(connection_file: &Path, inbox: UnboundedSender<(Via, Message)>) -> Result<Outgoing> {
    let text = std::fs::read_to_string(connection_file)
        .with_context(|| format!("cannot read the connection file {}", connection_file.display()))?;
    let config: Value = serde_json::from_str(&text)
        .with_context(|| format!("the connection file {} is not JSON", connection_file.display()))?;
    let address = |port: &str| -> Result<String> {
        let number = config[port].as_u64().with_context(|| format!("the connection file has no {port}"))?;
        let transport = config["transport"].as_str().unwrap_or("tcp");
        Ok(format!("{transport}://{}:{number}", config["ip"].as_str().unwrap_or("127.0.0.1")))
    };
    if let Some(scheme) = config["signature_scheme"].as_str()
        && scheme != "hmac-sha256"
    {
        anyhow::bail!("the signature scheme {scheme} is not known, only hmac-sha256");
    }
    let key = Key::new(config["key"].as_str().unwrap_or_default())?;
    let router = |via: Via, port: &'static str| {
        let (key, inbox, address) = (key.clone(), inbox.clone(), address(port));
        async move { serve_router(via, address?, key, inbox).await }
    };
    let mut heartbeat = RepSocket::new();
    heartbeat.bind(&address("hb_port")?).await.context("cannot bind the heartbeat socket")?;
    tokio::spawn(async move {
        while let Ok(message) = heartbeat.recv().await {
            let _ = heartbeat.send(message).await;
        }
    });
    let mut publisher = PubSocket::new();
    publisher.bind(&address("iopub_port")?).await.context("cannot bind the iopub socket")?;
    let (iopub, queue) = unbounded_channel();
    tokio::spawn(forward(publisher, queue));
    Ok(Outgoing {
        iopub,
        shell: router(Via::Shell, "shell_port").await?,
        control: router(Via::Control, "control_port").await?,
        stdin: router(Via::Stdin, "stdin_port").await?,
        key,
    })
}

async fn forward(mut socket: impl SocketSend, mut queue: UnboundedReceiver<ZmqMessage>) {
    while let Some(message) = queue.recv().await {
        // A client that has gone is not our trouble.
        let _ = socket.send(message).await;
    }
}

async fn serve_router(
    via: Via,
    address: String,
    key: Key,
    inbox: UnboundedSender<(Via, Message)>,
) -> Result<UnboundedSender<ZmqMessage>> {
    let mut socket = RouterSocket::new();
    socket.bind(&address).await.with_context(|| format!("cannot bind {address}"))?;
    let (sender, mut receiver) = socket.split();
    let (outbox, queue) = unbounded_channel();
    tokio::spawn(forward(sender, queue));
    tokio::spawn(async move {
        loop {
            match receiver.recv().await {
                // What is not signed, or no message at all, is none of our business.
                Ok(frames) => {
                    if let Ok(message) = Message::read(frames, &key) {
                        let _ = inbox.send((via, message));
                    }
                }
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            }
        }
    });
    Ok(outbox)
}
