//! What a node tells over HTTP, and the commands that show it.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Cli, run, within};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A node that tells about itself, where its peers find it, and where that is.
async fn node(args: &[&str]) -> (Cli, String, String) {
    let args = [&["--http", "127.0.0.1:0"], args].concat();
    let (mut node, url) = common::node(&args).await;
    let http = node.listening().await;
    (node, url, http.strip_prefix("http://").unwrap().to_owned())
}

/// Sends a request as it is, and returns the whole answer.
async fn exchange(at: &str, request: &str) -> String {
    let mut socket = within("connecting", TcpStream::connect(at)).await.unwrap();
    within("asking", socket.write_all(request.as_bytes())).await.unwrap();
    let mut answer = Vec::new();
    within("an answer", socket.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8(answer).unwrap()
}

/// The head and the body of the answer to a simple request.
async fn get(at: &str, path: &str) -> (String, String) {
    let answer = exchange(at, &format!("GET {path} HTTP/1.1\r\nHost: {at}\r\n\r\n")).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body.to_owned())
}

async fn status(at: &str) -> Json {
    let (head, body) = get(at, "/v1/status/json").await;
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    assert!(head.contains("content-type: application/json"), "{head}");
    serde_json::from_str(&body).unwrap()
}

/// The samples of a page of metrics, after a check that each line is one that Prometheus accepts.
async fn metrics(at: &str) -> BTreeMap<String, f64> {
    let (head, body) = get(at, "/metrics").await;
    assert!(head.contains("content-type: text/plain; version=0.0.4"), "{head}");
    let mut samples = BTreeMap::new();
    let mut described = Vec::new();
    for line in body.lines().filter(|line| !line.is_empty()) {
        if let Some(comment) = line.strip_prefix("# ") {
            let (word, rest) = comment.split_once(' ').unwrap();
            assert!(matches!(word, "HELP" | "TYPE"), "{line}");
            described.push(rest.split(' ').next().unwrap().to_owned());
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let name = series.split('{').next().unwrap();
        let name_is_valid = |c: char| c.is_ascii_alphanumeric() || c == '_';
        assert!(name.chars().all(name_is_valid), "{line}");
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let is_described = |name: &str| described.iter().any(|described| described == name);
        assert!(is_described(name) || family.is_some_and(is_described), "{line}");
        samples.insert(series.to_owned(), value.parse().unwrap());
    }
    samples
}

/// Asks until something is as it should be: what a node does is still going on when its peer is
/// told.
async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    within(what, async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

#[tokio::test]
async fn metrics_have_the_names_of_the_cpp_broker_and_move() {
    let (_node, url, http) = node(&["--forward", "/t"]).await;
    let before = metrics(&http).await;
    assert_eq!(before["broker_connections{type=\"native\"}"], 0.0);
    let mut sub = Cli::start(&["sub", "/t", "--peer", &url, "--count", "2", "--events"]);
    sub.event("peer_added").await;
    eventually("the peer", async || (status(&http).await["native-connections"] == 1).then_some(()))
        .await;
    run(&["pub", "/t", "1", "--peer", &url]).await.expect(0);
    let samples = eventually("the message is counted", async || {
        let samples = metrics(&http).await;
        (samples.get("broker_processed_messages_total{type=\"data\"}") == Some(&1.0))
            .then_some(samples)
    })
    .await;
    assert_eq!(samples["zeek_broker_peers"], samples["broker_connections{type=\"native\"}"]);
    assert!(samples["broker_events_total{event=\"peer_added\"}"] >= 2.0);
    for name in [
        "zeek_broker_peer_buffer_messages{",
        "zeek_broker_peer_buffer_recent_max_messages{",
        "zeek_broker_peer_buffer_overflows_total{",
        "broker_peer_queued_bytes{",
        "broker_peer_dropped_messages_total{",
        "broker_peer_messages_total{",
        "broker_peer_bytes_total{",
        "broker_peer_queue_seconds_bucket{",
        "broker_peer_queue_seconds_sum{",
        "broker_reconnects_total",
        "broker_pending_peerings",
    ] {
        assert!(samples.keys().any(|key| key.starts_with(name)), "{name} is not in {samples:?}");
    }
}

#[tokio::test]
async fn the_status_says_who_is_peered_how_and_with_what_filter() {
    let (_node, url, http) = node(&["--peer", "tcp://127.0.0.1:1", "--forward", "/wanted"]).await;
    let mut sub = Cli::start(&["sub", "/t", "--peer", &url, "--events"]);
    sub.event("peer_added").await;
    let status = eventually("the peer", async || {
        let status = status(&http).await;
        (status["native-connections"] == 1 && status["peers"].as_array().unwrap().len() == 2)
            .then_some(status)
    })
    .await;
    assert_eq!(status["native-connections"], 1);
    assert_eq!(status["web-socket-connections"], 0);
    assert_eq!(status["cluster-node"], "unknown");
    let listeners = serde_json::json!([{"url": url, "protection": "plain"}]);
    assert_eq!(status["listeners"], listeners);
    assert_eq!(status["filter"], serde_json::json!(["/wanted"]));
    assert_eq!(status["id"].as_str().unwrap().len(), 36);
    assert!(status["time"].as_str().unwrap().starts_with("20"), "{status}");
    let peer = |status: &str, peers: &Json| {
        let peers = peers.as_array().unwrap();
        peers.iter().find(|peer| peer["status"] == status).unwrap().clone()
    };
    let peered = peer("peered", &status["peers"]);
    assert_eq!(peered["direction"], "inbound");
    assert_eq!(peered["protection"], "plain");
    assert_eq!(peered["filter"], serde_json::json!(["/t"]));
    assert_eq!(peered["last_error"], Json::Null);
    assert_eq!(peered["statistics"]["policy"], "drop_oldest");
    assert_eq!(peered["statistics"]["num_queued"], 0);
    assert!(peered["age"].as_f64().unwrap() >= 0.0);
    let refused = eventually("the refusal", async || {
        let tried = peer("connecting", &self::status(&http).await["peers"]);
        (tried["last_reason"] == "refused").then_some(tried)
    })
    .await;
    assert_eq!(refused["address"], "tcp://127.0.0.1:1");
    assert_eq!(refused["direction"], "outbound");
    assert_eq!((&refused["id"], &refused["statistics"]), (&Json::Null, &Json::Null));
    assert!(refused["last_error"].as_str().unwrap().contains("nothing listens there"));

    let lines = run(&["peers", "--http", &http]).await.expect(0).lines();
    assert_eq!(lines.len(), 2);
    assert!(lines.iter().all(|line| line["type"] == "peer"), "{lines:?}");
    assert!(lines.iter().any(|line| line["id"] == peered["id"]), "{lines:?}");
    let lines = run(&["stats", "--http", &http]).await.expect(0).lines();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["type"], "stats");
    assert_eq!(lines[0]["peer"], peered["id"]);
    assert_eq!(lines[0]["dropped"], 0);
}

#[tokio::test]
async fn tables_are_for_people_and_are_repeated_as_often_as_asked_for() {
    let (_node, url, http) = node(&[]).await;
    let mut sub = Cli::start(&["sub", "/t", "--peer", &url, "--events"]);
    sub.event("peer_added").await;
    eventually("the peer", async || (status(&http).await["native-connections"] == 1).then_some(()))
        .await;
    let text = ["--http", &http, "--output", "text"];
    let once = run(&[&["peers"][..], &text].concat()).await.expect(0).stdout;
    assert!(once.contains("PEER") && once.contains("peered") && once.contains("inbound"), "{once}");
    let twice = [&["stats"][..], &text, &["--count", "2", "--interval", "0.01"]].concat();
    let twice = run(&twice).await.expect(0).stdout;
    assert_eq!(twice.matches("OUT/s").count(), 2, "{twice}");
    assert!(!twice.contains('\u{1b}'), "this is no terminal: {twice}");
}

#[tokio::test]
async fn a_node_that_cannot_be_reached_is_exit_code_3_and_something_else_is_4() {
    for command in ["peers", "stats"] {
        let end = run(&[command, "--http", "127.0.0.1:1"]).await.expect(3);
        end.says("cannot reach a node at http://127.0.0.1:1");
    }
    let (_node, url) = common::node(&[]).await;
    let broker = url.strip_prefix("tcp://").unwrap();
    run(&["peers", "--http", broker]).await.expect(4).says("is no node of this version");
    run(&["peers", "--http", "nowhere"]).await.expect(2);
}

#[tokio::test]
async fn only_simple_requests_are_answered() {
    let (_node, _, http) = node(&[]).await;
    let (head, body) = get(&http, "/health").await;
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    assert_eq!(body, "{\"status\":\"ok\"}\n");
    let (head, body) = get(&http, "/v1/status").await;
    assert!(head.starts_with("http/1.1 404 "), "{head}");
    assert!(body.contains("/v1/status/json"), "{body}");
    let answer = exchange(&http, "POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    assert!(answer.to_ascii_lowercase().contains("allow: get, head"), "{answer}");
    let long = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    let answer = exchange(&http, &long).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let answer = exchange(&http, "hello\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[tokio::test]
async fn those_who_only_hold_connections_open_keep_nobody_out() {
    let (mut node, _, http) = node(&["--events", "--log-level", "info"]).await;
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(within("connecting", TcpStream::connect(&http)).await.unwrap());
        if silent.len() % 50 == 0 {
            let (head, _) = get(&http, "/health").await;
            assert!(head.starts_with("http/1.1 200 "), "{head}");
        }
    }
    // The oldest ones make room.
    let read = within("the end", silent[0].read(&mut [0; 1])).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    assert_eq!(cut(&mut node).await["reason"], "limit-reached");
}

/// A file with these keys in the table `http`, and the option that names it.
fn config(keys: &str) -> (tempfile::NamedTempFile, [String; 2]) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("log-level = \"info\"\n[http]\n{keys}\n")).unwrap();
    let option = ["--config".to_owned(), file.path().to_str().unwrap().to_owned()];
    (file, option)
}

/// The next log event that says why a connection was cut.
async fn cut(node: &mut Cli) -> Json {
    loop {
        let log = node.event("internal_log_event").await;
        if log["id"] == "http-cut" {
            return log;
        }
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn one_address_cannot_push_out_those_at_others() {
    let (_node, _, http) = node(&[]).await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut honest = socket.connect(http.parse().unwrap()).await.unwrap();
    honest.write_all(b"GET /health HTTP/1.1\r\n").await.unwrap();
    let mut flood = Vec::new();
    for _ in 0..200 {
        flood.push(within("connecting", TcpStream::connect(&http)).await.unwrap());
    }
    // Those before it have been let in.
    get(&http, "/health").await;
    honest.write_all(b"Host: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    within("an answer", honest.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test]
async fn as_many_connections_are_served_as_may_be() {
    let (_file, option) = config("connections = 2");
    let (mut node, _, http) = node(&["--events", &option[0], &option[1]]).await;
    let mut oldest = TcpStream::connect(&http).await.unwrap();
    let _next = TcpStream::connect(&http).await.unwrap();
    assert!(get(&http, "/health").await.0.starts_with("http/1.1 200 "));
    let read = within("the end", oldest.read(&mut [0; 1])).await;
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    let log = cut(&mut node).await;
    assert_eq!(log["reason"], "limit-reached");
    assert!(log["description"].as_str().unwrap().contains("`connections` in [http] is 2"), "{log}");
}

#[tokio::test]
async fn a_connection_that_asks_for_nothing_is_closed_before_long() {
    for (keys, key) in [
        ("request-time = 0.05", "request-time"),
        ("request-time = 9\ntime = 0.05\npage-interval = 0", "time"),
    ] {
        let (_file, option) = config(keys);
        let (mut node, _, http) = node(&["--events", &option[0], &option[1]]).await;
        for beginning in [&b""[..], b"GET /health HTTP/1.1\r\nX: "] {
            let mut idle = TcpStream::connect(&http).await.unwrap();
            idle.write_all(beginning).await.unwrap();
            // It may be an end or a reset.
            let _ = within("the end", idle.read_to_end(&mut Vec::new())).await;
            let log = cut(&mut node).await;
            assert_eq!(log["reason"], "timed-out", "{log}");
            let text = log["description"].as_str().unwrap();
            assert!(text.contains(&format!("0.05 s, the limit `{key}` in [http]")), "{log}");
        }
    }
}

#[tokio::test]
async fn times_that_no_clock_shows_are_as_good_as_no_limit() {
    let (_file, option) = config("request-time = 1e19\ntime = 1e19\npage-interval = 0");
    let (_node, _, http) = node(&[&*option[0], &option[1]]).await;
    for path in ["/health", "/metrics", "/v1/status/json", "/v1/status/json"] {
        assert!(get(&http, path).await.0.starts_with("http/1.1 200 "), "{path}");
    }
}

#[tokio::test]
async fn a_head_is_as_long_as_it_may_be() {
    let (_file, option) = config("head = 8192");
    let (_node, _, http) = node(&[&*option[0], &option[1]]).await;
    for (length, status) in [(7_000, 200), (9_000, 431)] {
        let request = format!("GET /health HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(length));
        let answer = exchange(&http, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
    let (_file, option) = config("head = 100");
    let end = run(&["node", "--listen", ":0", "--http", ":0", &option[0], &option[1]]).await;
    end.expect(2).says("http: the limit `head` is 100");
}

#[tokio::test]
async fn the_status_is_as_long_as_it_may_be_and_says_what_is_left_out() {
    for (keys, topics, left_out) in [("filter = 8", 1, 0), ("page = 100", 0, 1)] {
        let (_file, option) = config(keys);
        let (_node, url, http) = node(&[&*option[0], &option[1]]).await;
        let mut sub = Cli::start(&["sub", "/a", "/much-too-long", "--peer", &url, "--events"]);
        sub.event("peer_added").await;
        let status = eventually("the peer", async || {
            let status = status(&http).await;
            (status["native-connections"] == 1).then_some(status)
        })
        .await;
        assert_eq!(status["peers-left-out"], left_out, "{status}");
        assert_eq!(status["clients-left-out"], 0, "{status}");
        let peers = status["peers"].as_array().unwrap();
        assert_eq!(peers.len(), 1 - left_out);
        for peer in peers {
            assert_eq!(peer["filter"].as_array().unwrap().len(), topics, "{peer}");
            assert_eq!(peer["filter_entries"], 2, "{peer}");
        }
        let table = run(&["peers", "--http", &http, "--output", "text"]).await.expect(0).stdout;
        assert!(table.contains("1 peers"), "{table}");
        assert_eq!(table.contains("1 not shown"), left_out == 1, "{table}");
    }
}

/// A page of another site can make a browser ask here in the name of that site.
#[tokio::test]
async fn what_is_for_this_machine_is_not_told_to_other_names() {
    let (_node, _, http) = node(&[]).await;
    let port = http.rsplit_once(':').unwrap().1;
    for (host, status) in [
        (&*http, 200),
        ("127.0.0.1", 200),
        (&*format!("[::1]:{port}"), 200),
        (&*format!("LocalHost:{port}"), 200),
        (&*format!("evil.example:{port}"), 421),
        ("127.0.0.1.evil.example", 421),
        ("a b", 421),
    ] {
        let request = format!("GET /v1/status/json HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let answer = exchange(&http, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{host}: {answer}");
    }
    for request in [
        "GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example",
        "GET http://evil.example/health HTTP/1.1\r\nHost: 127.0.0.1",
        "GET /health HTTP/1.1\r\nHost: evil.example@127.0.0.1",
    ] {
        let answer = exchange(&http, &format!("{request}\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 421 "), "{request}: {answer}");
    }
    let answer = exchange(&http, "GET /health HTTP/1.0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.0 200 "), "{answer}");
}

#[tokio::test]
async fn a_head_is_an_answer_without_a_body() {
    let (_node, _, http) = node(&[]).await;
    for path in ["/metrics", "/v1/status/json", "/health"] {
        let request = format!("HEAD {path} HTTP/1.1\r\nHost: {http}\r\n\r\n");
        let answer = exchange(&http, &request).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    }
}

/// Every family once, with one type, and names by the rules for names.
#[tokio::test]
async fn metrics_obey_the_rules_of_prometheus() {
    let (_node, url, http) = node(&["--forward", "/t"]).await;
    let mut sub = Cli::start(&["sub", "/t", "--peer", &url, "--events"]);
    sub.event("peer_added").await;
    run(&["pub", "/t", "1", "--peer", &url]).await.expect(0);
    let (_, body) = get(&http, "/metrics").await;
    let (mut types, mut helps) = (BTreeMap::new(), BTreeMap::new());
    for line in body.lines() {
        if let Some(family) = line.strip_prefix("# TYPE ") {
            let (name, kind) = family.split_once(' ').unwrap();
            assert!(types.insert(name, kind).is_none(), "{name} has two types");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
        } else if let Some(family) = line.strip_prefix("# HELP ") {
            let (name, help) = family.split_once(' ').unwrap();
            assert!(helps.insert(name, help).is_none(), "{name} is described twice");
            assert!(!help.is_empty());
        }
    }
    assert!(types.keys().eq(helps.keys()), "{types:?} {helps:?}");
    let (_, again) = get(&http, "/metrics").await;
    let series = |body: &str| -> Vec<String> {
        let lines = body.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let mut names: Vec<_> =
            lines.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect();
        names.sort();
        names
    };
    let mut once = series(&again);
    once.dedup();
    assert_eq!(once, series(&again), "no series twice");
}

#[tokio::test]
async fn an_address_in_use_ends_the_node() {
    let (_node, _, http) = node(&[]).await;
    let args = ["node", "--listen", "127.0.0.1:0", "--http", &http];
    run(&args).await.expect(1).says(&format!("listening on http://{http}"));
}

#[cfg(feature = "ws")]
#[tokio::test]
async fn the_token_in_the_address_of_a_peer_is_shown_nowhere() {
    let mut hub = Cli::start_by(
        &["env", "BROKER_WS_TOKEN=s3cret"],
        &["node", "--events", "--listen", "ws://127.0.0.1:0"],
    );
    let url = hub.listening().await;
    let peer = format!("{url}/v1/native?access_token=s3cret");
    let (mut leaf, _, http) = node(&["--events", "--log-level", "debug", "--peer", &peer]).await;
    hub.event("peer_added").await;
    leaf.event("peer_added").await;
    let shown = status(&http).await;
    assert_eq!(shown["peers"][0]["address"], format!("{url}/v1/native?access_token=***"));
    assert!(!shown.to_string().contains("s3cret"), "{shown}");
    for cli in [leaf, hub] {
        cli.signal(common::Signal::TERM);
        let end = cli.end().await.expect(0);
        assert!(!format!("{end:?}").contains("s3cret"), "{end:?}");
    }
}

#[tokio::test]
async fn topics_are_counted_by_prefix_and_the_heaviest_are_shown() {
    let args = ["--forward", "zeek/", "--count-prefix", "zeek/", "--count-prefix", "zeek/conn/"];
    let (_node, url, http) = node(&args).await;
    let sub = Cli::start(&["sub", "zeek/", "--peer", &url, "--count", "30", "--events"]);
    let wanted = eventually("the subscriber", async || {
        let status = status(&http).await;
        (status["peers"][0]["filter"] == serde_json::json!(["zeek/"])).then_some(())
    });
    wanted.await;
    let stats = ["stats", "--topics", "--http", &http, "--output", "json", "--interval", "0.2"];
    let mut stats = Cli::start(&[&stats[..], &["--count", "100"]].concat());
    // The node looks at messages from the first answer on.
    stats.event("prefix").await;
    let publish = async |topic: &str, count: &str| {
        let args = ["pub", topic, "1", "--count", count, "--peer", &url];
        run(&args).await.expect(0);
    };
    publish("zeek/conn/log", "20").await;
    publish("zeek/dns/log", "10").await;
    sub.end().await.expect(0);
    let topics = within("the topics", async {
        loop {
            let line = stats.event("topic").await;
            if line["topic"] == "zeek/conn/log" && line["messages"] == 20 {
                return line["share"].as_f64().unwrap();
            }
        }
    });
    assert!((0.6..=1.0).contains(&topics.await));
    let samples = metrics(&http).await;
    let count = |prefix: &str, what: &str| {
        samples
            [&format!("broker_prefix_messages_total{{prefix=\"{prefix}\",direction=\"{what}\"}}")]
    };
    assert_eq!((count("zeek/", "in"), count("zeek/", "out")), (30.0, 30.0));
    assert_eq!((count("zeek/conn/", "in"), count("zeek/conn/", "out")), (20.0, 20.0));
    let table = run(&["stats", "--topics", "--http", &http, "--output", "text"]).await.expect(0);
    let rows: Vec<&str> = table.stdout.lines().collect();
    assert!(rows[1].starts_with("TOPIC") && rows[2].starts_with("zeek/*"), "{rows:?}");
    assert!(rows.iter().any(|row| row.starts_with("zeek/dns/log ")), "{rows:?}");
}
