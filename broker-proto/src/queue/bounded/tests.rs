use super::*;
use crate::EndpointId;
use crate::queue::testing::frame;
use crate::wire::envelope::ping_frame;

fn data(number: u32) -> Vec<u8> {
    frame(&number.to_be_bytes())
}

fn run(numbers: std::ops::Range<u32>) -> Vec<u8> {
    numbers.flat_map(data).collect()
}

fn queue(messages: usize, policy: OverflowPolicy) -> BoundedQueue {
    BoundedQueue::new(Bounds { messages, memory: 1 << 20, control: 200, policy })
}

fn drain(queue: &BoundedQueue) -> Vec<u8> {
    let mut batch = WriteBatch::new();
    let mut written = Vec::new();
    while queue.take(&mut batch) == Taken::Some {
        while !batch.is_empty() {
            written.extend_from_slice(batch.first());
            batch.advance(batch.first().len());
        }
    }
    written
}

#[test]
fn drop_oldest_keeps_the_newest_and_counts_the_others() {
    let queue = queue(10, OverflowPolicy::DropOldest);
    for start in (0..100).step_by(4) {
        assert_eq!(queue.push(&run(start..start + 4), 4, false), Push::Done);
    }
    let stats = queue.stats();
    assert_eq!((stats.queued, stats.dropped, stats.pushed, stats.overflows), (10, 90, 100, 90));
    assert_eq!(drain(&queue), run(90..100));
}

#[test]
fn drop_newest_keeps_the_beginning_and_counts_the_others() {
    let queue = queue(10, OverflowPolicy::DropNewest);
    for start in (0..100).step_by(4) {
        queue.push(&run(start..start + 4), 4, true);
    }
    let stats = queue.stats();
    assert_eq!((stats.queued, stats.dropped, stats.pushed), (10, 90, 10));
    assert_eq!(drain(&queue), run(0..10));
}

#[test]
fn disconnect_reports_one_overflow_and_discards_the_queue() {
    let queue = queue(10, OverflowPolicy::Disconnect);
    assert_eq!(queue.push(&run(0..10), 10, false), Push::Done);
    assert_eq!(queue.push(&run(10..12), 2, false), Push::Overflow);
    assert_eq!(queue.push(&run(12..13), 1, false), Push::Closed);
    assert_eq!(queue.take(&mut WriteBatch::new()), Taken::Closed);
    let stats = queue.stats();
    assert_eq!((stats.queued, stats.dropped, stats.refused, stats.late), (0, 12, 2, 1));
}

#[test]
fn every_message_is_accounted_for_under_every_policy() {
    use OverflowPolicy as P;
    let ping = ping_frame(EndpointId::NIL, EndpointId::NIL, b"");
    for policy in [P::Disconnect, P::DropNewest, P::DropOldest, P::Wait] {
        let queue = queue(10, policy);
        let mut random = fastrand::Rng::with_seed(1);
        let mut offered = 0;
        for round in 0..200 {
            let count = random.u32(1..8);
            offered += u64::from(count);
            queue.push(&run(0..count), count as usize, random.bool());
            if random.u8(..4) == 0 {
                offered += 1;
                queue.push_control(&ping);
            }
            if random.u8(..4) == 0 {
                drain(&queue);
            }
            if round == 150 {
                queue.close(Closing::Flush);
            }
            let stats = queue.stats();
            assert_eq!(offered, stats.pushed + stats.refused + stats.late, "{policy}");
            let entered = stats.taken + stats.queued as u64 + stats.dropped - stats.refused;
            assert_eq!(stats.pushed, entered, "{policy}");
        }
    }
}

#[test]
fn no_policy_drops_control_frames_and_their_own_bound_ends_the_queue() {
    let ping = ping_frame(EndpointId::NIL, EndpointId::NIL, b"");
    for policy in [OverflowPolicy::DropNewest, OverflowPolicy::DropOldest] {
        let queue = queue(2, policy);
        queue.push(&run(0..2), 2, false);
        assert_eq!(queue.push_control(&ping), Push::Done);
        queue.push(&run(2..9), 7, false);
        let sent = drain(&queue);
        assert!(sent.windows(ping.len()).any(|w| w == ping), "{policy} lost the ping");
        for _ in 0..200 / ping.len() {
            assert_eq!(queue.push_control(&ping), Push::Done);
        }
        assert_eq!(queue.push_control(&ping), Push::Overflow);
    }
}

#[test]
fn the_bound_in_bytes_holds_for_the_memory() {
    let queue = BoundedQueue::new(Bounds {
        messages: usize::MAX,
        memory: 100_000,
        control: 0,
        policy: OverflowPolicy::DropOldest,
    });
    for number in 0..10_000 {
        queue.push(&data(number), 1, false);
        assert!(queue.stats().memory <= 100_000 + crate::limits::SEGMENT);
    }
    let stats = queue.stats();
    assert_eq!(stats.queued as u64 + stats.dropped, 10_000);
}

#[test]
fn a_waiting_producer_goes_on_when_the_consumer_has_taken_something() {
    let queue = queue(10, OverflowPolicy::Wait);
    queue.push(&run(0..10), 10, true);
    let mut room = std::pin::pin!(queue.room());
    let waker = std::task::Waker::noop();
    let mut context = std::task::Context::from_waker(waker);
    assert!(room.as_mut().poll(&mut context).is_pending());
    assert_eq!(drain(&queue), run(0..10));
    assert!(room.as_mut().poll(&mut context).is_ready());
    assert_eq!(queue.push(&run(10..11), 1, true), Push::Done);
    assert_eq!(queue.stats().dropped, 0);
}

#[test]
fn flush_delivers_the_rest_and_now_does_not() {
    for (how, rest) in [(Closing::Flush, run(0..3)), (Closing::Now, Vec::new())] {
        let queue = queue(10, OverflowPolicy::Wait);
        queue.push(&run(0..3), 3, false);
        queue.close(how);
        assert_eq!(queue.push(&run(3..4), 1, false), Push::Closed);
        assert_eq!(drain(&queue), rest);
        assert_eq!(queue.take(&mut WriteBatch::new()), Taken::Closed);
    }
}

#[test]
fn waits_are_those_of_frames_that_got_to_the_consumer() {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    let now = std::sync::Arc::new(AtomicU64::new(0));
    let clock = std::sync::Arc::clone(&now);
    let clock = move || std::time::Duration::from_secs(clock.load(Relaxed));
    let policy = OverflowPolicy::DropOldest;
    let bounds = Bounds { messages: 10, memory: 1 << 20, control: 200, policy };
    let queue = BoundedQueue::with_clock(bounds, std::sync::Arc::new(clock));
    // The first ten are dropped after a long time, and what replaces them is taken soon.
    queue.push(&run(0..10), 10, false);
    now.store(100, Relaxed);
    queue.push(&run(10..30), 20, false);
    now.store(102, Relaxed);
    drain(&queue);
    let waits = queue.waits();
    assert_eq!((waits.count(), waits.total().as_secs()), (1, 2));
}

#[test]
fn the_high_water_mark_belongs_to_its_window() {
    let queue = queue(10, OverflowPolicy::DropOldest);
    queue.push(&run(0..7), 7, false);
    drain(&queue);
    assert_eq!(queue.stats().high_water, 7);
    queue.start_window();
    assert_eq!(queue.stats().high_water, 0);
}

#[test]
fn a_newer_announcement_replaces_the_one_that_waits_and_never_overflows() {
    let queue = queue(10, OverflowPolicy::DropOldest);
    let update = |topic: &[u8]| {
        let payload = [&[1, topic.len() as u8], topic].concat();
        SharedFrame::routing_update(EndpointId::NIL, EndpointId::NIL, payload.into())
    };
    // Far more than the bound for control frames.
    for _ in 0..100 {
        queue.push_latest(update(&[b'x'; 100]));
    }
    queue.push(&run(0..2), 2, false);
    queue.push_latest(update(b"/last"));
    assert_eq!(
        (queue.stats().queued, queue.stats().pushed),
        (2, 2),
        "what was never sent is no message"
    );
    assert_eq!(drain(&queue), [update(b"/last").to_vec(), run(0..2)].concat());
    let stats = queue.stats();
    assert_eq!((stats.pushed, stats.taken, stats.dropped, stats.control), (3, 3, 0, 1));
    assert_eq!(stats.pushed_bytes as usize, run(0..2).len() + update(b"/last").to_vec().len());
}

#[test]
fn an_announcement_is_delivered_before_a_queue_ends_and_not_after_that() {
    let queue = queue(10, OverflowPolicy::DropOldest);
    let update = SharedFrame::routing_update(EndpointId::NIL, EndpointId::NIL, Bytes::new());
    let mut batch = WriteBatch::new();
    assert_eq!(queue.take(&mut batch), Taken::Idle);
    queue.push_latest(update.clone());
    queue.close(Closing::Flush);
    queue.push_latest(update.clone());
    assert_eq!(drain(&queue), update.to_vec());
    assert_eq!(queue.take(&mut batch), Taken::Closed);
}

#[test]
fn an_announcement_comes_after_the_handshake_and_before_everything_else() {
    let queue = queue(10, OverflowPolicy::DropOldest);
    let update = SharedFrame::routing_update(EndpointId::NIL, EndpointId::NIL, Bytes::new());
    let ping = ping_frame(EndpointId::NIL, EndpointId::NIL, b"x");
    queue.push_control(&[0, 0, 0, 1, 12]);
    queue.handshake_done();
    queue.push_latest(update.clone());
    queue.push_control(&ping);
    queue.push(&run(0..2), 2, false);
    let expected = [&[0, 0, 0, 1, 12], &update.to_vec()[..], &ping, &run(0..2)].concat();
    assert_eq!(drain(&queue), expected);
}

/// Over TLS it has a record of its own then, which the C++ Broker depends on.
#[test]
fn the_end_of_the_handshake_is_written_by_itself() {
    let queue = queue(10, OverflowPolicy::DropOldest);
    let ping = ping_frame(EndpointId::NIL, EndpointId::NIL, b"x");
    queue.push_control(&[0, 0, 0, 1, 12]);
    queue.handshake_done();
    queue.push_control(&ping);
    queue.push(&run(0..2), 2, false);
    let mut batch = WriteBatch::new();
    assert_eq!(queue.take(&mut batch), Taken::Some);
    assert_eq!((batch.first(), batch.remaining()), (&[0, 0, 0, 1, 12][..], 5));
    batch.advance(5);
    assert_eq!(drain(&queue), [&ping[..], &run(0..2)].concat());
}
