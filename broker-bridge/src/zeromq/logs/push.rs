//! Handing log batches to the loggers of a cluster.

use super::super::line::{Line, as_client, naming};
use super::{LOG_WRITE, SERIALIZER};
use crate::inbox::InboxSender;
use crate::other_side::Incoming;
use broker_core::Address;
use broker_core::transport::TransportError;
use broker_transport_tcp::TcpTransport;
use broker_zmtp::{ClientKeys, Config, SocketType};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Batches that wait for a logger at most, as in Zeek.
const WAITING: usize = 1000;

/// Bytes of batches that wait for a logger at most.
const WAITING_BYTES: usize = 64 * 1024 * 1024;

/// Bytes on their way to one logger.
const IN_FLIGHT: usize = 256 * 1024;

/// The first and the longest time until a logger is tried again.
const BACK_OFF: [Duration; 2] = [Duration::from_millis(200), Duration::from_secs(5)];

/// How long a connection to a logger may take.
const CONNECT: Duration = Duration::from_secs(10);

/// How long what waits is sent at the end.
const LINGER: Duration = Duration::from_millis(500);

/// The loggers; each batch goes to one of them, whichever is free.
#[derive(Debug, Clone)]
pub(in super::super) struct Loggers {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    sender: String,
    tcp: TcpTransport,
    keys: Option<ClientKeys>,
    inbox: InboxSender,
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    batches: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Batches that were taken from here and are not sent.
    in_flight: u64,
}

impl Loggers {
    /// Connects to these, and goes on with that until `stop` is cancelled.
    pub(in super::super) fn start(
        urls: &[Address],
        sender: &str,
        tcp: &TcpTransport,
        keys: Option<&ClientKeys>,
        inbox: &InboxSender,
        stop: &CancellationToken,
    ) -> Option<Self> {
        let shared = Arc::new(Shared {
            sender: sender.to_owned(),
            tcp: tcp.clone(),
            keys: keys.cloned(),
            inbox: inbox.clone(),
            waiting: Mutex::default(),
            changed: Notify::new(),
        });
        for url in urls {
            let (shared, url, stop) = (Arc::clone(&shared), url.clone(), stop.clone());
            tokio::spawn(async move { shared.serve(&url, stop).await });
        }
        (!urls.is_empty()).then_some(Self { shared })
    }

    /// Adds a batch for one of them. Returns whether there was room.
    pub(in super::super) fn push(&self, batch: Vec<u8>) -> bool {
        let mut waiting = self.shared.waiting.lock();
        let has_room =
            waiting.batches.len() < WAITING && waiting.bytes + batch.len() <= WAITING_BYTES;
        if has_room {
            waiting.bytes += batch.len();
            waiting.batches.push_back(batch);
        }
        drop(waiting);
        self.shared.changed.notify_one();
        has_room
    }

    /// Waits until they have taken everything, within `limit`.
    pub(in super::super) async fn settle(&self, limit: Duration) {
        let settled = async {
            while self.shared.has_unsent() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        let _ = timeout(limit, settled).await;
    }
}

impl Shared {
    fn has_unsent(&self) -> bool {
        let waiting = self.waiting.lock();
        !waiting.batches.is_empty() || waiting.in_flight > 0
    }

    fn take(&self) -> Option<Vec<u8>> {
        let mut waiting = self.waiting.lock();
        let batch = waiting.batches.pop_front()?;
        waiting.bytes -= batch.len();
        waiting.in_flight += 1;
        if !waiting.batches.is_empty() {
            // For the next logger that is free.
            self.changed.notify_one();
        }
        Some(batch)
    }

    async fn serve(&self, url: &Address, stop: CancellationToken) {
        let [first, longest] = BACK_OFF;
        let mut pause = first;
        while !stop.is_cancelled() {
            let mut line = match timeout(CONNECT, self.connect(url)).await {
                Ok(Ok(line)) => line,
                failed => {
                    if pause == first
                        && let Ok(Err(error)) = failed
                    {
                        self.inbox.push(Incoming::Unexpected(error.to_string()));
                    }
                    tokio::select! {
                        () = sleep(pause) => {}
                        () = stop.cancelled() => return,
                    }
                    pause = longest.min(pause * 2);
                    continue;
                }
            };
            pause = first;
            let mut in_flight = 0;
            let outcome = self.hand_over(&mut line, &mut in_flight, &stop).await;
            self.waiting.lock().in_flight -= in_flight;
            match outcome {
                Ok(()) => return line.flush(LINGER).await,
                Err(error) => {
                    let lost = match in_flight {
                        0 => String::new(),
                        count => format!("; {count} log batches were on their way and are lost"),
                    };
                    self.inbox.push(Incoming::Unexpected(format!("{error}{lost}")));
                }
            }
        }
    }

    async fn connect(&self, url: &Address) -> Result<Line, TransportError> {
        let stream = self.tcp.dial(url).await?;
        let mechanism = as_client(self.keys.as_ref())?;
        let config = Config { mechanism, ..Config::new(SocketType::Push) };
        let mut line = Line::new(stream, config, naming("a logger", url));
        line.open().await?;
        Ok(line)
    }

    /// Sends batches as they come; `Ok` when it has to end. `in_flight` is how many of those that
    /// were taken are not sent.
    async fn hand_over(
        &self,
        line: &mut Line,
        in_flight: &mut u64,
        stop: &CancellationToken,
    ) -> Result<(), TransportError> {
        loop {
            while line.next()?.is_some() {}
            if line.waiting() == 0 {
                self.waiting.lock().in_flight -= std::mem::take(in_flight);
            }
            let changed = self.changed.notified();
            if line.waiting() < IN_FLIGHT
                && let Some(batch) = self.take()
            {
                *in_flight += 1;
                line.connection().send(&[LOG_WRITE, self.sender.as_bytes(), SERIALIZER, &batch]);
                continue;
            }
            tokio::select! {
                stepped = line.step() => stepped?,
                () = changed => {}
                () = stop.cancelled() => return Ok(()),
            }
        }
    }
}
