//! Frames through both halves of real connections.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use broker_core::transport::{Connection, ReadBuffer, Transport, WriteBatch};
use broker_core::{Address, Reason};
use broker_transport_tcp::TcpTransport;
use std::time::Duration;
use support::{LIMIT, batch_of, frame, mixed_frames};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

async fn pair() -> (Connection, Connection) {
    let transport = TcpTransport::default();
    let mut listener = transport.listen(&Address::new("tcp", "127.0.0.1", 0)).await.unwrap();
    let dialled = transport.connect(listener.url()).await.unwrap();
    let accepted = listener.accept().await.unwrap().establish.await.unwrap().into_peer().unwrap();
    (dialled, accepted)
}

support::contract::contract_tests!(pair());

#[tokio::test]
async fn a_frame_that_arrives_byte_by_byte_is_put_together() {
    let mut acceptor =
        TcpTransport::default().bind(&Address::new("tcp", "127.0.0.1", 0)).await.unwrap();
    let to = acceptor.url().clone();
    let client = tokio::spawn(async move { TcpTransport::default().connect(&to).await.unwrap() });
    let (mut raw, _) = acceptor.accept().await.unwrap();
    let mut connection = client.await.unwrap();
    let mut buffer = ReadBuffer::new();
    for (at, byte) in frame(1, 20).iter().enumerate() {
        assert!(buffer.next_frame(LIMIT).unwrap().is_none());
        raw.write_all(&[*byte]).await.unwrap();
        connection.reader.recv(&mut buffer).await.unwrap();
        assert_eq!(buffer.pending().len(), at + 1);
    }
    assert_eq!(buffer.next_frame(LIMIT).unwrap().unwrap(), frame(1, 20));
}

/// Lets a writer go on until the system takes nothing more, and returns whether it has got on.
async fn offer(connection: &mut Connection, batch: &mut WriteBatch) -> bool {
    let before = batch.progress();
    loop {
        let seen = batch.progress();
        // One look, as the one after a time in which a peer should have read something.
        let looked = timeout(Duration::ZERO, connection.writer.send(batch)).await;
        assert!(looked.is_err(), "the batch is far larger than what a system buffers");
        if batch.progress() == seen {
            return seen != before;
        }
    }
}

#[tokio::test]
async fn a_peer_that_reads_little_by_little_is_seen_to_read() {
    let mut acceptor =
        TcpTransport::default().bind(&Address::new("tcp", "127.0.0.1", 0)).await.unwrap();
    let to = acceptor.url().clone();
    let client = tokio::spawn(async move { TcpTransport::default().connect(&to).await.unwrap() });
    let (mut slow, _) = acceptor.accept().await.unwrap();
    let mut connection = client.await.unwrap();
    let mut batch = batch_of(&(0..64).map(|number| frame(number, 1 << 20)).collect::<Vec<_>>());
    let all = batch.remaining();
    while offer(&mut connection, &mut batch).await {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let buffered = all - batch.remaining();
    let mut read = 0;
    while !offer(&mut connection, &mut batch).await {
        let mut bytes = vec![0; 16 * 1024];
        slow.read_exact(&mut bytes).await.unwrap();
        read += bytes.len();
    }
    assert!(read < buffered / 8, "it took {read} of {buffered} buffered bytes to see it");
}

#[tokio::test]
async fn a_broken_connection_is_an_error_of_both_halves() {
    let (left, mut right) = pair().await;
    let mut batch = batch_of(&mixed_frames());
    // Closing with unread bytes resets the connection.
    right.writer.send(&mut batch_of(&[frame(1, 10)])).await.unwrap();
    drop(left);
    let error = right.writer.send(&mut batch).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Reset, "{error}");
}
