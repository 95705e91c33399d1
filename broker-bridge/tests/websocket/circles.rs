//! What goes round between bridges comes to an end.

use crate::support::{at, counted, native, next, node, number_of, ping, serving};
use broker_core::data::Value;
use broker_core::endpoint::{Retry, Subscriber};
use broker_core::{Address, Endpoint};
use broker_testkit::websocket::{Server, log_event, wait_for};
use broker_transport_ws::WsOptions;

/// Everything that arrives until a message with the number `end`, which the publisher sends last.
async fn numbers_until(subscriber: &mut Subscriber, end: u64) -> Vec<u64> {
    let mut numbers = Vec::new();
    loop {
        let message = next(subscriber).await.1;
        let number = number_of(&message);
        if number == end {
            return numbers;
        }
        numbers.push(number);
    }
}

/// Overlay, bridge to a server, bridge from there back into the overlay.
#[tokio::test]
async fn two_bridges_in_opposite_directions_carry_an_event_once_each() {
    let server = Server::start().await;
    let mut at_server = server.endpoint.subscribe(["/t"]);
    let (out, back) = (node(), node());
    let (peer, mut at_peer) = native(&out, "/t").await;
    let url = back.endpoint.listen("tcp://127.0.0.1:0").await.unwrap();
    peer.peer(&url, Retry::never()).await.unwrap();
    out.endpoint.forward(["/t"]).unwrap();
    back.endpoint.forward(["/t"]).unwrap();
    let port = server.url.port();
    out.endpoint.peer(at(port, "?to=/t&from=/other"), Retry::never()).await.unwrap();
    back.endpoint.peer(at(port, "?from=/t"), Retry::never()).await.unwrap();
    wait_for(|| peer.peers().len() == 2 && server.endpoint.client_count() == 2).await;
    wait_for(|| peer.peer_filter(out.endpoint.id()).is_some_and(|f| !f.is_empty())).await;
    peer.publish("/t", &ping(1)).await.unwrap();
    wait_for(|| counted(&out, |b| b.crossed) == 1).await;
    peer.publish("/t", &ping(2)).await.unwrap();
    wait_for(|| counted(&out, |b| b.crossed) == 2).await;
    assert_eq!((counted(&out, |b| b.to_server), counted(&back, |b| b.from_server)), (2, 2));
    assert_eq!(number_of(&next(&mut at_server).await.1), 1);
    assert_eq!(number_of(&next(&mut at_server).await.1), 2);
    // The peer has what it published back once, because the overlay has a way round.
    assert_eq!(number_of(&next(&mut at_peer).await.1), 1);
    assert_eq!(number_of(&next(&mut at_peer).await.1), 2);
    assert!(at_peer.try_recv().is_err());
}

/// Each is a client of the other's server and takes everything from there.
#[tokio::test]
async fn two_servers_that_take_from_each_other_end_after_one_round() {
    let ((one, at_one), (two, at_two)) = (serving().await, serving().await);
    let mut received = two.endpoint.subscribe(["/t"]);
    let mut at_home = one.endpoint.subscribe(["/t"]);
    one.endpoint.peer(at(at_two, "?from=/t"), Retry::never()).await.unwrap();
    two.endpoint.peer(at(at_one, "?from=/t"), Retry::never()).await.unwrap();
    wait_for(|| one.endpoint.client_count() == 1 && two.endpoint.client_count() == 1).await;
    one.endpoint.publish("/t", &ping(1)).await.unwrap();
    // It is in the first one already, and does not come back.
    wait_for(|| counted(&one, |b| b.crossed) == 1).await;
    assert!(at_home.try_recv().is_err());
    one.endpoint.publish("/t", &ping(9)).await.unwrap();
    assert_eq!(numbers_until(&mut received, 9).await, [1]);
}

/// The same with `to`: each hands everything to the other's server.
#[tokio::test]
async fn two_servers_that_hand_to_each_other_end_after_one_round() {
    let ((one, at_one), (two, at_two)) = (serving().await, serving().await);
    let mut received = two.endpoint.subscribe(["/t"]);
    one.endpoint.peer(at(at_two, "?to=/t&from=/o"), Retry::never()).await.unwrap();
    two.endpoint.peer(at(at_one, "?to=/t&from=/o"), Retry::never()).await.unwrap();
    wait_for(|| one.endpoint.client_count() == 1 && two.endpoint.client_count() == 1).await;
    one.endpoint.publish("/t", &ping(1)).await.unwrap();
    wait_for(|| counted(&two, |b| b.crossed) == 1).await;
    one.endpoint.publish("/t", &ping(9)).await.unwrap();
    assert_eq!(numbers_until(&mut received, 9).await, [1]);
}

#[tokio::test]
async fn what_has_no_place_for_a_mark_goes_round_a_bounded_number_of_times() {
    let ((one, at_one), (two, at_two)) = (serving().await, serving().await);
    let mut received = two.endpoint.subscribe(["/t"]);
    let query = "?to=/t&from=/o&repeats=5";
    one.endpoint.peer(at(at_two, query), Retry::never()).await.unwrap();
    two.endpoint.peer(at(at_one, query), Retry::never()).await.unwrap();
    wait_for(|| one.endpoint.client_count() == 1 && two.endpoint.client_count() == 1).await;
    let mut events = one.endpoint.events();
    one.endpoint.publish("/t", &1_u64).await.unwrap();
    let text = log_event(&mut events, "bridge").await;
    assert!(text.contains("in circles"), "{text}");
    one.endpoint.publish("/t", &9_u64).await.unwrap();
    assert_eq!(numbers_until(&mut received, 9).await, [1; 5]);
}

#[tokio::test]
async fn from_one_server_to_another_messages_go_only_when_asked_to() {
    let from = Server::start().await;
    let to = Server::build(Endpoint::builder(), WsOptions::default()).await;
    let mut received = to.endpoint.subscribe(["/t"]);
    for (transit, crossed) in [("", 1), ("&transit=1", 0)] {
        let node = node();
        node.endpoint.forward(["/t"]).unwrap();
        let out = at(to.url.port(), &format!("?to=/t&from=/o{transit}"));
        node.endpoint.peer(&out, Retry::never()).await.unwrap();
        node.endpoint.peer(at(from.url.port(), "?from=/t"), Retry::never()).await.unwrap();
        from.endpoint.publish("/t", &ping(1)).await.unwrap();
        wait_for(|| counted(&node, |b| b.to_server + b.crossed) == 1).await;
        assert_eq!(counted(&node, |b| b.crossed), crossed);
        node.endpoint.shutdown().await;
    }
    assert_eq!(number_of(&next(&mut received).await.1), 1);
    assert!(received.try_recv().is_err());
}

#[tokio::test]
async fn a_server_that_is_the_endpoint_itself_or_a_native_peer_is_refused() {
    let (node, port) = serving().await;
    let peering = async |port| {
        let outcome = node.endpoint.peer(at(port, "?to=/t"), Retry::never()).await;
        outcome.unwrap_err().to_string()
    };
    let error = peering(port).await;
    assert!(error.contains("the endpoint itself"), "{error}");
    let server = Server::start().await;
    let native: Address =
        format!("ws://localhost:{}/v1/native", server.url.port()).parse().unwrap();
    node.endpoint.peer(&native, Retry::never()).await.unwrap();
    let error = peering(server.url.port()).await;
    assert!(error.contains("native peers"), "{error}");
}

#[tokio::test]
async fn with_nobody_else_around_messages_stay_as_they_are() {
    let server = Server::start().await;
    let mut at_server = server.endpoint.subscribe(["/to"]);
    let node = node();
    let mut here = node.endpoint.subscribe(["/from"]);
    let url = at(server.url.port(), "?to=/to&from=/from&repeats=1");
    node.endpoint.peer(&url, Retry::never()).await.unwrap();
    for _ in 0..3 {
        node.endpoint.publish("/to", &ping(1)).await.unwrap();
        server.endpoint.publish("/from", &ping(2)).await.unwrap();
        assert_eq!(next(&mut at_server).await.1, Value::from(ping(1)));
        assert_eq!(next(&mut here).await.1, Value::from(ping(2)));
    }
}

#[tokio::test]
async fn a_bridge_ends_when_its_server_becomes_a_native_peer() {
    let server = Server::start().await;
    let node = node();
    let mut events = node.endpoint.events();
    node.endpoint.peer(at(server.url.port(), "?to=/t"), Retry::never()).await.unwrap();
    let native: Address =
        format!("ws://localhost:{}/v1/native", server.url.port()).parse().unwrap();
    node.endpoint.peer(&native, Retry::never()).await.unwrap();
    let text = log_event(&mut events, "bridge").await;
    assert!(text.contains("native peers"), "{text}");
    wait_for(|| server.endpoint.client_count() == 0).await;
}
