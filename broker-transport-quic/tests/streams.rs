//! What happens on the streams of a connection, seen from the other side.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use broker_core::memory::MemoryBudget;
use broker_core::transport::{Connection, ReadBuffer};
use broker_core::{Limits, Reason};
use broker_transport_quic::{Order, QuicOptions};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use support::raw::{self, Raw};
use support::{ACK, LIMIT, anonymous, data, peers, ping, receive, send};
use tokio::sync::mpsc;

const LARGE: usize = 8 * 1024 * 1024;

#[tokio::test]
async fn a_large_frame_that_nobody_reads_does_not_hold_up_other_topics() {
    let (mut ours, mut raw) = raw::dialled_by(&anonymous()).await;
    let (large, small) = (data("/large", &vec![7; LARGE]), data("/small", b"small"));
    for frame in [ACK, &large, &small] {
        send(&mut *ours.writer, frame).await;
    }
    expect(&mut raw.control.1, ACK).await;
    let mut first = raw.connection.accept_uni().await.unwrap();
    let mut second = raw.connection.accept_uni().await.unwrap();
    let barrier = [0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    expect(&mut second, &[&barrier, small.as_slice()].concat()).await;
    // The window of a stream is smaller, so the large one cannot have been on its way as a whole.
    expect(&mut first, &[&barrier, large.as_slice()].concat()).await;
}

async fn expect(stream: &mut quinn::RecvStream, bytes: &[u8]) {
    let mut received = vec![0; bytes.len()];
    stream.read_exact(&mut received).await.unwrap();
    assert!(received == bytes);
}

#[tokio::test]
async fn a_frame_that_is_late_holds_up_no_other_topic_but_the_ping_behind_it() {
    let (ours, mut raw) = raw::dialling().await;
    let mut received = frames_of(ours);
    let (late, small, ping) = (data("/late", b"late"), data("/small", b"small"), ping(b"x"));
    let mut first = raw.connection.open_uni().await.unwrap();
    let mut second = raw.connection.open_uni().await.unwrap();
    raw.control.0.write_all(ACK).await.unwrap();
    assert_eq!(received.recv().await.unwrap(), ACK);
    first.write_all(&late[..20]).await.unwrap();
    let barrier = [0x80, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 1];
    raw.control.0.write_all(&[&barrier, ping.as_slice()].concat()).await.unwrap();
    second.write_all(&small).await.unwrap();
    assert_eq!(received.recv().await.unwrap(), small);
    first.write_all(&late[20..]).await.unwrap();
    assert_eq!(received.recv().await.unwrap(), late);
    assert_eq!(received.recv().await.unwrap(), ping);
}

/// The frames that a connection receives.
fn frames_of(mut connection: Connection) -> mpsc::UnboundedReceiver<Vec<u8>> {
    let (sender, frames) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut buffer = ReadBuffer::new();
        while connection.reader.recv(&mut buffer).await.is_ok() {
            while let Some(frame) = buffer.next_frame(LIMIT).unwrap() {
                sender.send(frame.to_vec()).unwrap();
            }
        }
    });
    frames
}

#[tokio::test]
async fn either_side_can_have_all_frames_in_order() {
    let total = QuicOptions { order: Order::Total, ..support::patient() };
    let (asking, other) = (support::with_options(total), anonymous());
    for (dialler, acceptor) in [(&asking, &other), (&other, &asking)] {
        let (dialled, accepted) = support::meet(dialler, acceptor).await;
        let (mut left, mut right) = (dialled.unwrap(), accepted.unwrap());
        for (from, to) in
            [(&mut left.writer, &mut right.reader), (&mut right.writer, &mut left.reader)]
        {
            let mut frames = vec![ACK.to_vec()];
            for number in 0..200_usize {
                let length = if number.is_multiple_of(20) { 100_000 } else { 10 };
                frames.push(data(&format!("/{}", number % 30), &vec![number as u8; length]));
            }
            for frame in &frames {
                send(&mut **from, frame).await;
            }
            let mut buffer = ReadBuffer::new();
            for frame in &frames {
                loop {
                    if let Some(received) = buffer.next_frame(LIMIT).unwrap() {
                        assert!(received == frame.as_slice());
                        break;
                    }
                    to.recv(&mut buffer).await.unwrap();
                }
            }
        }
    }
}

#[tokio::test]
async fn before_the_peering_next_to_nothing_is_accepted_unread_and_a_window_per_stream_later() {
    let (_ours, raw) = raw::dialling().await;
    let mut streams = Vec::new();
    for _ in 0..16 {
        streams.push(raw.connection.open_uni().await.unwrap());
    }
    assert!(accepts_no_more_streams(&raw).await);
    let mut accepted = 1;
    for stream in &mut streams {
        accepted += fill(stream).await;
    }
    assert_eq!(accepted, 256 * 1024);

    let (mut ours, mut raw) = raw::dialling().await;
    raw.control.0.write_all(ACK).await.unwrap();
    assert_eq!(receive(&mut *ours.reader).await, ACK);
    let window = QuicOptions::default().stream_window.get() as usize;
    for _ in 0..16 {
        let mut stream = raw.connection.open_uni().await.unwrap();
        let mut accepted = 0;
        while accepted < window {
            // The larger window is announced some time after the last message of the handshake.
            accepted += stream.write(&vec![0; window - accepted]).await.unwrap();
        }
        assert_eq!(fill(&mut stream).await, 0);
    }
}

async fn accepts_no_more_streams(raw: &Raw) -> bool {
    let mut open = pin!(raw.connection.open_uni());
    poll_fn(|cx| Poll::Ready(open.as_mut().poll(cx).is_pending())).await
}

/// Writes as much as is accepted at once, and returns how much that was.
async fn fill(stream: &mut quinn::SendStream) -> usize {
    let bytes = vec![0; 64 * 1024];
    let mut accepted = 0;
    loop {
        let mut write = pin!(stream.write(&bytes));
        let written = poll_fn(|cx| match write.as_mut().poll(cx) {
            Poll::Ready(written) => Poll::Ready(written.unwrap()),
            Poll::Pending => Poll::Ready(0),
        });
        match written.await {
            0 => return accepted,
            count => accepted += count,
        }
    }
}

#[tokio::test]
async fn who_breaks_the_rules_is_cut_and_told_why() {
    let far = [0x80, 0, 0, 1, 17, 0, 0, 0, 0, 0, 0, 0, 1];
    let (mut ours, mut raw) = raw::dialling().await;
    raw.control.0.write_all(&far).await.unwrap();
    let error = ours.reader.recv(&mut ReadBuffer::new()).await.unwrap_err();
    assert_eq!(error.reason(), Reason::NotBroker);
    assert!(error.to_string().contains("names a stream which cannot be"), "{error}");
    let said = raw.connection.closed().await.to_string();
    assert!(said.contains("names a stream which cannot be"), "{said}");

    let (mut ours, mut raw) = raw::dialling().await;
    raw.control.0.reset(7u32.into()).unwrap();
    let error = ours.reader.recv(&mut ReadBuffer::new()).await.unwrap_err();
    assert!(error.to_string().contains("a stream that breaks off"), "{error}");
}

#[tokio::test]
async fn the_core_learns_of_a_frame_above_the_limit_from_its_length() {
    let (mut ours, mut raw) = raw::dialling().await;
    let limit = Limits::default().filter_frame();
    let length = u32::try_from(limit + 1).unwrap();
    raw.control.0.write_all(&length.to_be_bytes()).await.unwrap();
    let mut buffer = ReadBuffer::new();
    ours.reader.recv(&mut buffer).await.unwrap();
    assert_eq!(buffer.next_frame(limit).unwrap_err().length, limit + 1);
    ours.reader.recv(&mut buffer).await.unwrap_err();
}

#[tokio::test]
async fn what_was_sent_arrives_before_the_end_however_the_sender_ends() {
    for shut_down in [true, false] {
        let (mut left, mut right) = peers(support::patient()).await;
        let frames: Vec<_> =
            (0..100).map(|number| data(&format!("/{number}"), &vec![number; 50_000])).collect();
        let receive = async {
            let mut buffer = ReadBuffer::new();
            let mut received = Vec::new();
            let end = loop {
                match right.reader.recv(&mut buffer).await {
                    Ok(()) => {}
                    Err(end) => break end,
                }
                while let Some(frame) = buffer.next_frame(LIMIT).unwrap() {
                    received.push(frame.to_vec());
                }
            };
            assert!(end.is_closed(), "{end}");
            received.sort();
            received
        };
        let sending = async {
            for frame in &frames {
                send(&mut *left.writer, frame).await;
            }
            if shut_down {
                left.writer.shutdown().await;
            }
            drop(left);
        };
        let (received, ()) = tokio::join!(receive, sending);
        let mut expected = frames.clone();
        expected.sort();
        assert!(received == expected);
    }
}

#[tokio::test]
async fn a_side_that_vanishes_without_an_end_is_not_taken_for_one_that_closed() {
    let (mut ours, raw) = raw::dialling().await;
    raw.connection.close(1u32.into(), b"");
    let error = ours.reader.recv(&mut ReadBuffer::new()).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Reset);
    assert!(error.to_string().contains("lost"), "{error}");
}

#[tokio::test]
async fn an_unfinished_frame_is_a_part_of_what_the_endpoint_holds_and_gives_way() {
    let (mut connection, mut raw) = raw::dialling().await;
    let budget = Arc::new(MemoryBudget::new(1024 * 1024));
    connection.reader.within(&budget);
    raw.control.0.write_all(ACK).await.unwrap();
    assert_eq!(receive(&mut *connection.reader).await, ACK);

    let endless = async {
        raw.control.0.write_all(&(32_u32 << 20).to_be_bytes()).await.unwrap();
        while raw.control.0.write_all(&[0; 4096]).await.is_ok() {}
    };
    let mut buffer = ReadBuffer::new();
    let (received, ()) = tokio::join!(connection.reader.recv(&mut buffer), endless);
    let error = received.unwrap_err();
    assert_eq!(error.reason(), Reason::OutOfResources, "{error}");
    assert!(error.to_string().contains("the limit memory"), "{error}");
    assert_eq!(budget.used(), 0);
}
