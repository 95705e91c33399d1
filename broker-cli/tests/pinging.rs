//! Round trips.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Cli, Signal, node, run};

#[tokio::test]
async fn each_round_trip_is_shown_and_then_a_summary() {
    let (_node, url) = node(&[]).await;
    let end = run(&["ping", &url, "--count", "4", "--interval", "0"]).await.expect(0);
    let lines = end.lines();
    assert_eq!(lines.len(), 5);
    for (seq, line) in (1..).zip(&lines[..4]) {
        assert_eq!((&line["type"], &line["seq"]), (&"ping".into(), &seq.into()));
        assert!(line["rtt_ns"].as_u64().unwrap() > 0);
    }
    let summary = &lines[4];
    assert_eq!(summary["type"], "summary");
    assert_eq!((&summary["sent"], &summary["received"]), (&4.into(), &4.into()));
    let time = |name: &str| summary[name].as_u64().unwrap();
    let times = ["min_ns", "p50_ns", "p90_ns", "p99_ns", "max_ns"].map(time);
    assert!(times.is_sorted(), "{times:?}");
    let measured: Vec<u64> =
        lines[..4].iter().map(|line| line["rtt_ns"].as_u64().unwrap()).collect();
    assert_eq!(time("min_ns"), *measured.iter().min().unwrap());
    assert_eq!(time("max_ns"), *measured.iter().max().unwrap());
}

#[tokio::test]
async fn five_pings_are_the_default_and_text_is_for_people() {
    let (_node, url) = node(&[]).await;
    let end = run(&["ping", &url, "--interval", "0.01", "--output", "text"]).await.expect(0);
    assert_eq!(end.stdout.lines().count(), 6);
    assert!(end.stdout.starts_with("ping 1: "), "{end:?}");
    assert!(end.stdout.contains("\n5 of 5 pings answered: min "), "{end:?}");
}

#[tokio::test]
async fn a_ping_without_an_answer_is_shown_and_the_next_one_is_sent() {
    let (node, url) = node(&[]).await;
    let args = ["--count", "1000000", "--interval", "0.01", "--wait", "0.1"];
    let mut ping = Cli::start(&[&["ping", &url], &args[..]].concat());
    ping.line().await;
    node.signal(Signal::STOP);
    let unanswered = loop {
        let line = ping.json().await;
        if line["rtt_ns"].is_null() {
            break line;
        }
    };
    node.signal(Signal::CONT);
    assert_eq!(unanswered["error"], "no answer within 0.1 s");
    ping.signal(Signal::INT);
    let end = ping.end().await.expect(130);
    let summary = end.lines().pop().unwrap();
    assert_eq!(summary["type"], "summary");
    assert!(summary["received"].as_u64().unwrap() < summary["sent"].as_u64().unwrap());
}

#[tokio::test]
async fn a_peer_that_leaves_is_a_failure() {
    let (node, url) = node(&[]).await;
    let mut ping = Cli::start(&["ping", &url, "--count", "9", "--interval", "60"]);
    ping.line().await;
    node.signal(Signal::TERM);
    let end = ping.end().await.expect(1);
    end.says("lost the connection to the last peer");
    assert_eq!(end.lines().pop().unwrap()["received"], 1);
}

#[cfg(unix)]
#[tokio::test]
async fn a_socket_on_this_machine_is_an_address_as_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("unix://{}", folder.path().join("broker.sock").display());
    let mut node = Cli::start(&["node", "--listen", &url, "--events"]);
    let listening: serde_json::Value = serde_json::from_str(&node.line().await).unwrap();
    assert_eq!(listening["url"], url.as_str());
    assert_eq!(listening["protection"], "same host");
    let end = run(&["ping", &url, "--count", "1", "--events"]).await.expect(0);
    assert!(end.stdout.contains("\"protection\":\"same host, user "), "{end:?}");
    run(&["doctor", &url]).await.expect(0);
}
