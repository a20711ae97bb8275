//! The relay's end of an engine: starting one, talking to it, ending it.

use crate::protocol::{FromEngine, ToEngine};
use crate::session::{self, Layout, start};
use crate::sys::procs;
use anyhow::Result;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// Time for an engine to clean up after itself.
const GRACE: Duration = Duration::from_secs(4);

/// Number of an engine and its message; `None` when it is gone.
pub type Event = (u64, Option<FromEngine>);

/// A running engine.
pub struct Link {
    pid: i32,
    child: Child,
    orders: UnboundedSender<ToEngine>,
}

impl Link {
    /// Starts an engine. `number` counts the engines of this kernel.
    pub fn open(number: u64, events: UnboundedSender<Event>) -> Result<Link> {
        let (stream, child) = start::engine(Stdio::inherit())?;
        let pid = child.id() as i32;
        stream.set_nonblocking(true)?;
        let (reader, mut writer) = UnixStream::from_std(stream)?.into_split();
        let (orders, mut queue) = unbounded_channel::<ToEngine>();
        tokio::spawn(async move {
            while let Some(order) = queue.recv().await {
                let Ok(mut line) = serde_json::to_vec(&order) else { continue };
                line.push(b'\n');
                if writer.write_all(&line).await.is_err() {
                    break;
                }
            }
        });
        tokio::spawn(async move {
            let mut lines = BufReader::new(reader).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if let Ok(message) = serde_json::from_str(&line) {
                    let _ = events.send((number, Some(message)));
                }
            }
            let _ = events.send((number, None));
        });
        Ok(Link { pid, child, orders })
    }

    /// Tells the engine to do something.
    pub fn send(&self, order: ToEngine) {
        // If the engine is gone, its event says so.
        let _ = self.orders.send(order);
    }

    /// Kills the engine and everything below it, and removes what it leaves.
    pub fn kill(mut self, layout: &Layout) {
        procs::kill_descendants(self.pid, None);
        procs::kill_group(self.pid);
        let _ = self.child.wait();
        session::collect_garbage(layout);
    }

    /// Lets the engine end by itself; kills it if that takes too long.
    pub fn close(self, layout: &Layout) {
        let Link { pid, mut child, orders, .. } = self;
        drop(orders);
        let start = Instant::now();
        while matches!(child.try_wait(), Ok(None)) && start.elapsed() < GRACE {
            std::thread::sleep(Duration::from_millis(20));
        }
        if matches!(child.try_wait(), Ok(None)) {
            procs::kill_group(pid);
            let _ = child.wait();
        }
        session::collect_garbage(layout);
    }
}
