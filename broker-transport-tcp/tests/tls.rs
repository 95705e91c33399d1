//! Frames over TLS between endpoints with certificates.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../../broker-tls/tests/pki/mod.rs"]
mod pki;
mod support;
#[path = "support/tls.rs"]
mod tls_support;

use broker_core::Address;
use broker_core::transport::{
    Chunk, Connection, Listener, Protection, ReadBuffer, Transport, WriteBatch,
};
use broker_transport_tcp::TcpTransport;
use broker_transport_tcp::tls::TlsTransport;
use std::time::Duration;
use support::expect_frames;
use tls_support::{Setting, accept, listen, meet};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// Changed files are in force within this time.
const INTERVAL: Duration = Duration::from_secs(5);

/// Keeps a paused clock from advancing by itself while sockets are waited for: the runtime takes a
/// blocking task for something that time has to wait for.
struct Frozen(#[expect(dead_code, reason = "it ends the task")] std::sync::mpsc::Sender<()>);

impl Frozen {
    fn new() -> Self {
        let (end, ended) = std::sync::mpsc::channel();
        tokio::task::spawn_blocking(move || ended.recv());
        Self(end)
    }
}

async fn pair() -> (Connection, Connection) {
    let setting = Setting::new();
    let (dialled, accepted) = meet(&setting.endpoint("left"), &setting.endpoint("right")).await;
    (dialled.unwrap(), accepted.unwrap())
}

support::contract::contract_tests!(pair());

#[tokio::test]
async fn links_say_who_is_at_the_other_end() {
    let (left, right) = pair().await;
    assert_eq!(left.link.protection.to_string(), "authenticated as CN=right");
    assert_eq!(right.link.protection, Protection::Authenticated("CN=left".to_owned()));
    assert_eq!(left.link.remote.scheme(), "tls");
    assert_eq!(right.link.remote.host(), "127.0.0.1");
}

#[tokio::test]
async fn what_is_sent_in_two_calls_arrives_in_two_records() {
    let setting = Setting::new();
    let (dialler, acceptor) = (setting.endpoint("left"), setting.endpoint("right"));
    let mut listener = listen(&acceptor).await;
    let (relay, recorded) = relay_to(listener.url().clone()).await;
    let (dialled, accepted) = tokio::join!(dialler.connect(&relay), accept(&mut *listener));
    let (mut left, mut right) = (dialled.unwrap(), accepted.unwrap());

    let frames = [vec![0, 0, 0, 1, 12], vec![0, 0, 0, 1, 4], vec![0, 0, 0, 1, 5]];
    for frame in &frames {
        let mut batch = WriteBatch::new();
        batch.append(Chunk::Segment(frame.clone()));
        left.writer.send(&mut batch).await.unwrap();
    }
    expect_frames(&mut *right.reader, &frames).await;
    drop((left, right));

    // Each record of TLS 1.3 adds 17 bytes to its contents.
    let lengths = record_lengths(&recorded.await.unwrap());
    let last: Vec<_> = lengths.into_iter().filter(|length| *length == 5 + 17).collect();
    assert_eq!(last.len(), 3);
}

/// Forwards one connection and hands over what the client had sent when it ended.
async fn relay_to(to: Address) -> (Address, tokio::task::JoinHandle<Vec<u8>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = to.clone().with_port(listener.local_addr().unwrap().port());
    let task = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = tokio::net::TcpStream::connect((to.host(), to.port())).await.unwrap();
        let (mut from_client, mut to_client) = client.split();
        let (mut from_server, mut to_server) = server.split();
        let mut sent = Vec::new();
        let back = tokio::io::copy(&mut from_server, &mut to_client);
        let there = async {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = from_client.read(&mut bytes).await {
                sent.extend_from_slice(&bytes[..count]);
                if to_server.write_all(&bytes[..count]).await.is_err() {
                    break;
                }
            }
        };
        tokio::select! { () = there => {} _ = back => {} }
        sent
    });
    (url, task)
}

fn record_lengths(mut stream: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    while let [_, 3, _, high, low, rest @ ..] = stream {
        let length = usize::from(*high) << 8 | usize::from(*low);
        lengths.push(length);
        stream = &rest[length..];
    }
    lengths
}

#[tokio::test(start_paused = true)]
async fn files_are_looked_at_by_a_timer_and_never_by_a_connection() {
    let frozen = Frozen::new();
    let setting = Setting::new();
    let (dialler, tls) =
        (setting.endpoint("left"), setting.tls("right", &setting.ca.issue("right")));
    let (read, mut reads) = tokio::sync::mpsc::unbounded_channel();
    tls.on_reload(move |outcome| read.send(outcome.is_ok()).unwrap());
    let acceptor = TlsTransport::new(TcpTransport::default(), tls);
    let mut listener = listen(&acceptor).await;
    let url = listener.url().clone();
    let mut meet = async || {
        let (dialled, accepted) = tokio::join!(dialler.connect(&url), accept(&mut *listener));
        (dialled.unwrap(), accepted.unwrap())
    };
    let (mut before, mut accepted) = meet().await;

    setting.files.options("right", &setting.ca.issue("a new name"), &setting.ca.pem);
    for _ in 0..20 {
        let (dialled, _accepted) = meet().await;
        assert_eq!(dialled.link.protection.to_string(), "authenticated as CN=right");
    }
    assert!(reads.try_recv().is_err(), "a connection had the files read");

    drop(frozen);
    assert_eq!(timeout(INTERVAL, reads.recv()).await.unwrap(), Some(true));
    let _frozen = Frozen::new();
    let (dialled, _accepted) = meet().await;
    assert_eq!(dialled.link.protection.to_string(), "authenticated as CN=a new name");

    // What was there before goes on with what it has.
    let frame = vec![0, 0, 0, 1, 7];
    let mut batch = WriteBatch::new();
    batch.append(Chunk::Segment(frame.clone()));
    before.writer.send(&mut batch).await.unwrap();
    expect_frames(&mut *accepted.reader, &[frame]).await;
    assert_eq!(before.link.protection.to_string(), "authenticated as CN=right");
}

#[tokio::test(start_paused = true)]
async fn who_only_dials_has_changed_files_in_force_within_the_interval() {
    let frozen = Frozen::new();
    let setting = Setting::new();
    let (acceptor, tls) =
        (setting.endpoint("right"), setting.tls("left", &setting.ca.issue("left")));
    let (read, mut reads) = tokio::sync::mpsc::unbounded_channel();
    tls.on_reload(move |outcome| read.send(outcome.is_ok()).unwrap());
    let dialler = TlsTransport::new(TcpTransport::default(), tls);
    let (_, accepted) = meet(&dialler, &acceptor).await;
    assert_eq!(accepted.unwrap().link.protection.to_string(), "authenticated as CN=left");
    setting.files.options("left", &setting.ca.issue("a new name"), &setting.ca.pem);
    drop(frozen);
    assert_eq!(timeout(INTERVAL, reads.recv()).await.unwrap(), Some(true));
    let _frozen = Frozen::new();
    let (_, accepted) = meet(&dialler, &acceptor).await;
    assert_eq!(accepted.unwrap().link.protection.to_string(), "authenticated as CN=a new name");
}

#[tokio::test]
async fn a_link_that_is_cut_is_closed_without_a_last_word() {
    // Endpoints of the C++ Broker close their sockets without the farewell of TLS.
    let setting = Setting::new();
    let (dialler, acceptor) = (setting.endpoint("left"), setting.endpoint("right"));
    let mut listener = listen(&acceptor).await;
    let (relay, recorded) = relay_to(listener.url().clone()).await;
    let (dialled, accepted) = tokio::join!(dialler.connect(&relay), accept(&mut *listener));
    let (mut left, _right) = (dialled.unwrap(), accepted.unwrap());
    recorded.abort();
    let error = left.reader.recv(&mut ReadBuffer::new()).await.unwrap_err();
    assert!(error.is_closed(), "{error}");
    assert_eq!(error.to_string(), "receiving: the other side closed the connection");
}

#[tokio::test]
async fn a_client_that_dawdles_holds_up_nobody() {
    let setting = Setting::new();
    let (dialler, acceptor) = (setting.endpoint("left"), setting.endpoint("right"));
    let mut listener: Box<dyn Listener> = listen(&acceptor).await;
    let url = listener.url().clone();
    let mut slow = tokio::net::TcpStream::connect((url.host(), url.port())).await.unwrap();
    slow.write_all(&[0x16, 3, 1, 2]).await.unwrap();
    let dawdling = tokio::spawn(listener.accept().await.unwrap().establish);

    let (dialled, accepted) = tokio::join!(dialler.connect(&url), accept(&mut *listener));
    dialled.unwrap();
    accepted.unwrap();
    assert!(!dawdling.is_finished());

    drop(slow);
    let error = dawdling.await.unwrap().err().unwrap();
    assert!(error.to_string().contains("in the middle of the TLS handshake"), "{error}");
}
