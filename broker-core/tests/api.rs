//! What the public interface of an endpoint promises in itself.

#![allow(clippy::unwrap_used)]

use broker_core::endpoint::{BuildError, EndpointBuilder, Retry, TryRecvError};
use broker_core::event::Event;
use broker_core::transport::MemTransport;
use broker_core::{Endpoint, Failure, Reason};
use futures_core::Stream;
use std::future::poll_fn;
use std::pin::Pin;

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
