//! `tcp://`, `tls://` and, between processes of one machine, `unix://` for Broker endpoints.
//!
//! [`TcpTransport`] serves plain TCP without any protection, and with the feature `tls`
//! `tls::TlsTransport` serves TLS over the same sockets. The two halves of the
//! former, [`TcpTransport::dial`] and [`TcpTransport::bind`], are there for transports that put a
//! layer of their own over TCP and want names, addresses, options and error messages to be the same
//! everywhere; [`dial_with`] and [`bind_with`] are for those with sockets of another kind.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `tls` | no | `tls://` |

#![cfg_attr(docsrs, feature(doc_cfg))]

mod bind;
mod dial;
#[cfg(feature = "tls")]
mod foreign;
mod hosts;
#[cfg(unix)]
pub mod inherited;
mod listen;
mod options;
mod persistent;
mod race;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(unix)]
mod unix;

pub use bind::bind_with;
pub use dial::dial_with;
pub use listen::TcpAcceptor;
pub use options::{Keepalive, TcpOptions};
#[cfg(unix)]
pub use unix::UnixTransport;

use crate::persistent::PersistentWriter;
use async_trait::async_trait;
use broker_core::transport::{
    Connection, FrameReader, Incoming, Link, Listener, ListenerProtection, Protection, ReadBuffer,
    StreamReader, StreamWriter, Transport, TransportError,
};
use broker_core::{Address, Reason};
use std::future::poll_fn;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;

/// The transport for the scheme `tcp`.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use broker_core::Endpoint;
/// use broker_transport_tcp::TcpTransport;
///
/// let endpoint = Endpoint::builder().transport(TcpTransport::default()).build()?;
/// let address = endpoint.listen("tcp://127.0.0.1:0").await?;
/// assert_ne!(address.port(), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct TcpTransport {
    options: TcpOptions,
}

impl TcpTransport {
    /// A transport with the given options.
    #[must_use]
    pub fn new(options: TcpOptions) -> Self {
        Self { options }
    }

    /// Connects a socket to host and port of `to`, whatever its scheme.
    ///
    /// A host name is resolved, and its addresses are tried as [`dial_with`] says. Cancel safe:
    /// dropping the future abandons the attempts.
    ///
    /// # Errors
    ///
    /// The host is empty, the port is 0, the name does not resolve, or no address accepted; the
    /// message then has a reason for each address, and the kind is that of the most telling one.
    pub async fn dial(&self, to: &Address) -> Result<TcpStream, TransportError> {
        dial::dial(to, &self.options).await
    }

    /// Connects a socket to an address that was dialled before.
    #[cfg(feature = "tls")]
    async fn dial_address(
        &self,
        address: std::net::SocketAddr,
        doing: &str,
    ) -> Result<TcpStream, TransportError> {
        dial::dial_address(address, doing, &self.options).await
    }

    /// Listens at host and port of `at`, whatever its scheme.
    ///
    /// | host | listens at |
    /// |---|---|
    /// | empty | every address, IPv6 and IPv4; only IPv4 where there is no IPv6 |
    /// | an IP address | exactly that one; `::` serves IPv4 too, `::ffff:a.b.c.d` is `a.b.c.d` |
    /// | the name of a network interface | all addresses of the interface |
    /// | a host name | all addresses of this machine that the name stands for |
    ///
    /// Several addresses share one port. If that port is not free at one of them, nothing is bound.
    /// Sockets that the process has [inherited] are used where they fit.
    ///
    /// # Errors
    ///
    /// The address is in use, not of this machine or not allowed for this process, or the name is
    /// not known.
    pub async fn bind(&self, at: &Address) -> Result<TcpAcceptor, TransportError> {
        listen::bind(at, &self.options).await
    }
}

#[async_trait]
impl Transport for TcpTransport {
    fn schemes(&self) -> &'static [&'static str] {
        &["tcp"]
    }

    async fn listen(&self, at: &Address) -> Result<Box<dyn Listener>, TransportError> {
        check_url(at, "listening on")?;
        Ok(Box::new(TcpListener(self.bind(at).await?)))
    }

    async fn connect(&self, to: &Address) -> Result<Connection, TransportError> {
        check_url(to, "connecting to")?;
        let stream = self.dial(to).await?;
        Ok(connection(stream, to.clone()))
    }
}

/// A socket has a host and a port, and nothing that a path could name or a query say.
fn check_url(url: &Address, doing: &str) -> Result<(), TransportError> {
    if url.path().is_empty() && url.query().is_empty() {
        return Ok(());
    }
    let detail = format!("{doing} {url}: a {}:// address has no path and no query", url.scheme());
    Err(TransportError::new(Reason::InvalidAddress, detail))
}

struct TcpListener(TcpAcceptor);

#[async_trait]
impl Listener for TcpListener {
    fn url(&self) -> &Address {
        self.0.url()
    }

    fn protection(&self) -> ListenerProtection {
        ListenerProtection::Plain
    }

    async fn accept(&mut self) -> Result<Incoming, TransportError> {
        let (stream, remote) = self.0.accept().await?;
        Ok(Incoming::ready(connection(stream, remote)))
    }
}

/// A connection that is nothing but the socket.
fn connection(stream: TcpStream, remote: Address) -> Connection {
    let (reader, writer) = stream.into_split();
    Connection {
        reader: Box::new(TcpReader { socket: StreamReader(reader) }),
        writer: Box::new(StreamWriter(PersistentWriter(writer))),
        link: Link { remote, protection: Protection::Plain },
    }
}

/// Reads from a socket without holding memory while there is nothing to read.
struct TcpReader {
    socket: StreamReader<OwnedReadHalf>,
}

#[async_trait]
impl FrameReader for TcpReader {
    async fn recv(&mut self, buffer: &mut ReadBuffer) -> Result<(), TransportError> {
        let socket: &TcpStream = self.socket.0.as_ref();
        poll_fn(|cx| {
            let ready = socket.poll_read_ready(cx);
            if ready.is_pending() {
                buffer.release();
            }
            ready
        })
        .await
        .map_err(|error| TransportError::from_io(&error, "receiving"))?;
        self.socket.recv(buffer).await
    }
}
