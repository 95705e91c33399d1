//! Endpoints with certificates of one CA.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use crate::pki::{Authority, Files, Issued};
use broker_core::Address;
use broker_core::transport::{Connection, Listener, Transport, TransportError};
use broker_transport_tcp::TcpTransport;
use broker_transport_tcp::tls::{Tls, TlsOptions, TlsTransport};

pub fn transport(options: TlsOptions) -> TlsTransport {
    TlsTransport::new(TcpTransport::default(), Tls::new(options).unwrap())
}

pub async fn listen(transport: &TlsTransport) -> Box<dyn Listener> {
    transport.listen(&Address::new("tls", "127.0.0.1", 0)).await.unwrap()
}

/// Accepts one connection, its handshake included.
pub async fn accept(listener: &mut dyn Listener) -> Result<Connection, TransportError> {
    listener.accept().await?.establish.await?.into_peer()
}

/// Both ends of what comes of dialling `acceptor` with `dialler`.
pub async fn meet(
    dialler: &TlsTransport,
    acceptor: &TlsTransport,
) -> (Result<Connection, TransportError>, Result<Connection, TransportError>) {
    let mut listener = listen(acceptor).await;
    let url = listener.url().clone();
    tokio::join!(dialler.connect(&url), accept(&mut *listener))
}

/// A CA and the files of its endpoints.
pub struct Setting {
    pub files: Files,
    pub ca: Authority,
}

impl Setting {
    pub fn new() -> Self {
        Self { files: Files::new(), ca: Authority::new("the CA") }
    }

    /// An endpoint with a good certificate for `name`.
    pub fn endpoint(&self, name: &str) -> TlsTransport {
        self.presenting(name, &self.ca.issue(name))
    }

    /// An endpoint that presents `issued`.
    pub fn presenting(&self, name: &str, issued: &Issued) -> TlsTransport {
        TlsTransport::new(TcpTransport::default(), self.tls(name, issued))
    }

    /// What presents `issued` and trusts the CA.
    pub fn tls(&self, name: &str, issued: &Issued) -> Tls {
        Tls::new(self.files.options(name, issued, &self.ca.pem)).unwrap()
    }
}
