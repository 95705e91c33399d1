//! `tcp://` and `tls://` for Broker endpoints.
//!
//! [`TcpTransport`] serves plain TCP without any protection, and with the feature `tls`
//! `tls::TlsTransport` serves TLS over the same sockets. The two halves of the
//! former, [`TcpTransport::dial`] and [`TcpTransport::bind`], are there for transports that put a
//! layer of their own over TCP and want names, addresses, options and error messages to be the same
//! everywhere; [`dial_with`] and [`bind_with`] are for those with sockets of another kind.

mod bind;
mod dial;
#[cfg(feature = "tls")]
mod foreign;
mod link;
mod listen;
mod names;
mod options;
mod persistent;
mod places;
#[cfg(feature = "tls")]
pub mod tls;

pub use bind::bind_with;
pub use dial::dial_with;
pub use listen::TcpAcceptor;
pub use options::{Keepalive, TcpOptions};

use async_trait::async_trait;
use broker_core::Url;
use broker_core::transport::{
    Connection, Incoming, Listener, ListenerProtection, Transport, TransportError,
    TransportErrorKind,
};
use tokio::net::TcpStream;

/// The transport for the scheme `tcp`.
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
    /// A host name is resolved, and its addresses are tried in the order of the resolver until one
    /// accepts. Cancel safe: dropping the future abandons the attempt.
    ///
    /// # Errors
    ///
    /// The host is empty, the port is 0, the name does not resolve, or no address accepted; the
    /// message then has a reason for each address, and the kind is that of the most telling one.
    pub async fn dial(&self, to: &Url) -> Result<TcpStream, TransportError> {
        dial::dial(to, &self.options).await
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
    ///
    /// # Errors
    ///
    /// The address is in use, not of this machine or not allowed for this process, or the name is
    /// not known.
    pub async fn bind(&self, at: &Url) -> Result<TcpAcceptor, TransportError> {
        listen::bind(at, &self.options).await
    }
}

#[async_trait]
impl Transport for TcpTransport {
    fn schemes(&self) -> &'static [&'static str] {
        &["tcp"]
    }

    async fn listen(&self, at: &Url) -> Result<Box<dyn Listener>, TransportError> {
        check_url(at, "listening on")?;
        Ok(Box::new(TcpListener(self.bind(at).await?)))
    }

    async fn connect(&self, to: &Url) -> Result<Connection, TransportError> {
        check_url(to, "connecting to")?;
        let stream = self.dial(to).await?;
        Ok(link::connection(stream, to.clone()))
    }
}

/// A socket has a host and a port, and nothing that a path could name or a query say.
fn check_url(url: &Url, doing: &str) -> Result<(), TransportError> {
    if url.path().is_empty() && url.query().is_empty() {
        return Ok(());
    }
    let detail = format!("{doing} {url}: a {}:// address has no path and no query", url.scheme());
    Err(TransportError::new(TransportErrorKind::InvalidAddress, detail))
}

struct TcpListener(TcpAcceptor);

#[async_trait]
impl Listener for TcpListener {
    fn url(&self) -> &Url {
        self.0.url()
    }

    fn protection(&self) -> ListenerProtection {
        ListenerProtection::Plain
    }

    async fn accept(&mut self) -> Result<Incoming, TransportError> {
        let (stream, remote) = self.0.accept().await?;
        Ok(Incoming::ready(link::connection(stream, remote)))
    }
}
