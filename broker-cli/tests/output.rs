//! Output that nobody takes: a reader that has gone or sleeps, a full disk, no descriptor at all.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Cli, Signal, node, run, within};
use std::process::Stdio;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};

/// A pipe that takes nothing more, and the end that nobody reads.
async fn full_pipe() -> (Stdio, pipe::Receiver) {
    let (sender, receiver) = pipe::pipe().unwrap();
    sender.writable().await.unwrap();
    while sender.try_write(&[b'x'; 4096]).is_ok() {}
    (sender.into_blocking_fd().unwrap().into(), receiver)
}

fn start(args: &[&str], stdout: Stdio, stderr: Stdio) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_broker-cli"));
    command.args(args).stdin(Stdio::null()).stdout(stdout).stderr(stderr).kill_on_drop(true);
    command.spawn().unwrap()
}

async fn end(mut child: Child, signal: Signal) -> Option<i32> {
    let pid = i32::try_from(child.id().unwrap()).unwrap();
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
    within("the end", child.wait()).await.unwrap().code()
}

/// A node with something to say on both streams.
const TALKATIVE: [&str; 6] =
    ["node", "--peer", "127.0.0.1:1", "--retry", "0.05", "--log-level=debug"];

#[tokio::test]
async fn a_node_whose_output_is_stuck_serves_its_peers_and_ends_when_it_is_told_to() {
    let (mut hub, url) = node(&["--events"]).await;
    for more in [&["--events"][..], &[]] {
        let (stdout, _unread) = full_pipe().await;
        let (stderr, _unread_either) = full_pipe().await;
        let args = [&TALKATIVE[..], &["--peer", &url, "--forward", "/t"], more].concat();
        let stuck = start(&args, stdout, stderr);
        hub.event("peer_added").await;
        // It has to do something for this, long after it has said the first that nobody took.
        run(&["ping", &url, "--count", "2"]).await.expect(0);
        hub.event("peer_lost").await;
        assert_eq!(end(stuck, Signal::TERM).await, Some(0), "{more:?}");
        hub.event("peer_lost").await;
    }
}

#[tokio::test]
async fn a_subscriber_whose_output_is_stuck_ends_when_it_is_told_to() {
    let (mut hub, url) = node(&["--events", "--forward", "/t"]).await;
    let (stdout, _unread) = full_pipe().await;
    let sub = start(&["sub", "/t", "--peer", &url, "--events"], stdout, Stdio::null());
    hub.event("peer_added").await;
    run(&["pub", "/t", "1", "--peer", &url, "--count", "1000"]).await.expect(0);
    assert_eq!(end(sub, Signal::INT).await, Some(130));
}

#[tokio::test]
async fn a_full_disk_costs_a_node_its_output_and_nothing_else() {
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else { return };
    let full = || Stdio::from(full.try_clone().unwrap());
    let (mut hub, url) = node(&["--events"]).await;
    let args = [&TALKATIVE[..], &["--peer", &url, "--events"][..]].concat();
    let (stderr, said) = pipe::pipe().unwrap();
    let full_stdout = start(&args, full(), Stdio::from(stderr.into_blocking_fd().unwrap()));
    hub.event("peer_added").await;
    assert_eq!(end(full_stdout, Signal::TERM).await, Some(0));
    let mut text = [0; 4096];
    let count = said.try_read(&mut text).unwrap();
    let text = String::from_utf8_lossy(&text[..count]);
    assert_eq!(text.matches("writing to standard output: No space left").count(), 1, "{text}");
    assert!(text.contains("this goes on without"), "{text}");
    let full_stderr = start(&args[..args.len() - 1], Stdio::null(), full());
    hub.event("peer_added").await;
    assert_eq!(end(full_stderr, Signal::TERM).await, Some(0));
}

#[tokio::test]
async fn a_full_disk_is_a_failure_of_commands_that_are_there_for_their_output() {
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else { return };
    let sub = start(&["sub", "/t", "--listen", "127.0.0.1:0"], full.into(), Stdio::piped());
    let output = within("the end", sub.wait_with_output()).await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("writing to standard output: No space left"), "{text}");
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
async fn a_closed_pipe_ends_every_command_that_is_there_for_its_output() {
    let (mut hub, url) = node(&["--events"]).await;
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
async fn a_node_whose_reader_has_gone_serves_its_peers() {
    let (mut hub, url) = node(&["--events"]).await;
    let mut other = Cli::start(&["sub", "/t", "--peer", &url]);
    hub.event("peer_added").await;
    drop(hub.stdout.take());
    // Of the first it has an event that nobody reads, with the others it goes on.
    for _ in 0..3 {
        run(&["ping", &url, "--count", "1"]).await.expect(0);
    }
    drop(other.stdin.take());
    hub.signal(Signal::TERM);
    let end = hub.end().await.expect(0);
    assert_eq!(end.stderr.matches("nobody reads standard output any more").count(), 1, "{end:?}");
    other.signal(Signal::INT);
    other.end().await.expect(130);
}

/// A socket that got such a number would be sent what is meant for people.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn streams_that_are_closed_at_the_start_are_nobody_elses_later() {
    let (mut hub, url) = node(&["--events"]).await;
    let closing = ["sh", "-c", "exec \"$0\" \"$@\" 0<&- 1>&- 2>&-"];
    let closed = Cli::start_by(&closing, &["node", "--peer", &url, "--events"]);
    hub.event("peer_added").await;
    let pid = closed.child.id().unwrap();
    for number in 0..3 {
        let target = std::fs::read_link(format!("/proc/{pid}/fd/{number}")).unwrap();
        assert_eq!(target.to_str(), Some("/dev/null"), "{number}");
    }
    closed.signal(Signal::TERM);
    closed.end().await.expect(0);
}
