//! What the doctor finds at addresses that are not well, and at one that is.
#![cfg(feature = "tcp")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Cli, End, LIMIT, run};
use serde_json::Value as Json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// Serves every connection by the script, and returns where.
async fn server<F>(script: impl Fn(TcpStream) -> F + Send + 'static) -> u16
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(timeout(LIMIT, script(socket)));
        }
    });
    port
}

/// What is said about an address: the failed check, and that the verdict is the same.
async fn finding(url: &str, code: i32, more: &[&str]) -> Json {
    let end = run(&[&["doctor", url][..], more].concat()).await.expect(code);
    let lines = end.lines();
    let mut failed = lines.iter().filter(|line| line["type"] == "check" && line["ok"] == false);
    let failed = failed.next_back().unwrap_or_else(|| panic!("{lines:?}")).clone();
    let verdict = lines.last().unwrap();
    assert_eq!(verdict["type"], "verdict");
    for member in ["ok", "reason", "message", "blame", "meaning", "advice"] {
        assert_eq!(verdict[member], failed[member], "{member}");
        assert!(!verdict[member].is_null(), "{member}");
    }
    failed
}

#[track_caller]
fn assert_finding(found: &Json, layer: &str, reason: &str, words: &str) {
    assert_eq!((&found["layer"], &found["reason"]), (&layer.into(), &reason.into()), "{found}");
    assert!(found["message"].as_str().unwrap().contains(words), "{found}");
}

/// The layers that passed, in order.
fn passed(end: &End) -> Vec<String> {
    let lines = end.lines();
    let passed = lines.iter().filter(|line| line["type"] == "check" && line["ok"] == true);
    passed.map(|line| line["layer"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_healthy_endpoint_tells_who_it_is_and_reports_no_peer() {
    let (mut node, url) = common::node(&["--forward", "/wanted", "--events"]).await;
    let end = run(&["doctor", &url]).await.expect(0);
    assert_eq!(passed(&end), ["url", "name", "tcp", "greeting", "handshake"]);
    let lines = end.lines();
    let handshake = lines.iter().find(|line| line["layer"] == "handshake").unwrap();
    assert_eq!(handshake["filter"], serde_json::json!(["/wanted"]));
    assert_eq!(handshake["versions"], serde_json::json!([1, 2]));
    assert_eq!(handshake["endpoint"]["id"].as_str().unwrap().len(), 36);
    assert_eq!(lines.last().unwrap()["ok"], true);
    // The first that the node reports is the peer that comes afterwards.
    let sub = Cli::start(&["sub", "/x", "--peer", &url]);
    let event = node.json().await;
    assert_eq!(event["type"], "endpoint_discovered", "{event}");
    drop(sub);
}

#[tokio::test]
async fn an_endpoint_with_the_smallest_id_leads_and_tells_the_same() {
    let id = "00000000-0000-4000-8000-000000000001";
    let (_node, url) = common::node(&["--endpoint-id", id, "--forward", "/wanted"]).await;
    let end = run(&["doctor", &url]).await.expect(0);
    let lines = end.lines();
    let handshake = lines.iter().find(|line| line["layer"] == "handshake").unwrap();
    assert_eq!(handshake["endpoint"]["id"], id);
    assert_eq!(handshake["filter"], serde_json::json!(["/wanted"]));
}

#[tokio::test]
async fn people_get_text_with_the_next_step() {
    let end = run(&["doctor", "tcp://127.0.0.1:1", "--output", "text"]).await.expect(3);
    assert!(end.stdout.contains("FAILED  tcp"), "{}", end.stdout);
    assert!(end.stdout.contains("What to try: Start the endpoint there"), "{}", end.stdout);
}

#[tokio::test]
async fn without_a_connection_it_is_the_name_or_the_port() {
    let found = finding("tcp://127.0.0.1:1", 3, &[]).await;
    assert_finding(&found, "tcp", "refused", "nothing listens there");
    assert_eq!(found["blame"], "the other side");
    let found = finding("tcp://no.such.name.invalid:9999", 3, &[]).await;
    assert_finding(&found, "name", "name-resolution", "no.such.name.invalid does not resolve");
    let found = finding("gopher://127.0.0.1:9999", 2, &[]).await;
    assert_finding(&found, "url", "unsupported-scheme", "does not speak gopher://");
    run(&["doctor", "host"]).await.expect(2);
}

#[tokio::test]
async fn other_protocols_are_named() {
    let ssh = |mut socket: TcpStream| async move {
        socket.write_all(b"SSH-2.0-OpenSSH_9.2\r\n").await.unwrap();
        let _ = socket.read(&mut [0; 64]).await;
    };
    let found = finding(&format!("tcp://127.0.0.1:{}", server(ssh).await), 4, &[]).await;
    assert_finding(&found, "greeting", "not-broker", "it speaks SSH");
    let http = |mut socket: TcpStream| async move {
        let mut request = [0; 64];
        let count = socket.read(&mut request).await.unwrap();
        if request[..count].starts_with(b"GET ") {
            socket.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        }
    };
    let found = finding(&format!("tcp://127.0.0.1:{}", server(http).await), 4, &[]).await;
    assert_finding(&found, "greeting", "not-broker", "ws://");
}

#[tokio::test]
async fn a_plain_address_that_speaks_tls_is_confirmed_on_a_connection_of_its_own() {
    // Like the C++ Broker: no word before a handshake of TLS has begun, and none to anything else.
    let tls = |mut socket: TcpStream| async move {
        let mut hello = [0; 512];
        let count = socket.read(&mut hello).await.unwrap();
        if hello[..count].starts_with(&[0x16, 3]) {
            socket.write_all(&[0x15, 3, 3, 0, 2, 2, 40]).await.unwrap();
        }
    };
    let found = finding(&format!("tcp://127.0.0.1:{}", server(tls).await), 4, &[]).await;
    assert_finding(&found, "greeting", "peer-wants-tls", "answers when a TLS handshake is begun");
    assert!(found["advice"].as_str().unwrap().contains("tls://"), "{found}");
}

#[tokio::test]
async fn silence_is_a_timeout_and_a_hang_up_is_not() {
    let silent = |mut socket: TcpStream| async move {
        let _ = socket.read_to_end(&mut Vec::new()).await;
    };
    let port = server(silent).await;
    let found = finding(&format!("tcp://127.0.0.1:{port}"), 5, &["--wait", "0.2"]).await;
    assert_finding(&found, "handshake", "handshake-timeout", "waited for its hello");
    let rude = |mut socket: TcpStream| async move {
        socket.write_all(b"\0\0\0\x05\x07ZEEK").await.unwrap();
        socket.read_u8().await.unwrap();
        socket.shutdown().await.unwrap();
        let _ = socket.read_to_end(&mut Vec::new()).await;
    };
    let found = finding(&format!("tcp://127.0.0.1:{}", server(rude).await), 4, &[]).await;
    assert_finding(&found, "handshake", "closed-in-handshake", "while this side waited for");
}

#[tokio::test]
async fn a_server_that_sends_back_what_it_gets_is_named() {
    let echo = |mut socket: TcpStream| async move {
        let (mut reader, mut writer) = socket.split();
        let _ = tokio::io::copy(&mut reader, &mut writer).await;
    };
    let found = finding(&format!("tcp://127.0.0.1:{}", server(echo).await), 4, &[]).await;
    assert_finding(&found, "handshake", "not-broker", "it sends back what it is sent");
}

/// The time of the handshake begins with the handshake, and not while this side only listens.
#[tokio::test]
async fn an_endpoint_that_takes_its_time_is_given_all_of_it() {
    let answer = b"\0\0\0\x17\x06ZEEK0123456789abcdef\x03\x04";
    let slow = async |mut socket: TcpStream| {
        // The hello of the doctor comes when it has waited in vain, and its time begins.
        let mut hello = [0; 27];
        if socket.read_exact(&mut hello).await.is_ok() && hello[4] == 6 {
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            socket.write_all(answer).await.unwrap();
        }
        let _ = socket.read_to_end(&mut Vec::new()).await;
    };
    let port = server(slow).await;
    let found = finding(&format!("tcp://127.0.0.1:{port}"), 4, &["--wait", "0.6"]).await;
    assert_finding(&found, "handshake", "no-common-version", "unsupported versions");
}

#[tokio::test]
async fn frames_are_as_long_as_those_of_an_endpoint_may_be() {
    let config = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(config.path(), "[limits]\nfilter-bytes = 1000\nfilter-entries = 9\n").unwrap();
    let config = ["--config", config.path().to_str().unwrap()];
    let limits = broker::Limits { filter_bytes: 1000, filter_entries: 9, ..Default::default() };
    for (before, limit) in [(0, limits.handshake_frame.get()), (1, limits.filter_frame())] {
        let port = server(move |mut socket: TcpStream| async move {
            let hello = b"\0\0\0\x17\x06ZEEK0123456789abcdef\x01\x01".repeat(before);
            let too_long = u32::try_from(limit + 1).unwrap().to_be_bytes();
            let _ = socket.write_all(&[PROBE, &hello, &too_long].concat()).await;
            let _ = socket.read_to_end(&mut Vec::new()).await;
        });
        let url = format!("tcp://127.0.0.1:{}", port.await);
        let found = finding(&url, 4, &config).await;
        assert_finding(&found, "handshake", "frame-too-large", &format!(" is {limit}"));
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_address_that_swallows_everything_is_a_matter_of_the_network() {
    // A listener that has as many connections waiting as it may have.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let at = listener.local_addr().unwrap();
    let _waiting = TcpStream::connect(at).await.unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[limits]\nconnect-time = 0.2\n").unwrap();
    let config = ["--config", file.path().to_str().unwrap()];
    let found = finding(&format!("tcp://{at}"), 3, &config).await;
    assert_finding(&found, "tcp", "timed-out", "no answer within 0.2 s");
    assert_eq!(found["blame"], "the network");
}

#[tokio::test]
async fn a_server_of_tls_that_serves_one_connection_at_a_time_is_recognised() {
    // It waits for a client to begin, and for as long as that does nobody else is served.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut hello = [0; 3];
            if socket.read_exact(&mut hello).await.is_ok() && hello.starts_with(&[0x16, 3]) {
                socket.write_all(&[0x15, 3, 3, 0, 2, 2, 40]).await.unwrap();
            }
            let _ = socket.read_to_end(&mut Vec::new()).await;
        }
    });
    let found = finding(&url, 4, &["--wait", "0.5"]).await;
    assert_finding(&found, "handshake", "peer-wants-tls", "said nothing to a hello of Broker");
    #[cfg(feature = "ws")]
    {
        let url = url.replace("tcp://", "ws://");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[limits]\nconnect-time = 0.2\n").unwrap();
        let config = ["--wait", "0.5", "--config", file.path().to_str().unwrap()];
        let found = finding(&url, 4, &config).await;
        assert_finding(&found, "transport", "peer-wants-tls", "wss://");
    }
}

#[cfg(feature = "ws")]
#[tokio::test]
async fn the_native_protocol_at_a_web_socket_address_is_named_whatever_gets_lost() {
    let (_node, url) = common::node(&[]).await;
    let real = url.replace("tcp://", "ws://");
    // Here the greeting before the end never arrives, as it happens when that end is a reset.
    let port = server(async |mut socket: TcpStream| {
        let wait = std::time::Duration::from_millis(300);
        if timeout(wait, socket.peek(&mut [0])).await.is_err() {
            socket.write_all(PROBE).await.unwrap();
            let _ = socket.read_to_end(&mut Vec::new()).await;
        }
    })
    .await;
    for url in [real, format!("ws://127.0.0.1:{port}")] {
        let found = finding(&url, 4, &[]).await;
        assert_finding(&found, "transport", "not-broker", "without WebSocket: use tcp://");
    }
}

const PROBE: &[u8] = b"\0\0\0\x05\x07ZEEK";

#[tokio::test]
async fn what_is_wrong_with_a_handshake_is_told() {
    for (answer, reason, words) in [
        (&b"\0\0\0\x17\x06KEEZ0123456789abcdef\x01\x01"[..], "wrong-magic", "wrong magic number"),
        (
            b"\0\0\0\x17\x06ZEEK0123456789abcdef\x03\x04",
            "no-common-version",
            "unsupported versions",
        ),
        (b"\0\0\0\x03\x06ZE", "malformed-handshake", "failed to parse hello_msg"),
        (b"\0\0\0\x17\x06ZEEK\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x01", "nil-id", "nil id"),
        (b"\0\0\0\0", "empty-frame", "empty frame"),
        (b"\0\0\0\x01\x0c", "unexpected-message", "originator_ack"),
        (b"\xff\xff\xff\xff", "frame-too-large", "4294967295"),
        (b"\0\0\0\x1b\x09ZEEK0123456789abcdef\x1c\x04gone", "shutting-down", "gone"),
        (b"\0\0\0\x1b\x09ZEEK0123456789abcdef\x01\x04busy", "refused-by-peer", "busy"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("tcp://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let _ = socket.write_all(PROBE).await;
                let _ = socket.write_all(answer).await;
                let _ = socket.read_to_end(&mut Vec::new()).await;
            }
        });
        assert_finding(&finding(&url, 4, &[]).await, "handshake", reason, words);
        server.abort();
    }
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn tls_where_there_is_none_and_the_reverse() {
    let (_node, url) = common::node(&[]).await;
    let found = finding(&url.replace("tcp://", "tls://"), 4, &[]).await;
    assert_finding(&found, "tls", "peer-is-plain", "use tcp:// here");
    let mut node = Cli::start(&["node", "--listen", "tls://127.0.0.1:0"]);
    let url = node.listening().await;
    let found = finding(&url.replace("tls://", "tcp://"), 4, &[]).await;
    assert_finding(&found, "greeting", "peer-wants-tls", "TLS");
    let end = run(&["doctor", &url]).await.expect(0);
    let layers = passed(&end);
    assert_eq!(layers.last().unwrap(), "handshake");
    let lines = end.lines();
    let agreed = lines.iter().find(|line| line["version"].is_string()).unwrap();
    assert!(agreed["version"].as_str().unwrap().starts_with("TLSv1"), "{agreed}");
    assert!(agreed["message"].as_str().unwrap().contains("encrypted, not authenticated"));
}

#[cfg(feature = "ws")]
#[tokio::test]
async fn both_sides_of_a_listener_for_web_sockets_are_well() {
    let mut node = Cli::start(&["node", "--listen", "ws://127.0.0.1:0"]);
    let url = node.listening().await;
    let end = run(&["doctor", &format!("{url}/v1/messages/json")]).await.expect(0);
    assert_eq!(passed(&end), ["url", "name", "transport", "json-api"]);
    let end = run(&["doctor", &format!("{url}/v1/native")]).await.expect(0);
    assert_eq!(passed(&end), ["url", "name", "transport", "greeting", "handshake"]);
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn a_certificate_that_is_not_accepted_is_shown_and_named() {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("identity.pem");
    let config = directory.path().join("node.toml");
    std::fs::write(&config, format!("[tls]\nself-signed = {key:?}\npins = [\"{PIN}\"]\n")).unwrap();
    let config = config.to_str().unwrap();
    let mut node = Cli::start(&["node", "--listen", "tls://127.0.0.1:0", "--config", config]);
    let url = node.listening().await;
    let found = finding(&url, 4, &["--config", config]).await;
    assert_finding(&found, "tls", "peer-certificate", "pin");
}

/// The key of nobody.
#[cfg(feature = "tls")]
const PIN: &str = "0000000000000000000000000000000000000000000000000000000000000000";

#[cfg(feature = "tls")]
#[tokio::test]
async fn certificates_that_cannot_be_used_are_told_before_anything_is_tried() {
    let args = ["--tls-certificate", "/no/such/file", "--tls-key", "/no/such/file"];
    let found = finding("tls://127.0.0.1:1", 2, &args).await;
    assert_finding(&found, "tls", "own-certificate", "no/such/file");
}
