//! Operating a node: its log, its names, and what can be changed while it runs.
#![cfg(all(unix, feature = "http"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Cli, Signal, node, run};
use std::path::Path;

fn path(directory: &tempfile::TempDir, name: &str) -> String {
    directory.path().join(name).to_str().unwrap().to_owned()
}

fn write(directory: &tempfile::TempDir, name: &str, text: &str) -> String {
    let path = path(directory, name);
    std::fs::write(&path, text).unwrap();
    path
}

/// The next line of the log that has this in it.
async fn said(node: &mut Cli, what: &str) -> String {
    loop {
        let line = node.diagnosis().await;
        assert!(!line.is_empty(), "{what:?} was not said");
        if line.contains(what) {
            return line;
        }
    }
}

#[tokio::test]
async fn the_log_of_a_node_says_when_and_by_name_who_came_and_went() {
    let directory = tempfile::tempdir().unwrap();
    let id = "11111111-2222-4333-8444-555555555555";
    let config = write(&directory, "hub.toml", &format!("[names]\n\"{id}\" = \"sensor-1\"\n"));
    let (mut hub, url) = node(&["--config", &config, "--log-level", "info"]).await;
    run(&["ping", &url, "--count", "1", "--endpoint-id", id]).await.expect(0);
    let added = said(&mut hub, "peer-added").await;
    assert!(added.starts_with("20") && added.contains("Z INFO"), "{added}");
    assert!(added.contains(" peer     peer-added: sensor-1 (tcp://127.0.0.1:"), "{added}");
    let lost = said(&mut hub, "peer-lost").await;
    assert!(lost.contains("sensor-1 (tcp://") && lost.contains("(after "), "{lost}");
    let (mut hub, url) = node(&["--log-level", "info", "--log-format", "json"]).await;
    run(&["ping", &url, "--count", "1", "--endpoint-id", id]).await.expect(0);
    let added = said(&mut hub, "peer-added").await;
    let line: serde_json::Value = serde_json::from_str(&added).unwrap();
    assert_eq!((&line["level"], &line["peer"]), (&"info".into(), &id.into()), "{line}");
}

#[tokio::test]
async fn a_subscriber_says_that_its_peer_is_lost_and_that_it_is_back() {
    let id = "11111111-2222-4333-8444-555555555555";
    let (hub, url) = node(&["--endpoint-id", id, "--forward", "/t"]).await;
    let mut sub = Cli::start(&["sub", "/t", "--peer", &url, "--retry", "0.05"]);
    let publish = ["pub", "/t", "1", "--peer", &url];
    // The peering exists once something was received.
    let mut received = false;
    while !received {
        run(&publish).await;
        received =
            tokio::time::timeout(std::time::Duration::from_millis(300), sub.line()).await.is_ok();
    }
    hub.signal(Signal::TERM);
    hub.end().await.expect(0);
    said(&mut sub, &format!("lost {id}")).await;
    let _again = Cli::start(&["node", "--listen", &url, "--endpoint-id", id]);
    said(&mut sub, "is back").await;
}

#[tokio::test]
async fn a_file_is_checked_without_starting_and_its_paths_are_relative_to_it() {
    let directory = tempfile::tempdir().unwrap();
    let good = write(
        &directory,
        "good.toml",
        "listen = [\"127.0.0.1:0\"]\nendpoint-id-file = \"id\"\n[http]\nlisten = \"127.0.0.1:0\"\n",
    );
    run(&["node", "--config", &good, "--check"]).await.expect(0).says("is in order");
    let kept = std::fs::read_to_string(directory.path().join("id")).unwrap();
    let mut first = Cli::start(&["node", "--config", &good]);
    first.listening().await;
    let http = first.listening().await;
    let args = ["check", "--http", &http, "--output", "text"];
    assert!(run(&args).await.expect(0).stdout.starts_with("OK: 0 peers | peers=0"));
    assert_eq!(std::fs::read_to_string(directory.path().join("id")).unwrap(), kept);
    let bad = write(
        &directory,
        "bad.toml",
        "listen = [\"127.0.0.1:0\"]\n[tls]\ncertificate = \"no.pem\"\nkey = \"no.pem\"\n",
    );
    let end = run(&["node", "--config", &bad, "--check"]).await.expect(2);
    end.says(&path(&directory, "no.pem"));
}

#[tokio::test]
async fn a_reload_applies_what_it_can_and_names_the_rest_and_an_error_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (mut other, url) = node(&["--events"]).await;
    let socket = path(&directory, "admin");
    let listen = "listen = [\"127.0.0.1:0\"]\n";
    let config = write(&directory, "hub.toml", listen);
    let args = ["node", "--config", &config, "--admin", &socket];
    let mut hub = Cli::start(&args);
    hub.listening().await;
    let more = format!("{listen}peer = [\"{url}\"]\nforward = [\"/t\"]\n[limits]\nbye = 1\n");
    write(&directory, "hub.toml", &more);
    let reload = ["reload", "--socket", &socket];
    let done = run(&reload).await.expect(0).stdout;
    for what in [&format!("peer added: {url}"), "forward added: /t", "needs a restart: limits"] {
        assert!(done.contains(what), "{what:?} is not in {done:?}");
    }
    other.event("peer_added").await;
    write(&directory, "hub.toml", "lisen = 1\n");
    run(&reload).await.expect(1).says("nothing was changed: ");
    write(&directory, "hub.toml", listen);
    hub.signal(Signal::HUP);
    said(&mut hub, &format!("reload: peer removed: {url}")).await;
    other.event("peer_lost").await;
    hub.signal(Signal::TERM);
    hub.end().await.expect(0);
    assert!(!Path::new(&socket).exists());
}

#[tokio::test]
async fn peers_and_the_level_are_changed_by_order() {
    let directory = tempfile::tempdir().unwrap();
    let socket = path(&directory, "admin");
    let (mut other, url) = node(&["--events"]).await;
    let (_hub, _) = node(&["--admin", &socket]).await;
    let admin = async |args: &[&str]| run(&[&["admin", "--socket", &socket], args].concat()).await;
    assert_eq!(admin(&["add-peer", &url]).await.expect(0).stdout, format!("peer added: {url}\n"));
    other.event("peer_added").await;
    admin(&["log-level", "debug"]).await.expect(0);
    admin(&["remove-peer", &url]).await.expect(0);
    other.event("peer_lost").await;
    admin(&["remove-peer", &url]).await.expect(1).says("there is no such peer");
    run(&["reload", "--socket", &path(&directory, "none")]).await.expect(3).says("no node at");
}

#[tokio::test]
async fn a_node_that_drains_sends_its_peers_elsewhere_and_ends_with_0() {
    let directory = tempfile::tempdir().unwrap();
    let socket = path(&directory, "admin");
    let (mut hub, first) = node(&["--events", "--forward", "/t", "--admin", &socket]).await;
    let (mut other, second) = node(&["--events", "--forward", "/t"]).await;
    let either = format!("{first},{second}");
    let args = ["sub", "/t", "--peer", &either, "--count", "1", "--output", "json"];
    let sub = Cli::start(&args);
    hub.event("peer_added").await;
    run(&["admin", "--socket", &socket, "drain"]).await.expect(0);
    hub.end().await.expect(0).says("draining: 1 peers, 0 clients");
    assert!(!Path::new(&socket).exists());
    other.event("peer_added").await;
    run(&["pub", "/t", "1", "--peer", &first]).await.expect(3);
    run(&["pub", "/t", "1", "--peer", &second]).await.expect(0);
    assert_eq!(sub.end().await.expect(0).lines()[0]["data"], 1);
}

#[tokio::test]
async fn while_it_drains_a_node_is_not_ready_lets_nobody_in_and_can_be_ended_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let socket = path(&directory, "admin");
    let args = ["--events", "--http", "127.0.0.1:0", "--admin", &socket];
    let (mut hub, url) = node(&args).await;
    let http = hub.listening().await;
    let stay = ["sub", "/t", "--peer", &url, "--retry", "60"];
    let _peers = [Cli::start(&stay), Cli::start(&stay)];
    hub.event("peer_added").await;
    hub.event("peer_added").await;
    let http = http.strip_prefix("http://").unwrap();
    let ready = async || common::page(http, "/ready").await;
    assert!(ready().await.starts_with("HTTP/1.1 200 "));
    let order = ["admin", "--socket", &socket, "drain", "--over", "600"];
    let mut draining = Cli::start(&order);
    assert_eq!(draining.line().await, "draining: 2 peers, 0 clients");
    // The other one is told in some minutes.
    hub.event("peer_removed").await;
    let answer = ready().await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\"draining\""), "{answer}");
    run(&["ping", &url, "--count", "1"]).await.expect(3);
    run(&order).await.expect(1).says("the node is draining");
    let check = run(&["check", "--http", http, "--output", "text"]).await.expect(1);
    assert!(check.stdout.starts_with("WARNING: the node is draining | "), "{check:?}");
    let add = ["admin", "--socket", &socket, "add-peer", &url];
    run(&add).await.expect(1).says("the node is draining");
    hub.signal(Signal::TERM);
    hub.end().await.expect(0);
    draining.end().await.expect(0);
}

#[tokio::test]
async fn a_peer_is_taken_from_the_environment_or_a_context() {
    let (mut hub, url) = node(&["--events", "--forward", "/t"]).await;
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("broker")).unwrap();
    write(&directory, "broker/home.toml", &format!("peer = [\"{url}\"]\n"));
    let home = format!("XDG_CONFIG_HOME={}", directory.path().display());
    let sub = Cli::start_by(&["env", &home], &["sub", "/t", "--context", "home", "--count", "1"]);
    hub.event("peer_added").await;
    let variable = format!("BROKER_PEER={url}");
    Cli::start_by(&["env", &variable], &["pub", "/t", "1"]).end().await.expect(0);
    assert_eq!(sub.end().await.expect(0).lines()[0]["data"], 1);
}

#[tokio::test]
async fn a_map_of_the_overlay_is_known_to_every_node_that_announces_itself() {
    let hub_args = ["--announce", "--name", "hub", "--http", "127.0.0.1:0"];
    let (mut hub, url) = node(&hub_args).await;
    let http = hub.listening().await;
    let mut leaves = Vec::new();
    for name in ["leaf-1", "leaf-2"] {
        let args = ["node", "--announce", "--name", name, "--peer", &url];
        leaves.push(Cli::start(&args));
    }
    let map = common::within("a map", async {
        loop {
            let map = run(&["map", "--http", &http]).await.expect(0).stdout;
            if map.contains("leaf-1") && map.contains("leaf-2") {
                return map;
            }
        }
    })
    .await;
    assert!(map.starts_with("hub (tcp://"), "{map}");
    assert!(
        map.contains("3 nodes, 2 links, 0 close a loop; single points of failure: hub"),
        "{map}"
    );
}

#[tokio::test]
async fn a_peer_at_a_unix_socket_is_shown_with_its_path_and_by_the_name_of_its_user() {
    let directory = tempfile::tempdir().unwrap();
    let socket = path(&directory, "socket");
    let url = format!("unix://{socket}");
    let args = ["node", "--listen", &url, "--http", "127.0.0.1:0", "--events"];
    let mut hub = Cli::start(&args);
    hub.listening().await;
    let http = hub.listening().await;
    let sub = Cli::start(&["sub", "/t", "--peer", &url]);
    let added = hub.event("peer_added").await;
    assert_eq!(added["endpoint"]["network"], serde_json::json!({ "address": socket }), "{added}");
    let user = std::process::Command::new("id").arg("-un").output().unwrap().stdout;
    let user = String::from_utf8(user).unwrap();
    let process = sub.child.id().unwrap();
    let shown = format!("same host, user {}, process {process}", user.trim());
    assert_eq!(added["protection"], shown.as_str());
    let peers = run(&["peers", "--http", &http, "--output", "json"]).await.expect(0).lines();
    assert_eq!((&peers[0]["address"], &peers[0]["protection"]), (&url.into(), &shown.into()));
}
