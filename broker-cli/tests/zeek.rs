//! Events and logs of Zeek on the command line.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Cli, node, run, run_with_input};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A subscriber that is peered with the node.
async fn subscriber(node: &mut Cli, args: &[&str]) -> Cli {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let id = format!("11111111-2222-4333-8444-{:012}", NUMBER.fetch_add(1, Relaxed));
    let subscriber = Cli::start(&[&["sub", "--endpoint-id", &id], args].concat());
    while node.event("peer_added").await["endpoint"]["id"] != *id {}
    subscriber
}

#[tokio::test]
async fn events_are_published_by_name_and_picked_by_name() {
    let (mut hub, url) = node(&["--events", "--forward", "/z"]).await;
    let args = ["/z", "--peer", &url, "--event", "Notice::*", "--count", "2", "--output", "text"];
    let sub = subscriber(&mut hub, &args).await;
    let publish = async |args: &[&str]| {
        run(&[&["pub", "/z/a", "--peer", &url], args].concat()).await.expect(0)
    };
    publish(&["--event", "other", "1"]).await;
    publish(&["1"]).await;
    let args = ["--event", "Notice::log", "10.0.0.7", "22/tcp", "5", "-3", "\"a, b\"", "1.5s"];
    publish(&args).await;
    publish(&["--event", "Notice::end", "--string", "bare"]).await;
    let expected = "/z/a: Notice::log(10.0.0.7, 22/tcp, 5, -3, \"a, b\", 1.5s)\n\
                    /z/a: Notice::end(\"bare\")\n";
    assert_eq!(sub.end().await.expect(0).stdout, expected);
}

#[tokio::test]
async fn what_is_guessed_is_shown_without_a_peer_and_what_is_ambiguous_is_refused() {
    let args = ["pub", "/z", "--event", "e", "10.0.0.7", "{a=5, b=T}", "--dry-run"];
    let shown = run(&[&args[..], &["--output", "text"]].concat()).await.expect(0);
    let expected = "/z: e(10.0.0.7, (5, T))\n  1 address 10.0.0.7\n  2 vector (5, T)\n";
    assert_eq!(shown.stdout, expected);
    let lines = run(&args).await.expect(0).lines();
    assert_eq!(lines[0]["data"][2]["data"][0]["data"], "e");
    let refused = run(&["pub", "/z", "--event", "e", "dead::beef", "--dry-run"]).await.expect(2);
    refused.says("write addr:dead::beef or enum:dead::beef");
    run(&["pub", "/z", "--event", "e", "word", "--dry-run"]).await.expect(2).says("string:word");
    let typed = ["pub", "/z", r#"{"@data-type":"addr","data":"10.0.0.7"}"#, "--dry-run"];
    run(&typed).await.expect(2).says("did you mean \"address\"?");
}

#[tokio::test]
async fn a_typed_value_inside_plain_json_is_not_turned_into_a_table() {
    let input = r#"[1,1,["e",[{"@data-type":"address","data":"10.0.0.1"}]]]"#;
    let args = ["convert", "--from", "json", "--to", "text"];
    let end = run_with_input(&args, input).await.expect(0);
    assert_eq!(end.stdout, "(1, 1, (e, (10.0.0.1)))\n");
}

#[tokio::test]
async fn recorded_events_are_published_again_and_lines_of_other_types_are_left_out() {
    let (mut hub, url) = node(&["--events", "--forward", "/z"]).await;
    let args = ["/z", "--peer", &url, "--count", "1", "--output", "zeek", "--events"];
    let sub = subscriber(&mut hub, &args).await;
    run(&["pub", "/z/a", "--event", "e", "10.0.0.7", "5", "--peer", &url]).await.expect(0);
    let recording = sub.end().await.expect(0).stdout;
    assert!(recording.contains(r#""type":"peer_added""#), "{recording}");
    let event = recording.lines().find(|line| line.contains("\"event\"")).unwrap();
    assert!(event.starts_with(r#"{"ts":"2"#), "{event}");
    let rest =
        r#","topic":"/z/a","event":"e","args":[{"@data-type":"address","data":"10.0.0.7"},5]}"#;
    assert!(event.ends_with(rest), "{event}");
    let again = subscriber(&mut hub, &args[..5]).await;
    let end = run_with_input(&["pub", "-", "--peer", &url], &recording).await.expect(0);
    end.says("lines of other types were left out");
    let lines = again.end().await.expect(0).lines();
    assert_eq!(lines[0]["data"][2]["data"][0]["data"], "e", "{lines:?}");
}

#[tokio::test]
async fn a_call_prints_the_first_event_that_answers() {
    let (mut hub, url) = node(&["--events", "--forward", "/z"]).await;
    let mut asked = subscriber(&mut hub, &["/z/ask", "--peer", &url]).await;
    let args = ["call", "/z/ask", "--event", "who", "5", "--reply", "that*", "--reply-topic"];
    let call =
        Cli::start(&[&args[..], &["/z/answer", "--peer", &url, "--output", "text"]].concat());
    asked.json().await;
    for event in ["other", "that_is"] {
        let args = ["pub", "/z/answer", "--event", event, "7", "--peer", &url];
        run(&args).await.expect(0);
    }
    assert_eq!(call.end().await.expect(0).stdout, "/z/answer: that_is(7)\n");
    let args = ["call", "/z/ask", "--event", "who", "--wait", "0.2", "--peer", &url];
    run(&args).await.expect(5).says("no answer within 0.2 s");
}

#[tokio::test]
async fn records_of_logs_are_rows_with_the_names_of_their_fields() {
    let (mut hub, url) = node(&["--events", "--forward", "/z"]).await;
    let messages = [
        r#"{"topic":"/z/logs/x","@data-type":"vector","data":[{"@data-type":"count","data":1},{"@data-type":"count","data":2},{"@data-type":"vector","data":[{"@data-type":"enum-value","data":"X::LOG"},{"@data-type":"enum-value","data":"Log::WRITER_ASCII"},{"@data-type":"vector","data":[]},{"@data-type":"vector","data":[{"@data-type":"vector","data":[{"@data-type":"string","data":"n"},{"@data-type":"none","data":{}},{"@data-type":"count","data":3},{"@data-type":"count","data":0},{"@data-type":"boolean","data":false}]}]}]}]}"#,
        r#"{"topic":"/z/logs/x","@data-type":"vector","data":[{"@data-type":"count","data":1},{"@data-type":"count","data":3},{"@data-type":"vector","data":[{"@data-type":"enum-value","data":"X::LOG"},{"@data-type":"enum-value","data":"Log::WRITER_ASCII"},{"@data-type":"string","data":"x"},{"@data-type":"string","data":"","data-hex":"000000010000000300000000010000000000000007"}]}]}"#,
    ];
    for (form, expected) in [
        ("--logs", "{\"_path\":\"x\",\"n\":7}\n"),
        (
            "--logs=tsv",
            "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n\
             #path\tx\n#fields\tn\n#types\tcount\n7\n",
        ),
    ] {
        let sub = subscriber(&mut hub, &["/z", form, "--peer", &url, "--count", "1"]).await;
        run_with_input(&["pub", "-", "--peer", &url], &messages.join("\n")).await.expect(0);
        assert_eq!(sub.end().await.expect(0).stdout, expected);
    }
}

#[tokio::test]
async fn messages_are_numbered_timed_and_paced() {
    let (mut hub, url) = node(&["--events", "--forward", "/z"]).await;
    let args = ["/z", "--peer", &url, "--count", "3", "--timestamps"];
    let sub = subscriber(&mut hub, &args).await;
    let args = ["pub", "/z", "{\"n\":{{count}}}", "--count", "3", "--interval", "0.01"];
    run(&[&args[..], &["--peer", &url]].concat()).await.expect(0);
    let recording = sub.end().await.expect(0).stdout;
    let sub = subscriber(&mut hub, &["/z", "--peer", &url, "--count", "3"]).await;
    let args = ["pub", "-", "--speed", "2x", "--peer", &url];
    run_with_input(&args, &recording).await.expect(0);
    for (number, line) in sub.end().await.expect(0).lines().iter().enumerate() {
        assert_eq!(line["data"][0]["value"]["data"], number + 1, "{line}");
    }
    assert!(recording.lines().all(|line| line.starts_with("{\"ts\":\"2")), "{recording}");
}
