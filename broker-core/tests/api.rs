//! What the public interface of an endpoint promises in itself.

#![allow(clippy::unwrap_used)]

use broker_core::data::Value;
use broker_core::endpoint::{
    BuildError, EndpointBuilder, Hub, Retry, SubscriberOptions, TryPublishError, TryRecvError,
};
use broker_core::event::Event;
use broker_core::transport::MemTransport;
use broker_core::{Config, Endpoint, Failure, PublishError, Reason, SubscriberPolicy};
use futures_core::Stream;
use std::future::poll_fn;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

fn endpoint() -> Endpoint {
    Endpoint::builder().transport(MemTransport::new()).build().unwrap()
}

async fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await
}

#[tokio::test]
async fn transports_that_cannot_be_set_up_fail_the_build() {
    let failing = |_: &_| Err::<EndpointBuilder, _>(std::io::Error::other("no key"));
    let error = Endpoint::builder().transports_from(failing).build().unwrap_err();
    assert!(matches!(&error, BuildError::Transport(_)), "{error:?}");
    assert_eq!(error.to_string(), "no key");
}

#[tokio::test]
async fn transports_are_set_up_within_the_limits_of_the_configuration() {
    let mut config = broker_core::Config::default();
    config.limits.peers = 7.try_into().unwrap();
    let builder = Endpoint::builder().transports_from(|limits| {
        assert_eq!(limits.peers.get(), 7);
        Ok::<_, std::io::Error>(Endpoint::builder().transport(MemTransport::new()))
    });
    assert!(builder.transport_for("mem").is_none());
    assert_eq!(builder.config(config).build().unwrap().schemes(), ["mem"]);
}

#[tokio::test]
async fn a_transport_of_its_own_replaces_one_that_is_set_up_later() {
    let own = MemTransport::new();
    let set_up = |_: &_| Ok::<_, BuildError>(Endpoint::builder().transport(MemTransport::new()));
    let first = Endpoint::builder().transport(own.clone()).transports_from(set_up).build().unwrap();
    let second = Endpoint::builder().transport(own).build().unwrap();
    let url = first.listen("mem://first:1").await.unwrap();
    assert_eq!(second.peer(url, Retry::never()).await.unwrap(), first.id());
}

#[tokio::test]
async fn an_empty_queue_is_not_a_closed_one() {
    let endpoint = endpoint();
    let (mut subscriber, mut hub) = (endpoint.subscribe("/t"), endpoint.hub("/t"));
    assert_eq!(subscriber.try_recv().unwrap_err(), TryRecvError::Empty);
    assert_eq!(hub.try_recv().unwrap_err(), TryRecvError::Empty);
    endpoint.publish("/t", &1_u64).await.unwrap();
    endpoint.shutdown().await;
    assert_eq!(hub.try_recv().unwrap().view().as_count(), Some(1), "what came before is kept");
    assert_eq!(hub.try_recv().unwrap_err(), TryRecvError::Closed);
    assert_eq!(subscriber.try_recv().unwrap_err(), TryRecvError::Closed);
}

#[tokio::test]
async fn subscribers_and_hubs_are_streams_that_end_with_the_endpoint() {
    let endpoint = endpoint();
    let (mut subscriber, mut hub) = (endpoint.subscribe("/t"), endpoint.hub("/t"));
    let waiting = tokio::spawn(async move { next(&mut subscriber).await.map(|_| subscriber) });
    tokio::task::yield_now().await;
    let other = endpoint.hub("/none");
    other.publish("/t", &1_u64).await.unwrap();
    let mut subscriber = waiting.await.unwrap().expect("a message");
    assert_eq!(next(&mut hub).await.unwrap().view().as_count(), Some(1));
    endpoint.shutdown().await;
    assert!(next(&mut subscriber).await.is_none() && next(&mut hub).await.is_none());
}

#[tokio::test]
async fn text_that_is_no_address_is_an_invalid_address() {
    let endpoint = endpoint();
    let mut events = endpoint.events();
    let mut reason = || loop {
        if let Event::Error(error) = events.try_next().expect("an error event") {
            return error.reason;
        }
    };
    let error = endpoint.listen("nowhere").await.unwrap_err();
    assert_eq!(error.reason(), Reason::InvalidAddress);
    let error = endpoint.peer("nowhere", Retry::default()).await.unwrap_err();
    let Failure::Transport(error) = error.failure else { panic!("{error:?}") };
    assert_eq!(error.reason(), Reason::InvalidAddress);
    assert_eq!(reason(), Some(Reason::InvalidAddress));
    assert!(!endpoint.unpeer("nowhere"));
    assert_eq!(reason(), Some(Reason::InvalidAddress));
    assert!(!endpoint.is_outbound_peering("nowhere"));
    assert!(endpoint.peers().is_empty());
}

#[tokio::test]
async fn addresses_are_taken_as_text_or_as_urls() {
    let network = MemTransport::new();
    let builder = || Endpoint::builder().transport(network.clone());
    let (a, b) = (builder().build().unwrap(), builder().build().unwrap());
    let url = b.listen("mem://b:0").await.unwrap();
    assert_eq!(a.peer(url.to_string(), Retry::never()).await.unwrap(), b.id());
    assert!(a.is_outbound_peering(&url) && a.is_outbound_peering(url.clone()));
    assert!(a.unpeer(url.to_string()));
}

fn counts(hub: &mut Hub) -> Vec<u64> {
    std::iter::from_fn(|| hub.try_recv().ok()).filter_map(|m| m.view().as_count()).collect()
}

#[tokio::test]
async fn batches_arrive_in_order_whatever_their_topics_and_sizes() {
    let endpoint = endpoint();
    let (mut all, mut some) = (endpoint.hub(""), endpoint.hub("/a"));
    let topic = |number: u64| if number.is_multiple_of(3) { "/a" } else { "/b" };
    let to = endpoint.publish_batch((0..10).map(|number| (topic(number), number))).await.unwrap();
    assert_eq!((to.peers, to.local), (0, 2), "those of the last one");
    assert_eq!(counts(&mut all), (0..10).collect::<Vec<_>>());
    assert_eq!(counts(&mut some), [0, 3, 6, 9]);

    // A hub does not hear itself.
    some.publish_batch([("/a", 1_u64), ("/a", 2)]).await.unwrap();
    some.sender().publish_batch([("/a", 3_u64)]).await.unwrap();
    assert_eq!((counts(&mut all), counts(&mut some)), (vec![1, 2, 3], vec![]));

    let strings: Vec<String> =
        [10, 5_000, 20, 100_000, 30].map(|length| "x".repeat(length)).to_vec();
    endpoint.publisher("/a").publish_batch(&strings).await.unwrap();
    let lengths = std::iter::from_fn(|| some.try_recv().ok());
    let lengths: Vec<_> = lengths.map(|m| m.view().as_str().unwrap().len()).collect();
    assert_eq!(lengths, [10, 5_000, 20, 100_000, 30]);
}

#[tokio::test]
async fn what_is_fed_goes_when_it_is_flushed_or_has_become_much() {
    let endpoint = endpoint();
    let mut hub = endpoint.hub("/a");
    let mut publisher = endpoint.publisher("/a");
    publisher.feed(&1_u64).await.unwrap();
    let mut batch = endpoint.batch();
    batch.feed("/a", &2_u64).await.unwrap();
    assert!(hub.is_empty());
    // Another topic is another batch.
    batch.feed("/b", &3_u64).await.unwrap();
    assert_eq!(counts(&mut hub), [2]);
    assert_eq!(publisher.flush().await.unwrap().local, 1);
    assert_eq!(publisher.flush().await.unwrap().local, 0, "there was nothing left");
    assert_eq!(counts(&mut hub), [1]);
    for number in 0..10_000_u64 {
        publisher.feed(&number).await.unwrap();
    }
    assert!(hub.len() > 5_000 && hub.len() < 10_000);
}

#[tokio::test]
async fn a_value_that_cannot_be_published_ends_a_batch_behind_those_before_it() {
    let mut config = Config::default();
    config.limits.frame = NonZeroUsize::new(20_000).unwrap();
    let endpoint = Endpoint::builder().config(config).build().unwrap();
    let mut hub = endpoint.hub("/a");
    let values = [Value::Count(1), Value::from("x".repeat(30_000)), Value::Count(2)];
    let error = endpoint.publisher("/a").publish_batch(&values).await.unwrap_err();
    assert!(matches!(error, PublishError::TooLarge { .. }));
    let topics = ["/a", "<$>/local/data", "/a"];
    let error = endpoint.publish_batch(topics.map(|topic| (topic, 3_u64))).await.unwrap_err();
    assert_eq!(error, PublishError::InternalTopic);
    assert_eq!(counts(&mut hub), [1, 3]);
}

#[tokio::test]
async fn who_does_not_wait_is_told_that_there_is_no_room() {
    let endpoint = endpoint();
    let options = SubscriberOptions {
        messages: Some(1),
        ..SubscriberOptions::with_policy(SubscriberPolicy::Wait)
    };
    let mut hub = endpoint.hub_with("/a", options);
    let (publisher, other) = (endpoint.publisher("/a"), endpoint.hub("/b"));
    assert_eq!(publisher.try_publish(&1_u64).unwrap().local, 1);
    assert_eq!(publisher.try_publish(&2_u64), Err(TryPublishError::Full));
    assert_eq!(endpoint.try_publish("/a", &2_u64), Err(TryPublishError::Full));
    assert_eq!(other.try_publish("/a", &2_u64), Err(TryPublishError::Full));
    assert_eq!(counts(&mut hub), [1]);
    assert_eq!(other.sender().try_publish("/a", &3_u64).unwrap().local, 1);
    endpoint.shutdown().await;
    let ended = TryPublishError::Refused(PublishError::ShutDown);
    assert_eq!(publisher.try_publish(&4_u64), Err(ended));
    assert_eq!(counts(&mut hub), [3]);
}

#[tokio::test]
async fn what_is_lent_and_not_walked_is_received_next() {
    let endpoint = endpoint();
    let mut hub = endpoint.hub("/a");
    endpoint.publisher("/a").publish_batch(0..10_u64).await.unwrap();
    let mut lent = hub.recv_batch().await.unwrap();
    let first = lent.next().unwrap();
    let kept = first.to_message();
    assert_eq!((first.topic(), first.sender()), (kept.topic(), endpoint.id()));
    assert_eq!(lent.next().unwrap().view().as_count(), Some(1));
    assert_eq!(hub.len(), 8);
    assert_eq!(hub.try_recv().unwrap().view().as_count(), Some(2));
    let lent = hub.recv_batch().await.unwrap();
    let numbers: Vec<_> = lent.take(3).filter_map(|message| message.view().as_count()).collect();
    assert_eq!(numbers, [3, 4, 5]);
    let mut rest = Vec::new();
    assert_eq!(hub.recv_many(&mut rest, 2).await, 2);
    let lent = hub.recv_batch().await.unwrap();
    let numbers: Vec<_> = lent.filter_map(|message| message.view().as_count()).collect();
    assert_eq!(numbers, [8, 9]);
    assert!(hub.is_empty());
    endpoint.publish("/a", "x".repeat(100_000).as_str()).await.unwrap();
    endpoint.shutdown().await;
    assert_eq!(hub.recv_batch().await.map(|lent| lent.count()), Some(1));
    assert!(hub.recv_batch().await.is_none());
    assert_eq!(kept.view().as_count(), Some(0));
}

/// Otherwise nobody could ever be peered with it.
#[tokio::test]
async fn a_publisher_in_a_loop_lets_others_run_although_nobody_listens() {
    let endpoint = Endpoint::builder().build().unwrap();
    let ran = Arc::new(AtomicBool::new(false));
    let other = ran.clone();
    tokio::spawn(async move { other.store(true, Relaxed) });
    for _ in 0..100_000 {
        endpoint.publish("/nobody", "wants this").await.unwrap();
        if ran.load(Relaxed) {
            return;
        }
    }
    panic!("nobody else has had a turn");
}
