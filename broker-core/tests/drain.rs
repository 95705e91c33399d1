//! Shutting down without haste.

#![allow(clippy::unwrap_used)]

mod raw;
mod support;

use broker_core::endpoint::Retry;
use broker_core::event::{RemovalCause, StatusCode};
use broker_core::transport::MemTransport;
use broker_core::wire::envelope::{Envelope, pong_frame};
use broker_core::{Config, Endpoint};
use raw::{OWN, RAW, Raw, raw};
use std::time::Duration;
use support::{HIGH, LONG, at, endpoint, peer, status};
use tokio::time::{Instant, sleep};

const OVER: Duration = Duration::from_secs(10);
const WITHIN: Duration = Duration::from_secs(20);

fn leaf(net: &MemTransport) -> Endpoint {
    let config = Config { forwarding: false, ..Config::default() };
    Endpoint::builder().config(config).transport(net.clone()).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn leaves_go_one_after_the_other_and_relays_last_and_messages_pass_meanwhile() {
    let net = MemTransport::new();
    let hub = endpoint(net.clone(), HIGH);
    let url = hub.listen(at("hub")).await.unwrap();
    let leaves = [leaf(&net), leaf(&net)];
    let relay = Endpoint::builder().transport(net.clone()).build().unwrap();
    let mut wanted = relay.subscribe("/t");
    for other in leaves.iter().chain([&relay]) {
        peer(other, &hub, &url, Retry::every(LONG)).await;
    }
    // It tells what it wants.
    while !leaves.iter().all(|leaf| leaf.peer_filter(hub.id()).unwrap() == ["/t"]) {
        tokio::task::yield_now().await;
    }
    let mut events = hub.events();
    let began = Instant::now();
    let draining = tokio::spawn({
        let hub = hub.clone();
        async move { hub.drain(OVER, WITHIN).await }
    });
    let first = status(&mut events, StatusCode::PeerRemoved).await;
    assert!(hub.is_draining() && began.elapsed() < OVER / 4);
    let stays = leaves.iter().find(|leaf| leaf.id() != first).unwrap();
    assert!(leaf(&net).peer(&url, Retry::never()).await.is_err(), "nobody gets in any more");
    sleep(OVER / 4).await;
    assert_eq!((hub.peer_count(), stays.peer_count()), (2, 1));
    stays.publish("/t", &1_u64).await.unwrap();
    assert_eq!(wanted.recv().await.unwrap().topic(), "/t");
    assert_eq!(status(&mut events, StatusCode::PeerRemoved).await, stays.id());
    assert!(began.elapsed() >= OVER / 2);
    assert_eq!(status(&mut events, StatusCode::PeerRemoved).await, relay.id());
    draining.await.unwrap();
    assert!(began.elapsed() < OVER, "nobody is waited for");
    assert!(hub.publish("/t", &1_u64).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_peer_has_the_time_of_the_drain_for_what_is_queued_and_no_more() {
    let net = MemTransport::new();
    let hub = Endpoint::builder().id(OWN).transport(net.clone()).build().unwrap();
    let url = hub.listen(at("hub")).await.unwrap();
    let mut slow = Raw::peer(&net, &url, RAW, &["/t"]).await;
    let _dead = Raw::peer(&net, &url, raw(0xdd), &[]).await;
    hub.publish("/t", &1_u64).await.unwrap();
    let mut events = hub.events();
    let began = Instant::now();
    let draining = tokio::spawn({
        let hub = hub.clone();
        async move { hub.drain(Duration::ZERO, WITHIN).await }
    });
    sleep(WITHIN / 2).await;
    let message = slow.frame().await.unwrap();
    assert_eq!(Envelope::decode(&message).unwrap().topic, b"/t");
    let bye = slow.frame().await.unwrap();
    let bye = Envelope::decode(&bye).unwrap();
    slow.send(&pong_frame(RAW, OWN, bye.payload)).await.unwrap();
    slow.until_closed().await;
    assert!(began.elapsed() < WITHIN);
    draining.await.unwrap();
    assert!(began.elapsed() >= WITHIN && began.elapsed() < WITHIN + 2 * LONG);
    let mut removed = Vec::new();
    while let Some(event) = events.next().await {
        if event.cause() == Some(RemovalCause::Unpeer) {
            removed.push(event.endpoint().unwrap().id);
        }
    }
    assert_eq!(removed, [RAW, raw(0xdd)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_still_asked_for_is_given_up() {
    let net = MemTransport::new();
    let hub = endpoint(net.clone(), HIGH);
    let nobody = hub.peer(at("nobody"), Retry::every(LONG));
    let other = leaf(&net);
    let url = other.listen(at("other")).await.unwrap();
    peer(&hub, &other, &url, Retry::every(LONG)).await;
    hub.drain(OVER, WITHIN).await;
    assert!(nobody.await.is_err());
    assert_eq!((hub.peers().len(), hub.peer_count()), (1, 0));
    assert!(!hub.is_outbound_peering(&url));
}
