//! `tls://`: the frames of `tcp://` inside TLS.
//!
//! What the sides prove to each other is a matter of [`broker_tls::TlsOptions`].

mod anonymous;
mod anonymous_listeners;
mod handshake;
mod prefix_capture;
mod stream;

pub use broker_tls::{CertificateSummary, Details, Passphrase, Pin, Tls, TlsError, TlsOptions};
pub use stream::{Duplex, Encrypted};

use crate::{TcpAcceptor, TcpTransport, check_url};
use anonymous_listeners::AnonymousListeners;
use async_trait::async_trait;
use broker_core::transport::{
    Connection, Incoming, Listener, ListenerProtection, Transport, TransportError,
};
use broker_core::{Address, Limits, Reason};
use broker_tls::HandshakeReport;
use std::time::Duration;
use stream::{Connected, Finish, Layered};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The transport for the scheme `tls`.
///
/// # Examples
///
/// Without certificates links are encrypted, and nobody knows with whom:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use broker_core::Endpoint;
/// use broker_transport_tcp::TcpTransport;
/// use broker_transport_tcp::tls::{Tls, TlsOptions, TlsTransport};
///
/// let tls = Tls::new(TlsOptions::default())?;
/// let transport = TlsTransport::new(TcpTransport::default(), tls);
/// let endpoint = Endpoint::builder().transport(transport).build()?;
/// endpoint.listen("tls://127.0.0.1:0").await?;
/// assert_eq!(endpoint.listeners()[0].protection.to_string(), "encrypted, not authenticated");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct TlsTransport {
    tcp: TcpTransport,
    tls: Tls,
    handshake_time: Duration,
    anonymous_listeners: AnonymousListeners,
}

impl TlsTransport {
    /// TLS over the sockets of `tcp`. Files of `tls` that have changed are in force for connections
    /// made two seconds later ([`Tls::watch_files`]).
    ///
    /// The handshake may take half of [`Limits::handshake_time`], which leaves the other half to
    /// the handshake of Broker.
    #[must_use]
    pub fn new(tcp: TcpTransport, tls: Tls) -> Self {
        let handshake_time = Limits::default().handshake_time / 2;
        Self { tcp, tls, handshake_time, anonymous_listeners: AnonymousListeners::default() }
    }

    /// Sets how long the TLS handshake of a connection may take, the wait for its turn at computing
    /// included.
    #[must_use]
    pub fn with_handshake_time(mut self, time: Duration) -> Self {
        self.handshake_time = time;
        self
    }

    /// Encrypts a socket that this side has opened, for a layer above TLS. Cancel safe: dropping
    /// the future closes the socket.
    ///
    /// # Errors
    ///
    /// The handshake failed or took too long; the message says who refused what.
    pub async fn secure_dialled(
        &self,
        socket: TcpStream,
        to: &Address,
    ) -> Result<Encrypted, TransportError> {
        self.dial(socket, to, Layered, &mut None).await
    }

    /// As [`Self::secure_dialled`], for the connection of an endpoint, and returns the particulars
    /// of the handshake as far as it got, whether it succeeded or not.
    pub async fn examine(
        &self,
        socket: TcpStream,
        to: &Address,
    ) -> (Result<Connection, TransportError>, Details) {
        let mut seen = None;
        let outcome = self.dial(socket, to, Connected(to.clone()), &mut seen).await;
        (outcome, seen.map(|report| report.details()).unwrap_or_default())
    }

    /// Encrypts a socket that this side has accepted, for a layer above TLS. `anyone` says that the
    /// other side need not have a certificate, even where the options demand one of peers. Cancel
    /// safe: dropping the future closes the socket.
    ///
    /// # Errors
    ///
    /// As for [`Self::secure_dialled`].
    pub async fn secure_accepted(
        &self,
        socket: TcpStream,
        anyone: bool,
    ) -> Result<Encrypted, TransportError> {
        self.accept(socket, anyone, Layered).await
    }

    /// Whether links are encrypted without anybody proving who they are.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.tls.is_anonymous()
    }

    /// What protects the links that are accepted with this encryption.
    #[must_use]
    pub fn listener_protection(&self) -> ListenerProtection {
        self.tls.listener_protection()
    }

    /// Checks that the own certificate can convince those who dial `at`.
    ///
    /// # Errors
    ///
    /// It has expired, is not valid yet, or is not meant for this.
    pub async fn check_listening(&self, at: &Address) -> Result<(), TransportError> {
        self.tls.watch_files();
        self.tls.check_listening().map_err(|error| unusable(&error, &format!("listening on {at}")))
    }

    async fn dial<F: Finish>(
        &self,
        socket: TcpStream,
        to: &Address,
        finish: F,
        seen: &mut Option<HandshakeReport>,
    ) -> Result<F::Output, TransportError> {
        let doing = format!("connecting to {to}");
        self.tls.watch_files();
        timeout(self.handshake_time, handshake::dial(self, socket, to, &doing, finish, seen))
            .await
            .unwrap_or_else(|_| {
                let detail = format!(
                    "{doing}: connected, but the other side did not answer the TLS handshake \
                     within {:?}, as one that expects no encryption does",
                    self.handshake_time
                );
                Err(TransportError::new(Reason::TimedOut, detail))
            })
    }

    async fn accept<F: Finish>(
        &self,
        socket: TcpStream,
        anyone: bool,
        finish: F,
    ) -> Result<F::Output, TransportError> {
        let time = self.handshake_time;
        timeout(time, handshake::accept(&self.tls, socket, anyone, finish)).await.unwrap_or_else(
            |_| {
                let detail =
                    format!("the other side did not finish the TLS handshake within {time:?}");
                Err(TransportError::new(Reason::TimedOut, detail))
            },
        )
    }
}

#[async_trait]
impl Transport for TlsTransport {
    fn schemes(&self) -> &'static [&'static str] {
        &["tls"]
    }

    async fn listen(&self, at: &Address) -> Result<Box<dyn Listener>, TransportError> {
        check_url(at, "listening on")?;
        self.check_listening(at).await?;
        let acceptor = self.tcp.bind(at).await?;
        Ok(Box::new(TlsListener { acceptor, transport: self.clone() }))
    }

    async fn connect(&self, to: &Address) -> Result<Connection, TransportError> {
        check_url(to, "connecting to")?;
        let stream = self.tcp.dial(to).await?;
        self.dial(stream, to, Connected(to.clone()), &mut None).await
    }
}

struct TlsListener {
    acceptor: TcpAcceptor,
    transport: TlsTransport,
}

#[async_trait]
impl Listener for TlsListener {
    fn url(&self) -> &Address {
        self.acceptor.url()
    }

    fn protection(&self) -> ListenerProtection {
        self.transport.listener_protection()
    }

    async fn accept(&mut self) -> Result<Incoming, TransportError> {
        let (stream, remote) = self.acceptor.accept().await?;
        let (transport, from) = (self.transport.clone(), remote.clone());
        Ok(Incoming::peer(
            remote,
            async move { transport.accept(stream, false, Connected(from)).await },
        ))
    }
}

fn unusable(error: &TlsError, doing: &str) -> TransportError {
    TransportError::unusable_certificate(format!("{doing}: {error}"))
}
