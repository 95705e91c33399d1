//! How commands end when they are told to, or when nobody listens to them any more.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Cli, Signal, node, run, within};
use std::process::Stdio;

#[tokio::test]
async fn an_interrupt_ends_with_130_and_tells_the_peers() {
    let (mut hub, url) = node(&["--events"]).await;
    for args in [
        &["node", "--peer"][..],
        &["sub", "/t", "--peer"],
        &["pub", "/t", "-", "--peer"],
        &["ping", "--count", "1000", "--interval", "60"],
    ] {
        let leaf = Cli::start(&[args, &[&url]].concat());
        let added = hub.event("peer_added").await;
        leaf.signal(Signal::INT);
        let lost = hub.event("peer_lost").await;
        assert_eq!(lost["endpoint"]["id"], added["endpoint"]["id"]);
        leaf.end().await.expect(130);
    }
}

#[tokio::test]
async fn termination_is_the_regular_end_of_what_has_no_end() {
    let (mut hub, url) = node(&["--events"]).await;
    for (args, code) in [
        (&["node"][..], 0),
        (&["sub", "/t"], 0),
        (&["sub", "/t", "--count", "1"], 130),
        (&["pub", "/t", "-"], 130),
    ] {
        let leaf = Cli::start(&[args, &["--peer", &url]].concat());
        hub.event("peer_added").await;
        leaf.signal(Signal::TERM);
        hub.event("peer_lost").await;
        leaf.end().await.expect(code);
    }
}

#[tokio::test]
async fn a_hangup_ends_a_subscriber_as_it_ends_any_program() {
    let (mut hub, url) = node(&["--events"]).await;
    let sub = Cli::start(&["sub", "/t", "--peer", &url]);
    hub.event("peer_added").await;
    sub.signal(Signal::HUP);
    // The code of a shell is 128 and the number of the signal that killed it.
    assert_eq!(sub.end().await.code, None);
}

#[tokio::test]
async fn a_node_shows_the_end_of_its_peerings() {
    let (mut hub, url) = node(&["--events"]).await;
    let sub = Cli::start(&["sub", "/t", "--peer", &url]);
    hub.event("peer_added").await;
    hub.signal(Signal::INT);
    let names: Vec<_> =
        hub.end().await.expect(130).lines().iter().map(|line| line["type"].clone()).collect();
    assert_eq!(names, ["peer_removed", "endpoint_unreachable"]);
    drop(sub);
}

#[tokio::test]
async fn an_interrupt_ends_a_wait_for_a_peer() {
    let mut publisher = Cli::start(&["pub", "/t", "1", "--listen", "127.0.0.1:0"]);
    publisher.listening().await;
    publisher.signal(Signal::INT);
    publisher.end().await.expect(130);
}

#[tokio::test]
async fn an_interrupt_ends_a_conversion() {
    let mut convert = Cli::start(&["convert", "--from", "json", "--to", "bin"]);
    convert.write("true\n").await;
    assert_eq!(convert.line().await, "0101", "each line is answered before the next one comes");
    convert.signal(Signal::INT);
    // Standard input is still open.
    let status = within("the end", convert.child.wait()).await.unwrap();
    assert_eq!(status.code(), Some(130));
}

#[tokio::test]
async fn a_closed_pipe_ends_quietly() {
    let (mut hub, url) = node(&["--events", "--forward", "/t"]).await;
    let mut sub = Cli::start(&["sub", "/t", "--peer", &url]);
    hub.event("peer_added").await;
    run(&["pub", "/t", "1", "--peer", &url]).await.expect(0);
    sub.line().await;
    // Nothing more comes, and it is noticed all the same.
    drop(sub.stdout.take());
    assert_eq!(sub.end().await.expect(0).stderr, "");
}

#[tokio::test]
async fn a_closed_pipe_ends_every_command_that_writes() {
    let (mut hub, url) = node(&["--events"]).await;
    let mut listening = Cli::start(&["node", "--listen", "127.0.0.1:0", "--events"]);
    let other = listening.listening().await;
    drop(listening.stdout.take());
    let _sub = Cli::start(&["sub", "/t", "--peer", &other]);
    assert_eq!(listening.end().await.expect(0).stderr, "");
    let mut ping = Cli::start(&["ping", &url, "--count", "1000000", "--interval", "0"]);
    ping.line().await;
    drop(ping.stdout.take());
    assert_eq!(ping.end().await.expect(0).stderr, "");
    hub.event("peer_lost").await;
    for args in [&["demo"][..], &["convert", "--from", "json", "--to", "json"]] {
        let mut command = Cli::start(args);
        drop(command.stdout.take());
        if args[0] == "convert" {
            command.write("true\n").await;
        }
        assert_eq!(command.end().await.expect(0).stderr, "", "{args:?}");
    }
}

#[tokio::test]
async fn a_full_disk_is_a_failure() {
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else { return };
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_broker-cli"))
        .args(["node", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::from(full))
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap()
        .wait_with_output();
    let output = within("the end", output).await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("writing to standard output: No space left"), "{text}");
}
