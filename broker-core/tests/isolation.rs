//! A peer that reads nothing, beside others: nobody waits for it, and the others get everything.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use broker_core::endpoint::{Retry, Subscriber};
use broker_core::transport::{Chunk, Connection, MemTransport, ReadBuffer, Transport, WriteBatch};
use broker_core::wire::handshake::HandshakeMessage as Message;
use broker_core::{Address, Config, Endpoint, EndpointId, OverflowPolicy};
use std::num::NonZeroUsize;
use std::pin::pin;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};
use tokio::time::timeout;

const FROZEN: EndpointId =
    EndpointId::from_bytes([0, 0, 0, 0, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, 0, 0, 7]);

/// Messages that may wait for a peer, and more bytes than a link of the in-process transport takes
/// in flight.
const BOUND: usize = 64;
const PAYLOAD: usize = 32 * 1024;

/// An endpoint with healthy peers, and if so wanted one that has stopped reading.
struct Overlay {
    hub: Endpoint,
    healthy: Vec<(Endpoint, Subscriber)>,
    _frozen: Option<Connection>,
}

impl Overlay {
    async fn new(policy: OverflowPolicy, healthy: usize, frozen: bool) -> Self {
        let net = MemTransport::new();
        let mut config = Config { overflow_policy: policy, ..Config::default() };
        config.limits.outbox_messages = NonZeroUsize::new(BOUND).unwrap();
        config.limits.stalled_write = Duration::ZERO;
        let hub = Endpoint::builder().transport(net.clone()).config(config).build().unwrap();
        let url = hub.listen(Address::new("mem", "hub", 1)).await.unwrap();
        let mut peers = Vec::new();
        for _ in 0..healthy {
            let peer = Endpoint::builder().forwarding(false).transport(net.clone());
            let peer = peer.build().unwrap();
            let subscriber = peer.subscribe(["/t"]);
            peer.peer(&url, Retry::never()).await.unwrap();
            assert!(timeout(Duration::from_secs(30), hub.await_peer(peer.id())).await.unwrap());
            peers.push((peer, subscriber));
        }
        let frozen = match frozen {
            true => Some(freeze(&net, &url, &hub).await),
            false => None,
        };
        Self { hub, healthy: peers, _frozen: frozen }
    }

    /// Every healthy peer has got the next `count` messages, in order.
    async fn received(&mut self, first: u64, count: u64) {
        for (_, subscriber) in &mut self.healthy {
            for number in first..first + count {
                let message = subscriber.recv().await.unwrap();
                let got = message.view().get(0).unwrap().as_count();
                assert_eq!(got, Some(number));
            }
        }
    }
}

/// Becomes a peer that wants everything, and reads nothing from then on.
async fn freeze(net: &MemTransport, url: &Address, hub: &Endpoint) -> Connection {
    let mut connection = net.connect(url).await.unwrap();
    let select = Message::VersionSelect { sender: FROZEN, version: 1 };
    let syn = Message::OriginatorSyn(vec![Default::default()], None);
    let mut batch = WriteBatch::new();
    for message in [Message::hello(FROZEN), select, syn, Message::OriginatorAck] {
        batch.append(Chunk::Segment(message.to_frame()));
    }
    connection.writer.send(&mut batch).await.unwrap();
    // The probe, so that the link has been used in both directions.
    connection.reader.recv(&mut ReadBuffer::new()).await.unwrap();
    assert!(timeout(Duration::from_secs(30), hub.await_peer(FROZEN)).await.unwrap());
    connection
}

fn message(number: u64) -> broker_core::data::Value {
    broker_core::data::vector![number, "x".repeat(PAYLOAD)]
}

/// Publishes without waiting for anybody. The clock stands still as long as anything can go on.
async fn publish_at_once(hub: &Endpoint, number: u64) {
    let value = message(number);
    let published = timeout(Duration::from_secs(1), hub.publish("/t", &value)).await;
    assert!(matches!(published, Ok(Ok(_))), "message {number} waits for somebody");
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_frozen_peer_and_the_others_get_everything() {
    const ROUNDS: u64 = 16;
    const ROUND: u64 = BOUND as u64 / 2;
    for policy in
        [OverflowPolicy::DropOldest, OverflowPolicy::DropNewest, OverflowPolicy::Disconnect]
    {
        let mut overlay = Overlay::new(policy, 4, true).await;
        for round in 0..ROUNDS {
            for number in round * ROUND..(round + 1) * ROUND {
                publish_at_once(&overlay.hub, number).await;
            }
            overlay.received(round * ROUND, ROUND).await;
        }
        let stats = overlay.hub.peering_stats();
        for (peer, _) in &overlay.healthy {
            assert_eq!(stats[&peer.id()].dropped, 0, "{policy}");
            // With what the hub tells them about others' subscriptions.
            assert!(stats[&peer.id()].messages_out >= ROUNDS * ROUND, "{policy}");
        }
        match policy {
            OverflowPolicy::Disconnect => assert!(!stats.contains_key(&FROZEN), "{policy}"),
            _ => {
                let frozen = &stats[&FROZEN];
                assert!(frozen.dropped > 0, "{policy}");
                assert!(frozen.num_queued <= BOUND as u64, "{policy}");
            }
        }
    }
}

#[tokio::test]
async fn only_who_chose_to_wait_does_and_goes_on_when_the_frozen_peer_is_gone() {
    let mut overlay = Overlay::new(OverflowPolicy::Wait, 2, true).await;
    let mut context = Context::from_waker(Waker::noop());
    let hub = overlay.hub.clone();
    let (mut number, mut received) = (0, 0);
    loop {
        let value = message(number);
        let mut published = pin!(hub.publish("/t", &value));
        if published.as_mut().poll(&mut context).is_pending() {
            // The others are not behind: once they have everything, only the frozen one is full.
            overlay.received(received, number - received).await;
            received = number;
            if published.as_mut().poll(&mut context).is_pending() {
                assert!(number >= BOUND as u64);
                hub.unpeer_id(FROZEN);
                drop(overlay._frozen.take());
                published.await.unwrap();
                break;
            }
        }
        number += 1;
    }
    overlay.received(number, 1).await;
}

/// Messages that are forwarded for others do not wait for a frozen peer, whatever the policy.
#[tokio::test]
async fn forwarded_messages_pass_a_frozen_peer_even_where_publishers_would_wait() {
    let mut overlay = Overlay::new(OverflowPolicy::Wait, 2, true).await;
    let (source, _) = overlay.healthy.pop().unwrap();
    overlay.hub.forward(["/t"]).unwrap();
    let hub = overlay.hub.id();
    while source.peer_filter(hub).is_none_or(|filter| filter.is_empty()) {
        tokio::task::yield_now().await;
    }
    let count = 4 * BOUND as u64;
    for number in 0..count {
        source.publish("/t", &message(number)).await.unwrap();
        overlay.received(number, 1).await;
    }
    assert!(overlay.hub.peering_stats()[&FROZEN].dropped > 0);
}

/// The rate at which the others get messages, and the time each one takes, with a frozen peer among
/// them as a ratio to the same without. `cargo test --release -- --ignored --nocapture isolation`
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, for people"]
async fn isolation_as_a_ratio() {
    let mut results = Vec::new();
    for frozen in [false, true, false, true] {
        let mut overlay = Overlay::new(OverflowPolicy::DropOldest, 4, frozen).await;
        let (rounds, round) = (200, BOUND as u64 / 2);
        let began = Instant::now();
        for at in 0..rounds {
            for number in at * round..(at + 1) * round {
                overlay.hub.publish("/t", &message(number)).await.unwrap();
            }
            overlay.received(at * round, round).await;
        }
        let rate = (rounds * round) as f64 / began.elapsed().as_secs_f64();
        let mut times = Vec::new();
        for number in 0..2000 {
            let began = Instant::now();
            overlay.hub.publish("/t", &message(rounds * round + number)).await.unwrap();
            overlay.received(rounds * round + number, 1).await;
            times.push(began.elapsed());
        }
        times.sort_unstable();
        results.push((rate, times[times.len() / 2].as_secs_f64()));
    }
    // The first pair warms up.
    let ((rate, time), (rate_frozen, time_frozen)) = (results[2], results[3]);
    println!("rate without {rate:.0}/s, with {rate_frozen:.0}/s: {:.2}", rate_frozen / rate);
    println!(
        "median latency without {:.1} us, with {:.1} us: {:.2}",
        time * 1e6,
        time_frozen * 1e6,
        time_frozen / time
    );
}
