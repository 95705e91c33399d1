//! Taking log batches, as a logger does.

use super::super::line::{Line, as_server};
use super::{LOG_WRITE, TOPIC};
use crate::inbox::InboxSender;
use crate::other_side::Incoming;
use broker_core::Address;
use broker_core::data::zeek::rows::{Column, LogBatchView, serial_of_record};
use broker_core::data::zeek::{LogCreate, LogWrite, ZeekMessage};
use broker_core::data::{EnumValue, Value};
use broker_core::transport::TransportError;
use broker_transport_tcp::{TcpAcceptor, TcpTransport};
use broker_zmtp::{Config, Event, ServerKeys, SocketType};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

/// Nodes that may be connected at once.
const CONNECTIONS: usize = 1024;

/// How long a node may take for its handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// After so long the columns of a stream are told again, for those in the overlay who came later.
const TELL_AGAIN: Duration = Duration::from_secs(10);

/// As many streams are remembered.
const STREAMS: usize = 4096;

/// A socket that takes log batches and makes log messages of them.
#[derive(Debug)]
pub(in super::super) struct LogTap {
    acceptor: TcpAcceptor,
    shared: Arc<Shared>,
}

/// Stream, writer and path.
type Stream = [Vec<u8>; 3];

#[derive(Debug)]
struct Shared {
    keys: Option<ServerKeys>,
    inbox: InboxSender,
    /// The columns of each stream that were told, and when.
    told: Mutex<HashMap<Stream, (Vec<Column>, Instant)>>,
    places: Arc<Semaphore>,
}

impl LogTap {
    pub(in super::super) async fn bind(
        tcp: &TcpTransport,
        at: &Address,
        keys: Option<ServerKeys>,
        inbox: InboxSender,
    ) -> Result<Self, TransportError> {
        let acceptor = tcp.bind(at).await?;
        let (told, places) = (Mutex::default(), Arc::new(Semaphore::new(CONNECTIONS)));
        Ok(Self { acceptor, shared: Arc::new(Shared { keys, inbox, told, places }) })
    }

    /// Where it listens.
    pub(in super::super) fn url(&self) -> &Address {
        self.acceptor.url()
    }

    /// Serves until `stop` is cancelled.
    pub(in super::super) async fn serve(mut self, stop: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                accepted = self.acceptor.accept() => accepted,
                () = stop.cancelled() => return,
            };
            let Ok((stream, from)) = accepted else {
                // Mostly a lack of descriptors, which passes.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let shared = Arc::clone(&self.shared);
            let Ok(place) = Arc::clone(&shared.places).try_acquire_owned() else { continue };
            let stop = stop.clone();
            tokio::spawn(async move {
                tokio::select! {
                    () = shared.take(stream, &from) => {}
                    () = stop.cancelled() => {}
                }
                drop(place);
            });
        }
    }
}

impl Shared {
    /// Reads all that a node pushes, until it goes.
    async fn take(&self, stream: TcpStream, from: &Address) {
        let doing = format!("taking log batches from {}", from.host_and_port());
        let outcome = async {
            let mechanism = as_server(self.keys.as_ref())?;
            let config = Config { mechanism, ..Config::new(SocketType::Pull) };
            let mut line = Line::new(stream, config, doing.clone());
            timeout(HANDSHAKE, line.open()).await.map_err(|_| TransportError::closed())??;
            loop {
                while let Some(event) = line.next()? {
                    if let Event::Message(message) = event {
                        self.message(&message);
                    }
                }
                line.step().await?;
            }
        };
        let outcome: Result<(), TransportError> = outcome.await;
        if let Err(error) = outcome
            && !error.is_closed()
        {
            self.inbox.push(Incoming::Unexpected(error.to_string()));
        }
    }

    fn message(&self, message: &broker_zmtp::Message) {
        let Some([what, _sender, _serializer, batch]) = message.exactly::<4>() else {
            let count = message.parts().len();
            let reason = format!("a log message of {count} parts instead of four");
            return self.inbox.push(Incoming::Unexpected(reason));
        };
        if what != LOG_WRITE {
            let reason = format!("a log message of the type {}", what.escape_ascii());
            return self.inbox.push(Incoming::Unexpected(reason));
        }
        match LogBatchView::parse(batch) {
            Ok(batch) => self.batch(&batch),
            Err(error) => {
                self.inbox.push(Incoming::Unexpected(format!("a log batch: {error}")));
            }
        }
    }

    fn batch(&self, batch: &LogBatchView<'_>) {
        let topic = [TOPIC.as_bytes(), batch.stream].concat();
        let (stream, writer) = (EnumValue(batch.stream.into()), EnumValue(batch.writer.into()));
        if self.has_to_tell(batch) {
            let create = LogCreate {
                stream: stream.clone(),
                writer: writer.clone(),
                writer_info: writer_info(batch.path),
                fields: Column::to_fields(&batch.columns),
            };
            self.push(&topic, create.into());
        }
        let write = |record: &&[u8]| {
            ZeekMessage::from(LogWrite {
                stream: stream.clone(),
                writer: writer.clone(),
                path: batch.path.into(),
                record: serial_of_record(&batch.columns, record),
            })
        };
        self.push(&topic, ZeekMessage::Batch(batch.records.iter().map(write).collect()));
    }

    fn push(&self, topic: &[u8], message: ZeekMessage) {
        let (topic, payload) = (topic.to_vec(), Value::from(message).encode().to_vec());
        self.inbox.push(Incoming::Message { topic, payload });
    }

    /// Whether the overlay has to hear of the columns, now or again.
    fn has_to_tell(&self, batch: &LogBatchView<'_>) -> bool {
        let mut told = self.told.lock();
        let key = [batch.stream, batch.writer, batch.path].map(|text| text.to_vec());
        let now = Instant::now();
        if let Some((columns, when)) = told.get(&key)
            && *columns == batch.columns
            && now < *when + TELL_AGAIN
        {
            return false;
        }
        if told.len() >= STREAMS && !told.contains_key(&key) {
            told.clear();
        }
        told.insert(key, (batch.columns.clone(), now));
        true
    }
}

/// What Zeek's writers want to know: path, rotation base and interval, network time, configuration,
/// post-processor. Batches say the path only.
fn writer_info(path: &[u8]) -> Value {
    Value::Vector(vec![
        Value::String(path.into()),
        Value::Real(0.0),
        Value::Real(0.0),
        Value::Real(0.0),
        Value::Table(Default::default()),
        Value::String(Default::default()),
    ])
}
