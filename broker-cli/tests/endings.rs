//! Every way to fail has a message and an exit code of its own.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Cli, node, run};
use std::io::Write;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

/// An address where nobody listens: a port without a service on every machine.
const NOBODY: &str = "127.0.0.1:1";

#[tokio::test]
async fn a_wrong_command_line_is_a_usage_error_with_a_reason() {
    for (args, reason) in [
        (&[][..], "Usage"),
        (&["nod"], "unrecognized subcommand 'nod'"),
        (&["node"], "nothing to do"),
        (&["node", "--listen", "host"], "the port is missing"),
        (&["node", "--peer", "9999/udp"], "a Broker port is a TCP port"),
        (&["node", "--peer", "http://127.0.0.1:80"], "does not speak http://"),
        (&["node", "--peer", "mem://hub:1"], "does not speak mem://"),
        (&["node", "--peer", NOBODY, "--retry", "-1"], "not negative"),
        (&["node", "--peer", NOBODY, "--retry", "soon"], "not a number of seconds"),
        (&["node", "--peer", NOBODY, "--overflow", "panic"], "drop_oldest"),
        (&["node", "--peer", NOBODY, "--endpoint-id", "7"], "not an endpoint id"),
        (&["node", "--peer", NOBODY, "--config", "/nonexistent"], "/nonexistent"),
        (&["node", "--peer", NOBODY, "--peer-buffer-size", "0"], "from 1 on"),
        (&["sub", "--peer", NOBODY], "PREFIX"),
        (&["sub", "/t", "--peer", NOBODY, "--count", "0"], "from 1 on"),
        (&["pub", "/t", "hello", "--peer", NOBODY], "a string needs its quotes"),
        (&["pub", "/t", r#"{"@data-type":"count","data":-1}"#, "--peer", NOBODY], "$.data"),
        (&["pub", "", "1", "--peer", NOBODY], "the topic is empty"),
        (&["pub", "-", "1", "--peer", NOBODY], "standard input"),
        (&["ping"], "URL"),
        (&["ping", "host"], "the port is missing"),
        (&["convert", "--from", "json"], "--to"),
        (&["convert", "--from", "xml", "--to", "json"], "xml"),
    ] {
        let end = run(args).await;
        assert_eq!(end.code, Some(2), "{args:?}: {end:?}");
        assert!(end.stderr.contains(reason), "{args:?}: {reason:?} is not in {:?}", end.stderr);
        assert_eq!(end.stdout, "", "{args:?}");
    }
}

/// What is wrong with a command line ends up in logs.
#[tokio::test]
async fn a_secret_in_an_address_that_is_refused_is_told_nobody() {
    let url = "ws://user:s3cret@127.0.0.1:1/v1/native";
    for args in [&["node", "--peer"][..], &["node", "--listen"], &["ping"], &["doctor"]] {
        let end = run(&[args, &[url]].concat()).await.expect(2);
        assert!(!end.stderr.contains("s3cret"), "{end:?}");
        end.says("user information before the host is not supported");
    }
}

#[tokio::test]
async fn a_topic_that_nobody_may_publish_on_is_a_usage_error() {
    let (_node, url) = node(&[]).await;
    let end = run(&["pub", "<$>/local/data/errors", "1", "--peer", &url]).await.expect(2);
    end.says("reserved for the endpoint itself");
}

#[tokio::test]
async fn an_unknown_key_of_a_file_is_named_with_its_line() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"forwarding = true\n\n[limits]\nframes = 3\n").unwrap();
    let path = file.path().to_str().unwrap();
    let end = run(&["node", "--listen", "127.0.0.1:0", "--config", path]).await.expect(2);
    end.says(&format!("{path}, line 4: unknown field `frames`"));
}

#[tokio::test]
async fn a_busy_port_is_a_failure_that_names_the_address() {
    let (_node, url) = node(&[]).await;
    for args in [&["node"][..], &["sub", "/t"], &["pub", "/t", "1"]] {
        let end = run(&[args, &["--listen", &url]].concat()).await.expect(1);
        let place = url.strip_prefix("tcp://").unwrap();
        end.says(&format!("listening on {url}: {place} is already in use"));
        assert_eq!(end.stderr.lines().count(), 1, "{end:?}");
    }
}

#[tokio::test]
async fn a_refused_connection_cannot_connect() {
    for args in [
        &["node", "--retry", "0", "--peer"][..],
        &["sub", "/t", "--peer"],
        &["pub", "/t", "1", "--peer"],
        &["ping"],
    ] {
        let end = run(&[args, &[NOBODY]].concat()).await.expect(3);
        end.says("connecting to tcp://127.0.0.1:1: connection refused, nothing listens there");
        assert_eq!(end.stderr.lines().count(), 1, "{end:?}");
    }
}

#[tokio::test]
async fn an_unresolvable_name_cannot_connect() {
    let end = run(&["pub", "/t", "1", "--peer", "sensor.invalid:9999"]).await.expect(3);
    end.says("the name sensor.invalid does not resolve");
}

#[tokio::test]
async fn a_peer_with_the_same_id_is_refused() {
    let id = "11111111-2222-4333-8444-555555555555";
    let (mut node, url) = node(&["--endpoint-id", id]).await;
    let end = run(&["ping", &url, "--endpoint-id", id]).await.expect(4);
    end.says(&format!("cannot peer with {url}: "));
    assert!(node.diagnosis().await.contains("the id is used twice"));
}

#[tokio::test]
async fn a_server_of_another_protocol_is_refused() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("tcp://{}", server.local_addr().unwrap());
    let serve = async {
        let (mut stream, _) = server.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        stream
    };
    let args = ["pub", "/t", "1", "--peer", &url];
    let (end, _stream) = tokio::join!(run(&args), serve);
    end.expect(4).says("does not speak Broker: it answered like an HTTP server");
}

#[tokio::test]
async fn a_server_that_hangs_up_is_refused() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("tcp://{}", server.local_addr().unwrap());
    let serve = async { drop(server.accept().await.unwrap()) };
    let args = ["ping", &url];
    let (end, ()) = tokio::join!(run(&args), serve);
    end.expect(4)
        .says("perhaps it expects TLS (tls://) or a WebSocket (ws://), or does not speak Broker");
}

#[tokio::test]
async fn a_server_that_says_nothing_times_out() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("tcp://{}", server.local_addr().unwrap());
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"[limits]\nhandshake-time = 0.1\n").unwrap();
    let path = file.path().to_str().unwrap();
    let end = run(&["ping", &url, "--config", path]).await.expect(5);
    end.says("the peer did not finish the handshake within 0.1 s");
    let end = run(&["ping", &url, "--wait", "0.1"]).await.expect(5);
    end.says(&format!("not peered with {url} within 0.1 s"));
}

#[tokio::test]
async fn retries_end_when_the_time_is_over() {
    let retry = ["--retry", "0.02", "--wait", "0.3"];
    for args in [&["pub", "/t", "1"][..], &["sub", "/t"], &["sub", "/t", "--count", "1"]] {
        let end = run(&[args, &["--peer", NOBODY], &retry].concat()).await.expect(5);
        end.says("(next attempt in 0.02 s)");
        end.says("not peered with tcp://127.0.0.1:1 within 0.3 s; connecting to");
        assert_eq!(end.stderr.lines().count(), 2, "the same error is not said again: {end:?}");
    }
    for args in [&["pub", "/t", "1"][..], &["sub", "/t"], &["sub", "/t", "--count", "1"]] {
        let listening = ["--listen", "127.0.0.1:0", "--wait", "0.1"];
        let end = run(&[args, &listening].concat()).await.expect(5);
        end.says("nobody has connected within 0.1 s");
    }
}

#[tokio::test]
async fn a_publisher_keeps_trying_if_told_to() {
    let (late, url) = node(&[]).await;
    late.signal(common::Signal::TERM);
    late.end().await.expect(0);
    let mut publisher = Cli::start(&["pub", "/t", "1", "--peer", &url, "--retry", "0.05"]);
    assert!(publisher.diagnosis().await.contains("connection refused"));
    let _node = Cli::start(&["node", "--listen", &url]);
    publisher.end().await.expect(0).says("nobody had subscribed");
}

#[tokio::test]
async fn time_is_up_for_a_subscriber() {
    let (_node, url) = node(&[]).await;
    let peer = ["--peer", &url, "--wait", "0.2"];
    let end = run(&[&["sub", "/t", "--count", "2"], &peer[..]].concat()).await.expect(5);
    end.says("received 0 of 2 messages within 0.2 s");
    let end = run(&[&["sub", "/t"], &peer[..]].concat()).await.expect(0);
    assert_eq!(end.stderr, "");
}

#[tokio::test]
async fn time_is_up_for_a_node() {
    let end = run(&["node", "--listen", "127.0.0.1:0", "--wait", "0.1"]).await.expect(0);
    assert_eq!(end.lines().len(), 1);
}

#[tokio::test]
async fn without_a_retry_the_last_lost_peer_is_the_end() {
    for args in [&["node"][..], &["sub", "/t"]] {
        let (mut hub, url) = node(&["--events"]).await;
        let leaf = Cli::start(&[args, &["--peer", &url, "--retry", "0"]].concat());
        hub.event("peer_added").await;
        hub.signal(common::Signal::TERM);
        leaf.end().await.expect(1).says("lost the connection to the last peer");
    }
}

#[tokio::test]
async fn help_names_every_option_with_its_default() {
    for command in ["node", "sub", "pub", "ping"] {
        let end = run(&[command, "--help"]).await.expect(0);
        let text = end.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        for option in [
            "--listen <URL>",
            "--peer <URL>",
            "--retry <SECONDS>",
            "--endpoint-id <UUID>",
            "--forward <PREFIX>",
            "--disable-forwarding",
            "--no-relay",
            "--config <FILE>",
            "--overflow <POLICY>",
            "--peer-buffer-size <N>",
            "--preset <NAME>",
            "--log-level <LEVEL>",
            "--events",
            "--output <FORM>",
            "--wait <SECONDS>",
        ] {
            let rest = text.split_once(&format!("{option} ")).map(|(_, rest)| rest);
            let rest = rest.unwrap_or_else(|| panic!("{command}: no {option}"));
            let own = rest.split(" --").next().unwrap();
            let has_default = own.contains("[default: ") || option == "--events";
            assert!(has_default, "{command} {option}: {own}");
        }
    }
    let end = run(&["--version"]).await.expect(0);
    assert_eq!(end.stdout, format!("broker-cli {}\n", env!("CARGO_PKG_VERSION")));
    let end = run(&["--help"]).await.expect(0);
    for command in ["demo", "node", "sub", "pub", "ping", "convert"] {
        assert!(end.stdout.contains(&format!("\n  {command} ")), "{command}");
    }
}
