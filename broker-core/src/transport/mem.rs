use super::{
    Connection, Incoming, Link, Listener, ListenerProtection, Protection, Reason, StreamReader,
    StreamWriter, Transport, TransportError,
};
use crate::Address;
use async_trait::async_trait;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;

/// Connections that have been dialled and not been accepted yet, per listener.
const BACKLOG: usize = 128;

/// Bytes in flight per direction of a connection, as in a socket's buffer.
const IN_FLIGHT: usize = 256 * 1024;

type Listeners = Mutex<HashMap<(String, u16), mpsc::Sender<Incoming>>>;

/// `mem://name:port`: connections inside one process, for tests, simulations and embedders.
///
/// Names live in the transport value: endpoints that should reach each other are built with clones
/// of the same one.
#[derive(Debug, Clone, Default)]
pub struct MemTransport {
    listeners: Arc<Listeners>,
}

impl MemTransport {
    /// A transport with a name space of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl Transport for MemTransport {
    fn schemes(&self) -> &'static [&'static str] {
        &["mem"]
    }

    async fn listen(&self, at: &Address) -> Result<Box<dyn Listener>, TransportError> {
        let mut listeners = self.listeners.lock();
        let free = |port: &u16| !listeners.contains_key(&(at.host().to_owned(), *port));
        let port = match at.port() {
            0 => (1..=u16::MAX).find(free),
            port => Some(port).filter(free),
        };
        let port = port.ok_or_else(|| {
            let detail = format!("listening on {at}: the address is already in use");
            TransportError::new(Reason::AddressInUse, detail)
        })?;
        let url = at.clone().with_port(port);
        let (sender, incoming) = mpsc::channel(BACKLOG);
        listeners.insert((url.host().to_owned(), port), sender);
        Ok(Box::new(MemListener { url, incoming, listeners: Arc::downgrade(&self.listeners) }))
    }

    async fn connect(&self, to: &Address) -> Result<Connection, TransportError> {
        let listener = self.listeners.lock().get(&(to.host().to_owned(), to.port())).cloned();
        let refused = || {
            let detail = format!("connecting to {to}: connection refused, nothing listens there");
            TransportError::new(Reason::Refused, detail)
        };
        let listener = listener.ok_or_else(refused)?;
        let (ours, theirs) = tokio::io::duplex(IN_FLIGHT);
        let from = Address::new("mem", &format!("dialler-{}", fastrand::u32(..)), 0);
        let incoming = Incoming::ready(connection(theirs, from)).without_descriptor();
        listener.send(incoming).await.map_err(|_| refused())?;
        Ok(connection(ours, to.clone()))
    }
}

fn connection(stream: DuplexStream, remote: Address) -> Connection {
    let (reader, writer) = tokio::io::split(stream);
    Connection {
        reader: Box::new(StreamReader(reader)),
        writer: Box::new(StreamWriter(writer)),
        link: Link { remote, protection: Protection::InProcess },
    }
}

struct MemListener {
    url: Address,
    incoming: mpsc::Receiver<Incoming>,
    listeners: Weak<Listeners>,
}

#[async_trait]
impl Listener for MemListener {
    fn url(&self) -> &Address {
        &self.url
    }

    fn protection(&self) -> ListenerProtection {
        ListenerProtection::InProcess
    }

    async fn accept(&mut self) -> Result<Incoming, TransportError> {
        self.incoming.recv().await.ok_or_else(TransportError::closed)
    }
}

impl Drop for MemListener {
    fn drop(&mut self) {
        if let Some(listeners) = self.listeners.upgrade() {
            listeners.lock().remove(&(self.url.host().to_owned(), self.url.port()));
        }
    }
}
