//! How commands end when they are told to.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Cli, Signal, node, within};

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
    // Whoever runs the tests may have it ignored, as nohup does, and children inherit that.
    let default = ["env", "--default-signal=HUP"];
    let sub = Cli::start_by(&default, &["sub", "/t", "--peer", &url]);
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
