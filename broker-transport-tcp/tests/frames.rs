//! Frames through both halves of real connections.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use broker_core::Url;
use broker_core::transport::{
    Chunk, Connection, FrameReader, ReadBuffer, Transport, TransportErrorKind as Kind, WriteBatch,
};
use broker_transport_tcp::TcpTransport;
use bytes::Bytes;
use tokio::io::AsyncWriteExt;

const LIMIT: usize = 64 * 1024 * 1024;

async fn pair() -> (Connection, Connection) {
    let transport = TcpTransport::default();
    let mut listener = transport.listen(&Url::new("tcp", "127.0.0.1", 0)).await.unwrap();
    let dialled = transport.connect(listener.url()).await.unwrap();
    let accepted = listener.accept().await.unwrap().establish.await.unwrap();
    (dialled, accepted)
}

/// A frame whose content tells it from every other one of the test.
fn frame(number: usize, length: usize) -> Vec<u8> {
    let mut frame = u32::try_from(length).unwrap().to_be_bytes().to_vec();
    frame.extend((0..length).map(|at| (number.wrapping_mul(31) + at) as u8));
    frame
}

/// Frames of all sizes around those of segments and read chunks, in chunks of both kinds.
fn mixed_frames() -> Vec<Vec<u8>> {
    let sizes = [0, 1, 3, 100, 2044, 2045, 65_531, 65_532, 65_533, 300_000];
    (0..500).map(|number| frame(number, sizes[number % sizes.len()])).collect()
}

fn batch_of(frames: &[Vec<u8>]) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for (number, frame) in frames.iter().enumerate() {
        batch.append(match number % 2 {
            0 => Chunk::Segment(frame.clone()),
            _ => Chunk::Shared(Bytes::from(frame.clone())),
        });
    }
    batch
}

async fn expect_frames(reader: &mut dyn FrameReader, expected: &[Vec<u8>]) {
    let mut buffer = ReadBuffer::new();
    for frame in expected {
        loop {
            if let Some(received) = buffer.next_frame(LIMIT).unwrap() {
                assert!(received == frame.as_slice(), "another frame, or one changed underway");
                break;
            }
            reader.recv(&mut buffer).await.unwrap();
        }
    }
    assert!(buffer.is_empty());
}

#[tokio::test]
async fn frames_arrive_whole_and_in_order_in_both_directions() {
    let (mut left, mut right) = pair().await;
    let frames = mixed_frames();
    let (mut there, mut back) = (batch_of(&frames), batch_of(&frames));
    let (sent_there, sent_back, (), ()) = tokio::join!(
        left.writer.send(&mut there),
        right.writer.send(&mut back),
        expect_frames(&mut *right.reader, &frames),
        expect_frames(&mut *left.reader, &frames),
    );
    sent_there.unwrap();
    sent_back.unwrap();
    assert!(there.is_empty() && back.is_empty());
}

#[tokio::test]
async fn a_frame_that_arrives_octet_by_octet_is_put_together() {
    let mut acceptor =
        TcpTransport::default().bind(&Url::new("tcp", "127.0.0.1", 0)).await.unwrap();
    let to = acceptor.url().clone();
    let client = tokio::spawn(async move { TcpTransport::default().connect(&to).await.unwrap() });
    let (mut raw, _) = acceptor.accept().await.unwrap();
    let mut connection = client.await.unwrap();
    let mut buffer = ReadBuffer::new();
    for (at, octet) in frame(1, 20).iter().enumerate() {
        assert!(buffer.next_frame(LIMIT).unwrap().is_none());
        raw.write_all(&[*octet]).await.unwrap();
        connection.reader.recv(&mut buffer).await.unwrap();
        assert_eq!(buffer.pending().len(), at + 1);
    }
    assert_eq!(buffer.next_frame(LIMIT).unwrap().unwrap(), frame(1, 20));
}

#[tokio::test]
async fn large_frames_wait_for_a_reader_and_arrive_whole() {
    let (mut left, mut right) = pair().await;
    let frames: Vec<_> = (0..4).map(|number| frame(number, 12 * 1024 * 1024)).collect();
    let mut batch = batch_of(&frames);
    let total = batch.remaining();
    // Nobody reads: the socket takes what it has room for, and then nothing more.
    let mut before = usize::MAX;
    while batch.remaining() < before {
        before = batch.remaining();
        tokio::select! {
            biased;
            sent = left.writer.send(&mut batch) => panic!("sent without a reader: {sent:?}"),
            () = tokio::task::yield_now() => {}
        }
    }
    assert!(batch.remaining() < total, "no progress was reported");
    let (sent, ()) =
        tokio::join!(left.writer.send(&mut batch), expect_frames(&mut *right.reader, &frames));
    sent.unwrap();
}

#[tokio::test]
async fn cancelled_calls_lose_and_repeat_nothing() {
    let (mut left, mut right) = pair().await;
    let frames = mixed_frames();
    let mut batch = batch_of(&frames);
    let mut cancelled = 0;
    let send = async {
        loop {
            tokio::select! {
                biased;
                sent = left.writer.send(&mut batch) => break sent.unwrap(),
                () = tokio::task::yield_now() => cancelled += 1,
            }
        }
    };
    let receive = async {
        let mut buffer = ReadBuffer::new();
        for frame in &frames {
            loop {
                if let Some(received) = buffer.next_frame(LIMIT).unwrap() {
                    assert!(received == frame.as_slice());
                    break;
                }
                tokio::select! {
                    biased;
                    received = right.reader.recv(&mut buffer) => received.unwrap(),
                    () = tokio::task::yield_now() => {}
                }
            }
        }
    };
    tokio::join!(send, receive);
    assert!(cancelled > 0, "no send was ever cancelled");
}

#[tokio::test]
async fn one_side_can_end_its_direction_and_still_receive() {
    let (mut left, mut right) = pair().await;
    let frames = mixed_frames();
    left.writer.shutdown().await;
    let mut buffer = ReadBuffer::new();
    assert!(right.reader.recv(&mut buffer).await.unwrap_err().is_closed());
    let mut batch = batch_of(&frames);
    let (sent, ()) =
        tokio::join!(right.writer.send(&mut batch), expect_frames(&mut *left.reader, &frames));
    sent.unwrap();
}

#[tokio::test]
async fn what_arrived_before_the_end_is_received_before_the_end() {
    let (mut left, mut right) = pair().await;
    let frames = mixed_frames();
    let mut batch = batch_of(&frames);
    let send = async {
        left.writer.send(&mut batch).await.unwrap();
        drop(left);
    };
    let receive = async {
        expect_frames(&mut *right.reader, &frames).await;
        right.reader.recv(&mut ReadBuffer::new()).await.unwrap_err()
    };
    let ((), end) = tokio::join!(send, receive);
    assert!(end.is_closed());
}

#[tokio::test]
async fn a_broken_connection_is_an_error_of_both_halves() {
    let (left, mut right) = pair().await;
    let mut batch = batch_of(&mixed_frames());
    // Closing with unread octets resets the connection.
    right.writer.send(&mut batch_of(&[frame(1, 10)])).await.unwrap();
    drop(left);
    let error = right.writer.send(&mut batch).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Reset, "{error}");
}

#[tokio::test]
async fn waiting_for_a_first_frame_takes_no_memory() {
    let (_left, mut right) = pair().await;
    let mut buffer = ReadBuffer::new();
    for _ in 0..3 {
        tokio::select! {
            biased;
            received = right.reader.recv(&mut buffer) => panic!("received {received:?}"),
            () = tokio::task::yield_now() => {}
        }
    }
    assert_eq!(buffer.capacity(), 0);
}
