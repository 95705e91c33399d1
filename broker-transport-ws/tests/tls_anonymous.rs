//! `wss://` without certificates, as clients of the C++ library's servers speak it.

#![allow(clippy::unwrap_used)]

use broker_core::Endpoint;
use broker_core::transport::Protection;
use broker_transport_tcp::TcpTransport;
use broker_transport_tcp::tls::{Tls, TlsOptions, TlsTransport};
use broker_transport_ws::client::{ClientEvent, ClientOptions, JsonClient};
use broker_transport_ws::{WsOptions, WsTransport};
use std::process::Stdio;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

const CIPHER: &str = "AECDH-AES256-SHA@SECLEVEL=0";

fn tls() -> TlsTransport {
    TlsTransport::new(TcpTransport::default(), Tls::new(TlsOptions::default()).unwrap())
}

#[tokio::test]
async fn clients_that_know_only_anonymous_ciphers_are_served() {
    let options = WsOptions::default();
    let ws = WsTransport::with_tls(TcpTransport::default(), tls(), options).unwrap();
    let endpoint = ws.install(Endpoint::builder()).build().unwrap();
    let url = endpoint.listen("wss://127.0.0.1:0").await.unwrap();

    let known = Command::new("openssl").args(["ciphers", CIPHER]).output().await;
    if known.is_ok_and(|output| output.status.success()) {
        assert_eq!(anonymous_client(url.port()).await.unwrap(), "HTTP/1.1 101");
    } else {
        eprintln!("skipped: no openssl with anonymous TLS is here");
    }

    let options = ClientOptions { retry: None, ..ClientOptions::default() };
    let mut client = JsonClient::start_with_tls(TcpTransport::default(), tls(), url, options);
    assert!(matches!(client.next().await, Some(ClientEvent::Connected { .. })));
    assert_eq!(endpoint.clients()[0].info.protection, Protection::Encrypted);
}

/// The first words of the answer to a client that is not ours.
async fn anonymous_client(port: u16) -> std::io::Result<String> {
    let mut client = Command::new("openssl")
        .args(["s_client", "-quiet", "-tls1_2", "-groups", "P-384"])
        .args(["-cipher", CIPHER])
        .args(["-connect", &format!("127.0.0.1:{port}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let request = b"GET /v1/messages/json HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    client.stdin.as_mut().unwrap().write_all(request).await?;
    let mut answer = vec![0; 12];
    client.stdout.as_mut().unwrap().read_exact(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
