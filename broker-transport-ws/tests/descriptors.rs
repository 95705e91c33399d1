//! What happens when descriptors run short. A test of its own, since it sets the limit of the whole
//! process.

#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use broker_testkit::websocket as support;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::{Frame, Server, log_event};

/// With so many descriptors, half of them are for connections.
const DESCRIPTORS: u64 = 64;

const CROWD: &str = "127.0.0.1";
const HONEST: &str = "127.0.0.2";

#[tokio::test]
async fn the_address_with_most_connections_gives_way_to_others_and_gets_no_more() {
    let usual = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(DESCRIPTORS), ..usual }).unwrap();
    let server = Server::start().await;
    // The endpoint has counted them. The other ends are in this process as well.
    setrlimit(Resource::Nofile, usual).unwrap();
    let mut events = server.endpoint.events();
    let mut crowd = Vec::new();
    for _ in 0..DESCRIPTORS / 2 {
        crowd.push(server.client_from(CROWD, "[\"/t\"]").await);
    }
    let mut one_more = support::Client { stream: server.dial_from(CROWD).await };
    assert_eq!(one_more.recv().await, Frame::End);
    let text = log_event(&mut events, "handshake-failed").await;
    assert!(text.contains("too many connections, 32 are possible"), "{text}");

    let mut honest = server.client_from(HONEST, "[\"/t\"]").await;
    let mut last = crowd.pop().unwrap();
    assert_eq!(last.recv_json().await["code"], "too_many_clients");
    assert_eq!(last.recv_close().await.0, 1013);
    support::wait_for(|| server.endpoint.client_count() == crowd.len() + 1).await;
    server.endpoint.publish("/t", &1_u64).await.unwrap();
    for client in crowd.iter_mut().chain([&mut honest]) {
        assert_eq!(client.recv_text().await, support::count("/t", 1));
    }
}
