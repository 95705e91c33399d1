//! `wss://`: who has to prove what, and what a mix-up is answered with.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../../broker-tls/tests/pki/mod.rs"]
mod pki;
use broker_testkit::websocket as support;

use broker_core::endpoint::Retry;
use broker_core::transport::Protection;
use broker_core::{Address, Endpoint, Reason};
use broker_transport_tcp::TcpTransport;
use broker_transport_tcp::tls::{Tls, TlsOptions, TlsTransport};
use broker_transport_ws::client::{ClientEvent, ClientOptions, JsonClient};
use broker_transport_ws::{AccessOptions, AccessRule, WsOptions, WsTransport};
use pki::{Authority, Files};
use rcgen::SanType;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use std::sync::Arc;
use support::{KEY, PATIENCE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

struct Setting {
    files: Files,
    ca: Authority,
}

impl Setting {
    fn new() -> Self {
        Self { files: Files::new(), ca: Authority::new("the CA") }
    }

    /// With a certificate that is valid for the address, as browsers want it.
    fn for_browsers(&self) -> TlsTransport {
        let issued = self.ca.issue_with("hub", |params| {
            params.subject_alt_names = vec![SanType::IpAddress("127.0.0.1".parse().unwrap())];
        });
        tls(self.files.options("hub", &issued, &self.ca.pem))
    }

    fn tls(&self, name: &str) -> TlsTransport {
        tls(self.files.options(name, &self.ca.issue(name), &self.ca.pem))
    }
}

fn tls(options: TlsOptions) -> TlsTransport {
    TlsTransport::new(TcpTransport::default(), Tls::new(options).unwrap())
}

fn endpoint(tls: TlsTransport, options: WsOptions) -> Endpoint {
    let ws = WsTransport::with_tls(TcpTransport::default(), tls, options).unwrap();
    ws.install(Endpoint::builder()).build().unwrap()
}

async fn server(tls: TlsTransport, options: WsOptions) -> (Endpoint, Address) {
    let endpoint = endpoint(tls, options);
    let url = endpoint.listen("wss://127.0.0.1:0").await.unwrap();
    (endpoint, url)
}

fn once() -> ClientOptions {
    ClientOptions { retry: None, ..ClientOptions::default() }
}

async fn first(client: &mut JsonClient) -> Result<(), (Reason, String)> {
    match timeout(PATIENCE, client.next()).await.unwrap().unwrap() {
        ClientEvent::Connected { .. } => Ok(()),
        ClientEvent::Disconnected { error, .. } => Err((error.reason(), error.to_string())),
        other => panic!("{other:?}"),
    }
}

/// What the server answers over TLS to somebody who has no certificate.
async fn without_certificate(ca: &Authority, url: &Address, path: &str) -> std::io::Result<String> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let socket = TcpStream::connect(("127.0.0.1", url.port())).await?;
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\
         Sec-WebSocket-Protocol: broker-native.v1\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = vec![0; 12];
    timeout(PATIENCE, stream.read_exact(&mut answer)).await.unwrap()?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test]
async fn peers_and_clients_with_certificates_are_known_by_name() {
    let setting = Setting::new();
    let (server, url) = server(setting.tls("hub"), WsOptions::default()).await;
    let peer = endpoint(setting.tls("sensor"), WsOptions::default());
    peer.peer(&url, Retry::never()).await.unwrap();
    let [info] = &server.peers()[..] else { panic!() };
    let Some(Protection::Authenticated(name)) = &info.protection else { panic!("{info:?}") };
    assert!(name.contains("sensor"), "{name}");
    let tls = setting.tls("dashboard");
    let mut client = JsonClient::start_with_tls(TcpTransport::default(), tls, url, once());
    first(&mut client).await.unwrap();
    let Protection::Authenticated(name) = &server.clients()[0].info.protection else { panic!() };
    assert!(name.contains("dashboard"), "{name}");
}

#[tokio::test]
async fn clients_need_no_certificate_and_peers_do() {
    let setting = Setting::new();
    let (_server, url) = server(setting.for_browsers(), WsOptions::default()).await;
    let answer = |path| without_certificate(&setting.ca, &url, path);
    assert_eq!(answer("/v1/messages/json").await.unwrap(), "HTTP/1.1 101");
    assert_eq!(answer("/v1/native").await.unwrap(), "HTTP/1.1 403");
}

#[tokio::test]
async fn clients_can_be_made_to_present_a_certificate() {
    let setting = Setting::new();
    let options = WsOptions { require_certificate: true, ..WsOptions::default() };
    let (_server, url) = server(setting.for_browsers(), options).await;
    without_certificate(&setting.ca, &url, "/v1/messages/json").await.unwrap_err();
    let tls = setting.tls("dashboard");
    let mut client = JsonClient::start_with_tls(TcpTransport::default(), tls, url, once());
    first(&mut client).await.unwrap();
}

#[tokio::test]
async fn a_certificate_can_be_what_a_rule_asks_for() {
    let setting = Setting::new();
    let known = JsonClient::start_with_tls;
    let name = {
        let (server, url) = server(setting.tls("hub"), WsOptions::default()).await;
        let mut client = known(TcpTransport::default(), setting.tls("a"), url, once());
        first(&mut client).await.unwrap();
        match &server.clients()[0].info.protection {
            Protection::Authenticated(name) => name.clone(),
            other => panic!("{other}"),
        }
    };
    let rules = vec![AccessRule { certificate: Some(name), ..AccessRule::default() }];
    let access = AccessOptions { rules, ..AccessOptions::default() };
    let options = WsOptions { access, ..WsOptions::default() };
    let (_server, url) = server(setting.tls("hub"), options).await;
    let mut a = known(TcpTransport::default(), setting.tls("a"), url.clone(), once());
    first(&mut a).await.unwrap();
    let mut b = known(TcpTransport::default(), setting.tls("b"), url, once());
    assert_eq!(first(&mut b).await.unwrap_err().0, Reason::AccessDenied);
}

#[tokio::test]
async fn without_certificates_links_are_encrypted() {
    let (server, url) = server(tls(TlsOptions::default()), WsOptions::default()).await;
    let own = tls(TlsOptions::default());
    let mut client = JsonClient::start_with_tls(TcpTransport::default(), own, url.clone(), once());
    first(&mut client).await.unwrap();
    assert_eq!(server.clients()[0].info.protection, Protection::Encrypted);
    let peer = endpoint(tls(TlsOptions::default()), WsOptions::default());
    peer.peer(&url, Retry::never()).await.unwrap();
}

#[tokio::test]
async fn a_plain_request_at_an_encrypted_address_is_answered() {
    let (_server, url) = server(tls(TlsOptions::default()), WsOptions::default()).await;
    let mut stream = TcpStream::connect(("127.0.0.1", url.port())).await.unwrap();
    stream.write_all(b"GET /v1/messages/json HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("use wss://"), "{answer}");
    let plain = format!("ws://127.0.0.1:{}", url.port()).parse().unwrap();
    let mut client = JsonClient::start(plain, once());
    let (kind, detail) = first(&mut client).await.unwrap_err();
    assert_eq!(kind, Reason::NotBroker);
    assert!(detail.contains("use wss://"), "{detail}");
}

#[tokio::test]
async fn encryption_where_there_is_none_is_explained_to_the_client() {
    let (server, _) = server(tls(TlsOptions::default()), WsOptions::default()).await;
    let plain = server.listen("ws://127.0.0.1:0").await.unwrap();
    let url = format!("wss://127.0.0.1:{}", plain.port()).parse().unwrap();
    let own = tls(TlsOptions::default());
    let mut client = JsonClient::start_with_tls(TcpTransport::default(), own, url, once());
    let (_, detail) = first(&mut client).await.unwrap_err();
    assert!(detail.contains("HTTP"), "{detail}");
}

#[tokio::test]
async fn a_silent_connection_holds_up_no_handshake() {
    let (_server, url) = server(tls(TlsOptions::default()), WsOptions::default()).await;
    let _silent = TcpStream::connect(("127.0.0.1", url.port())).await.unwrap();
    let own = tls(TlsOptions::default());
    let mut client = JsonClient::start_with_tls(TcpTransport::default(), own, url, once());
    first(&mut client).await.unwrap();
}

#[tokio::test]
async fn without_encryption_wss_is_not_understood() {
    let endpoint = WsTransport::new(WsOptions::default())
        .unwrap()
        .install(Endpoint::builder())
        .build()
        .unwrap();
    let error = endpoint.listen("wss://127.0.0.1:0").await.unwrap_err();
    assert_eq!(error.reason(), Reason::UnsupportedScheme);
    let mut client = JsonClient::start("wss://127.0.0.1:1".parse().unwrap(), once());
    assert!(first(&mut client).await.is_err());
}
