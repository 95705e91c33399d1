//! Peerings between endpoints over WebSocket.

#![allow(clippy::unwrap_used)]

use broker_testkit::websocket as support;

use broker_core::endpoint::Retry;
use broker_core::{Address, Endpoint, OverflowPolicy};
use broker_transport_ws::{AccessOptions, AccessRule, WsOptions, WsTransport};
use std::time::Duration;
use support::{Frame, PATIENCE, Server, count, frame};
use tokio::time::timeout;

fn endpoint() -> Endpoint {
    let builder = Endpoint::builder().overflow_policy(OverflowPolicy::Wait);
    WsTransport::new(WsOptions::default()).unwrap().install(builder).build().unwrap()
}

async fn peered(server: &Server) -> Endpoint {
    let peer = endpoint();
    peer.peer(&server.url, Retry::never()).await.unwrap();
    assert!(timeout(PATIENCE, server.endpoint.await_peer(peer.id())).await.unwrap());
    peer
}

#[tokio::test]
async fn endpoints_peer_and_exchange_messages_of_every_size() {
    let builder = Endpoint::builder().overflow_policy(OverflowPolicy::Wait);
    let server = Server::build(builder, WsOptions::default()).await;
    let mut at_server = server.endpoint.subscribe(["/up"]);
    let peer = endpoint();
    let mut at_peer = peer.subscribe(["/down"]);
    peer.peer(&server.url, Retry::never()).await.unwrap();
    assert!(timeout(PATIENCE, server.endpoint.await_peer(peer.id())).await.unwrap());
    for size in [0, 1, 100, 16 * 1024 - 50, 16 * 1024, 70_000, 3_000_000] {
        let text = "x".repeat(size);
        peer.publish("/up", text.as_str()).await.unwrap();
        server.endpoint.publish("/down", text.as_str()).await.unwrap();
        for subscriber in [&mut at_server, &mut at_peer] {
            let got = timeout(PATIENCE, subscriber.recv()).await.unwrap().unwrap();
            assert_eq!(got.view().as_bytes().unwrap().len(), size);
        }
    }
    for round in 0..20 {
        let numbers = round * 1000..(round + 1) * 1000_u64;
        for number in numbers.clone() {
            peer.publish("/up", &number).await.unwrap();
        }
        for number in numbers {
            let got = timeout(PATIENCE, at_server.recv()).await.unwrap().unwrap();
            assert_eq!(got.view().as_count(), Some(number));
        }
    }
    assert!(timeout(PATIENCE, peer.ping(server.endpoint.id())).await.unwrap().is_ok());
}

#[tokio::test]
async fn one_listener_serves_peers_and_clients() {
    let server = Server::start().await;
    let mut client = server.client("[\"/t\"]").await;
    let peer = peered(&server).await;
    let wait = async {
        while peer.peer_filter(server.endpoint.id()).unwrap() != ["/t"] {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap();
    peer.publish("/t", &1_u64).await.unwrap();
    assert_eq!(client.recv_text().await, count("/t", 1));
    let [info] = &server.endpoint.peers()[..] else { unreachable!() };
    assert_eq!(info.network.url.scheme(), "ws");
}

#[tokio::test]
async fn a_bye_delivers_what_was_published_before() {
    let server = Server::start().await;
    let mut subscriber = server.endpoint.subscribe(["/t"]);
    let peer = peered(&server).await;
    let wait = async {
        while peer.peer_filter(server.endpoint.id()).unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap();
    for number in 0..1000_u64 {
        peer.publish("/t", &number).await.unwrap();
    }
    peer.shutdown().await;
    for number in 0..1000 {
        let got = timeout(PATIENCE, subscriber.recv()).await.unwrap().unwrap();
        assert_eq!(got.view().as_count(), Some(number));
    }
}

#[tokio::test]
async fn a_lost_peer_is_dialled_again() {
    let server = Server::start().await;
    let peer = endpoint();
    let _request = peer.peer(&server.url, Retry::every(Duration::from_millis(20)));
    assert!(timeout(PATIENCE, peer.await_peer(server.endpoint.id())).await.unwrap());
    assert!(timeout(PATIENCE, server.endpoint.await_peer(peer.id())).await.unwrap());
    server.endpoint.unpeer_id(peer.id());
    let again = async {
        while peer.peers().iter().all(|info| info.age > Duration::from_secs(1))
            || !timeout(PATIENCE, peer.await_peer(server.endpoint.id())).await.unwrap()
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, again).await.unwrap();
}

#[tokio::test]
async fn text_on_the_native_path_is_closed_with_a_reason() {
    let server = Server::start().await;
    let protocol = "Sec-WebSocket-Protocol: broker-native.v1\r\n";
    let mut client = server.open_with("/v1/native", protocol).await;
    client.text("[]").await;
    // The handshake of the endpoint may come first.
    let (code, reason) = client.recv_close().await;
    assert_eq!(code, 1008);
    assert!(reason.contains("JSON API"), "{reason}");
    let mut client = server.open_with("/v1/native", protocol).await;
    client.raw(&frame(9, true, b"ping")).await;
    let pong = loop {
        match client.recv().await {
            Frame::Binary(_) => {}
            other => break other,
        }
    };
    assert_eq!(pong, Frame::Pong(b"ping".to_vec()));
    client.raw(&frame(0, true, b"x")).await;
    assert_eq!(client.recv_close().await.0, 1002);
}

#[tokio::test]
async fn wrong_addresses_are_explained() {
    let rules = vec![AccessRule { token: Some("t".into()), ..AccessRule::default() }];
    let access = AccessOptions { rules, ..AccessOptions::default() };
    let guarded = Server::with(WsOptions { access, ..WsOptions::default() }).await;
    let open = Server::start().await;
    let at = |server: &Server, path: &str| {
        format!("ws://127.0.0.1:{}{path}", server.url.port()).parse::<Address>().unwrap()
    };
    let peer = endpoint();
    for (url, text) in
        [(at(&open, "/v1/else"), "does not know broker-native.v1"), (at(&guarded, ""), "401")]
    {
        let error = peer.peer(&url, Retry::never()).await.unwrap_err().to_string();
        assert!(error.contains(text), "{url}: {error}");
    }
    peer.peer(at(&guarded, "/?access_token=t"), Retry::never()).await.unwrap();
}

#[tokio::test]
async fn a_rule_that_limits_topics_is_none_for_peers() {
    let rule = |token: &str, publish| AccessRule {
        token: Some(token.to_owned()),
        publish,
        ..AccessRule::default()
    };
    let rules = vec![rule("client", Some(vec!["/t".to_owned()])), rule("peer", None)];
    let access = AccessOptions { rules, ..AccessOptions::default() };
    let server = Server::with(WsOptions { access, ..WsOptions::default() }).await;
    let as_peer = async |token| {
        let url = format!("{}/v1/native?access_token={token}", server.url);
        endpoint().peer(url, Retry::never()).await
    };
    let error = as_peer("client").await.unwrap_err().to_string();
    assert!(error.contains("HTTP 403") && error.contains("topics are limited"), "{error}");
    assert!(as_peer("peer").await.is_ok());
}
