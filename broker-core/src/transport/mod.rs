//! The boundary between the protocol and whatever moves its bytes.
//!
//! A transport moves batches of frames and knows nothing of handshakes, filters or events. An
//! endpoint is built with the transports it should have; the scheme of a URL picks one.

mod admission;
mod mem;
mod stream;

pub(crate) use admission::connections_max;
pub use admission::{Admission, Evicted, Place};
pub use broker_proto::{
    Chunk, FrameTooLarge, Link, Protection, ReadBuffer, TransportError, WriteBatch,
};
pub use mem::MemTransport;
pub use stream::{StreamReader, StreamWriter};

use crate::{Address, Reason};
use async_trait::async_trait;
use broker_proto::memory::MemoryBudget;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

/// Opens and accepts connections for the URL schemes it names.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// The schemes this transport serves, in lower case.
    fn schemes(&self) -> &'static [&'static str];

    /// Starts listening. Port 0 asks for a free port; [`Listener::url`] tells which one it became.
    ///
    /// # Errors
    ///
    /// The address is in use, not local, or not allowed for this process.
    async fn listen(&self, at: &Address) -> Result<Box<dyn Listener>, TransportError>;

    /// Opens a connection, handshakes of the transport itself (TLS, WebSocket, ...) included.
    ///
    /// Cancel safe: dropping the future abandons the attempt.
    ///
    /// # Errors
    ///
    /// Everything that can go wrong before the first byte of Broker, classified by
    /// [`Reason`].
    async fn connect(&self, to: &Address) -> Result<Connection, TransportError>;
}

/// Accepts connections until it is dropped.
#[async_trait]
pub trait Listener: Send {
    /// Where this listener can be reached, with the port it really has.
    fn url(&self) -> &Address;

    /// What protects the connections that are accepted here.
    fn protection(&self) -> ListenerProtection;

    /// Waits for the next connection. Cancel safe.
    ///
    /// # Errors
    ///
    /// The error concerns this one accept (for example, no descriptor was free); the caller may
    /// try again after a pause.
    async fn accept(&mut self) -> Result<Incoming, TransportError>;
}

/// A connection whose transport handshake has not been done yet.
///
/// It is split from [`Listener::accept`] so that one slow client cannot hold up the next one.
#[non_exhaustive]
pub struct Incoming {
    /// Where the connection comes from.
    pub remote: Address,
    /// Whether the connection holds a descriptor of this process, of which there is a limited
    /// number.
    pub holds_descriptor: bool,
    /// Finishes the handshake of the transport. Dropping it drops the connection.
    pub establish: Establish,
}

/// The handshake of a transport.
pub type Establish = Pin<Box<dyn Future<Output = Result<Established, TransportError>> + Send>>;

/// What an accepted connection has turned out to be.
#[non_exhaustive]
pub enum Established {
    /// A connection on which Broker's own handshake follows.
    Peer(Connection),
    /// A client of another protocol, to be served until its end.
    Client(ServeClient),
    /// Something that has got its answer, and is over.
    Handled,
}

impl Established {
    /// The connection, for those who expect a peer.
    ///
    /// # Errors
    ///
    /// It is something else, which is over with that.
    pub fn into_peer(self) -> Result<Connection, TransportError> {
        match self {
            Self::Peer(connection) => Ok(connection),
            Self::Client(_) | Self::Handled => {
                let detail = "the other side does not want to be a peer";
                Err(TransportError::new(Reason::NotBroker, detail))
            }
        }
    }
}

/// Serves a client. It holds a place among the connections, which it has to mark as established
/// and as closing, and ends when that is lost. The task is one that the shutdown of the endpoint
/// waits for.
pub type ServeClient = Box<dyn FnOnce(Place) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

impl Incoming {
    /// An incoming connection that `establish` makes something of.
    pub fn new(
        remote: Address,
        establish: impl Future<Output = Result<Established, TransportError>> + Send + 'static,
    ) -> Self {
        Self { remote, holds_descriptor: true, establish: Box::pin(establish) }
    }

    /// An incoming connection that can only be a peer.
    pub fn peer(
        remote: Address,
        establish: impl Future<Output = Result<Connection, TransportError>> + Send + 'static,
    ) -> Self {
        Self::new(remote, async { establish.await.map(Established::Peer) })
    }

    /// An incoming connection that needs no further handshake.
    #[must_use]
    pub fn ready(connection: Connection) -> Self {
        Self::peer(connection.link.remote.clone(), std::future::ready(Ok(connection)))
    }

    /// The same connection, which holds no descriptor of its own.
    #[must_use]
    pub fn without_descriptor(self) -> Self {
        Self { holds_descriptor: false, ..self }
    }
}

/// An open connection: two halves that are driven by different tasks, and what is known of the
/// link.
pub struct Connection {
    /// The receiving half.
    pub reader: Box<dyn FrameReader>,
    /// The sending half.
    pub writer: Box<dyn FrameWriter>,
    /// What is known about the link.
    pub link: Link,
}

/// What protects the links that a listener accepts, as far as that is certain before there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenerProtection {
    /// The links never leave this process.
    InProcess,
    /// The links never leave this machine, whose system says who is at the other side.
    SameHost,
    /// Nothing.
    Plain,
    /// Encrypted, and nobody has to prove anything.
    Encrypted,
    /// Encrypted, and peers have to prove who they are with what is named here, as in
    /// `certificates`.
    Authenticated(&'static str),
}

impl fmt::Display for ListenerProtection {
    /// As for the [`Protection`] of a link, but for those who have to prove something.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InProcess => Protection::InProcess.fmt(f),
            Self::SameHost => f.write_str("same host"),
            Self::Plain => Protection::Plain.fmt(f),
            Self::Encrypted => Protection::Encrypted.fmt(f),
            Self::Authenticated(proof) => write!(f, "authenticated by {proof}"),
        }
    }
}

/// The receiving half of a connection.
#[async_trait]
pub trait FrameReader: Send {
    /// Waits for bytes and appends at least one of them to `buffer`.
    ///
    /// Every frame is preceded by its 32-bit length; a transport that moves bytes may append any
    /// part of a frame, one that moves messages appends whole frames. The end of the stream is
    /// [`Reason::Closed`]. Cancel safe: bytes taken from the link are in `buffer`.
    ///
    /// # Errors
    ///
    /// The connection is over; what had been received before is in `buffer`.
    async fn recv(&mut self, buffer: &mut ReadBuffer) -> Result<(), TransportError>;

    /// Where the other side is now, if that has changed since this was asked for last. It is asked
    /// after each [`Self::recv`]. Most connections end when an address changes.
    fn moved(&mut self) -> Option<Address> {
        None
    }

    /// What is held beside the buffer, if that can be much, is from now on to be a part of this
    /// budget. Called once, before the first [`Self::recv`].
    fn within(&mut self, _budget: &Arc<MemoryBudget>) {}
}

/// The sending half of a connection.
#[async_trait]
pub trait FrameWriter: Send {
    /// Writes the batch until it is empty, and flushes.
    ///
    /// Cancel safe: bytes handed to the link are gone from the batch, so a caller can call again.
    /// A writer that keeps bytes of its own waits only while they are above a bound, and tells
    /// [`WriteBatch::note_progress`] meanwhile whenever the link takes some.
    ///
    /// # Errors
    ///
    /// The connection is over; the rest of the batch is lost.
    async fn send(&mut self, batch: &mut WriteBatch) -> Result<(), TransportError>;

    /// Tells the other side that nothing more will come. Errors are of no interest any more.
    async fn shutdown(&mut self);
}
