//! Which topics go which way.

use crate::support::{at, native, next, node};
use broker_bridge::Carried;
use broker_core::data::Value;
use broker_core::endpoint::Retry;
use broker_testkit::websocket::{Server, log_event, wait_for};

#[tokio::test]
async fn a_bridge_carries_each_topic_in_its_direction() {
    let server = Server::start().await;
    let mut at_server = server.endpoint.subscribe(["/"]);
    let node = node();
    node.endpoint.forward(["/from/"]).unwrap();
    let (peer, mut at_peer) = native(&node, "/").await;
    let url = at(server.url.port(), "?to=/to/&from=/from/");
    node.endpoint.peer(&url, Retry::never()).await.unwrap();
    wait_for(|| node.endpoint.peers().len() == 2).await;
    wait_for(|| peer.peer_filter(node.endpoint.id()).is_some_and(|f| f == ["/from/"])).await;
    node.endpoint.forward(["/to/"]).unwrap();
    wait_for(|| peer.peer_filter(node.endpoint.id()).is_some_and(|f| f.len() == 2)).await;
    peer.publish("/to/x", &1_u64).await.unwrap();
    peer.publish("/from/x", &2_u64).await.unwrap();
    peer.publish("/to/y", &3_u64).await.unwrap();
    assert_eq!(next(&mut at_server).await, ("/to/x".into(), Value::Count(1)));
    assert_eq!(next(&mut at_server).await, ("/to/y".into(), Value::Count(3)));
    let hub = server.endpoint.hub([""; 0]);
    hub.publish("/to/z", &4_u64).await.unwrap();
    hub.publish("/from/z", &5_u64).await.unwrap();
    assert_eq!(next(&mut at_peer).await, ("/from/z".into(), Value::Count(5)));
    wait_for(|| {
        node.ws
            .bridges()
            .iter()
            .any(|b| (b.counts[Carried::ToServer], b.counts[Carried::FromServer]) == (2, 1))
    })
    .await;
    assert_eq!(
        server.endpoint.clients()[0].info.label.to_string(),
        "web-socket client broker-bridge"
    );
}

#[tokio::test]
async fn without_directions_a_server_sends_what_the_endpoint_has_subscribed_to() {
    let server = Server::start().await;
    let node = node();
    let mut subscriber = node.endpoint.subscribe(["/a"]);
    node.endpoint.peer(at(server.url.port(), ""), Retry::never()).await.unwrap();
    assert_eq!(server.endpoint.clients()[0].info.subscriptions, ["/a"]);
    server.endpoint.publish("/a", &1_u64).await.unwrap();
    assert_eq!(next(&mut subscriber).await.1, Value::Count(1));
    // Another subscription is one of the server's as soon as it is one of the endpoint's.
    subscriber.add(["/b"]).unwrap();
    wait_for(|| {
        let clients = server.endpoint.clients();
        clients.len() == 1 && clients[0].info.subscriptions == ["/a", "/b"]
    })
    .await;
    server.endpoint.publish("/b", &2_u64).await.unwrap();
    assert_eq!(next(&mut subscriber).await, ("/b".into(), Value::Count(2)));
}

#[tokio::test]
async fn topics_that_would_go_in_circles_are_refused_or_left_out() {
    let server = Server::start().await;
    let node = node();
    let error = node
        .endpoint
        .peer(at(server.url.port(), "?to=/a&from=/a/b"), Retry::never())
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("in circles"), "{error}");
    let mut events = node.endpoint.events();
    let _subscriber = node.endpoint.subscribe(["/a/x", "/b"]);
    node.endpoint.peer(at(server.url.port(), "?to=/a"), Retry::never()).await.unwrap();
    assert_eq!(server.endpoint.clients()[0].info.subscriptions, ["/b"]);
    let text = log_event(&mut events, "bridge").await;
    assert!(text.contains("/a/x"), "{text}");
}

#[tokio::test]
async fn a_second_bridge_the_other_way_is_refused_under_any_name() {
    let server = Server::start().await;
    let node = node();
    node.endpoint.peer(at(server.url.port(), "?to=/t"), Retry::never()).await.unwrap();
    let url = format!("ws://localhost:{}/v1/messages/json?from=/t/x", server.url.port());
    let outcome = node.endpoint.peer(url, Retry::never()).await;
    let error = outcome.unwrap_err().to_string();
    assert!(error.contains("both ways"), "{error}");
}
