//! What does not speak Broker is named, to the operator and in the events.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Signal, node};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// The first bytes of a TLS handshake, of an HTTP request, of SSH and of nothing at all.
const STRANGERS: [(&[u8], &str); 4] = [
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "it started a TLS handshake"),
    (b"GET / HTTP/1.1\r\nHost: hub\r\n\r\n", "it sent an HTTP request"),
    (b"SSH-2.0-OpenSSH_9.9\r\n", "it speaks SSH"),
    (b"\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8\xf7\xf6\xf5\xf4", "announced a frame of 4294901244 bytes"),
];

async fn connect(url: &str, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(url.strip_prefix("tcp://").unwrap()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

#[tokio::test]
async fn strangers_at_the_port_are_log_events() {
    let (mut hub, url) = node(&["--events"]).await;
    for (bytes, name) in STRANGERS {
        let stream = connect(&url, bytes).await;
        let event = hub.json().await;
        assert_eq!(event["type"], "internal_log_event", "{event}");
        assert_eq!(
            (&event["level"], &event["id"]),
            (&"warning".into(), &"handshake-failed".into())
        );
        let description = event["description"].as_str().unwrap();
        assert!(description.contains(name), "{description}");
        let from = stream.local_addr().unwrap().to_string();
        assert!(description.contains(&from), "{description}");
    }
    hub.signal(Signal::TERM);
    assert_eq!(hub.end().await.expect(0).stderr, "");
}

#[tokio::test]
async fn strangers_are_reported_to_the_operator_who_does_not_watch_events() {
    let (mut hub, url) = node(&[]).await;
    for (bytes, name) in STRANGERS {
        let _stream = connect(&url, bytes).await;
        let text = hub.diagnosis().await;
        assert!(text.contains("WARNING") && text.contains(" handshake-failed: "), "{text}");
        assert!(text.contains(name), "{text}");
    }
    hub.signal(Signal::TERM);
    assert_eq!(hub.end().await.expect(0).stdout, "");
}

#[tokio::test]
async fn the_level_decides_what_is_reported() {
    let (hub, url) = node(&["--log-level", "error"]).await;
    drop(connect(&url, STRANGERS[0].0).await);
    let ping = common::run(&["ping", &url, "--count", "1"]).await;
    ping.expect(0);
    hub.signal(Signal::TERM);
    assert_eq!(hub.end().await.expect(0).stderr, "");
    let (mut hub, url) = node(&["--log-level", "info"]).await;
    while !hub.diagnosis().await.contains(" listen-success: ") {}
    common::run(&["ping", &url, "--count", "1"]).await.expect(0);
    while !hub.diagnosis().await.contains(" peer-lost: ") {}
}
