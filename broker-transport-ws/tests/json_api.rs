//! The JSON API over real sockets: what clients send, see and are told.

#![allow(clippy::unwrap_used)]

use broker_testkit::websocket as support;

use broker_core::endpoint::Retry;
use broker_core::{Config, Endpoint};
use broker_transport_ws::WsOptions;
use std::time::Duration;
use support::{Frame, PATIENCE, SERVER_ID, Server, count, frame, statuses};
use tokio::time::timeout;

async fn native(server: &Server) -> Endpoint {
    let url = server.endpoint.listen("tcp://127.0.0.1:0").await.unwrap();
    let peer = Endpoint::builder()
        .transport(broker_transport_tcp::TcpTransport::default())
        .build()
        .unwrap();
    peer.peer(&url, Retry::never()).await.unwrap();
    assert!(timeout(PATIENCE, server.endpoint.await_peer(peer.id())).await.unwrap());
    peer
}

/// Waits until `peer` knows that the server wants exactly these topics.
async fn wants(peer: &Endpoint, server: &Server, topics: &[&str]) {
    let wait = async {
        while peer.peer_filter(server.endpoint.id()).unwrap() != topics {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("the filter in time");
}

#[tokio::test]
async fn a_message_without_a_topic_or_of_another_type_is_an_error_and_is_not_published() {
    let server = Server::start().await;
    let mut subscriber = server.endpoint.subscribe([""]);
    let mut client = server.client("[]").await;
    let value = r#""@data-type":"count","data":1"#;
    for start in [
        r#""type":"data-message""#,
        r#""type":"data-message","topic":5"#,
        r#""type":"nope","topic":"/t""#,
    ] {
        client.text(&format!("{{{start},{value}}}")).await;
        assert_eq!(client.recv_json().await["code"], "deserialization_failed", "{start}");
    }
    client.text(&format!("{{\"topic\":\"/t\",{value}}}")).await;
    let message = timeout(PATIENCE, subscriber.recv()).await.unwrap().unwrap();
    assert_eq!(message.topic().to_string(), "/t");
}

#[tokio::test]
async fn a_client_that_wants_more_than_peers_accept_is_refused_and_costs_nobody_else_anything() {
    let mut config = Config::default();
    config.limits.filter_entries = 4;
    config.limits.filter_entry = 20;
    let builder = Endpoint::builder()
        .config(config)
        .id(SERVER_ID.parse().unwrap())
        .transport(broker_transport_tcp::TcpTransport::default());
    let server = Server::build(builder, WsOptions::default()).await;
    let peer = native(&server).await;
    let mut good = server.client(r#"["/good", "/b"]"#).await;
    for subscriptions in [r#"["/1", "/2", "/3"]"#, r#"["/longer/than/20/bytes"]"#] {
        let mut greedy = server.open().await;
        greedy.text(subscriptions).await;
        let answer = greedy.recv_json().await;
        assert_eq!(answer["code"], "too_many_subscriptions");
        let context = answer["context"].as_str().unwrap();
        assert!(context.contains("the limit filter-entr"), "{context}");
        assert_eq!(greedy.recv_close().await.0, 1013);
    }
    assert_eq!(server.endpoint.client_count(), 1);
    // What is covered does not count, and nothing of those who were refused was announced.
    let _covered = server.client(r#"["/good/1", "/good/2", "/good/3", "/c"]"#).await;
    wants(&peer, &server, &["/b", "/c", "/good"]).await;
    peer.publish("/good/1", &1_u64).await.unwrap();
    assert_eq!(good.recv_json().await["topic"], "/good/1");
}

#[tokio::test]
async fn the_ack_names_the_endpoint() {
    let server = Server::start().await;
    let mut client = server.open().await;
    client.text("[\"/test\"]").await;
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        client.recv_text().await,
        format!("{{\"type\":\"ack\",\"endpoint\":\"{SERVER_ID}\",\"version\":\"{version}\"}}")
    );
}

#[tokio::test]
async fn clients_see_each_other_and_not_themselves() {
    let server = Server::start().await;
    let mut a = server.client("[\"/test\"]").await;
    let mut b = server.client("[\"/test/x\", \"/test\"]").await;
    a.text(&count("/test/x", 1)).await;
    a.text(&count("/other", 2)).await;
    a.text(&count("/test/y", 3)).await;
    assert_eq!(b.recv_text().await, count("/test/x", 1));
    assert_eq!(b.recv_text().await, count("/test/y", 3));
    b.text(&count("/test/z", 4)).await;
    assert_eq!(a.recv_text().await, count("/test/z", 4));
}

#[tokio::test]
async fn native_peers_send_what_only_clients_want_and_stop_when_they_leave() {
    let server = Server::start().await;
    let peer = native(&server).await;
    let mut client = server.client("[\"/b\", \"/a\", \"/a/x\"]").await;
    wants(&peer, &server, &["/a", "/b"]).await;
    assert_eq!(peer.publish("/a/1", &7_u64).await.unwrap().peers, 1);
    assert_eq!(client.recv_text().await, count("/a/1", 7));
    let second = server.client("[\"/a\"]").await;
    drop(client);
    wants(&peer, &server, &["/a"]).await;
    drop(second);
    wants(&peer, &server, &[]).await;
    assert_eq!(peer.publish("/a/1", &8_u64).await.unwrap().peers, 0);
}

#[tokio::test]
async fn clients_reach_native_peers_subscribers_and_hubs_even_without_forwarding() {
    let builder = Endpoint::builder()
        .forwarding(false)
        .transport(broker_transport_tcp::TcpTransport::default());
    let server = Server::build(builder, WsOptions::default()).await;
    let peer = native(&server).await;
    let mut remote = peer.subscribe(["/t"]);
    let mut local = server.endpoint.subscribe(["/t"]);
    let mut hub = server.endpoint.hub(["/t"]);
    let wait = async {
        while server.endpoint.peer_filter(peer.id()).unwrap() != ["/t"] {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap();
    let mut client = server.client("[]").await;
    client.text(&count("/t", 5)).await;
    for received in [remote.recv().await, local.recv().await, hub.recv().await] {
        assert_eq!(received.unwrap().view().as_count(), Some(5));
    }
}

#[tokio::test]
async fn clients_see_what_the_endpoint_and_its_hubs_publish() {
    let server = Server::start().await;
    let mut client = server.client("[\"/t\"]").await;
    server.endpoint.publish("/t", &1_u64).await.unwrap();
    let hub = server.endpoint.hub([""; 0]);
    hub.publish("/t", &2_u64).await.unwrap();
    assert_eq!(client.recv_text().await, count("/t", 1));
    assert_eq!(client.recv_text().await, count("/t", 2));
}

#[tokio::test]
async fn what_is_for_another_endpoint_is_none_of_the_clients_business() {
    let server = Server::start().await;
    let peer = native(&server).await;
    let mut client = server.client("[\"/t\"]").await;
    server.endpoint.publish_to(peer.id(), "/t", &1_u64).await.unwrap();
    peer.publish_to(server.endpoint.id(), "/t", &2_u64).await.unwrap();
    assert_eq!(client.recv_text().await, count("/t", 2));
}

#[tokio::test]
async fn clients_appear_in_the_events_with_their_type_and_name() {
    let server = Server::start().await;
    let mut events = server.endpoint.events();
    let mut client = server.open_with("/v1/messages/json", "x-application-name: probe/1\r\n").await;
    client.text("[\"/b\",\"/a\"]").await;
    client.recv_text().await;
    let listed = server.endpoint.clients();
    let [only] = listed.as_slice() else { panic!("{listed:?}") };
    assert_eq!(only.info.subscriptions, ["/a", "/b"]);
    assert_eq!(only.info.label.to_string(), "web-socket client probe/1");
    assert!(server.endpoint.peers().is_empty());
    let id = only.info.id;
    let port = client.stream.local_addr().unwrap().port();
    client.close(1000, "bye").await;
    assert_eq!(client.recv().await, Frame::Close(1000, "bye".into()));
    assert_eq!(client.recv().await, Frame::End);
    assert_eq!(
        statuses(&mut events, 4).await,
        [
            format!("endpoint_discovered({id}, \"found a new client in the network\")"),
            format!("peer_added({id}, 127.0.0.1:{port}, \"handshake successful\")"),
            format!("peer_lost({id}, 127.0.0.1:{port}, \"lost connection to client\")"),
            format!("endpoint_unreachable({id}, \"lost the last path\")"),
        ]
    );
}

#[tokio::test]
async fn a_client_that_closes_at_once_has_everything_delivered() {
    let server = Server::start().await;
    let mut subscriber = server.endpoint.subscribe(["/t"]);
    let mut client = server.open().await;
    let mut burst = frame(1, true, b"[]");
    for number in 0..100 {
        burst.extend(frame(1, true, count("/t", number).as_bytes()));
    }
    burst.extend(frame(8, true, &[0x03, 0xe8]));
    client.raw(&burst).await;
    drop(client);
    for number in 0..100 {
        let message = timeout(PATIENCE, subscriber.recv()).await.unwrap().unwrap();
        assert_eq!(message.view().as_count(), Some(number));
    }
}

#[tokio::test]
async fn bad_messages_are_answered_by_number_and_the_connection_stays() {
    let server = Server::start().await;
    let mut client = server.client("[\"/t\"]").await;
    for (text, context) in [
        ("{", "input #1 contained malformed JSON -> "),
        ("{\"type\":\"data-message\"}", "input #2 contained invalid data -> "),
        ("[]", "input #3 expected a JSON object"),
        ("{\"topic\":\"<$>/local/x\",\"@data-type\":\"count\",\"data\":1}", "input #4 may not be"),
    ] {
        client.text(text).await;
        let error = client.recv_json().await;
        assert_eq!(error["type"], "error");
        let got = error["context"].as_str().unwrap();
        assert!(got.starts_with(context), "{text} gave {got}");
    }
    let other = server.endpoint.hub([""; 0]);
    other.publish("/t", &1_u64).await.unwrap();
    assert_eq!(client.recv_text().await, count("/t", 1));
    assert_eq!(server.endpoint.clients()[0].refused, 4);
}

#[tokio::test]
async fn internal_topics_reach_only_those_who_ask_for_them() {
    let server = Server::start().await;
    let mut everything = server.client("[\"\"]").await;
    let mut statuses = server.client("[\"<$>/local/data/statuses\"]").await;
    let third = server.client("[]").await;
    loop {
        let message = statuses.recv_json().await;
        assert_eq!(message["topic"], "<$>/local/data/statuses");
        let status = &message["data"];
        if status[1]["data"] == "peer_added"
            && status[2]["data"][2]["data"]
                == format!("{}/tcp", third.stream.local_addr().unwrap().port())
        {
            break;
        }
    }
    server.endpoint.publish("/t", &1_u64).await.unwrap();
    assert_eq!(everything.recv_text().await, count("/t", 1));
}

#[tokio::test]
async fn shutting_down_tells_clients_with_1001() {
    let server = Server::start().await;
    let mut client = server.client("[\"/t\"]").await;
    server.endpoint.publish("/t", &1_u64).await.unwrap();
    let stopping = tokio::spawn({
        let endpoint = server.endpoint.clone();
        async move { endpoint.shutdown().await }
    });
    assert_eq!(client.recv_text().await, count("/t", 1));
    assert_eq!(client.recv().await, Frame::Close(1001, "Terminating".into()));
    client.close(1001, "Terminating").await;
    assert_eq!(client.recv().await, Frame::End);
    timeout(PATIENCE, stopping).await.unwrap().unwrap();
}

/// Lists inside each other.
fn nested(depth: usize) -> String {
    let list = "{\"@data-type\":\"vector\",\"data\":[";
    let inner = format!("{}{{\"@data-type\":\"count\",\"data\":1}}", list.repeat(depth));
    let value = format!("{inner}{}", "]}".repeat(depth));
    format!("{{\"topic\":\"/t\",{}", &value[1..])
}

#[tokio::test]
async fn values_are_as_deep_as_the_endpoint_allows() {
    for limit in [3, 100] {
        let mut config = broker_core::Config::default();
        config.limits.data_depth = limit;
        let builder = broker_core::Endpoint::builder().config(config);
        let server = Server::build(builder, WsOptions::default()).await;
        let mut sender = server.client("[]").await;
        let mut receiver = server.client("[\"/t\"]").await;
        sender.text(&nested(limit + 1)).await;
        assert_eq!(sender.recv_json().await["code"], "deserialization_failed");
        sender.text(&nested(limit)).await;
        let text = receiver.recv_text().await;
        assert!(text.starts_with("{\"type\":\"data-message\""), "{text}");
    }
}
