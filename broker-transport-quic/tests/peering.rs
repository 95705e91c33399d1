//! Endpoints that peer over `quic://`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use broker_core::endpoint::{EventStream, Retry};
use broker_core::event::{Event, StatusCode};
use broker_core::{Address, Endpoint, EndpointId, Reason};
use broker_transport_quic::QuicOptions;
use std::time::{Duration, Instant};
use support::proxy::Proxy;
use support::{anonymous, endpoint, local, with_options};

const LOW: &str = "11111111-1111-4111-8111-111111111111";
const HIGH: &str = "eeeeeeee-eeee-4eee-8eee-eeeeeeeeeeee";

/// Peers `from` with the listener of `to` at `url`.
async fn peer(from: &Endpoint, to: &Endpoint, url: &Address) {
    assert_eq!(from.peer(url, Retry::never()).await.unwrap(), to.id());
    assert!(tokio::time::timeout(Duration::from_secs(30), to.await_peer(from.id())).await.unwrap());
}

/// Waits for the status event with this code.
async fn status(events: &mut EventStream, code: StatusCode) -> (EndpointId, String) {
    loop {
        match events.next().await.unwrap() {
            Event::Status(status) if status.code == code => {
                return (status.endpoint.id, status.message.to_string());
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn both_sides_report_the_life_of_a_peering_in_order_as_over_tcp() {
    for (a, b) in [(LOW, HIGH), (HIGH, LOW)] {
        let (a, b) = (endpoint(a, &anonymous()), endpoint(b, &anonymous()));
        let (mut a_events, mut b_events) = (a.events(), b.events());
        let url = b.listen(&local()).await.unwrap();
        peer(&a, &b, &url).await;
        assert!(a.unpeer(&url));
        a.shutdown().await;
        b.shutdown().await;
        use StatusCode as S;
        for (events, id, end) in
            [(&mut a_events, b.id(), S::PeerRemoved), (&mut b_events, a.id(), S::PeerLost)]
        {
            let seen: Vec<_> = std::iter::from_fn(|| events.try_next())
                .filter_map(|event| match event {
                    Event::Status(status) => Some((status.code, status.endpoint.id)),
                    _ => None,
                })
                .collect();
            let expected = [S::EndpointDiscovered, S::PeerAdded, end, S::EndpointUnreachable];
            assert_eq!(seen, expected.map(|code| (code, id)));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_published_arrives_in_the_order_of_its_topic_before_the_peering_ends() {
    let (a, b) = (endpoint(LOW, &anonymous()), endpoint(HIGH, &anonymous()));
    let mut received = b.subscribe(["/t"]);
    let url = b.listen(&local()).await.unwrap();
    peer(&a, &b, &url).await;
    let large = vec![b'x'; 200_000];
    for number in 0..4000_u64 {
        let topic = format!("/t/{}", number % 40);
        a.publish(&topic, &number).await.unwrap();
        if number % 200 == 0 {
            a.publish(&topic, large.as_slice()).await.unwrap();
        }
    }
    a.shutdown().await;
    b.shutdown().await;
    let mut next: Vec<u64> = (0..40).collect();
    let mut larges = 0;
    while let Some(message) = received.recv().await {
        let Some(number) = message.view().as_count() else {
            larges += 1;
            continue;
        };
        let topic = message.topic().to_string();
        let topic: usize = topic.trim_start_matches("/t/").parse().unwrap();
        assert_eq!(number, next[topic]);
        next[topic] += 40;
    }
    assert_eq!((next, larges), ((4000..4040).collect(), 20));
}

#[tokio::test]
async fn dialled_connections_go_on_from_another_socket() {
    let (ours, theirs) = (anonymous(), anonymous());
    let (a, b) = (endpoint(LOW, &ours), endpoint(HIGH, &theirs));
    let (mut at_a, mut at_b) = (a.subscribe(["/t"]), b.subscribe(["/t"]));
    let proxy = Proxy::to(&b.listen(&local()).await.unwrap()).await;
    peer(&a, &b, &proxy.url).await;
    let (mut a_events, mut b_events) = (a.events(), b.events());
    // One more is the empty packet that asks whether somebody listens.
    let before = proxy.clients();
    for number in 0..3_u64 {
        ours.rebind().unwrap();
        a.publish("/t", &number).await.unwrap();
        assert_eq!(at_b.recv().await.unwrap().view().as_count(), Some(number));
        b.publish("/t", &number).await.unwrap();
        assert_eq!(at_a.recv().await.unwrap().view().as_count(), Some(number));
    }
    assert_eq!(proxy.clients(), before + 3);
    assert!(no_status(&mut a_events) && no_status(&mut b_events), "the peering was disturbed");
}

#[tokio::test]
async fn a_peering_survives_a_new_address_on_the_way() {
    let (a, b) = (endpoint(LOW, &anonymous()), endpoint(HIGH, &anonymous()));
    let (mut at_a, mut at_b) = (a.subscribe(["/t"]), b.subscribe(["/t"]));
    let proxy = Proxy::to(&b.listen(&local()).await.unwrap()).await;
    peer(&a, &b, &proxy.url).await;
    let (mut a_events, mut b_events) = (a.events(), b.events());
    for number in 0..3_u64 {
        let before = b.peers()[0].network.url.clone();
        proxy.remap();
        a.publish("/t", &number).await.unwrap();
        assert_eq!(at_b.recv().await.unwrap().view().as_count(), Some(number));
        // What is asked for now is what the message came from.
        let shown = b.peers()[0].network.url.clone();
        assert_ne!(shown, before, "the address is the one before the move");
        assert_eq!((shown.scheme(), shown.host()), ("quic", before.host()));
        b.publish("/t", &number).await.unwrap();
        assert_eq!(at_a.recv().await.unwrap().view().as_count(), Some(number));
        assert_eq!(a.peers()[0].network.url, proxy.url, "what was dialled stays what it is");
    }
    assert!(no_status(&mut a_events) && no_status(&mut b_events), "the peering was disturbed");
}

fn no_status(events: &mut EventStream) -> bool {
    !std::iter::from_fn(|| events.try_next()).any(|event| matches!(event, Event::Status(_)))
}

#[tokio::test]
async fn a_dead_path_ends_an_idle_peering_at_both_sides() {
    let idle_timeout = Duration::from_millis(500);
    let options = QuicOptions { idle_timeout, ..support::patient() };
    let (a, b) =
        (endpoint(LOW, &with_options(options.clone())), endpoint(HIGH, &with_options(options)));
    let (mut a_events, mut b_events) = (a.events(), b.events());
    let proxy = Proxy::to(&b.listen(&local()).await.unwrap()).await;
    peer(&a, &b, &proxy.url).await;
    proxy.die();
    assert_eq!(status(&mut a_events, StatusCode::PeerLost).await.0, b.id());
    assert_eq!(status(&mut b_events, StatusCode::PeerLost).await.0, a.id());
}

#[tokio::test]
async fn idle_peerings_are_kept_alive_for_longer_than_the_idle_timeout() {
    let options = QuicOptions { idle_timeout: Duration::from_secs(2), ..support::patient() };
    let (a, b) =
        (endpoint(LOW, &with_options(options.clone())), endpoint(HIGH, &with_options(options)));
    let proxy = Proxy::to(&b.listen(&local()).await.unwrap()).await;
    let began = Instant::now();
    peer(&a, &b, &proxy.url).await;
    let mut events = a.events();
    while began.elapsed() < Duration::from_secs(3) {
        proxy.datagram().await;
    }
    assert!(no_status(&mut events), "the peering was lost without a reason");
}

#[tokio::test]
async fn a_peer_that_comes_back_at_its_address_is_dialled_again() {
    let (a, b) = (endpoint(LOW, &anonymous()), endpoint(HIGH, &anonymous()));
    let url = b.listen(&local()).await.unwrap();
    let mut events = a.events();
    assert_eq!(a.peer(&url, Retry::every(Duration::from_millis(50))).await.unwrap(), b.id());
    b.shutdown().await;
    assert_eq!(status(&mut events, StatusCode::PeerLost).await.0, b.id());
    let c = endpoint(HIGH, &anonymous());
    // The last connections linger at the port for a moment.
    while let Err(error) = c.listen(&url).await {
        assert_eq!(error.reason(), Reason::AddressInUse, "{error}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(tokio::time::timeout(Duration::from_secs(30), a.await_peer(c.id())).await.unwrap());
}
