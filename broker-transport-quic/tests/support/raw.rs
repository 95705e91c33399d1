//! The other side of a connection as plain quinn, which does what no endpoint would.

use super::{anonymous, local};
use broker_core::transport::{Connection, Transport};
use broker_transport_quic::{ALPN, QuicTransport, Tls, TlsOptions};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{Endpoint, RecvStream, SendStream};
use std::net::SocketAddr;
use std::sync::Arc;

/// One end that the test plays itself.
pub struct Raw {
    pub endpoint: Endpoint,
    pub connection: quinn::Connection,
    /// The control streams, behind their flags.
    pub control: (SendStream, RecvStream),
}

pub fn tls() -> Tls {
    Tls::new(TlsOptions::default()).unwrap()
}

pub fn client_config(alpn: &[&[u8]]) -> quinn::ClientConfig {
    let (mut client, _) = tls().rustls_client("host").unwrap();
    client.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(client).unwrap()))
}

pub fn server(alpn: &[&[u8]]) -> Endpoint {
    let (mut server, _) = tls().rustls_server().unwrap();
    server.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let crypto = Arc::new(QuicServerConfig::try_from(server).unwrap());
    Endpoint::server(quinn::ServerConfig::with_crypto(crypto), any_port()).unwrap()
}

pub fn client() -> Endpoint {
    Endpoint::client(any_port()).unwrap()
}

pub fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

impl Raw {
    async fn greet(endpoint: Endpoint, connection: quinn::Connection, flags: u8) -> Self {
        let mut send = connection.open_uni().await.unwrap();
        send.write_all(&[flags]).await.unwrap();
        let mut receive = connection.accept_uni().await.unwrap();
        receive.read_exact(&mut [0]).await.unwrap();
        Self { endpoint, connection, control: (send, receive) }
    }
}

/// What an endpoint dials, played by the test.
pub async fn dialled_by(transport: &QuicTransport) -> (Connection, Raw) {
    let endpoint = server(&[ALPN]);
    let url = local().with_port(endpoint.local_addr().unwrap().port());
    let accept = async {
        let connection = endpoint.accept().await.unwrap().await.unwrap();
        Raw::greet(endpoint.clone(), connection, 0).await
    };
    let (connection, raw) = tokio::join!(transport.connect(&url), accept);
    (connection.unwrap(), raw)
}

/// What dials an endpoint, played by the test.
pub async fn dialling() -> (Connection, Raw) {
    let mut listener = super::listen(&anonymous()).await;
    let to = SocketAddr::from(([127, 0, 0, 1], listener.url().port()));
    let endpoint = client();
    let dial = async {
        let connecting = endpoint.connect_with(client_config(&[ALPN]), to, "host").unwrap();
        Raw::greet(endpoint.clone(), connecting.await.unwrap(), 0).await
    };
    let (accepted, raw) = tokio::join!(super::accept(&mut *listener), dial);
    (accepted.unwrap(), raw)
}
