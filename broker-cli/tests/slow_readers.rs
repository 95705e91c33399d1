//! Publishing as fast as a loop can to a peer that reads slowly.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use broker::event::StatusCode;
use broker::{
    Address, Endpoint, EventStream, Message, Subscriber, SubscriberOptions, SubscriberPolicy,
};
use common::{Cli, Signal, within};
use std::pin::pin;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinHandle;

/// More bytes than sockets and buffers between two processes hold.
const MESSAGES: u64 = 10_000;
const BALLAST: usize = 2000;

/// A peer that reads only when it is told to, and takes little in before.
struct Reader {
    endpoint: Endpoint,
    subscriber: Subscriber,
    events: EventStream,
    url: String,
}

impl Reader {
    async fn start() -> Self {
        let endpoint = broker::builder().build().unwrap();
        let options =
            SubscriberOptions { messages: Some(4), bytes: None, policy: SubscriberPolicy::Wait };
        let subscriber = endpoint.subscribe_with(["/flood"], options);
        let events = endpoint.events();
        let at: Address = "tcp://127.0.0.1:0".parse().unwrap();
        let url = endpoint.listen(&at).await.unwrap().to_string();
        Self { endpoint, subscriber, events, url }
    }

    async fn next(&mut self) -> u64 {
        number_of(&within("a message", self.subscriber.recv()).await.unwrap())
    }

    /// How often a peering was made and how often one ended, in this order.
    fn peerings(&mut self) -> (usize, usize) {
        let codes: Vec<_> = std::iter::from_fn(|| self.events.try_next())
            .filter_map(|event| event.status())
            .collect();
        let count = |wanted| codes.iter().filter(|code| **code == wanted).count();
        (count(StatusCode::PeerAdded), count(StatusCode::PeerLost))
    }
}

fn number_of(message: &Message) -> u64 {
    message.view().get(0).unwrap().as_count().unwrap()
}

/// Starts to publish to the reader; the task ends when the publisher has taken everything in.
async fn publish(reader: &Reader, policy: &[&str]) -> (Cli, JoinHandle<()>) {
    let args = ["pub", "/flood", "-", "--peer", &reader.url, "--peer-buffer-size", "64"];
    let mut publisher = Cli::start(&[&args, policy].concat());
    let mut stdin = publisher.stdin.take().unwrap();
    let writer = tokio::spawn(async move {
        let ballast = ".".repeat(BALLAST);
        for number in 1..=MESSAGES {
            let line = format!("[{number},\"{ballast}\"]\n");
            if stdin.write_all(line.as_bytes()).await.is_err() {
                return;
            }
        }
    });
    (publisher, writer)
}

#[tokio::test]
async fn a_publisher_that_waits_loses_nothing() {
    let mut reader = Reader::start().await;
    let (publisher, writer) = publish(&reader, &[]).await;
    for number in 1..=MESSAGES {
        assert_eq!(reader.next().await, number);
    }
    publisher.end().await.expect(0);
    writer.await.unwrap();
    reader.endpoint.shutdown().await;
    assert!(reader.subscriber.recv().await.is_none());
    assert_eq!(reader.peerings(), (1, 1));
}

#[tokio::test]
async fn policies_that_drop_lose_messages_and_not_the_peering() {
    for (policy, kept) in [("drop_oldest", MESSAGES), ("drop_newest", 1)] {
        let mut reader = Reader::start().await;
        let (publisher, writer) = publish(&reader, &["--overflow", policy]).await;
        within("publishing without waiting", writer).await.unwrap();
        assert_eq!(reader.peerings(), (1, 0), "{policy}");
        let mut numbers = Vec::new();
        let mut ended = pin!(publisher.end());
        let end = loop {
            tokio::select! {
                number = reader.next() => numbers.push(number),
                end = &mut ended => break end,
            }
        };
        end.expect(0);
        reader.endpoint.shutdown().await;
        assert_eq!(reader.peerings(), (0, 1), "{policy}: it ended only now");
        while let Some(message) = reader.subscriber.recv().await {
            numbers.push(number_of(&message));
        }
        assert!(numbers.len() < usize::try_from(MESSAGES).unwrap(), "{policy}");
        assert!(numbers.is_sorted_by(|a, b| a < b), "{policy}");
        assert!(numbers.contains(&kept), "{policy}");
    }
}

#[tokio::test]
async fn only_the_policy_disconnect_loses_the_peering() {
    let reader = Reader::start().await;
    let (publisher, writer) = publish(&reader, &["--overflow", "disconnect"]).await;
    publisher.end().await.expect(1).says("the last peer did not read fast enough and was cut");
    within("the end of the input", writer).await.unwrap();
}

#[tokio::test]
async fn a_publisher_to_a_peer_that_stops_reading_ends_when_it_is_told_to() {
    let config = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(config.path(), "[limits]\nbye = 0.1\nlinger = 0.1\n").unwrap();
    let config = ["--config", config.path().to_str().unwrap()];
    for signal in [Signal::INT, Signal::TERM] {
        let mut reader = Reader::start().await;
        let (publisher, writer) = publish(&reader, &config).await;
        // More than this it does not take in.
        reader.next().await;
        publisher.signal(signal);
        publisher.end().await.expect(130);
        within("the end of the input", writer).await.unwrap();
    }
}

#[tokio::test]
async fn a_subscriber_says_what_the_hub_has_dropped_for_it() {
    let args = ["--forward", "/flood", "--peer-buffer-size", "64", "--events"];
    let (mut hub, url) = common::node(&args).await;
    let mut sub = Cli::start(&["sub", "/flood", "--peer", &url]);
    hub.event("peer_added").await;
    let mut publisher = Cli::start(&["pub", "/flood", "-", "--peer", &url]);
    let mut stdin = publisher.stdin.take().unwrap();
    let ballast = ".".repeat(BALLAST);
    for number in 1..=MESSAGES {
        let line = format!("[{number},\"{ballast}\"]\n");
        within("publishing", stdin.write_all(line.as_bytes())).await.unwrap();
    }
    drop(stdin);
    publisher.end().await.expect(0);
    // Whatever it had no room for is gone now, and the rest comes.
    let done = tokio::spawn(async move {
        common::run(&["pub", "/flood", "\"done\"", "--peer", &url]).await.expect(0);
    });
    let mut received = 0;
    while sub.json().await["data"] != "done" {
        received += 1;
    }
    done.await.unwrap();
    sub.signal(Signal::TERM);
    let end = sub.end().await.expect(0);
    let missed = MESSAGES - received;
    assert!(missed > 0);
    end.says(&format!("{missed} messages for this command were dropped by its peers"));
    end.says("warning: messages-missed: ");
    end.says(&format!("({missed} since it was peered)"));
}
