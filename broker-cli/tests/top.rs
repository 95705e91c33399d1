//! `top` and `bench` of the real program.
#![cfg(all(unix, feature = "top"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Cli, run};

/// A node that passes everything on below a prefix: itself, its address, and that of its page.
async fn node(name: &str, more: &[&str]) -> (Cli, String, String) {
    let args = ["node", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--name", name];
    let forward = ["--forward", "/broker-bench"];
    let mut node = Cli::start(&[&args[..], &forward, more].concat());
    let url = node.listening().await;
    let http = node.listening().await;
    (node, url, http)
}

#[tokio::test]
async fn one_table_is_printed_where_there_is_no_terminal() {
    let (_hub, url, http) = node("hub", &[]).await;
    let (mut edge, _, other) = node("edge", &["--peer", &url, "--events"]).await;
    edge.event("peer_added").await;
    let end = run(&["top", &http, "--once", "--interval", "0.1"]).await.expect(0);
    let lines: Vec<&str> = end.stdout.lines().collect();
    assert!(lines[0].starts_with("node hub up "), "{}", end.stdout);
    assert!(lines[1].starts_with("PEER ") && lines[1].ends_with("ADDRESS"), "{}", end.stdout);
    assert!(lines[2].contains(" tcp://127.0.0.1:"), "{}", end.stdout);
    assert_eq!(lines.len(), 3, "{}", end.stdout);
    // Of several, one that does not answer is said to be missing.
    let nodes = [http.as_str(), &other, "127.0.0.1:1"];
    let end = run(&[&["top", "--once", "--interval", "0.1"][..], &nodes].concat()).await.expect(0);
    assert!(end.stdout.starts_with("2 of 3 nodes answer: 2 ends of peerings"), "{}", end.stdout);
    assert!(end.stdout.contains("127.0.0.1:1: cannot reach a node"), "{}", end.stdout);
}

#[tokio::test]
async fn without_a_terminal_it_is_said_what_to_do() {
    run(&["top"]).await.expect(2).says("--once");
    run(&["top", "--once", "127.0.0.1:1"]).await.expect(3).says("cannot reach a node");
}

#[tokio::test]
async fn a_path_through_two_nodes_is_measured() {
    let (_hub, url, _) = node("hub", &[]).await;
    let (mut edge, other, _) = node("edge", &["--peer", &url, "--events"]).await;
    edge.event("peer_added").await;
    let ends = ["bench", "--peer", &url, "--peer", &other, "--output", "json"];
    let end = run(&[&ends[..], &["--count", "300", "--rate", "3000"]].concat()).await.expect(0);
    let lines = end.lines();
    assert_eq!((&lines[0]["type"], &lines[1]["type"]), (&"published".into(), &"received".into()));
    for line in &lines {
        assert_eq!(line["messages"], 300, "{}", end.stdout);
    }
    assert_eq!((&lines[1]["lost"], &lines[1]["duplicates"]), (&0.into(), &0.into()));
    assert!(lines[1]["latency"]["p99_ns"].as_u64().unwrap() > 0, "{}", end.stdout);
}

#[tokio::test]
async fn the_two_ends_can_be_two_processes() {
    let mut subscriber =
        Cli::start(&["bench", "--subscribe", "--listen", "127.0.0.1:0", "--output", "json"]);
    let url = subscriber.listening().await;
    let args = ["bench", "--publish", "--peer", &url, "--count", "1000", "--size", "1000"];
    let end = run(&[&args[..], &["--output", "text"]].concat()).await.expect(0);
    assert!(end.stdout.starts_with("published 1000 messages of 1000 bytes"), "{}", end.stdout);
    let end = subscriber.end().await.expect(0);
    let line = &end.lines()[0];
    assert_eq!((&line["messages"], &line["lost"]), (&1000.into(), &0.into()), "{line}");
}

#[tokio::test]
async fn a_path_that_does_not_exist_is_a_timeout() {
    // Nothing connects the two.
    let (_node, url) = common::node(&[]).await;
    let (_other, other) = common::node(&[]).await;
    let ends = ["bench", "--peer", &url, "--peer", &other];
    let topic = ["--topic", "/elsewhere", "--wait", "0.3"];
    run(&[&ends[..], &topic].concat()).await.expect(5).says("--forward /elsewhere");
}
