//! What lies below the WebSocket: sockets, and TLS on some of them.

use crate::stream::Stream;
use broker_core::Address;
use broker_core::transport::{ListenerProtection, Protection, TransportError};
use broker_transport_tcp::{TcpAcceptor, TcpTransport};
use tokio::net::TcpStream;

/// Makes streams of bytes, plain for `ws` and encrypted for `wss`.
#[derive(Debug, Clone)]
pub(crate) struct Security {
    tcp: TcpTransport,
    #[cfg(feature = "tls")]
    tls: Option<broker_transport_tcp::tls::TlsTransport>,
}

impl Security {
    pub(crate) fn plain(tcp: TcpTransport) -> Self {
        Self {
            tcp,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    #[cfg(feature = "tls")]
    pub(crate) fn with_tls(
        tcp: TcpTransport,
        tls: broker_transport_tcp::tls::TlsTransport,
    ) -> Self {
        Self { tcp, tls: Some(tls) }
    }

    pub(crate) fn schemes(&self) -> &'static [&'static str] {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return &["ws", "wss"];
        }
        &["ws"]
    }

    pub(crate) async fn bind(&self, at: &Address) -> Result<TcpAcceptor, TransportError> {
        if is_secure(at) {
            self.check_listening(at).await?;
        }
        self.tcp.bind(at).await
    }

    pub(crate) async fn dial(&self, to: &Address) -> Result<(Stream, Protection), TransportError> {
        let socket = self.tcp.dial(to).await?;
        if is_secure(to) {
            return self.secure_dialled(socket, to).await;
        }
        Ok((Box::new(socket), Protection::Plain))
    }
}

#[cfg(feature = "tls")]
impl Security {
    fn tls(
        &self,
        url: &Address,
    ) -> Result<&broker_transport_tcp::tls::TlsTransport, TransportError> {
        self.tls.as_ref().ok_or_else(|| no_tls(url))
    }

    async fn check_listening(&self, at: &Address) -> Result<(), TransportError> {
        self.tls(at)?.check_listening(at).await
    }

    async fn secure_dialled(
        &self,
        socket: TcpStream,
        to: &Address,
    ) -> Result<(Stream, Protection), TransportError> {
        let encrypted = self.tls(to)?.secure_dialled(socket, to).await?;
        Ok((Box::new(encrypted.stream), encrypted.protection))
    }

    /// Encrypts a socket that was accepted at `at`; `anyone` says that the other side need not have
    /// a certificate.
    pub(crate) async fn secure_accepted(
        &self,
        socket: TcpStream,
        at: &Address,
        anyone: bool,
    ) -> Result<(Stream, Protection), TransportError> {
        let encrypted = self.tls(at)?.secure_accepted(socket, anyone).await?;
        Ok((Box::new(encrypted.stream), encrypted.protection))
    }

    /// What protects the links that are accepted at `at`.
    pub(crate) fn listener_protection(&self, at: &Address) -> ListenerProtection {
        match &self.tls {
            Some(tls) if is_secure(at) => tls.listener_protection(),
            _ => ListenerProtection::Plain,
        }
    }

    /// Whether peers can prove who they are here.
    pub(crate) fn has_certificates(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| !tls.is_anonymous())
    }
}

#[cfg(not(feature = "tls"))]
impl Security {
    async fn check_listening(&self, at: &Address) -> Result<(), TransportError> {
        Err(no_tls(at))
    }

    async fn secure_dialled(
        &self,
        _socket: TcpStream,
        to: &Address,
    ) -> Result<(Stream, Protection), TransportError> {
        Err(no_tls(to))
    }

    pub(crate) async fn secure_accepted(
        &self,
        _socket: TcpStream,
        at: &Address,
        _anyone: bool,
    ) -> Result<(Stream, Protection), TransportError> {
        Err(no_tls(at))
    }

    pub(crate) fn listener_protection(&self, _at: &Address) -> ListenerProtection {
        ListenerProtection::Plain
    }

    pub(crate) fn has_certificates(&self) -> bool {
        false
    }
}

fn no_tls(url: &Address) -> TransportError {
    let kind = broker_core::Reason::UnsupportedScheme;
    TransportError::new(kind, format!("{url}: this program was set up without encryption"))
}

pub(crate) fn is_secure(url: &Address) -> bool {
    url.scheme() == "wss"
}
