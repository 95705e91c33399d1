//! Clients and servers of the JSON API.
#![cfg(feature = "ws")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Cli, node, run, run_with_input};

/// A node that serves clients.
async fn server(args: &[&str]) -> (Cli, String) {
    let mut node = Cli::start(&[&["node", "--listen", "ws://127.0.0.1:0"], args].concat());
    let url = node.listening().await;
    (node, url)
}

#[tokio::test]
async fn sub_and_pub_are_clients_of_a_server() {
    let (mut node, url) = server(&["--events"]).await;
    let sub = Cli::start(&["sub", "/t", "--peer", &url, "--count", "2"]);
    let added = node.event("peer_added").await;
    assert_eq!(added["client"]["type"], "web-socket", "{added}");
    run(&["pub", "/t/a", "1", "--peer", &url]).await.expect(0);
    let lines = "{\"type\":\"data-message\",\"topic\":\"/t/b\",\"@data-type\":\"port\",\"data\":\"22/tcp\"}\n";
    run_with_input(&["pub", "-", "--peer", &url], lines).await.expect(0);
    let end = sub.end().await.expect(0);
    assert_eq!(
        end.stdout.lines().collect::<Vec<_>>(),
        [
            r#"{"type":"data-message","topic":"/t/a","@data-type":"count","data":1}"#,
            r#"{"type":"data-message","topic":"/t/b","@data-type":"port","data":"22/tcp"}"#,
        ]
    );
}

#[tokio::test]
async fn thousands_of_messages_arrive_through_a_server() {
    let (mut node, url) = server(&["--events"]).await;
    let sub = Cli::start(&["sub", "", "--peer", &url, "--count", "3000"]);
    node.event("peer_added").await;
    let lines: String = (0..3000).map(|number| format!("{number}\n")).collect();
    run_with_input(&["pub", "/n", "-", "--peer", &url], &lines).await.expect(0);
    let end = sub.end().await.expect(0);
    let numbers = end.lines().iter().map(|line| line["data"].as_u64().unwrap()).collect::<Vec<_>>();
    assert!(numbers.into_iter().eq(0..3000));
}

#[tokio::test]
async fn a_node_joins_an_overlay_with_a_server() {
    let (mut zeek, server_url) = server(&["--events"]).await;
    let (mut hub, hub_url) = node(&["--events", "--forward", "/out/", "--forward", "/in/"]).await;
    let bridge_url = format!("{server_url}?to=/out/&from=/in/");
    let mut bridge = Cli::start(&[
        "node",
        "--events",
        "--peer",
        &hub_url,
        "--peer",
        &bridge_url,
        "--forward",
        "/out/",
    ]);
    bridge.event("peer_added").await;
    bridge.event("peer_added").await;
    hub.event("peer_added").await;
    let at_server = Cli::start(&["sub", "/out/", "--peer", &server_url, "--count", "1"]);
    zeek.event("peer_added").await;
    zeek.event("peer_added").await;
    let at_hub = Cli::start(&["sub", "/in/", "--peer", &hub_url, "--count", "1"]);
    hub.event("peer_added").await;
    run(&["pub", "/out/x", "1", "--peer", &hub_url]).await.expect(0);
    run(&["pub", "/in/x", "2", "--peer", &server_url]).await.expect(0);
    assert_eq!(at_server.end().await.expect(0).lines()[0]["topic"], "/out/x");
    assert_eq!(at_hub.end().await.expect(0).lines()[0]["topic"], "/in/x");
}

#[tokio::test]
async fn endpoints_peer_over_web_socket() {
    let (mut node, url) = server(&["--events", "--forward", "/t"]).await;
    let native = format!("{url}/v1/native");
    let sub = Cli::start(&["sub", "/t", "--peer", &native, "--count", "1"]);
    let added = node.event("peer_added").await;
    assert!(added.get("client").is_none(), "{added}");
    run(&["pub", "/t", "1", "--peer", &native]).await.expect(0);
    sub.end().await.expect(0);
    let end = run(&["ping", &native, "--count", "1"]).await;
    end.expect(0);
}

#[tokio::test]
async fn what_keeps_a_client_out_has_an_exit_code_and_a_reason() {
    let end = run(&["sub", "/t", "--peer", "ws://127.0.0.1:1"]).await.expect(3);
    end.says("nothing listens there");
    let (_native, url) = node(&[]).await;
    let at_native = url.replace("tcp://", "ws://");
    let end = run(&["sub", "/t", "--peer", &at_native]).await;
    assert!(matches!(end.code, Some(3 | 4)), "{end:?}");
    let end = run(&["node", "--peer", "ws://127.0.0.1:1"]).await.expect(2);
    end.says("which topics go which way");
    let (one, two) = ("ws://127.0.0.1:1?to=/a", "ws://127.0.0.1:1?from=/b");
    let end = run(&["node", "--peer", one, "--peer", two]).await.expect(2);
    end.says("say all that goes to and comes from a server in one");
}

/// A server with a rule that limits topics, and one that does not.
const RULES: &str = r#"
[[ws.access.rules]]
token = "s3cret-limited"
publish = ["/allowed"]
subscribe = ["/allowed"]

[[ws.access.rules]]
token = "s3cret-all"
"#;

#[tokio::test]
async fn who_may_not_do_what_it_asks_for_was_connected_and_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), RULES).unwrap();
    let (_node, url) = server(&["--config", file.path().to_str().unwrap()]).await;
    let at = |path: &str, token: &str| format!("{url}{path}?access_token=s3cret-{token}");
    for (peer, words) in [
        (url.clone(), "HTTP 401"),
        (format!("{url}/v1/native"), "HTTP 401"),
        (at("/v1/native", "limited"), "HTTP 403"),
        (at("", "limited"), "permission_denied"),
    ] {
        let sub = run(&["sub", "/t", "--peer", &peer, "--wait", "20"]).await.expect(4);
        sub.says(words);
        assert!(!sub.stderr.contains("s3cret"), "{}", sub.stderr);
    }
    run(&["pub", "/t", "1", "--peer", &url]).await.expect(4).says("HTTP 401");
    run(&["ping", &format!("{url}/v1/native")]).await.expect(4).says("HTTP 401");
    run(&["pub", "/t", "1", "--peer", &at("", "all")]).await.expect(0);
    for (peer, words) in [(url.clone(), "HTTP 401"), (at("/v1/native", "limited"), "HTTP 403")] {
        let end = run(&["doctor", &peer]).await.expect(4);
        assert!(!end.stdout.contains("s3cret"), "{}", end.stdout);
        let verdict = end.lines().pop().unwrap();
        assert_eq!(
            (&verdict["reason"], &verdict["blame"]),
            (&"access-denied".into(), &"this side".into())
        );
        assert!(verdict["message"].as_str().unwrap().contains(words), "{verdict}");
        assert!(verdict["advice"].as_str().unwrap().contains("access_token"), "{verdict}");
    }
}

#[tokio::test]
async fn addresses_and_origins_that_cannot_be_meant_are_usage_errors() {
    for query in ["?to", "?to=/a&bogus=1", "?to=%zz", "/v1/native?to=/a"] {
        let url = format!("ws://127.0.0.1:1{query}");
        run(&["pub", "/a", "1", "--peer", &url]).await.expect(2).says("127.0.0.1:1");
    }
    for origin in ["dashboard.example", "*", "https://x/y"] {
        let end = run(&["node", "--listen", "ws://127.0.0.1:0", "--ws-origin", origin]).await;
        end.expect(2).says("is no origin");
    }
}

#[tokio::test]
async fn the_doctor_examines_servers_and_peers_at_web_socket_addresses() {
    let (mut node, url) = server(&["--events"]).await;
    let end = run(&["doctor", &url]).await.expect(0);
    let layers = end.lines().iter().map(|line| line["layer"].clone()).collect::<Vec<_>>();
    assert_eq!(layers[..4], ["url", "name", "transport", "json-api"]);
    assert_eq!(end.lines()[2]["message"], "connected, plain");
    node.event("peer_added").await;
    node.event("peer_lost").await;
    let end = run(&["doctor", &format!("{url}/v1/native")]).await.expect(0);
    assert!(end.lines().iter().any(|line| line["layer"] == "handshake"), "{}", end.stdout);
    run(&["doctor", "ws://127.0.0.1:1"]).await.expect(3).says("");
}

#[tokio::test]
async fn the_page_is_served_when_asked_for() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (_node, url) = server(&["--ws-page"]).await;
    let mut stream = tokio::net::TcpStream::connect(url.trim_start_matches("ws://")).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).await.unwrap();
    assert!(page.starts_with("HTTP/1.1 200 OK"), "{page:.100}");
}

#[tokio::test]
async fn a_publisher_is_told_what_a_server_did_not_take() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let rule = "[ws]\nmessage = 10000\n[[ws.access.rules]]\npublish = [\"/t\"]\n";
    std::fs::write(file.path(), rule).unwrap();
    let (_node, url) = server(&["--config", file.path().to_str().unwrap()]).await;
    run(&["pub", "/t", "1", "--peer", &url]).await.expect(0);
    run(&["pub", "/other", "1", "--peer", &url]).await.expect(1).says("permission_denied");
    let lines = format!("1\n\"{}\"\n2\n", "x".repeat(20_000));
    let end = run_with_input(&["pub", "/t", "-", "--peer", &url], &lines).await.expect(1);
    end.says("they are lost");
    let limited = format!("{url}?largest=10000");
    let end = run_with_input(&["pub", "/t", "-", "--peer", &limited], &lines).await.expect(1);
    end.says("is larger than the server takes");
}

#[cfg(unix)]
#[tokio::test]
async fn clients_of_a_node_that_drains_get_what_is_queued_and_are_closed() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("admin").to_str().unwrap().to_owned();
    let (mut node, url) = server(&["--events", "--admin", &socket]).await;
    let sub = Cli::start(&["sub", "/t", "--peer", &url, "--retry", "0", "--output", "json"]);
    node.event("peer_added").await;
    run(&["pub", "/t", "1", "--peer", &url]).await.expect(0);
    let drain = run(&["admin", "--socket", &socket, "drain"]).await.expect(0);
    assert_eq!(drain.stdout, "draining: 0 peers, 1 clients\n");
    node.end().await.expect(0);
    let end = sub.end().await.expect(1);
    assert_eq!(end.lines()[0]["data"], 1);
    end.says("1001");
}
