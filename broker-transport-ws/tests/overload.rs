//! Clients that are too fast or too slow.

#![allow(clippy::unwrap_used)]

use broker_testkit::websocket as support;

use broker_core::OverflowPolicy;
use broker_core::endpoint::SubscriberOptions;
use broker_core::{Endpoint, SubscriberPolicy};
use broker_transport_ws::WsOptions;
use std::time::Duration;
use support::{Client, Frame, PATIENCE, Server, count, frame, statuses};
use tokio::time::timeout;

/// Shorter than any socket buffer is deep.
const PADDING: usize = 5000;

fn padded(number: u64) -> String {
    format!("{number:05}{}", "x".repeat(PADDING))
}

async fn publish(endpoint: &Endpoint, numbers: std::ops::Range<u64>) {
    for number in numbers {
        endpoint.publish("/t", padded(number).as_str()).await.unwrap();
        tokio::task::yield_now().await;
    }
}

/// The numbers of the messages that a client gets, and the contexts of errors in between, until
/// `last` or the end.
async fn numbers(client: &mut Client, last: u64) -> (Vec<u64>, Vec<String>) {
    let (mut numbers, mut errors) = (Vec::new(), Vec::new());
    loop {
        let Frame::Text(text) = client.recv().await else { break };
        let message: serde_json::Value = serde_json::from_str(&text).unwrap();
        if message["type"] == "error" {
            assert_eq!(message["code"], "overflow");
            errors.push(message["context"].as_str().unwrap().to_owned());
            continue;
        }
        numbers.push(message["data"].as_str().unwrap()[..5].parse().unwrap());
        if numbers.last() == Some(&last) {
            break;
        }
    }
    (numbers, errors)
}

/// Publishes until the queue of the only slow client has dropped something.
async fn overflow(server: &Server) -> u64 {
    let mut number = 0;
    let dropped = |server: &Server| server.endpoint.clients().iter().any(|c| c.dropped > 50);
    while !dropped(server) {
        assert!(number < 90_000, "nothing is ever dropped");
        publish(&server.endpoint, number..number + 50).await;
        number += 50;
    }
    number
}

fn options(policy: OverflowPolicy) -> WsOptions {
    WsOptions { queue_messages: 10, overflow_policy: policy, ..WsOptions::default() }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_told_and_disconnected_after_what_was_queued() {
    let server = Server::with(options(OverflowPolicy::Disconnect)).await;
    let mut slow = server.client("[\"/t\"]").await;
    let mut events = server.endpoint.events();
    let mut number = 0;
    while server.endpoint.client_count() > 0 {
        assert!(number < 90_000, "it is never disconnected");
        publish(&server.endpoint, number..number + 50).await;
        number += 50;
    }
    let texts = statuses(&mut events, 2).await;
    assert!(texts[0].starts_with("peer_removed("), "{texts:?}");
    assert!(
        texts[0].ends_with("\"client removed: caf::sec::backpressure_overflow\")"),
        "{texts:?}"
    );
    let mut next = 0;
    let error = loop {
        let message = slow.recv_json().await;
        if message["type"] == "error" {
            break message;
        }
        assert_eq!(message["data"].as_str().unwrap()[..5].parse(), Ok(next));
        next += 1;
    };
    assert_eq!(error["code"], "overflow");
    let (code, reason) = slow.recv_close().await;
    assert_eq!((code, reason.as_str()), (1011, "this client does not read fast enough"));
    slow.close(code, &reason).await;
    assert_eq!(slow.recv().await, Frame::End);
}

#[tokio::test]
async fn with_drop_newest_the_beginning_survives_and_the_client_is_told_how_many_are_missing() {
    let server = Server::with(options(OverflowPolicy::DropNewest)).await;
    let mut slow = server.client("[\"/t\"]").await;
    let last = overflow(&server).await;
    let dropped = server.endpoint.clients()[0].dropped;
    let reader = tokio::spawn(async move { numbers(&mut slow, last).await });
    // One more when there is room again.
    while server.endpoint.clients()[0].queued > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    publish(&server.endpoint, last..last + 1).await;
    let (numbers, errors) = timeout(PATIENCE, reader).await.unwrap().unwrap();
    assert_eq!(numbers[..numbers.len() - 1], (0..numbers.len() as u64 - 1).collect::<Vec<_>>());
    assert_eq!(numbers.len() as u64 + dropped, last + 1);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].starts_with(&format!("{dropped} messages were dropped")), "{errors:?}");
}

#[tokio::test]
async fn with_drop_oldest_the_end_survives() {
    let server = Server::with(options(OverflowPolicy::DropOldest)).await;
    let mut slow = server.client("[\"/t\"]").await;
    let end = overflow(&server).await;
    let dropped = server.endpoint.clients()[0].dropped;
    let (numbers, errors) = numbers(&mut slow, end - 1).await;
    assert_eq!(numbers.len() as u64 + dropped, end);
    assert_eq!(numbers[numbers.len() - 10..], (end - 10..end).collect::<Vec<_>>());
    assert!(errors[0].starts_with(&format!("{dropped} messages were dropped")), "{errors:?}");
}

#[tokio::test]
async fn a_slow_client_disturbs_nobody_else() {
    let server = Server::with(options(OverflowPolicy::DropOldest)).await;
    let _slow = server.client("[\"/t\"]").await;
    let mut quick = server.client("[\"/t\"]").await;
    let reader = tokio::spawn(async move {
        for number in 0..2000 {
            let message = quick.recv_json().await;
            assert_eq!(message["data"].as_str().unwrap()[..5].parse(), Ok(number));
        }
    });
    for number in 0..2000 {
        publish(&server.endpoint, number..number + 1).await;
        while server.endpoint.clients().iter().filter(|client| client.queued < 5).count() == 0 {
            tokio::task::yield_now().await;
        }
    }
    timeout(PATIENCE, reader).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_waits_for_a_client_is_bounded_in_bytes() {
    let options = WsOptions {
        queue_messages: 1_000_000,
        queue_bytes: 100_000,
        overflow_policy: OverflowPolicy::DropOldest,
        ..WsOptions::default()
    };
    let server = Server::with(options).await;
    let _slow = server.client("[\"/t\"]").await;
    overflow(&server).await;
    let client = &server.endpoint.clients()[0];
    assert!(client.queued_bytes <= 100_000, "{}", client.queued_bytes);
    assert!(client.queued >= 15, "{}", client.queued);
}

#[tokio::test]
async fn a_client_that_publishes_fast_is_slowed_and_never_cut() {
    let server = Server::start().await;
    let options = SubscriberOptions {
        messages: Some(10),
        ..SubscriberOptions::with_policy(SubscriberPolicy::Wait)
    };
    let mut subscriber = server.endpoint.subscribe_with(["/t"], options);
    let mut client = server.client("[]").await;
    const MESSAGES: u64 = 20_000;
    let writer = tokio::spawn(async move {
        for number in 0..MESSAGES {
            let mut text = count("/t", number);
            text.push_str(&" ".repeat(900));
            client.text(&text).await;
        }
        client
    });
    // Nobody receives, and so the client cannot get rid of all of it.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!writer.is_finished());
    assert!(server.endpoint.clients()[0].messages_in <= 11);
    for number in 0..MESSAGES {
        let message = timeout(PATIENCE, subscriber.recv()).await.unwrap().unwrap();
        assert_eq!(message.view().as_count(), Some(number));
    }
    let mut client = writer.await.unwrap();
    client.raw(&frame(9, true, b"still here")).await;
    assert_eq!(client.recv().await, Frame::Pong(b"still here".to_vec()));
}

#[tokio::test]
async fn a_client_that_causes_answers_without_reading_them_is_slowed() {
    let options = WsOptions { queue_control_bytes: 4096, ..WsOptions::default() };
    let server = Server::with(options).await;
    let client = server.client("[]").await;
    let (mut reader, mut writer) = client.stream.into_split();
    const PINGS: usize = 200_000;
    let writing = tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        let pings = frame(9, true, &[b'x'; 100]).repeat(100);
        for _ in 0..PINGS / 100 {
            writer.write_all(&pings).await.unwrap();
        }
        writer
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!writing.is_finished(), "the server has taken pings that it cannot answer");
    use tokio::io::AsyncReadExt;
    let mut bytes = vec![0; PINGS * 102];
    timeout(PATIENCE, reader.read_exact(&mut bytes)).await.unwrap().unwrap();
    writing.await.unwrap();
}

#[tokio::test]
async fn times_without_end_can_be_set() {
    let options = WsOptions {
        handshake_time: Duration::MAX,
        message_time: Duration::MAX,
        ping_interval: Duration::MAX,
        close_time: Duration::MAX,
        ..WsOptions::default()
    };
    let server = Server::with(options).await;
    let mut client = server.client("[]").await;
    // An unfinished message, and then one that ends the session.
    client.raw(&frame(1, false, b"{")).await;
    client.raw(&frame(1, true, b"{")).await;
    assert_eq!(client.recv_close().await.0, 1002);
}

#[tokio::test]
async fn silence_is_asked_about_and_then_closed_with_1011() {
    let options = WsOptions { ping_interval: Duration::from_millis(100), ..WsOptions::default() };
    let server = Server::with(options).await;
    let mut lively = server.client("[]").await;
    let mut silent = server.client("[]").await;
    for _ in 0..4 {
        assert_eq!(lively.recv().await, Frame::Ping(Vec::new()));
        lively.raw(&frame(10, true, b"")).await;
    }
    assert_eq!(silent.recv().await, Frame::Ping(Vec::new()));
    assert_eq!(silent.recv_close().await, (1011, "Ping timeout".into()));
    lively.raw(&frame(10, true, b"")).await;
    lively.text("x").await;
    lively.recv_text().await;
}
