//! Messages from one process to another, through a third.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Cli, node, run, run_with_input};

/// A subscriber that is peered with the node.
async fn subscriber(node: &mut Cli, args: &[&str]) -> Cli {
    let subscriber = Cli::start(&[&["sub"], args].concat());
    node.event("peer_added").await;
    subscriber
}

#[tokio::test]
async fn a_node_passes_messages_from_a_publisher_to_a_subscriber() {
    let (mut node, url) = node(&["--events", "--forward", "/test"]).await;
    let sub = subscriber(&mut node, &["/test", "--peer", &url, "--count", "3"]).await;
    let value = r#"{"@data-type":"port","data":"22/tcp"}"#;
    for args in [&["/test/a", value][..], &["/other", "1"], &["/test/b"], &["/test/c", "-5"]] {
        let end = run(&[&["pub", "--peer", &url], args].concat()).await.expect(0);
        assert_eq!(end.stdout, "");
        match args[0] {
            "/other" => end.says("nobody had subscribed to the topic"),
            _ => assert_eq!(end.stderr, ""),
        }
    }
    let end = sub.end().await.expect(0);
    let expected = [
        r#"{"type":"data-message","topic":"/test/a","@data-type":"port","data":"22/tcp"}"#,
        r#"{"type":"data-message","topic":"/test/b","@data-type":"none","data":{}}"#,
        r#"{"type":"data-message","topic":"/test/c","@data-type":"integer","data":-5}"#,
    ];
    assert_eq!(end.stdout.lines().collect::<Vec<_>>(), expected);
    assert_eq!(end.stderr, "");
}

#[tokio::test]
async fn thousands_of_lines_arrive_in_order() {
    let (mut node, url) = node(&["--events", "--forward", ""]).await;
    let sub = subscriber(&mut node, &["", "--peer", &url, "--count", "5000"]).await;
    let lines: String = (0..5000).map(|number| format!("{number}\n")).collect();
    run_with_input(&["pub", "/n", "-", "--peer", &url], &lines).await.expect(0);
    let numbers: Vec<u64> = sub
        .end()
        .await
        .expect(0)
        .lines()
        .iter()
        .map(|line| {
            assert_eq!(line["topic"], "/n");
            line["data"].as_u64().unwrap()
        })
        .collect();
    assert!(numbers.iter().copied().eq(0..5000));
}

#[tokio::test]
async fn each_line_is_shown_as_soon_as_it_comes() {
    let (mut node, url) = node(&["--events", "--forward", "/live"]).await;
    let mut sub = subscriber(&mut node, &["/live", "--peer", &url]).await;
    let mut publisher = Cli::start(&["pub", "-", "--peer", &url]);
    for topic in ["/live/a", "/live/b"] {
        let line =
            format!(r#"{{"type":"data-message","topic":"{topic}","@data-type":"count","data":1}}"#);
        publisher.write(&format!("{line}\n")).await;
        assert_eq!(sub.line().await, line);
    }
    publisher.end().await.expect(0);
}

#[tokio::test]
async fn a_wrong_line_ends_the_publisher_after_the_lines_before_it() {
    let (mut node, url) = node(&["--events", "--forward", "/t"]).await;
    let sub = subscriber(&mut node, &["/t", "--peer", &url, "--count", "2"]).await;
    let own = r#"{"type":"data-message","topic":"/t/own","@data-type":"count","data":2}"#;
    let input = format!("1\n\n{own}\n{{\"a\":[true,x]}}\n4\n");
    let end = run_with_input(&["pub", "/t/line", "-", "--peer", &url], &input).await.expect(1);
    end.says("line 4: expected a value, found 'x' at $.a[1] (byte 11)");
    let topics: Vec<_> =
        sub.end().await.expect(0).lines().iter().map(|line| line["topic"].clone()).collect();
    assert_eq!(topics, ["/t/line", "/t/own"]);
    let end = run_with_input(&["pub", "-", "--peer", &url], "1\n").await.expect(1);
    end.says("line 1: this value has no topic");
}

#[tokio::test]
async fn lines_are_text_if_that_is_said() {
    let (mut node, url) = node(&["--events", "--forward", "/t"]).await;
    let sub = subscriber(&mut node, &["/t", "--peer", &url, "--count", "2"]).await;
    let args = ["pub", "/t", "-", "--string", "--peer", &url];
    run_with_input(&args, "one two\n{\"a\": 1}\n").await.expect(0);
    let lines = sub.end().await.expect(0).lines();
    assert_eq!([&lines[0]["data"], &lines[1]["data"]], ["one two", "{\"a\": 1}"]);
    let end = run(&["pub", "-", "--string", "--peer", &url]).await.expect(2);
    end.says("with --string lines are text and have no topic");
}

#[tokio::test]
async fn a_count_repeats_a_value_and_limits_lines() {
    let (mut node, url) = node(&["--events", "--forward", "/t"]).await;
    let sub = subscriber(&mut node, &["/t", "--peer", &url, "--count", "5"]).await;
    run(&["pub", "/t", "7", "--count", "3", "--peer", &url]).await.expect(0);
    run_with_input(&["pub", "/t", "-", "--count", "2", "--peer", &url], "1\n2\n3\n")
        .await
        .expect(0);
    let values: Vec<_> =
        sub.end().await.expect(0).lines().iter().map(|line| line["data"].clone()).collect();
    assert_eq!(values, [7, 7, 7, 1, 2]);
}

#[tokio::test]
async fn a_publisher_that_listens_waits_for_a_subscriber() {
    let mut publisher = Cli::start(&["pub", "/t", "1", "--listen", "127.0.0.1:0"]);
    let url = publisher.listening().await;
    let _other = Cli::start(&["sub", "/other", "--peer", &url]);
    let mut sub = Cli::start(&["sub", "/t", "--peer", &url]);
    assert_eq!(sub.json().await["data"], 1);
    assert_eq!(publisher.end().await.expect(0).stderr, "");
}

#[tokio::test]
async fn text_is_one_line_for_each_message_whatever_is_in_it() {
    let (mut node, url) = node(&["--events", "--forward", "/t"]).await;
    let args = ["/t", "--peer", &url, "--count", "1", "--output", "text"];
    let sub = subscriber(&mut node, &args).await;
    run(&["pub", "/t", r#"["a\nb\u001b[2J",true]"#, "--peer", &url]).await.expect(0);
    assert_eq!(sub.end().await.expect(0).stdout, "/t: (\"a\\nb\\u{1b}[2J\", T)\n");
}

#[tokio::test]
async fn a_hub_of_hubs_is_made_of_options_and_a_file() {
    let (mut first, url) = node(&["--events", "--forward", "/t"]).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = format!("listen = [\"127.0.0.1:0\"]\npeer = [\"{url}\"]\nforward = [\"/t\"]\n");
    std::fs::write(file.path(), text).unwrap();
    let path = file.path().to_str().unwrap();
    let id = "11111111-2222-4333-8444-555555555555";
    let mut second = Cli::start(&["node", "--config", path, "--endpoint-id", id, "--events"]);
    let url_of_second = second.listening().await;
    assert_eq!(first.event("peer_added").await["endpoint"]["id"], id);
    second.event("peer_added").await;
    let sub = subscriber(&mut second, &["/t", "--peer", &url_of_second, "--count", "1"]).await;
    run(&["pub", "/t", "\"over two hops\"", "--peer", &url]).await.expect(0);
    assert_eq!(sub.end().await.expect(0).lines()[0]["data"], "over two hops");
}

#[tokio::test]
async fn a_node_without_forwarding_keeps_messages_to_itself() {
    let (mut node, url) = node(&["--events", "--forward", "/t", "--disable-forwarding"]).await;
    let mut sub = subscriber(&mut node, &["/t", "--peer", &url, "--events"]).await;
    run(&["pub", "/t", "1", "--peer", &url]).await.expect(0);
    node.signal(common::Signal::TERM);
    sub.event("peer_added").await;
    // Nothing came between the beginning and the end of the peering.
    assert_eq!(sub.json().await["type"], "peer_lost");
}

#[tokio::test]
async fn a_subscriber_comes_back_after_a_loss() {
    let (mut node, url) = node(&["--events"]).await;
    let mut sub = subscriber(&mut node, &["/t", "--peer", &url, "--events"]).await;
    sub.event("peer_added").await;
    node.signal(common::Signal::TERM);
    node.end().await.expect(0);
    sub.event("peer_lost").await;
    let error = sub.event("error").await;
    assert_eq!(error["code"], "peer_unavailable");
    let network = &error["endpoint"]["network"];
    let (host, port) = url.strip_prefix("tcp://").unwrap().split_once(':').unwrap();
    assert_eq!(network["address"], host);
    assert_eq!(network["bound_port"], format!("{port}/tcp"));
    let mut again = Cli::start(&["node", "--listen", &url, "--events"]);
    again.listening().await;
    again.event("peer_added").await;
    sub.event("peer_added").await;
}

#[tokio::test]
async fn what_was_received_is_shown_although_the_publisher_has_left() {
    let args = ["pub", "/t", "-", "--listen", "127.0.0.1:0"];
    let mut publisher = Cli::start(&args);
    let url = publisher.listening().await;
    let sub = Cli::start(&["sub", "/t", "--peer", &url, "--retry", "0"]);
    let lines: String = (0..5000).map(|number| format!("{number}\n")).collect();
    publisher.write(&lines).await;
    publisher.end().await.expect(0);
    let end = sub.end().await.expect(1);
    end.says("lost the connection to the last peer");
    assert_eq!(end.lines().len(), 5000);
}

/// The next log event of this kind.
async fn logged(node: &mut Cli, id: &str) -> String {
    loop {
        let event = node.event("internal_log_event").await;
        if event["id"] == id {
            return event["description"].as_str().unwrap().to_owned();
        }
    }
}

#[tokio::test]
async fn a_circle_through_nodes_of_version_1_is_named_and_its_copies_can_be_dropped() {
    let version_1 = ["--events", "--no-relay", "--forward", "/t"];
    let (mut a, url_a) = node(&version_1).await;
    let (mut b, url_b) = node(&[&version_1[..], &["--peer", &url_a]].concat()).await;
    a.event("peer_added").await;
    let peers = ["--peer", &url_a, "--peer", &url_b];
    let args = ["--events", "--name", "hub", "--loops", "drop", "--http", "127.0.0.1:0"];
    let (mut hub, url) = node(&[&args[..], &peers].concat()).await;
    let http = hub.listening().await;
    let healthy = run(&["doctor", &url, "--http", &http, "--output", "text"]).await.expect(0);
    assert!(healthy.stdout.contains("no messages came back"), "{}", healthy.stdout);
    a.event("peer_added").await;
    b.event("peer_added").await;
    let sub = ["/t", "/end", "--peer", &url];
    let mut sub = subscriber(&mut hub, &sub).await;
    run(&["pub", "/t", "\"round\"", "--peer", &url]).await.expect(0);
    let said = logged(&mut hub, "loop-detected").await;
    assert!(said.contains("brought back a message on \"/t\""), "{said}");
    let count = "20";
    run(&["pub", "/t", "{{count}}", "--count", count, "--peer", &url]).await.expect(0);
    run(&["pub", "/end", "0", "--peer", &url]).await.expect(0);
    let mut numbers = Vec::new();
    loop {
        let message = sub.json().await;
        match message["data"].as_u64() {
            _ if message["topic"] == "/end" => break,
            Some(number) => numbers.push(number),
            None => {}
        }
    }
    assert!(numbers.iter().copied().eq(1..=20), "each one once: {numbers:?}");
    let map = run(&["map", "--http", &http]).await.expect(0).stdout;
    assert!(map.contains("CIRCLE at hub"), "{map}");
    let doctor = run(&["doctor", &url, "--http", &http, "--output", "text"]).await.expect(1);
    assert!(doctor.stdout.contains("CIRCLE at hub: "), "{}", doctor.stdout);
}

#[tokio::test]
async fn rules_say_what_peers_may_publish_and_have() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let rules = "[[peer-rules]]\nnetwork = '127.0.0.0/8'\npublish = ['/a', '/b']\n\
                 subscribe = ['/a', '/c']\n";
    std::fs::write(file.path(), rules).unwrap();
    let path = file.path().to_str().unwrap();
    let (mut hub, url) = node(&["--events", "--config", path]).await;
    let sub = Cli::start(&["sub", "", "--peer", &url, "--count", "2"]);
    let said = logged(&mut hub, "not-permitted").await;
    hub.event("peer_added").await;
    assert!(said.contains("wants \"\", which is more than it may subscribe to"), "{said}");
    for (topic, number) in [("/a", "1"), ("/b", "2"), ("/c", "3"), ("/a", "4")] {
        run(&["pub", topic, number, "--peer", &url]).await.expect(0);
    }
    let end = sub.end().await.expect(0);
    let numbers: Vec<_> = end.lines().iter().map(|line| line["data"].clone()).collect();
    assert_eq!(numbers, [1, 4]);

    let rules = "[[peer-rules]]\nnetwork = '192.0.2.0/24'\n";
    std::fs::write(file.path(), rules).unwrap();
    let (_hub, url) = node(&["--config", path]).await;
    let end = run(&["pub", "/a", "1", "--peer", &url]).await.expect(4);
    end.says("not permitted by the rules for peers");
}
