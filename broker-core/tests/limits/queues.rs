//! What waits for peers and for local consumers.

use super::raw::{RAW, Raw};
use super::{endpoint, with};
use broker_core::endpoint::SubscriberOptions;
use broker_core::{OverflowPolicy, SubscriberPolicy};

/// Publishes so many messages of a size to a peer that does not read, and returns how many of them
/// wait, in how much memory, and how many were dropped.
async fn unread(limits: &str, messages: u64, size: usize) -> (u64, u64, u64) {
    let change = |config: &mut broker_core::Config| {
        config.overflow_policy = OverflowPolicy::DropOldest;
    };
    let (endpoint, net, url, _) = with(limits, change).await;
    let _raw = Raw::peer(&net, &url, RAW, &["/t"]).await;
    let text = "x".repeat(size);
    for _ in 0..messages {
        endpoint.publish("/t", text.as_str()).await.unwrap();
    }
    let stats = &endpoint.peering_stats()[&RAW];
    // The rest is in the link.
    assert!(stats.num_queued + stats.dropped <= messages);
    (stats.num_queued, stats.queued_bytes, stats.dropped)
}

#[tokio::test]
async fn messages_that_wait_for_a_peer_are_bounded() {
    for (limits, most) in [("outbox-messages = 7", 7), ("", 8192)] {
        let (queued, _, dropped) = unread(limits, 2 * 8192, 100).await;
        assert!(queued == most && dropped > 0, "{limits}: {queued} wait, {dropped} dropped");
    }
}

#[tokio::test]
async fn memory_that_waits_for_a_peer_is_bounded() {
    for size in [100, 1000, 10_000, 100_000] {
        let (queued, memory, dropped) = unread("outbox-bytes = 300_000", 5000, size).await;
        assert!(memory <= 300_000 && queued > 0 && dropped > 0, "{size}: {memory}");
    }
}

#[tokio::test]
async fn messages_and_memory_that_wait_for_a_subscriber_are_bounded() {
    for (limits, size, most) in
        [("subscriber-messages = 7", 10, 7), ("subscriber-bytes = 300_000", 10_000, 30)]
    {
        let (endpoint, net, url, _) = endpoint(limits).await;
        let mut subscriber = endpoint.subscribe(["/t"]);
        let mut raw = Raw::peer(&net, &url, RAW, &[]).await;
        let value = [&[5, 0x80 | (size % 128) as u8, (size / 128) as u8][..], &vec![b'x'; size]];
        for _ in 0..100 {
            raw.publish("/t", &value.concat()).await;
        }
        raw.settle().await;
        let waiting = std::iter::from_fn(|| subscriber.try_recv().ok()).count();
        assert!((1..=most).contains(&waiting), "{limits}: {waiting}");
        assert_eq!(subscriber.dropped() as usize + waiting, 100);
    }
}

#[tokio::test]
async fn messages_that_exceed_the_memory_are_dropped_where_most_of_them_wait() {
    let (endpoint, _net, _url, _) = endpoint("memory = 4_000_000").await;
    let dropping = || SubscriberOptions::with_policy(SubscriberPolicy::DropOldest);
    let mut large = endpoint.subscribe_with(["/large"], dropping());
    let mut small = endpoint.subscribe_with(["/"], dropping());
    let hub = endpoint.hub(["/none"]);
    for number in 0..100 {
        if number < 20 {
            hub.publish("/small", "x".repeat(40_000).as_str()).await.unwrap();
        }
        hub.publish("/large", "x".repeat(60_000).as_str()).await.unwrap();
    }
    let sizes = [&mut large, &mut small].map(|subscriber| {
        std::iter::from_fn(|| subscriber.try_recv().ok()).map(|m| m.payload().len()).sum::<usize>()
    });
    assert!(sizes.iter().sum::<usize>() <= 4_000_000, "{sizes:?}");
    assert!(sizes.iter().all(|size| *size > 1_500_000), "both have a share: {sizes:?}");
}
