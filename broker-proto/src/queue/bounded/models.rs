//! Producers, consumer and end of a queue in every order that a scheduler comes up with.

use super::*;
use crate::queue::testing;
use shuttle::future::block_on;
use shuttle::thread;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

const RUNS: usize = 2_000;

fn frame(number: u8) -> Vec<u8> {
    testing::frame(&[number])
}

fn queue(messages: usize, policy: OverflowPolicy) -> Arc<BoundedQueue> {
    Arc::new(BoundedQueue::new(Bounds { messages, memory: 1 << 20, control: 1 << 10, policy }))
}

fn numbers(batch: &mut WriteBatch) -> Vec<u8> {
    let length = frame(0).len();
    let mut bytes = Vec::new();
    while !batch.is_empty() {
        bytes.extend_from_slice(batch.first());
        batch.advance(batch.first().len());
    }
    bytes.chunks(length).map(|frame| frame[length - 1]).collect()
}

/// As a writer does: takes what is there, and waits when there is nothing.
fn consume(queue: &BoundedQueue) -> Vec<u8> {
    let (mut batch, mut got) = (WriteBatch::new(), Vec::new());
    loop {
        match queue.take(&mut batch) {
            Taken::Some => got.extend(numbers(&mut batch)),
            Taken::Closed => return got,
            Taken::Idle => block_on(queue.changed()),
        }
    }
}

/// Polls a future once and drops it. Should it have been ready, its caller looks again, too.
fn poll_once(future: impl Future<Output = ()>) {
    let _ = pin!(future).poll(&mut Context::from_waker(Waker::noop()));
}

#[test]
fn shuttle_everything_pushed_before_the_end_is_consumed_in_order() {
    shuttle::check_random(
        || {
            let queue = queue(100, OverflowPolicy::DropNewest);
            let consumer = thread::spawn({
                let queue = Arc::clone(&queue);
                move || consume(&queue)
            });
            let producers: Vec<_> = [0, 100]
                .map(|first| {
                    let queue = Arc::clone(&queue);
                    thread::spawn(move || {
                        for number in first..first + 3 {
                            assert_eq!(queue.push(&frame(number), 1, true), Push::Done);
                        }
                    })
                })
                .into();
            producers.into_iter().for_each(|producer| producer.join().unwrap());
            queue.close(Closing::Flush);
            let got = consumer.join().unwrap();
            let of = |first: u8| got.iter().copied().filter(move |number| number / 100 == first);
            assert!(of(0).eq(0..3) && of(1).eq(100..103), "{got:?}");
        },
        RUNS,
    );
}

#[test]
fn shuttle_producers_that_wait_for_room_all_get_it() {
    shuttle::check_random(
        || {
            let queue = queue(1, OverflowPolicy::Wait);
            let producers = [0, 100].map(|first| {
                let queue = Arc::clone(&queue);
                thread::spawn(move || {
                    for number in first..first + 2 {
                        block_on(queue.room());
                        assert_eq!(queue.push(&frame(number), 1, true), Push::Done);
                    }
                })
            });
            let consumer = thread::spawn({
                let queue = Arc::clone(&queue);
                move || consume(&queue)
            });
            producers.into_iter().for_each(|producer| producer.join().unwrap());
            queue.close(Closing::Flush);
            assert_eq!(consumer.join().unwrap().len(), 4);
            assert_eq!(queue.stats().dropped, 0);
        },
        RUNS,
    );
}

#[test]
fn shuttle_the_end_releases_everyone_who_waits() {
    shuttle::check_random(
        || {
            let queue = queue(1, OverflowPolicy::Wait);
            queue.push(&frame(0), 1, true);
            let producer = thread::spawn({
                let queue = Arc::clone(&queue);
                move || {
                    block_on(queue.room());
                    queue.push(&frame(1), 1, true)
                }
            });
            let closer = thread::spawn({
                let queue = Arc::clone(&queue);
                move || queue.close(Closing::Now)
            });
            let got = consume(&queue);
            assert!(got.len() <= 2, "{got:?}");
            producer.join().unwrap();
            closer.join().unwrap();
            let stats = queue.stats();
            assert_eq!(stats.pushed + stats.refused, stats.taken + stats.dropped);
        },
        RUNS,
    );
}

#[test]
fn shuttle_a_consumer_that_gave_up_waiting_is_woken_the_next_time() {
    shuttle::check_random(
        || {
            let queue = queue(100, OverflowPolicy::DropNewest);
            let consumer = thread::spawn({
                let queue = Arc::clone(&queue);
                move || {
                    let mut got = Vec::new();
                    let mut batch = WriteBatch::new();
                    while got.len() < 2 {
                        // Given up at once, and asked again: what came in between is not lost.
                        poll_once(queue.changed());
                        match queue.take(&mut batch) {
                            Taken::Some => got.extend(numbers(&mut batch)),
                            _ => block_on(queue.changed()),
                        }
                    }
                    got
                }
            });
            queue.push(&frame(1), 1, false);
            queue.push(&frame(2), 1, false);
            assert_eq!(consumer.join().unwrap(), [1, 2]);
        },
        RUNS,
    );
}

#[test]
fn shuttle_an_overflow_is_reported_to_one_producer() {
    shuttle::check_random(
        || {
            let queue = queue(1, OverflowPolicy::Disconnect);
            let producers = [0, 1, 2].map(|number| {
                let queue = Arc::clone(&queue);
                thread::spawn(move || queue.push(&frame(number), 1, false))
            });
            let outcomes = producers.map(|producer| producer.join().unwrap());
            let count = |what| outcomes.iter().filter(|outcome| **outcome == what).count();
            let counts = [Push::Done, Push::Overflow, Push::Closed].map(count);
            assert_eq!(counts, [1, 1, 1]);
            assert!(consume(&queue).is_empty());
        },
        RUNS,
    );
}
