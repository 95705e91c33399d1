//! Measures one node with many clients: `crowd [IDLE [ACTIVE [MESSAGES [RATE]]]]`.
//!
//! The clients run in a second process. Idle ones wait for a topic that nobody publishes on, active
//! ones receive every message, which says when it was published. Without a rate, the publisher
//! waits whenever the queue of the slowest client holds a hundred messages.

#![allow(clippy::unwrap_used, clippy::panic, clippy::expect_used)]

use broker_core::data::Timestamp;
use broker_core::{Address, Endpoint};
use broker_transport_ws::{WsOptions, WsTransport};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// How far the publisher may be ahead of the slowest client.
const AHEAD: u64 = 100;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default| args.get(at).map_or(default, |text| text.parse().unwrap());
    if args.first().is_some_and(|first| first == "clients") {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let clients = clients(number(1, 0) as u16, number(2, 0), number(3, 0), number(4, 0));
        return runtime.block_on(clients);
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(server(number(0, 10_000), number(1, 1000), number(2, 2000), number(3, 0)));
}

async fn server(idle: u64, active: u64, messages: u64, rate: u64) {
    let count = (idle + active) as usize;
    let options = WsOptions { clients: count, ..WsOptions::default() };
    let ws = WsTransport::new(options).unwrap();
    let endpoint = ws.install(Endpoint::builder()).build().unwrap();
    let url: Address = endpoint.listen("ws://127.0.0.1:0").await.unwrap();
    let before = resident();
    let began = Instant::now();
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["clients".into(), url.port().to_string(), idle.to_string(), active.to_string()])
        .arg(messages.to_string())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("idle"));
    let connected = began.elapsed();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let with_idle = resident();
    println!("{idle} idle clients in {:.1} s", connected.as_secs_f64());
    println!("memory for each: {} bytes", (with_idle - before) / idle.max(1));
    assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("active"));
    let began = Instant::now();
    publish(&endpoint, active, messages, rate).await;
    let report = lines.next_line().await.unwrap().expect("a report");
    let elapsed = began.elapsed().as_secs_f64();
    let deliveries = (messages * active) as f64 / elapsed;
    println!(
        "{messages} messages to {active} clients in {elapsed:.2} s: {deliveries:.0} per second"
    );
    println!("{report}");
    println!("memory at the end: {} MiB", resident() >> 20);
    let dropped: u64 = endpoint.clients().iter().map(|client| client.dropped).sum();
    println!("{} clients left, {dropped} messages dropped", endpoint.client_count());
}

async fn publish(endpoint: &Endpoint, active: u64, messages: u64, rate: u64) {
    let began = Instant::now();
    let slowest = || {
        let clients = endpoint.clients();
        clients.iter().map(|client| client.queued).max().unwrap_or(0)
    };
    for number in 0..messages {
        if rate > 0 {
            let due = began + Duration::from_secs_f64(number as f64 / rate as f64);
            tokio::time::sleep_until(due.into()).await;
        } else if number % 50 == 0 && active > 0 {
            while slowest() > AHEAD {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        endpoint.publish("/load", &Timestamp(now())).await.unwrap();
    }
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

async fn clients(port: u16, idle: u64, active: u64, messages: u64) {
    let mut kept = Vec::new();
    for _ in 0..idle {
        kept.push(connect(port, "/idle").await);
    }
    println!("idle");
    let worst = Arc::new(AtomicU64::new(0));
    let total = Arc::new(AtomicU64::new(0));
    let mut readers = Vec::new();
    for _ in 0..active {
        let stream = connect(port, "/load").await;
        let (worst, total) = (Arc::clone(&worst), Arc::clone(&total));
        readers.push(tokio::spawn(read(stream, messages, worst, total)));
    }
    // The server measures its memory meanwhile.
    tokio::time::sleep(Duration::from_secs(3)).await;
    println!("active");
    for reader in readers {
        reader.await.unwrap();
    }
    let mean = total.load(Relaxed) / (messages * active).max(1);
    let (mean, worst) = (mean as f64 / 1e6, worst.load(Relaxed) as f64 / 1e6);
    println!("lag: {mean:.1} ms on average, {worst:.1} ms at most");
}

async fn connect(port: u16, topic: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let array = format!("[\"{topic}\"]");
    let mut request = b"GET /v1/messages/json HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        .to_vec();
    request.extend_from_slice(&[0x81, 0x80 | array.len() as u8, 0, 0, 0, 0]);
    request.extend_from_slice(array.as_bytes());
    stream.write_all(&request).await.unwrap();
    let mut answer = Vec::new();
    // The ack is short and ends with a brace.
    while !(answer.windows(5).any(|window| window == b"\"ack\"") && answer.ends_with(b"}")) {
        stream.read_buf(&mut answer).await.unwrap();
    }
    stream
}

async fn read(mut stream: TcpStream, messages: u64, worst: Arc<AtomicU64>, total: Arc<AtomicU64>) {
    let mut buffer = Vec::new();
    let mut received = 0;
    while received < messages {
        if stream.read_buf(&mut buffer).await.unwrap() == 0 {
            panic!("the server has gone after {received} messages");
        }
        let arrived = now();
        let mut at = 0;
        while let Some((length, text)) = frame(&buffer[at..]) {
            at += length;
            if let Some(published) = published(text) {
                let lag = (arrived - published).max(0) as u64;
                worst.fetch_max(lag, Relaxed);
                total.fetch_add(lag, Relaxed);
                received += 1;
            }
        }
        buffer.drain(..at);
    }
}

/// The first frame, if it is complete.
fn frame(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (head, length) = match bytes.get(1)? & 0x7f {
        126 => (4, usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]))),
        length => (2, usize::from(length)),
    };
    Some((head + length, bytes.get(head..head + length)?))
}

/// When a message was published.
fn published(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let (_, data) = text.split_once("\"data\":\"")?;
    data.split('"').next()?.parse::<Timestamp>().ok().map(|time| time.0)
}
