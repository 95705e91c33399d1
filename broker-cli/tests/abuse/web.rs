//! The listener for WebSockets, and what is told over HTTP.

use crate::attacker::{Attacker, noise};
use crate::common::within;
use crate::scale;
use crate::stage::{HALF_OPEN, Stage};
use std::net::SocketAddr;
use std::time::Duration;

const WS: [&str; 2] = ["--listen", "ws://127.0.0.1:0"];
const HTTP: [&str; 2] = ["--http", "127.0.0.1:0"];

const OPENING: &str = "GET /v1/messages/json HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A node with both, where every event is shown.
async fn stage(command: &[&str], more: &str) -> (Stage, SocketAddr, SocketAddr) {
    let keys = format!(
        "handshake-time = 2.0\n{more}\n[ws]\nhandshake-time = 1.0\nmessage = 65536\nqueue-bytes = 1048576\nclose-time = 0.5\n"
    );
    let stage = Stage::at(&[WS, HTTP], &keys, command).await;
    let (ws, http) = (stage.also_at[0], stage.also_at[1]);
    (stage, ws, http)
}

const ALL: &str = "log-burst = 1000000";

/// Whether the node answers a request for its health on a connection of its own.
async fn is_healthy(at: SocketAddr) -> bool {
    let mut client = Attacker::connect(at).await;
    client.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    client.cut().await.starts_with(b"HTTP/1.1 200 ")
}

async fn becomes_healthy(at: SocketAddr) {
    within("an answer", async { while !is_healthy(at).await {} }).await;
}

/// A client of the JSON API that has said what it wants to receive.
async fn client(at: SocketAddr, topics: &str) -> Attacker {
    let mut client = Attacker::connect_narrow(at).await;
    client.send(OPENING.as_bytes()).await;
    client.send(&frame(1, topics.as_bytes())).await;
    client
}

/// A frame of a client, masked with zeros.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    [&[0x80 | opcode, 0x80 | payload.len() as u8, 0, 0, 0, 0][..], payload].concat()
}

/// One byte after the other, until the node has had enough.
async fn slowly(at: SocketAddr) -> String {
    let mut attacker = Attacker::connect(at).await;
    let bytes = b"GET /health HTTP/1.1\r\nX: ".iter().chain(std::iter::repeat(&b'x'));
    for byte in bytes {
        attacker.send(&[*byte]).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        match attacker.stream.try_read(&mut [0; 512]) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            _ => break,
        }
    }
    attacker.address
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_by_the_hundred() {
    let (mut stage, ws, http) = stage(&[], ALL).await;
    let count = 300 * scale();
    for at in [ws, http] {
        let mut attackers = Vec::new();
        for number in 0..count {
            attackers.push(Attacker::connect(at).await);
            if number % 100 == 0 {
                stage.holds(0).await;
            }
        }
        // An honest peer is served while all places are taken.
        assert!(is_healthy(http).await);
        drop(client(ws, "[]").await);
        // The last ones would have their time.
        for attacker in attackers.iter_mut().take(count - HALF_OPEN) {
            attacker.cut().await;
        }
    }
    stage.said(&["handshake-failed", "limit-reached", "the limit half-open is 64"]).await;
    stage.said(&["http-cut", "limit-reached", "the limit `connections` in [http] is 64"]).await;
    stage.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_never_end() {
    let (mut stage, ws, http) = stage(&[], ALL).await;
    let tasks: Vec<_> = [ws, http].map(|at| tokio::spawn(slowly(at))).into();
    let [at_ws, at_http]: [String; 2] = {
        let mut addresses = Vec::new();
        for task in tasks {
            addresses.push(within("the end of an attack", task).await.unwrap());
        }
        addresses.try_into().unwrap()
    };
    stage.said(&["handshake-failed", &at_ws, "timed-out"]).await;
    stage.said(&["http-cut", &at_http, "took longer than 2 s"]).await;
    stage.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_request_and_heads_of_any_length() {
    let (mut stage, ws, http) = stage(&[], ALL).await;
    let long = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(1 << 20));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: x\r\n".repeat(1000));
    for bytes in [&noise(1, 10_000), long.as_bytes(), many.as_bytes(), b"\0\0\0\x05\x07ZEEK"] {
        for (at, id) in [(ws, "handshake-failed"), (http, "http-cut")] {
            let mut attacker = Attacker::connect(at).await;
            attacker.send(bytes).await;
            attacker.cut().await;
            stage.said(&[id, &attacker.address]).await;
        }
    }
    assert!(is_healthy(http).await);
    stage.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_announce_too_much_or_never_read() {
    let (mut stage, ws, _) = stage(&[], ALL).await;
    // Before the first message and after it.
    let absurd = [&[0x82, 0xff, 0x7f][..], &[0xff; 7], &[0; 4], &noise(7, 5000)].concat();
    let mut early = Attacker::connect(ws).await;
    early.send(OPENING.as_bytes()).await;
    early.send(&absurd).await;
    early.cut().await;
    stage.said(&["handshake-failed", &early.address, "the limit is 65536"]).await;
    let mut late = client(ws, "[]").await;
    late.send(&absurd).await;
    late.cut().await;
    stage.said(&["client-ended", &late.address, "the limit is 65536"]).await;
    // Far more than sockets and queue hold.
    let silent = client(ws, "[\"/flood\"]").await;
    stage.said(&["peer_added", "web-socket"]).await;
    stage.healthy.flood("/flood", &"x".repeat(60_000), 300).await;
    stage.said(&["client-ended", &silent.address, "reads too slowly"]).await;
    stage.holds(0).await;
    drop(silent);
    stage.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn descriptors_that_run_out_on_every_listener() {
    let command = ["sh", "-c", "ulimit -n 48 && exec \"$0\" \"$@\""];
    let (mut stage, ws, http) = stage(&command, "").await;
    let mut attackers = Vec::new();
    for number in 0..180 {
        let at = [ws, http, stage.at][number % 3];
        attackers.push(Attacker::connect(at).await);
    }
    stage.said(&["handshake-failed", "the busiest address gives way"]).await;
    stage.healthy.is_served().await;
    becomes_healthy(http).await;
    // Whoever tries again gets in: the others are still being let in and sent away.
    while stage.attacker().await.try_peer(1, &["/x"]).await.is_none() {}
    stage.healthy.is_served().await;
    drop(attackers);
    stage.clear().await;
}
