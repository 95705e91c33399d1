//! What a server has taken over, and what becomes of the rest.

use crate::support::{Zeek, at, counted, next, node, ping, pong, recv, recv_frame, send};
use broker_core::data::Value;
use broker_core::data::zeek::{ZeekEvent, ZeekMessage};
use broker_core::endpoint::Retry;
use broker_testkit::websocket::{PATIENCE, Server, log_event, wait_for};
use broker_transport_ws::{AccessOptions, AccessRule, WsOptions};
use tokio::time::timeout;

#[tokio::test]
async fn the_end_of_a_peering_waits_for_what_was_published_before() {
    let server = Server::start().await;
    let mut subscriber = server.endpoint.subscribe(["/t"]);
    let node = node();
    let id = node.endpoint.peer(at(server.url.port(), "?to=/t"), Retry::never()).await.unwrap();
    for number in 0..2000_u64 {
        node.endpoint.publish("/t", &number).await.unwrap();
    }
    timeout(PATIENCE, node.endpoint.ping(id)).await.unwrap().unwrap();
    node.endpoint.shutdown().await;
    for number in 0..2000 {
        assert_eq!(next(&mut subscriber).await.1, Value::Count(number));
    }
}

#[tokio::test]
async fn what_zeek_does_not_take_is_counted_and_reported() {
    let zeek = Zeek::start().await;
    let node = node();
    let mut events = node.endpoint.events();
    let url = zeek.url("?to=/zeek/&from=/from/");
    let peering = node.endpoint.peer(&url, Retry::never());
    let (mut stream, subscriptions) = zeek.accept().await;
    assert_eq!(subscriptions, r#"["/from/"]"#);
    peering.await.unwrap();
    node.endpoint.publish("/zeek/a", &ping(1)).await.unwrap();
    node.endpoint.publish("/zeek/a", &5_u64).await.unwrap();
    node.endpoint.publish("/zeek/a", &ZeekMessage::Batch(vec![ping(2), ping(3)])).await.unwrap();
    for number in 1..=3 {
        let text = recv(&mut stream).await;
        let message: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(message["topic"], "/zeek/a");
        let event = &message["data"][2]["data"];
        assert_eq!(event[0]["data"], "ping");
        assert_eq!(event[1]["data"][0]["data"], number);
    }
    let (opcode, content) = recv_frame(&mut stream).await;
    assert_eq!(opcode, 9, "a ping behind the last message");
    assert!(node.ws.bridges().iter().all(|bridge| bridge.to_server < 3));
    pong(&mut stream, &content).await;
    wait_for(|| node.ws.bridges().iter().any(|bridge| bridge.to_server == 3)).await;
    let text = log_event(&mut events, "bridge-loss").await;
    assert!(text.contains("is no event"), "{text}");
    let error = br#"{"type":"error","code":"deserialization_failed","context":"failed to create Zeek event"}"#;
    send(&mut stream, error).await;
    wait_for(|| node.ws.bridges().iter().any(|bridge| bridge.refused == 1)).await;
    let [status] = &node.ws.bridges()[..] else { panic!() };
    assert_eq!((status.to_server, status.no_event), (3, 1));
    assert_eq!(status.version, "8.0.1");
    assert_eq!(
        status.last_refusal.as_deref(),
        Some("deserialization_failed: failed to create Zeek event")
    );
}

#[tokio::test]
async fn a_server_that_writes_before_it_reads_is_read_from_while_it_does() {
    const MESSAGES: usize = 400;
    let zeek = Zeek::start().await;
    let node = node();
    let mut here = node.endpoint.subscribe(["/from/"]);
    let peering = node.endpoint.peer(zeek.url("?to=/zeek/&from=/from/"), Retry::never());
    let (mut stream, _) = zeek.accept().await;
    peering.await.unwrap();
    // Far more in each direction than any buffer on the way holds.
    let ballast = "x".repeat(50_000);
    let publisher = node.endpoint.clone();
    let message = ZeekMessage::Event(ZeekEvent::new("ping").arg(ballast.as_str()));
    let publishing = tokio::spawn(async move {
        for _ in 0..MESSAGES {
            publisher.publish("/zeek/a", &message).await.unwrap();
        }
    });
    let received = tokio::spawn(async move {
        for _ in 0..MESSAGES {
            here.recv().await.unwrap();
        }
    });
    let text = format!(
        r#"{{"type":"data-message","topic":"/from/a","@data-type":"string","data":"{ballast}"}}"#
    );
    let writing = async {
        for _ in 0..MESSAGES {
            send(&mut stream, text.as_bytes()).await;
        }
    };
    timeout(PATIENCE, writing).await.expect("the bridge reads what the server writes");
    let mut read = 0;
    while read < MESSAGES {
        match recv_frame(&mut stream).await {
            (1, _) => read += 1,
            (_, content) => pong(&mut stream, &content).await,
        }
    }
    timeout(PATIENCE, publishing).await.unwrap().unwrap();
    timeout(PATIENCE, received).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_a_server_refuses_is_known_before_the_end_is_confirmed() {
    let rule = AccessRule { publish: Some(vec!["/allowed".into()]), ..AccessRule::default() };
    let access = AccessOptions { rules: vec![rule], ..AccessOptions::default() };
    let server = Server::with(WsOptions { access, ..WsOptions::default() }).await;
    let node = node();
    let mut events = node.endpoint.events();
    let id = node.endpoint.peer(at(server.url.port(), "?to=/"), Retry::never()).await.unwrap();
    for number in 0..10_u64 {
        node.endpoint.publish("/allowed", &number).await.unwrap();
        node.endpoint.publish("/other", &number).await.unwrap();
    }
    timeout(PATIENCE, node.endpoint.ping(id)).await.unwrap().unwrap();
    let [status] = &node.ws.bridges()[..] else { panic!() };
    assert_eq!((status.to_server, status.refused, status.lost), (20, 10, 0));
    assert!(log_event(&mut events, "bridge-loss").await.contains("permission_denied"));
}

#[tokio::test]
async fn what_a_server_has_not_read_when_it_closes_is_lost_and_never_confirmed() {
    let server = Server::with(WsOptions { message: 10_000, ..WsOptions::default() }).await;
    let mut at_server = server.endpoint.subscribe(["/t"]);
    let node = node();
    let mut events = node.endpoint.events();
    let id = node.endpoint.peer(at(server.url.port(), "?to=/t"), Retry::never()).await.unwrap();
    node.endpoint.publish("/t", "first").await.unwrap();
    timeout(PATIENCE, node.endpoint.ping(id)).await.unwrap().unwrap();
    assert_eq!(counted(&node, |b| b.to_server), 1);
    node.endpoint.publish("/t", "x".repeat(20_000).as_str()).await.unwrap();
    node.endpoint.publish("/t", "behind").await.unwrap();
    assert!(timeout(PATIENCE, node.endpoint.ping(id)).await.unwrap().is_err());
    let text = log_event(&mut events, "bridge-loss").await;
    assert!(text.contains("they are lost"), "{text}");
    assert_eq!(next(&mut at_server).await.1, Value::from("first"));
    assert!(at_server.try_recv().is_err());
}

#[tokio::test]
async fn what_is_larger_than_a_server_takes_is_not_handed_to_it() {
    let server = Server::with(WsOptions { message: 10_000, ..WsOptions::default() }).await;
    let mut at_server = server.endpoint.subscribe(["/t"]);
    let node = node();
    let url = at(server.url.port(), "?to=/t&largest=10000");
    let id = node.endpoint.peer(&url, Retry::never()).await.unwrap();
    node.endpoint.publish("/t", "x".repeat(20_000).as_str()).await.unwrap();
    node.endpoint.publish("/t", "behind").await.unwrap();
    timeout(PATIENCE, node.endpoint.ping(id)).await.unwrap().unwrap();
    assert_eq!(next(&mut at_server).await.1, Value::from("behind"));
    let [status] = &node.ws.bridges()[..] else { panic!() };
    assert_eq!((status.to_server, status.too_large, status.lost), (1, 1, 0));
}
