//! Who does not read fast enough learns how much it has missed.

#![allow(clippy::unwrap_used)]

mod raw;
mod support;

use broker_core::endpoint::{Retry, SubscriberOptions};
use broker_core::event::{Event, LogId};
use broker_core::transport::MemTransport;
use broker_core::wire::envelope::{Envelope, EnvelopeType, pong_frame};
use broker_core::{Config, Endpoint, OverflowPolicy, SubscriberPolicy};
use raw::{OWN, RAW, Raw};
use std::num::NonZeroUsize;
use support::{HIGH, LOW, at, endpoint, endpoint_with, peer};

const SENT: u64 = 1000;

/// Has room for few messages, and drops those that are too many as the policy says.
fn hub(net: &MemTransport, policy: OverflowPolicy) -> Endpoint {
    let mut config = Config { overflow_policy: policy, ..Config::default() };
    config.limits.outbox_messages = NonZeroUsize::new(20).unwrap();
    endpoint_with(net.clone(), LOW, config)
}

#[tokio::test(start_paused = true)]
async fn what_was_received_and_what_was_missed_is_all_that_was_sent() {
    for policy in [OverflowPolicy::DropOldest, OverflowPolicy::DropNewest] {
        let net = MemTransport::new();
        let (hub, leaf) = (hub(&net, policy), endpoint(net.clone(), HIGH));
        let url = hub.listen(at("hub")).await.unwrap();
        let mut options = SubscriberOptions::with_policy(SubscriberPolicy::Wait);
        options.messages = Some(5);
        let mut slow = leaf.subscribe_with("/t", options);
        peer(&leaf, &hub, &url, Retry::never()).await;
        for number in 0..SENT {
            hub.publish("/t", &number).await.unwrap();
        }
        let mut events = leaf.events();
        let flushed = tokio::spawn({
            let leaf = leaf.clone();
            async move { leaf.flush().await }
        });
        let mut received = 0;
        while !flushed.is_finished() {
            received += u64::from(slow.try_recv().is_ok());
            tokio::task::yield_now().await;
        }
        received += std::iter::from_fn(|| slow.try_recv().ok()).count() as u64;
        let missed = leaf.missed();
        assert!(missed > 0, "the hub has room for all");
        assert_eq!(received + missed, SENT, "{policy}");
        assert_eq!(leaf.peering_stats()[&hub.id()].missed, missed);
        assert_eq!(hub.peering_stats()[&leaf.id()].dropped, missed);
        let told = loop {
            match events.next().await.unwrap() {
                Event::Log(log) if log.id == LogId::MessagesMissed => break log.description,
                _ => {}
            }
        };
        let what = format!("{}: dropped {missed} messages for this endpoint", hub.id());
        assert!(told.starts_with(&what), "{told}");
        assert_eq!(hub.missed(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn who_leaves_is_told_of_the_last_ones_and_so_is_who_is_left() {
    for is_leaf_first in [true, false] {
        let net = MemTransport::new();
        let (hub, leaf) = (hub(&net, OverflowPolicy::DropNewest), endpoint(net.clone(), HIGH));
        let url = hub.listen(at("hub")).await.unwrap();
        let _wanted = leaf.subscribe("/t");
        peer(&leaf, &hub, &url, Retry::never()).await;
        // On one thread the leaf has no turn meanwhile.
        for _ in 0..50 {
            at_once(hub.publish("/t", &1_u64)).unwrap();
        }
        let dropped = hub.peering_stats()[&leaf.id()].dropped;
        assert!(dropped > 0);
        if is_leaf_first {
            leaf.shutdown().await;
        } else {
            hub.shutdown().await;
        }
        assert_eq!(leaf.missed(), dropped);
    }
}

/// What has to be done at once.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let context = &mut std::task::Context::from_waker(std::task::Waker::noop());
    match future.as_mut().poll(context) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => unreachable!("it waits"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_of_version_1_is_told_nothing() {
    let net = MemTransport::new();
    let mut config = Config::default();
    config.limits.outbox_messages = NonZeroUsize::MIN;
    let hub = Endpoint::builder().config(config).id(OWN).transport(net.clone()).build().unwrap();
    let url = hub.listen(at("hub")).await.unwrap();
    let mut old = Raw::peer(&net, &url, RAW, &["/t"]).await;
    for number in 0..SENT {
        at_once(hub.publish("/t", &number)).unwrap();
    }
    assert!(hub.peering_stats()[&RAW].dropped > 0);
    let ended = tokio::spawn({
        let hub = hub.clone();
        async move { hub.shutdown().await }
    });
    let mut pings = Vec::new();
    while let Some(frame) = old.frame().await {
        let envelope = Envelope::decode(&frame).unwrap();
        if envelope.kind == EnvelopeType::Ping {
            pings.push(envelope.payload.to_vec());
            let _ = old.send(&pong_frame(RAW, OWN, envelope.payload)).await;
        }
    }
    ended.await.unwrap();
    assert!(pings.len() == 1 && pings[0].starts_with(b"BYE"), "{pings:?}");
}
