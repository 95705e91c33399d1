//! The demonstration shows what it promises.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::run;
use std::collections::BTreeSet;

#[tokio::test]
async fn the_demo_shows_every_kind_of_event_and_value_and_ends_with_0() {
    let end = run(&["demo"]).await.expect(0);
    assert_eq!(end.stderr, "");
    let lines = end.lines();
    let types: BTreeSet<&str> = lines.iter().filter_map(|line| line["type"].as_str()).collect();
    for name in [
        "endpoint_discovered",
        "endpoint_unreachable",
        "peer_added",
        "peer_removed",
        "peer_lost",
        "error",
        "internal_log_event",
        "data-message",
    ] {
        assert!(types.contains(name), "no {name}");
    }
    let messages = || lines.iter().filter(|line| line["type"] == "data-message");
    let kinds: BTreeSet<&str> = messages().filter_map(|line| line["@data-type"].as_str()).collect();
    assert_eq!(kinds.len(), 15, "{kinds:?}");
    assert!(messages().any(|line| line["topic"] == "/zeek/event/demo"));
    for scheme in ["mem", "tcp"] {
        let listens = |url: &str| url.starts_with(&format!("{scheme}://"));
        assert!(lines.iter().any(|line| line["url"].as_str().is_some_and(listens)), "{scheme}");
    }
    assert!(lines.iter().filter(|line| line["type"] == "check").all(|line| line["ok"] == true));
}

#[tokio::test]
async fn listeners_come_first_and_the_summary_last_and_all_is_accounted_for() {
    let lines = run(&["demo"]).await.expect(0).lines();
    let listeners = lines.iter().take_while(|line| line["type"] == "listening").count();
    let all = lines.iter().filter(|line| line["type"] == "listening").count();
    assert!(listeners > 0 && listeners == all);
    let summary = lines.last().unwrap();
    assert_eq!((&summary["type"], &summary["ok"]), (&"summary".into(), &true.into()));
    let number = |name: &str| summary[name].as_u64().unwrap();
    assert!(number("dropped") > 0);
    assert_eq!(number("sent"), number("received") + number("dropped"));
}

#[tokio::test]
async fn for_people_the_demo_is_a_story() {
    let text = run(&["demo", "--output", "text"]).await.expect(0).stdout;
    assert!(text.contains("== A sensor peers with the hub"), "{text}");
    assert!(text.contains("hub: peer_lost sensor-tcp at 127.0.0.1:"), "{text}");
    assert!(text.contains("\n/demo/values/port: 22/tcp\n"), "{text}");
    assert!(text.trim_end().ends_with("dropped: all is as it should be"), "{text}");
}
