//! The peer that `docs/protocol/README.md` shows, against an endpoint of this project.
#![cfg(feature = "tcp")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Output, Stdio};
use tokio::process::Command;

/// The program in the document.
fn program() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/protocol/README.md");
    let document = std::fs::read_to_string(path).unwrap();
    let (_, behind) = document.split_once("```python\n").unwrap();
    behind.split_once("```\n").unwrap().0.to_owned()
}

/// Talks with the program as an endpoint of this id. `None` where there is no Python.
async fn talk(id: &str) -> Option<Output> {
    let version = Command::new("python3").arg("--version").output().await;
    if !version.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no python3 is here");
        return None;
    }
    let endpoint = broker::builder().id(id.parse().unwrap()).build().unwrap();
    let mut demo = endpoint.subscribe("/demo");
    let address = endpoint.listen("tcp://127.0.0.1:0").await.unwrap();
    let peer = Command::new("python3")
        .args(["-c", &program(), address.host(), &address.port().to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let hello = demo.recv().await.unwrap();
    assert_eq!(hello.topic(), "/demo/hello");
    assert_eq!(hello.view().as_str(), Some("hello from Python"));
    let published = endpoint.publish("/demo/answer", "hello from Rust").await.unwrap();
    assert_eq!(published.peers, 1);
    endpoint.shutdown().await;
    Some(peer.wait_with_output().await.unwrap())
}

#[tokio::test]
async fn the_documented_peer_talks_in_both_roles() {
    let smallest = "00000000-0000-4000-8000-000000000001";
    let largest = "ffffffff-ffff-4fff-bfff-ffffffffffff";
    for id in [smallest, largest] {
        let Some(output) = talk(id).await else { return };
        let lines = String::from_utf8(output.stdout).unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        let peered = format!("peered with {}", id.replace('-', ""));
        let expected = [&peered, "/demo/answer hello from Rust", "the peer has gone"];
        assert_eq!(lines.lines().collect::<Vec<_>>(), expected, "{error}");
    }
}
