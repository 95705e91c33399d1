//! Zeek clusters that use ZeroMQ, out of libzmq: where pyzmq cannot be had, these tests
//! say so and pass.
#![cfg(feature = "zeromq")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Cli, run, vectors, within};
use serde_json::{Value as Json, json};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// A cluster with a proxy and a node `worker-1`.
struct Lab {
    _child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    url: String,
}

impl Lab {
    async fn start() -> Option<Self> {
        let python = broker_testkit::tools::python(env!("CARGO_TARGET_TMPDIR"), &["pyzmq"]).await;
        let python = python.inspect_err(|reason| eprintln!("skipped: {reason}")).ok()?;
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/../broker-bridge/tests/zeromq/lab.py");
        let mut child = Command::new(python)
            .arg(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut lab = Self { _child: child, input, output, url: String::new() };
        let ports = lab.run(json!({ "do": "forwarder" })).await;
        lab.url = format!("zeromq://127.0.0.1:{}?publish={}", ports["sub"], ports["pub"]);
        let node = json!({ "do": "node", "key": "w", "name": "worker-1", "prefixes": ["/test/"],
            "id": "zeromq_worker-1_vm_1_Nx", "sub": ports["sub"], "pub": ports["pub"] });
        lab.run(node).await;
        Some(lab)
    }

    async fn run(&mut self, command: Json) -> Json {
        self.input.write_all(format!("{command}\n").as_bytes()).await.unwrap();
        let line = within("an answer", self.output.next_line()).await.unwrap().unwrap();
        let answer: Json = serde_json::from_str(&line).unwrap();
        assert!(answer["error"].is_null(), "{command}: {answer}");
        answer
    }
}

/// `ping(7)` in broker-bin-v1.
const PING: &str = "0e030200000000000000010200000000000000010e02050470696e670e01020000000000000007";

#[tokio::test]
async fn the_commands_work_with_a_cluster_as_with_any_peer() {
    let Some(mut lab) = Lab::start().await else { return };
    let url = lab.url.clone();
    let checks = run(&["doctor", &url]).await.expect(0).lines();
    assert!(checks.iter().any(|check| check["layer"] == "zeromq"), "{checks:?}");
    let trips = run(&["ping", &url, "--count", "3"]).await.expect(0).lines();
    assert_eq!(trips.last().unwrap()["received"], 3);
    let sub = Cli::start(&["sub", "/in/", "--count", "1", "--peer", &url]);
    lab.run(json!({ "do": "shown", "key": "w", "kind": 1, "topic": "/in/" })).await;
    lab.run(json!({ "do": "publish", "key": "w", "topic": "/in/a", "payload": PING })).await;
    let line = &sub.end().await.expect(0).lines()[0];
    assert_eq!((&line["topic"], &line["@data-type"]), (&json!("/in/a"), &json!("vector")));
    run(&["pub", "/test/x", r#"[1, 1, ["ping", [7]]]"#, "--peer", &url]).await.expect(0);
    let received = lab.run(json!({ "do": "received", "key": "w" })).await;
    assert_eq!(received["messages"][0][3], PING);
}

#[tokio::test]
async fn a_node_shows_the_members_of_a_cluster() {
    let Some(lab) = Lab::start().await else { return };
    let url = format!("{}&to=/test/", lab.url);
    let mut node = Cli::start(&["node", "--http", "127.0.0.1:0", "--events", "--peer", &url]);
    let http = node.listening().await.replace("http://", "");
    node.event("peer_added").await;
    let bridge = async {
        loop {
            let lines = run(&["peers", "--http", &http]).await.expect(0).lines();
            let bridge = lines.into_iter().find(|line| line["type"] == "bridge").unwrap();
            if bridge["members"].as_object().is_some_and(|members| !members.is_empty()) {
                return bridge;
            }
        }
    };
    let bridge = within("a member", bridge).await;
    assert_eq!(bridge["kind"], "zeromq");
    assert_eq!(bridge["members"], json!({ "zeromq_worker-1_vm_1_Nx": "worker-1" }));
    assert_eq!(bridge["messages"]["lost"], 0);
}

#[tokio::test]
async fn records_of_logs_are_printed_with_the_names_of_their_columns() {
    let Some(mut lab) = Lab::start().await else { return };
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("{}&logs={port}", lab.url);
    let batches = vectors("zeromq-zeek-8.2.json")["logs"].clone();
    let sub = Cli::start(&["sub", "--logs", "zeek/logs/", "--count", "20", "--peer", &url]);
    lab.run(json!({ "do": "shown", "key": "w", "kind": 1, "topic": "zeek/logs/" })).await;
    lab.run(json!({ "do": "push", "port": port, "messages": batches })).await;
    let lines = sub.end().await.expect(0).lines();
    assert_eq!(lines.len(), 20);
    let all = lines.iter().find(|line| line["_path"] == "all").unwrap();
    assert_eq!(
        (&all["a4"], &all["p"], &all["t"]),
        (&json!("10.0.0.7"), &json!(22), &json!(1_700_000_000.123_456))
    );
    assert!(lines.iter().all(|line| line["_values"].is_null()), "{lines:?}");
}

#[tokio::test]
async fn an_address_that_cannot_be_meant_is_refused_at_once() {
    for (query, says) in [
        ("?publish=x", "no port"),
        ("?nmae=x", "no such parameter"),
        ("?to=/a&from=/a", "overlap"),
        ("", "say which topics"),
    ] {
        let url = format!("zeromq://127.0.0.1:1{query}");
        run(&["node", "--peer", &url]).await.expect(2).says(says);
    }
}
