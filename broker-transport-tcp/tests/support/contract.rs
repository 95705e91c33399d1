//! What every connection of this crate has to do with frames, whatever is between its ends.

use super::{LIMIT, batch_of, expect_frames, frame, mixed_frames};
use broker_core::transport::{Connection, ReadBuffer};

/// The two ends of a connection.
pub type Pair = (Connection, Connection);

pub async fn frames_arrive_whole_and_in_order_in_both_directions(pair: Pair) {
    let (mut left, mut right) = pair;
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

pub async fn large_frames_wait_for_a_reader_and_arrive_whole(pair: Pair) {
    let (mut left, mut right) = pair;
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

pub async fn cancelled_calls_lose_and_repeat_nothing(pair: Pair) {
    let (mut left, mut right) = pair;
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

pub async fn one_side_can_end_its_direction_and_still_receive(pair: Pair) {
    let (mut left, mut right) = pair;
    let frames = mixed_frames();
    left.writer.shutdown().await;
    let mut buffer = ReadBuffer::new();
    assert!(right.reader.recv(&mut buffer).await.unwrap_err().is_closed());
    let mut batch = batch_of(&frames);
    let (sent, ()) =
        tokio::join!(right.writer.send(&mut batch), expect_frames(&mut *left.reader, &frames));
    sent.unwrap();
}

pub async fn what_arrived_before_the_end_is_received_before_the_end(pair: Pair) {
    let (mut left, mut right) = pair;
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

pub async fn waiting_for_a_first_frame_takes_no_memory(pair: Pair) {
    let (_left, mut right) = pair;
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

/// Declares the tests of the contract for the pairs that `$pair` makes.
macro_rules! contract_tests {
    ($pair:expr) => {
        #[tokio::test]
        async fn frames_arrive_whole_and_in_order_in_both_directions() {
            crate::support::contract::frames_arrive_whole_and_in_order_in_both_directions(
                $pair.await,
            )
            .await;
        }

        #[tokio::test]
        async fn large_frames_wait_for_a_reader_and_arrive_whole() {
            crate::support::contract::large_frames_wait_for_a_reader_and_arrive_whole($pair.await)
                .await;
        }

        #[tokio::test]
        async fn cancelled_calls_lose_and_repeat_nothing() {
            crate::support::contract::cancelled_calls_lose_and_repeat_nothing($pair.await).await;
        }

        #[tokio::test]
        async fn one_side_can_end_its_direction_and_still_receive() {
            crate::support::contract::one_side_can_end_its_direction_and_still_receive($pair.await)
                .await;
        }

        #[tokio::test]
        async fn what_arrived_before_the_end_is_received_before_the_end() {
            crate::support::contract::what_arrived_before_the_end_is_received_before_the_end(
                $pair.await,
            )
            .await;
        }

        #[tokio::test]
        async fn waiting_for_a_first_frame_takes_no_memory() {
            crate::support::contract::waiting_for_a_first_frame_takes_no_memory($pair.await).await;
        }
    };
}

pub(crate) use contract_tests;
