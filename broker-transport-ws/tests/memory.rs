//! What connections hold on to. A test of its own, since it measures the whole process.

#![allow(clippy::unwrap_used)]

use broker_testkit::websocket as support;

use broker_transport_ws::WsOptions;
use support::{PATIENCE, Server, count, frame};
use tokio::time::timeout;

const MEBIBYTE: u64 = 1 << 20;

#[tokio::test]
async fn announced_lengths_cost_nothing_and_long_messages_leave_nothing_behind() {
    let options = WsOptions { message: 64 << 20, ..WsOptions::default() };
    let server = Server::with(options).await;
    let mut subscriber = server.endpoint.subscribe(["/t"]);
    let before = address_space();
    let mut announcers = Vec::new();
    for _ in 0..50 {
        let mut client = server.client("[]").await;
        client.raw(&[0x82, 0xff, 0, 0, 0, 0, 3, 0, 0, 0, 1, 2, 3, 4]).await;
        announcers.push(client);
    }
    let mut last = server.client("[]").await;
    last.text("x").await;
    last.recv_text().await;
    let announced = address_space();
    assert!(announced < before + 50 * MEBIBYTE, "{before} {announced}");
    let bytes = {
        let mut text = count("/t", 1).into_bytes();
        text.resize(8 << 20, b' ');
        frame(1, true, &text)
    };
    let mut clients = Vec::new();
    let mut before = 0;
    for number in 0..10 {
        let mut client = server.client("[]").await;
        client.raw(&bytes).await;
        timeout(PATIENCE, subscriber.recv()).await.unwrap().unwrap();
        clients.push(client);
        // The first messages show how much one of them takes, wherever the allocator leaves it.
        if number == 2 {
            before = resident();
        }
    }
    let after = resident();
    assert!(after < before + 24 * MEBIBYTE, "{before} {after}");
}

fn status(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}

fn address_space() -> u64 {
    status("VmSize:")
}

fn resident() -> u64 {
    status("VmRSS:")
}
