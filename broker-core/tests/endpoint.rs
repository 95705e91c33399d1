//! Endpoints that peer over the in-process transport.

#![allow(clippy::unwrap_used)]

mod raw;

use broker_core::endpoint::{PingError, Retry, SubscriberOptions};
use broker_core::event::{Event, StatusCode};
use broker_core::transport::MemTransport;
use broker_core::wire::envelope::{Envelope, pong_frame};
use broker_core::{Address, Config, Endpoint, EndpointId, OverflowPolicy, SubscriberPolicy};
use raw::{OWN, RAW, Raw};
use std::num::NonZeroUsize;
use std::time::Duration;

const LOW: &str = "11111111-1111-4111-8111-111111111111";
const MID: &str = "88888888-8888-4888-8888-888888888888";
const HIGH: &str = "eeeeeeee-eeee-4eee-8eee-eeeeeeeeeeee";

fn endpoint(net: &MemTransport, id: &str) -> Endpoint {
    Endpoint::builder().id(id.parse().unwrap()).transport(net.clone()).build().unwrap()
}

fn at(name: &str) -> Address {
    Address::new("mem", name, 1)
}

/// Peers `from` with the listener of `to`.
async fn peer(from: &Endpoint, to: &Endpoint, url: &Address) {
    assert_eq!(from.peer(url, Retry::never()).await.unwrap(), to.id());
    assert!(tokio::time::timeout(Duration::from_secs(5), to.await_peer(from.id())).await.unwrap());
}

fn statuses(events: &mut broker_core::endpoint::EventStream) -> Vec<(StatusCode, EndpointId)> {
    std::iter::from_fn(|| events.try_next())
        .filter_map(|event| match event {
            Event::Status(status) => Some((status.code, status.endpoint.id)),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn both_sides_report_the_life_of_a_peering_in_order() {
    for (a, b) in [(LOW, HIGH), (HIGH, LOW)] {
        let net = MemTransport::new();
        let (a, b) = (endpoint(&net, a), endpoint(&net, b));
        let (mut a_events, mut b_events) = (a.events(), b.events());
        let url = b.listen(at("b")).await.unwrap();
        peer(&a, &b, &url).await;
        assert!(a.is_outbound_peering(&url));
        assert!(a.unpeer(&url));
        a.shutdown().await;
        b.shutdown().await;
        use StatusCode as S;
        let expect = |id: EndpointId, end: S| {
            vec![
                (S::EndpointDiscovered, id),
                (S::PeerAdded, id),
                (end, id),
                (S::EndpointUnreachable, id),
            ]
        };
        assert_eq!(statuses(&mut a_events), expect(b.id(), S::PeerRemoved));
        assert_eq!(statuses(&mut b_events), expect(a.id(), S::PeerLost));
        assert!(!a.is_outbound_peering(&url));
    }
}

#[tokio::test]
async fn a_thread_without_a_runtime_may_ask_for_a_peering() {
    let net = MemTransport::new();
    let (a, b) = (endpoint(&net, LOW), endpoint(&net, HIGH));
    let url = b.listen(at("b")).await.unwrap();
    let thread = {
        let (a, url) = (a.clone(), url.clone());
        std::thread::spawn(move || a.peer(&url, Retry::never()))
    };
    assert_eq!(thread.join().unwrap().await.unwrap(), b.id());
    tokio::time::timeout(Duration::from_secs(5), a.ping(b.id())).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_ping_ends_with_the_peering_and_not_later() {
    let net = MemTransport::new();
    let endpoint = Endpoint::builder().id(OWN).transport(net.clone()).build().unwrap();
    let url = endpoint.listen(at("here")).await.unwrap();
    let raw = Raw::peer(&net, &url, RAW, &[]).await;
    let began = tokio::time::Instant::now();
    let (answer, ()) = tokio::join!(endpoint.ping(RAW), async { drop(raw) });
    assert_eq!(answer, Err(PingError::NotPeered(RAW)));
    assert_eq!(endpoint.ping(RAW).await, Err(PingError::NotPeered(RAW)));
    assert_eq!(began.elapsed(), Duration::ZERO, "it waited for a clock");
}

#[tokio::test]
async fn a_ping_is_answered_by_the_peer_that_got_it_alone() {
    const OTHER: EndpointId = EndpointId::from_bytes([0xdd; 16]);
    let net = MemTransport::new();
    let endpoint = Endpoint::builder().id(OWN).transport(net.clone()).build().unwrap();
    let url = endpoint.listen(&at("here")).await.unwrap();
    let mut asked = Raw::peer(&net, &url, RAW, &[]).await;
    let mut other = Raw::peer(&net, &url, OTHER, &[]).await;
    let ping = tokio::spawn({
        let endpoint = endpoint.clone();
        async move { endpoint.ping(RAW).await }
    });
    let frame = asked.frame().await.unwrap();
    let payload = Envelope::decode(&frame).unwrap().payload;
    other.send(&pong_frame(OTHER, OWN, payload)).await.unwrap();
    other.settle().await;
    tokio::task::yield_now().await;
    assert!(!ping.is_finished(), "the answer of another peer counts");
    asked.send(&pong_frame(RAW, OWN, payload)).await.unwrap();
    ping.await.unwrap().unwrap();
}

#[tokio::test]
async fn messages_reach_subscribers_of_a_prefix_in_order_and_nobody_else() {
    let net = MemTransport::new();
    let (a, b) = (endpoint(&net, LOW), endpoint(&net, HIGH));
    let mut all = b.subscribe(["/test"]);
    let mut other = b.subscribe(["/other"]);
    let url = b.listen(at("b")).await.unwrap();
    peer(&a, &b, &url).await;
    for number in 0..1000_u64 {
        assert_eq!(a.publish("/test/x", &number).await.unwrap().peers, 1);
    }
    a.publish("/nobody", &1_u64).await.unwrap();
    for number in 0..1000_u64 {
        let message = all.recv().await.unwrap();
        assert_eq!((message.topic().to_string(), message.sender()), ("/test/x".into(), a.id()));
        assert_eq!(message.view().as_count(), Some(number));
    }
    a.shutdown().await;
    b.shutdown().await;
    assert!(all.recv().await.is_none());
    assert!(other.recv().await.is_none());
}

#[tokio::test]
async fn a_hub_in_the_middle_passes_messages_on_and_spends_a_hop() {
    let net = MemTransport::new();
    let (a, hub, b) = (endpoint(&net, LOW), endpoint(&net, MID), endpoint(&net, HIGH));
    hub.forward(["/test"]).unwrap();
    let mut received = b.subscribe(["/test"]);
    let url = hub.listen(at("hub")).await.unwrap();
    peer(&a, &hub, &url).await;
    peer(&b, &hub, &url).await;
    let large = vec![7_u8; 100_000];
    a.publish("/test/small", &1_u64).await.unwrap();
    a.publish("/test/large", large.as_slice()).await.unwrap();
    let small = received.recv().await.unwrap();
    assert_eq!((small.sender(), small.view().as_count()), (a.id(), Some(1)));
    let got = received.recv().await.unwrap();
    assert_eq!(got.view().as_bytes().map(|bytes| bytes.len()), Some(large.len()));
    assert!(received.try_recv().is_err());
}

#[tokio::test]
async fn subscribing_and_unsubscribing_later_changes_what_peers_send() {
    let net = MemTransport::new();
    let (a, b) = (endpoint(&net, LOW), endpoint(&net, HIGH));
    let url = b.listen(at("b")).await.unwrap();
    peer(&a, &b, &url).await;
    assert_eq!(a.publish("/t", &1_u64).await.unwrap().peers, 0);
    let mut subscriber = b.subscribe(["/t"]);
    // A ping behind the routing update is answered after it has been handled.
    tokio::time::timeout(Duration::from_secs(5), b.ping(a.id())).await.unwrap().unwrap();
    assert_eq!(a.publish("/t", &2_u64).await.unwrap().peers, 1);
    assert_eq!(subscriber.recv().await.unwrap().view().as_count(), Some(2));
    drop(subscriber);
    tokio::time::timeout(Duration::from_secs(5), b.ping(a.id())).await.unwrap().unwrap();
    assert_eq!(a.publish("/t", &3_u64).await.unwrap().peers, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_publishers_lose_nothing_to_a_slow_reader() {
    let net = MemTransport::new();
    let mut config = Config { overflow_policy: OverflowPolicy::Wait, ..Config::default() };
    config.limits.outbox_messages = NonZeroUsize::new(16).unwrap();
    let a = Endpoint::builder().config(config).transport(net.clone()).build().unwrap();
    let b = endpoint(&net, HIGH);
    let options =
        SubscriberOptions { messages: Some(8), bytes: None, policy: SubscriberPolicy::Wait };
    let mut subscriber = b.subscribe_with(["/t"], options);
    let url = b.listen(at("b")).await.unwrap();
    peer(&a, &b, &url).await;
    let sender = tokio::spawn(async move {
        for number in 0..50_000_u64 {
            a.publish("/t", &number).await.unwrap();
        }
        let stats = a.peering_stats();
        assert_eq!(stats.values().next().unwrap().dropped, 0);
        a
    });
    for number in 0..50_000_u64 {
        assert_eq!(subscriber.recv().await.unwrap().view().as_count(), Some(number));
        if number % 1000 == 0 {
            tokio::task::yield_now().await;
        }
    }
    sender.await.unwrap().shutdown().await;
    assert_eq!(subscriber.dropped(), 0);
}

#[tokio::test]
async fn a_publisher_that_never_waits_does_not_keep_its_writers_from_running() {
    let net = MemTransport::new();
    let (a, b) = (endpoint(&net, LOW), endpoint(&net, HIGH));
    let _subscriber = b.subscribe(["/t"]);
    let url = b.listen(at("b")).await.unwrap();
    peer(&a, &b, &url).await;
    for number in 0..100_000_u64 {
        a.publish("/t", &number).await.unwrap();
    }
    let stats = a.peering_stats();
    assert_eq!(stats.values().next().unwrap().dropped, 0);
}
