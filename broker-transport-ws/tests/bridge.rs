//! Servers of the JSON API as peers: this one, and a scripted one that behaves like Zeek's.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use broker_core::data::Value;
use broker_core::data::zeek::{Event, Message, MessageView};
use broker_core::endpoint::{Retry, Subscriber};
use broker_core::event::StatusCode;
use broker_core::transport::{Protection, Transport};
use broker_core::{Endpoint, OverflowPolicy, Url};
use broker_transport_ws::bridge::BridgeStatus;
use broker_transport_ws::{AccessOptions, AccessRule, WsOptions, WsTransport};
use std::time::Duration;
use support::{PATIENCE, Server, log_event, read_head, wait_for};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

struct Node {
    endpoint: Endpoint,
    ws: WsTransport,
}

fn node() -> Node {
    let ws = WsTransport::new(WsOptions::default()).unwrap();
    let builder = Endpoint::builder()
        .overflow_policy(OverflowPolicy::Wait)
        .transport(broker_transport_tcp::TcpTransport::default());
    let endpoint = ws.clone().install(builder).build().unwrap();
    Node { endpoint, ws }
}

fn at(port: u16, query: &str) -> Url {
    format!("ws://127.0.0.1:{port}/v1/messages/json{query}").parse().unwrap()
}

async fn next(subscriber: &mut Subscriber) -> (String, Value) {
    let message = timeout(PATIENCE, subscriber.recv()).await.expect("a message in time").unwrap();
    (message.topic().to_string(), message.data().unwrap())
}

/// A native peer of `node`, with a subscription that the node knows.
async fn native(node: &Node, topic: &str) -> (Endpoint, Subscriber) {
    let (peer, subscriber) = support::native(&node.endpoint, topic).await;
    wait_for(|| node.endpoint.peer_filter(peer.id()).is_some_and(|f| !f.is_empty())).await;
    (peer, subscriber)
}

#[tokio::test]
async fn a_bridge_carries_each_topic_in_its_direction() {
    let server = Server::start().await;
    let mut at_server = server.endpoint.subscribe(["/"]);
    let node = node();
    node.endpoint.forward(["/from/"]);
    let (peer, mut at_peer) = native(&node, "/").await;
    let url = at(server.url.port(), "?to=/to/&from=/from/");
    node.endpoint.peer(&url, Retry::never()).await.unwrap();
    wait_for(|| node.endpoint.peers().len() == 2).await;
    wait_for(|| peer.peer_filter(node.endpoint.id()).is_some_and(|f| f == ["/from/"])).await;
    node.endpoint.forward(["/to/"]);
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
    wait_for(|| node.ws.bridges().iter().any(|b| (b.to_server, b.from_server) == (2, 1))).await;
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
    subscriber.add(["/b"]);
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

/// Zeek's server: takes events only, and only those that it declares.
struct Zeek {
    listener: TcpListener,
}

impl Zeek {
    async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    fn url(&self, query: &str) -> Url {
        at(self.listener.local_addr().unwrap().port(), query)
    }

    async fn accept(&self) -> (TcpStream, String) {
        let (mut stream, _) = timeout(PATIENCE, self.listener.accept()).await.unwrap().unwrap();
        let head = read_head(&mut stream).await;
        let key = head.lines().find_map(|l| l.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
        let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: {accept}\r\n\
             Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        let subscriptions = recv(&mut stream).await;
        let ack = br#"{"type":"ack","endpoint":"x-websocket-0","version":"8.0.1"}"#;
        send(&mut stream, ack).await;
        (stream, subscriptions)
    }
}

async fn send(stream: &mut TcpStream, text: &[u8]) {
    let mut frame = vec![0x81, 126];
    frame.extend_from_slice(&(text.len() as u16).to_be_bytes());
    frame.extend_from_slice(text);
    stream.write_all(&frame).await.unwrap();
}

/// The next text of a client; pings before it are answered.
async fn recv(stream: &mut TcpStream) -> String {
    loop {
        let (opcode, payload) = recv_frame(stream).await;
        if opcode == 1 {
            return String::from_utf8(payload).unwrap();
        }
        pong(stream, &payload).await;
    }
}

async fn pong(stream: &mut TcpStream, content: &[u8]) {
    stream.write_all(&[&[0x8a, content.len() as u8], content].concat()).await.unwrap();
}

async fn recv_frame(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let read = async {
        let mut head = [0; 2];
        stream.read_exact(&mut head).await.unwrap();
        let length = match head[1] & 0x7f {
            126 => stream.read_u16().await.unwrap() as usize,
            length => usize::from(length),
        };
        let mut mask = [0; 4];
        stream.read_exact(&mut mask).await.unwrap();
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await.unwrap();
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        (head[0] & 0x0f, payload)
    };
    timeout(PATIENCE, read).await.unwrap()
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
    let ping = |n: u64| Message::Event(Event::new("ping").arg(n));
    node.endpoint.publish("/zeek/a", &ping(1)).await.unwrap();
    node.endpoint.publish("/zeek/a", &5_u64).await.unwrap();
    node.endpoint.publish("/zeek/a", &Message::Batch(vec![ping(2), ping(3)])).await.unwrap();
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

/// The argument of an event, or a plain number.
fn number_of(value: &Value) -> u64 {
    if let Value::Count(number) = value {
        return *number;
    }
    let payload = value.encode();
    let view = broker_core::data::View::parse(&payload).unwrap();
    let MessageView::Event(event) = MessageView::parse(view).unwrap() else { panic!() };
    event.read_args::<(u64,)>().unwrap().0
}

fn ping(number: u64) -> Message {
    Message::Event(Event::new("ping").arg(number))
}

/// Two nodes with the servers of their own, which others join.
async fn serving() -> (Node, u16) {
    let node = node();
    let url = node.endpoint.listen("ws://127.0.0.1:0").await.unwrap();
    (node, url.port())
}

fn counted(node: &Node, what: impl Fn(&BridgeStatus) -> u64) -> u64 {
    node.ws.bridges().iter().map(what).sum()
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
    out.endpoint.forward(["/t"]);
    back.endpoint.forward(["/t"]);
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
        node.endpoint.forward(["/t"]);
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
    let native: Url = format!("ws://localhost:{}/v1/native", server.url.port()).parse().unwrap();
    node.endpoint.peer(&native, Retry::never()).await.unwrap();
    let error = peering(server.url.port()).await;
    assert!(error.contains("native peers"), "{error}");
}

#[tokio::test]
async fn a_bridge_ends_when_its_server_becomes_a_native_peer() {
    let server = Server::start().await;
    let node = node();
    let mut events = node.endpoint.events();
    node.endpoint.peer(at(server.url.port(), "?to=/t"), Retry::never()).await.unwrap();
    let native: Url = format!("ws://localhost:{}/v1/native", server.url.port()).parse().unwrap();
    node.endpoint.peer(&native, Retry::never()).await.unwrap();
    // The bridge looks when there is something to carry, and every tenth of a second at most.
    let publishing = async {
        loop {
            node.endpoint.publish("/t", &ping(1)).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = publishing => {}
        text = log_event(&mut events, "bridge") => assert!(text.contains("native peers"), "{text}"),
    }
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
async fn a_connection_that_never_becomes_a_peering_ends_all_the_same() {
    let server = Server::start().await;
    let ws = WsTransport::new(WsOptions::default()).unwrap();
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
