//! The examples do what their first lines say.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![cfg(all(feature = "tcp", feature = "tls"))]

use broker::data::zeek::ZeekEvent;
use broker::{Endpoint, Retry};
use std::time::Duration;

/// An example without the function `main`, which only the example itself calls.
macro_rules! example {
    ($name:ident, $path:literal) => {
        #[allow(dead_code, unreachable_pub, reason = "as examples, these are programs")]
        #[path = $path]
        mod $name;
    };
}

example!(bridge, "../examples/bridge.rs");
example!(embedding, "../examples/embedding.rs");
example!(hub, "../examples/hub.rs");
example!(keeping_up, "../examples/keeping_up.rs");
example!(own_transport, "../examples/own_transport.rs");
example!(typed_events, "../examples/typed_events.rs");
example!(zeek, "../examples/zeek.rs");

fn endpoint() -> Endpoint {
    broker::builder().build().unwrap()
}

/// Publishes until somebody wants it, because subscriptions travel.
async fn publish_when_wanted(endpoint: &Endpoint, topic: &str, text: &str) {
    while !endpoint.peers().iter().any(|peer| {
        let filter = peer.id.and_then(|id| endpoint.peer_filter(id));
        filter
            .is_some_and(|filter| filter.iter().any(|prefix| topic.as_bytes().starts_with(prefix)))
    }) {
        tokio::task::yield_now().await;
    }
    endpoint.publish(topic, text).await.unwrap();
}

#[tokio::test]
async fn zeek_shows_events_and_says_hello() {
    // What stands for a Zeek in its default settings: encryption without certificates.
    let zeek = endpoint();
    let mut hello = zeek.subscribe("/rust/");
    let url = zeek.listen("tls://127.0.0.1:0").await.unwrap().to_string();
    let example = tokio::spawn(async move { zeek::run(&url, "/zeek", 1).await });
    let said = hello.recv().await.unwrap();
    assert_eq!(said.event().unwrap().name(), "hello_from_rust");
    zeek.publish("/zeek/a", &ZeekEvent::new("alert").arg("10.0.0.7")).await.unwrap();
    assert_eq!(example.await.unwrap().unwrap(), ["alert"]);
}

#[tokio::test]
async fn typed_events_arrive_as_they_were_sent() {
    let from_host = "2001:db8::7".parse().unwrap();
    let login = typed_events::Login { user: "ann".to_owned(), from_host, attempts: 7 };
    let took = Duration::from_nanos(1_500_000_001);
    let arrived = typed_events::run(login.clone(), took).await.unwrap();
    assert_eq!(arrived, (login, took));
}

#[tokio::test]
async fn hub_passes_messages_on_between_its_peers() {
    let hub = hub::start(&["tcp://127.0.0.1:0".to_owned()]).await.unwrap();
    let url = hub.listeners()[0].url.clone();
    let reporting = tokio::spawn(hub::report(hub.clone()));
    let (publisher, receiver) = (endpoint(), endpoint());
    let mut messages = receiver.subscribe("zeek/");
    publisher.peer(&url, Retry::never()).await.unwrap();
    receiver.peer(&url, Retry::never()).await.unwrap();
    publish_when_wanted(&publisher, "zeek/x", "over the hub").await;
    assert_eq!(messages.recv().await.unwrap().view().as_str(), Some("over the hub"));
    hub.shutdown().await;
    reporting.await.unwrap();
}

#[tokio::test]
async fn bridge_carries_messages_under_topics_of_its_own() {
    let (a, b) = (endpoint(), endpoint());
    let mut renamed = b.subscribe("");
    let from = a.listen("tcp://127.0.0.1:0").await.unwrap().to_string();
    let to = b.listen("tcp://127.0.0.1:0").await.unwrap().to_string();
    let carrying = tokio::spawn(async move { bridge::run(&from, &to).await });
    publish_when_wanted(&a, "zeek/alert", "scan").await;
    let message = renamed.recv().await.unwrap();
    assert_eq!(
        (message.topic().to_string(), message.view().as_str()),
        ("site-a/zeek/alert".to_owned(), Some("scan"))
    );
    carrying.abort();
}

#[test]
fn embedding_needs_no_runtime_in_the_threads_of_a_program() {
    let texts = embedding::run().unwrap();
    assert_eq!(texts, ["from a thread", "that does not wait in a future"]);
}

#[tokio::test]
async fn own_transport_carries_pings_late() {
    // Both sides tell of what has arrived after that time at the earliest.
    assert!(own_transport::run(2).await.unwrap() >= Duration::from_millis(4));
}

#[tokio::test]
async fn keeping_up_loses_nothing() {
    let seen = keeping_up::run(50_000).await.unwrap();
    assert_eq!(seen, keeping_up::Seen { messages: 50_000, sum: 50_000 * 50_001 / 2 });
}
