//! A server as a peer: how that begins and ends.

use crate::support::{Zeek, at, next, node};
use broker_bridge::websocket::WebSocketBridges;
use broker_core::Endpoint;
use broker_core::data::Value;
use broker_core::endpoint::Retry;
use broker_core::event::StatusCode;
use broker_core::transport::{Protection, Transport};
use broker_testkit::websocket::{PATIENCE, Server, wait_for};
use broker_transport_ws::{WsOptions, WsTransport};
use std::time::Duration;
use tokio::time::timeout;

#[tokio::test]
async fn a_lost_server_is_a_lost_peer_that_comes_back() {
    let server = Server::start().await;
    let node = node();
    let mut subscriber = node.endpoint.subscribe(["/t"]);
    let mut events = node.endpoint.events();
    let url = at(server.url.port(), "");
    let id = node.endpoint.peer(&url, Retry::every(Duration::from_millis(20))).await.unwrap();
    server.endpoint.shutdown().await;
    let lost = async {
        loop {
            let event = events.next().await.unwrap();
            if event.status() == Some(StatusCode::PeerLost) {
                return event.endpoint().unwrap().id;
            }
        }
    };
    assert_eq!(timeout(PATIENCE, lost).await.unwrap(), id);
    let again = Server::build(Endpoint::builder(), WsOptions::default()).await;
    again.endpoint.listen(format!("ws://127.0.0.1:{}", url.port())).await.unwrap();
    wait_for(|| again.endpoint.client_count() == 1).await;
    again.endpoint.publish("/t", &1_u64).await.unwrap();
    assert_eq!(next(&mut subscriber).await.1, Value::Count(1));
    assert!(timeout(PATIENCE, node.endpoint.await_peer(id)).await.unwrap());
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_peer_that_cannot_be_reached() {
    let node = node();
    let error = node.endpoint.peer(at(1, ""), Retry::never()).await.unwrap_err().to_string();
    assert!(error.contains("nothing listens there"), "{error}");
}

#[tokio::test]
async fn a_connection_that_never_becomes_a_peering_ends_all_the_same() {
    let server = Server::start().await;
    let node = node();
    let mut connection = node.ws.connect(&at(server.url.port(), "?from=/t")).await.unwrap();
    assert_eq!(server.endpoint.client_count(), 1);
    timeout(PATIENCE, connection.writer.shutdown()).await.expect("an end in time");
    wait_for(|| server.endpoint.client_count() == 0).await;
}

/// As those do who only look what is at an address.
#[tokio::test]
async fn a_server_can_be_dialled_without_an_endpoint() {
    let server = Server::start().await;
    let ws = WebSocketBridges::new(WsTransport::new(WsOptions::default()).unwrap());
    let mut connection = ws.connect(&at(server.url.port(), "?from=/t")).await.unwrap();
    assert_eq!(server.endpoint.client_count(), 1);
    timeout(PATIENCE, connection.writer.shutdown()).await.expect("an end in time");
    wait_for(|| server.endpoint.client_count() == 0).await;
}

#[tokio::test]
async fn what_protects_a_bridge_is_what_protects_its_connection_to_the_server() {
    let server = Server::start().await;
    let node = node();
    node.endpoint.peer(at(server.url.port(), ""), Retry::never()).await.unwrap();
    assert_eq!(node.endpoint.peers()[0].protection, Some(Protection::Plain));
}

#[tokio::test]
async fn the_end_of_a_peering_is_the_end_of_the_connection_to_the_server() {
    let server = Server::start().await;
    let node = node();
    let url = at(server.url.port(), "?to=/t");
    node.endpoint.peer(&url, Retry::never()).await.unwrap();
    assert_eq!(server.endpoint.client_count(), 1);
    assert!(node.endpoint.unpeer(&url));
    wait_for(|| server.endpoint.client_count() == 0 && node.ws.bridges().is_empty()).await;
}

#[tokio::test]
async fn a_shutdown_waits_for_a_bridge_whose_connection_was_dropped() {
    let zeek = Zeek::start().await;
    let node = node();
    let url = zeek.url("?to=/t&from=/o");
    let (connection, (_stream, _)) = tokio::join!(node.ws.connect(&url), zeek.accept());
    drop(connection.unwrap());
    assert_eq!(node.ws.bridges().len(), 1);
    // The server does not agree to the end.
    node.endpoint.shutdown().await;
    assert!(node.ws.bridges().is_empty());
}

#[tokio::test]
async fn a_shutdown_waits_for_the_end_of_the_connection_to_a_server_that_was_refused() {
    let zeek = Zeek::start().await;
    let node = node();
    let itself = node.endpoint.id().to_string();
    let url = zeek.url("?to=/t&from=/o");
    let peering = node.endpoint.peer(&url, Retry::never());
    let (stream, _) = zeek.accept_as(&itself).await;
    assert!(peering.await.unwrap_err().to_string().contains("the endpoint itself"));
    node.endpoint.shutdown().await;
    // Nothing is in flight on loopback: what is closed shows its end at once.
    stream.readable().await.unwrap();
    let mut rest = [0; 100];
    while stream.try_read(&mut rest).expect("the end, and no wait for it") > 0 {}
}
