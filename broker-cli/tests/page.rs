//! The page of a node in a real browser. Needs Chromium, Node and its package `playwright-core`
//! (found by `NODE_PATH`), and is skipped with a line where one of them is missing.
#![cfg(all(unix, feature = "http"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Cli, Signal, run, within};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

const CHROMIUM: &str = "/usr/bin/chromium";

/// The browser, and what it says it has seen.
async fn browser(url: &str) -> Option<(Child, Lines<BufReader<ChildStdout>>)> {
    let probe = Command::new("node").args(["-e", "require('playwright-core')"]).output().await;
    if !std::path::Path::new(CHROMIUM).exists() || !probe.is_ok_and(|done| done.status.success()) {
        eprintln!("skipped: no Chromium, or no playwright-core on NODE_PATH");
        return None;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/page/browser.cjs");
    let mut child = Command::new("node")
        .args([script, CHROMIUM, url])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    Some((child, lines))
}

#[tokio::test]
async fn the_page_shows_what_happens_and_runs_nothing_of_it() {
    let node = async |listen: &str, http: &str| {
        let args = ["node", "--listen", listen, "--http", http, "--forward", "/t", "--announce"];
        let mut node = Cli::start(&args);
        let url = node.listening().await;
        let http = node.listening().await;
        (node, url, http)
    };
    let (hub, url, http) = node("127.0.0.1:0", "127.0.0.1:0").await;
    let Some((_child, mut seen)) = browser(&http).await else { return };
    let mut next = async || within("the browser", seen.next_line()).await.unwrap().unwrap();
    assert_eq!(next().await, "loaded");
    let sensor = Cli::start(&["node", "--peer", &url, "--announce", "--name", "sensor-1"]);
    assert_eq!(next().await, "peered");
    let topic = "/t/<img src=x onerror=alert(1)>";
    let args = ["--event", "Notice::log", "10.0.0.7", "\"<script>\"", "--interval", "0.1"];
    let flood = Cli::start(&[&["pub", topic][..], &args, &["--peer", &url]].concat());
    assert_eq!(next().await, "escaped");
    flood.signal(Signal::TERM);
    flood.end().await;
    sensor.signal(Signal::TERM);
    sensor.end().await.expect(0);
    assert_eq!(next().await, "lost");
    hub.signal(Signal::TERM);
    hub.end().await.expect(0);
    assert_eq!(next().await, "down");
    let (_again, ..) = node(&url, &http).await;
    assert_eq!(next().await, "right");
    run(&["check", "--http", &http]).await.expect(0);
}
