//! Who is let in when there are many, and who has to go.

#![allow(clippy::unwrap_used)]

use broker_testkit::websocket as support;

use broker_core::{Config, Endpoint};
use broker_transport_ws::WsOptions;
use std::time::Duration;
use support::{Client, Frame, PATIENCE, Server, log_event};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const CROWD: &str = "127.0.0.1";
const HONEST: &str = "127.0.0.2";

/// A server with room for so many connections that are neither peer nor client.
async fn server(half_open: usize, options: WsOptions) -> Server {
    let mut config = Config::default();
    config.limits.half_open = half_open.try_into().unwrap();
    Server::build(Endpoint::builder().config(config), options).await
}

async fn is_ended(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    // A reset is an end as well.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("the end in time");
}

/// Waits until the other side takes nothing more, which an end of what it sends does not tell.
async fn is_gone(stream: &mut TcpStream) {
    let gone = async {
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, gone).await.expect("the end in time");
}

#[tokio::test]
async fn a_flood_from_one_address_pushes_out_its_own_connections() {
    let server = server(4, WsOptions::default()).await;
    let mut events = server.endpoint.events();
    let honest = server.dial_from(HONEST).await;
    let mut flood = Vec::new();
    for _ in 0..20 {
        flood.push(server.dial_from(CROWD).await);
    }
    assert!(log_event(&mut events, "handshake-failed").await.contains("the limit half-open is 4"));
    is_ended(&mut flood[0]).await;
    let mut honest = server.open_on(honest, "/v1/messages/json", "").await;
    honest.text("[]").await;
    assert!(honest.recv_text().await.starts_with("{\"type\":\"ack\""));
}

#[tokio::test]
async fn clients_do_not_count_as_half_open() {
    let server = server(2, WsOptions::default()).await;
    let mut clients = Vec::new();
    for _ in 0..6 {
        clients.push(server.client("[\"/t\"]").await);
    }
    server.endpoint.publish("/t", &1_u64).await.unwrap();
    for client in &mut clients {
        client.recv_text().await;
    }
}

#[tokio::test]
async fn clients_that_are_being_closed_count_as_half_open() {
    let forever = Duration::from_secs(24 * 60 * 60);
    let server = server(2, WsOptions { close_time: forever, ..WsOptions::default() }).await;
    let mut closing = Vec::new();
    for _ in 0..6 {
        let mut client = server.client("[]").await;
        // Without a mask, after which the server closes and waits for the client to do so too.
        client.raw(b"\x81\x01x").await;
        assert_eq!(client.recv_close().await.0, 1002);
        closing.push(client);
    }
    for client in &mut closing[..4] {
        is_gone(&mut client.stream).await;
    }
}

#[tokio::test]
async fn clients_of_the_busiest_address_give_way_to_those_of_others() {
    let server = server(100, WsOptions { clients: 3, ..WsOptions::default() }).await;
    let mut crowd = Vec::new();
    for _ in 0..3 {
        crowd.push(server.client_from(CROWD, "[]").await);
    }
    let mut honest = server.client_from(HONEST, "[\"/t\"]").await;
    let mut last = crowd.pop().unwrap();
    let error = last.recv_json().await;
    assert_eq!(error["code"], "too_many_clients");
    assert_eq!(last.recv_close().await.0, 1013);
    server.endpoint.publish("/t", &1_u64).await.unwrap();
    honest.recv_text().await;
    support::wait_for(|| server.endpoint.client_count() == 3).await;
}

#[tokio::test]
async fn a_message_that_does_not_come_to_its_end_in_time_ends_the_connection() {
    let message_time = Duration::from_millis(100);
    let server = Server::with(WsOptions { message_time, ..WsOptions::default() }).await;
    let half_a_frame = support::frame(1, true, b"a text")[..5].to_vec();
    let first_fragment = support::frame(1, false, b"a text");
    for unfinished in [half_a_frame, first_fragment] {
        let mut client = server.client("[\"/t\"]").await;
        client.raw(&unfinished).await;
        let (code, reason) = client.recv_close().await;
        assert_eq!((code, reason.as_str()), (1008, "a message took longer than 0.1 s"));
    }
}

#[tokio::test]
async fn a_client_between_two_messages_may_take_its_time() {
    let message_time = Duration::from_millis(1);
    let server = Server::with(WsOptions { message_time, ..WsOptions::default() }).await;
    let mut client = server.client("[]").await;
    for number in 1..4 {
        tokio::time::sleep(5 * message_time).await;
        client.text("{").await;
        let error = client.recv_json().await;
        assert!(error["context"].as_str().unwrap().starts_with(&format!("input #{number} ")));
    }
}

#[tokio::test]
async fn shutting_down_ends_connections_that_are_nothing_yet() {
    let server = Server::start().await;
    let mut silent = server.dial().await;
    let mut open: Client = server.open().await;
    server.endpoint.shutdown().await;
    is_ended(&mut silent).await;
    assert_eq!(open.recv().await, Frame::End);
}
