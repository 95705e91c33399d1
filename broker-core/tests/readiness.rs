//! Receiving in batches, and from outside of tokio.

#![allow(clippy::unwrap_used)]

mod support;

use broker_core::Endpoint;
use broker_core::endpoint::{Retry, Subscriber};
use broker_core::transport::MemTransport;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use support::{HIGH, LOW, at, endpoint, give_up_after, peer};

/// An endpoint whose peer has a subscriber for `/t`.
async fn publisher_and_subscriber() -> (Endpoint, Endpoint, Subscriber) {
    let net = MemTransport::new();
    let (a, b) = (endpoint(net.clone(), LOW), endpoint(net, HIGH));
    let subscriber = b.subscribe(["/t"]);
    let url = b.listen(&at("b")).await.unwrap();
    peer(&a, &b, &url, Retry::never()).await;
    (a, b, subscriber)
}

/// Publishes these numbers, and waits until the peer has them.
async fn publish(endpoint: &Endpoint, numbers: std::ops::Range<u64>) {
    for number in numbers {
        endpoint.publish("/t", &number).await.unwrap();
    }
    endpoint.flush().await;
}

fn counts(messages: &[broker_core::endpoint::Message]) -> Vec<u64> {
    messages.iter().filter_map(|message| message.view().as_count()).collect()
}

#[tokio::test]
async fn the_length_counts_what_has_arrived_and_has_not_been_received() {
    let (a, _b, mut subscriber) = publisher_and_subscriber().await;
    assert!(subscriber.is_empty());
    publish(&a, 0..5).await;
    assert_eq!(subscriber.len(), 5);
    subscriber.recv().await.unwrap();
    assert_eq!(subscriber.len(), 4);
}

#[tokio::test]
async fn a_batch_has_what_is_there_up_to_the_limit() {
    let (a, b, mut subscriber) = publisher_and_subscriber().await;
    publish(&a, 0..5).await;
    let mut batch = Vec::new();
    assert_eq!(subscriber.recv_many(&mut batch, 0).await, 0);
    assert_eq!(subscriber.recv_many(&mut batch, 3).await, 3);
    assert_eq!(subscriber.recv_many(&mut batch, 100).await, 2);
    assert_eq!(counts(&batch), [0, 1, 2, 3, 4]);
    b.shutdown().await;
    assert_eq!(subscriber.recv_many(&mut batch, 100).await, 0);
}

#[tokio::test]
async fn a_batch_that_is_given_up_while_it_waits_has_received_nothing() {
    let (a, _b, mut subscriber) = publisher_and_subscriber().await;
    let mut batch = Vec::new();
    assert_eq!(give_up_after(3, subscriber.recv_many(&mut batch, 10)).await, None);
    publish(&a, 0..2).await;
    assert_eq!(subscriber.recv_many(&mut batch, 10).await, 2);
    assert_eq!(counts(&batch), [0, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_thread_without_a_runtime_receives_and_gives_up_in_time() {
    let (a, _b, mut subscriber) = publisher_and_subscriber().await;
    let (began, waits) = tokio::sync::oneshot::channel();
    let thread = std::thread::spawn(move || {
        let mut batch = Vec::new();
        assert_eq!(subscriber.blocking_recv_many(&mut batch, 1, Some(Duration::ZERO)), 0);
        began.send(()).unwrap();
        assert_eq!(subscriber.blocking_recv_many(&mut batch, 1, None), 1);
        counts(&batch)
    });
    waits.await.unwrap();
    publish(&a, 7..8).await;
    let received = tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap();
    assert_eq!(received, [7]);
}

#[cfg(unix)]
#[tokio::test]
async fn a_descriptor_is_readable_while_there_is_something_to_receive() {
    use broker_core::endpoint::ReadyFd;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let readable = |ready: &ReadyFd| {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::new(ready, PollFlags::IN)], Some(&now)).unwrap() == 1
    };
    let (a, b, mut subscriber) = publisher_and_subscriber().await;
    let ready = ReadyFd::new().unwrap();
    ready.update(|context| subscriber.poll_ready(context));
    assert!(!readable(&ready));
    for round in 0..2 {
        // Nobody asks in between: arriving messages make it readable.
        publish(&a, 0..2).await;
        assert!(readable(&ready), "round {round}");
        subscriber.recv().await.unwrap();
        ready.update(|context| subscriber.poll_ready(context));
        assert!(readable(&ready), "there is another one");
        subscriber.recv().await.unwrap();
        ready.update(|context| subscriber.poll_ready(context));
        assert!(!readable(&ready), "there is none any more");
    }
    b.shutdown().await;
    assert!(readable(&ready), "the end is something to receive");
}

#[tokio::test]
async fn events_that_are_there_make_their_stream_ready() {
    let a = endpoint(MemTransport::new(), LOW);
    let mut events = a.events();
    let mut context = Context::from_waker(Waker::noop());
    assert!(events.poll_ready(&mut context).is_pending() && events.is_empty());
    a.unpeer(at("nobody"));
    assert_eq!((events.poll_ready(&mut context), events.len()), (Poll::Ready(()), 1));
    events.try_next().unwrap();
    assert!(events.poll_ready(&mut context).is_pending() && !events.has_ended());
    a.shutdown().await;
    assert!(events.poll_ready(&mut context).is_ready() && events.has_ended());
}

/// Also when there have been too many changes to announce each of them.
#[tokio::test(start_paused = true)]
async fn after_a_flush_peers_know_which_topics_are_wanted() {
    let (a, b, mut subscriber) = publisher_and_subscriber().await;
    for number in 0..100 {
        let topic = format!("/more/{number:03}");
        subscriber.add([&topic]).unwrap();
        b.flush().await;
        let known = a.peer_filter(b.id()).unwrap();
        assert!(known.iter().any(|known| *known == topic), "{topic} is not in {known:?}");
    }
}

#[tokio::test]
async fn without_peers_there_is_nothing_to_flush() {
    let a = endpoint(MemTransport::new(), LOW);
    let flushed = pin!(a.flush()).poll(&mut Context::from_waker(Waker::noop()));
    assert_eq!(flushed, Poll::Ready(()));
}

#[tokio::test]
async fn a_settled_peering_is_one_for_both_sides() {
    for (from, to) in [(LOW, HIGH), (HIGH, LOW)] {
        let net = MemTransport::new();
        let (a, b) = (endpoint(net.clone(), from), endpoint(net, to));
        let mut wanted = a.subscribe(["/t"]);
        let url = b.listen(&at("b")).await.unwrap();
        let id = a.peer(&url, Retry::never()).settled().await.unwrap();
        assert_eq!((id, b.is_peered(a.id())), (b.id(), true));
        assert_eq!(b.publish("/t", &1_u64).await.unwrap().peers, 1);
        assert!(wanted.recv().await.is_some());
    }
}
