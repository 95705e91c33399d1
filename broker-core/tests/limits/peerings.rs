//! What a peer may send, and how a peering ends.

use super::raw::{OWN, RAW, Raw, raw};
use super::{endpoint, log, reason, with};
use broker_core::OverflowPolicy;
use broker_core::data::Value;
use broker_core::event::{Event, StatusCode};
use broker_core::wire::envelope::{EnvelopeType, ping_frame, routing_update_frame};
use std::time::Duration;

#[tokio::test]
async fn a_frame_above_the_limit_ends_the_peering_and_one_at_the_limit_does_not() {
    let (endpoint, net, url, mut events) = endpoint("frame = 1000").await;
    let mut received = endpoint.subscribe(["/t"]);
    let mut raw = Raw::peer(&net, &url, RAW, &["/t"]).await;
    let value = |size: usize| {
        [&[5, 0x80 | (size % 128) as u8, (size / 128) as u8][..], &vec![b'x'; size]].concat()
    };
    let room = 1000 - 37 - 2 - 3;
    raw.publish("/t", &value(room)).await;
    assert_eq!(received.recv().await.unwrap().payload().len(), room + 3);
    assert!(endpoint.publish("/t", "x".repeat(room).as_str()).await.is_ok());
    let refused = endpoint.publish("/t", "x".repeat(room + 1).as_str()).await.unwrap_err();
    assert!(refused.to_string().contains("the limit frame is 1000"), "{refused}");
    raw.send(&1001_u32.to_be_bytes()).await.unwrap();
    raw.until_closed().await;
    let log = log(&mut events, "peer-lost").await;
    assert_eq!(
        (log.reason, log.level.name()),
        (Some(broker_core::Reason::FrameTooLarge), "warning")
    );
}

#[tokio::test]
async fn a_topic_of_65535_bytes_can_be_published_and_one_more_cannot() {
    let (endpoint, net, url, _) = endpoint("").await;
    let mut raw = Raw::peer(&net, &url, RAW, &[""]).await;
    let topic = "x".repeat(65536);
    assert!(endpoint.publish(&topic, &1_u64).await.is_err());
    assert_eq!(endpoint.publish(&topic[1..], &1_u64).await.unwrap().peers, 1);
    assert_eq!(raw.frame().await.unwrap().len(), 37 + 65535 + 9);
}

#[tokio::test]
async fn a_value_that_is_too_deep_goes_no_further() {
    let (endpoint, net, url, mut events) = endpoint("data-depth = 3").await;
    let mut received = endpoint.subscribe(["/t"]);
    let mut raw = Raw::peer(&net, &url, RAW, &[]).await;
    for depth in [4, 3] {
        raw.publish("/t", &[&[14, 1].repeat(depth)[..], &[0]].concat()).await;
    }
    let nested = |inner| Value::Vector(vec![inner]);
    let expected = nested(nested(nested(Value::None)));
    assert_eq!(received.recv().await.unwrap().data(), Ok(expected));
    let log = log(&mut events, "malformed-message").await;
    assert!(log.description.contains('3'), "{}", log.description);
    assert_eq!(endpoint.peering_stats()[&RAW].malformed, 1);
}

#[tokio::test]
async fn a_value_that_may_be_deeper_than_usual_can_be_decoded() {
    let (endpoint, net, url, _events) = endpoint("data-depth = 100").await;
    let mut received = endpoint.subscribe(["/t"]);
    let mut raw = Raw::peer(&net, &url, RAW, &[]).await;
    raw.publish("/t", &[&[14, 1].repeat(90)[..], &[0]].concat()).await;
    assert!(received.recv().await.unwrap().data().is_ok());
}

#[tokio::test]
async fn a_routing_update_above_the_limits_ends_the_peering() {
    for (limits, topics) in [
        ("filter-entries = 2", &["/a", "/b", "/c"][..]),
        ("filter-bytes = 10", &["/more/than/ten/bytes"]),
    ] {
        let (_endpoint, net, url, mut events) = endpoint(limits).await;
        let mut raw = Raw::peer(&net, &url, RAW, &["/a"]).await;
        let topics: Vec<_> = topics.iter().map(|topic| topic.as_bytes().into()).collect();
        raw.send(&routing_update_frame(RAW, OWN, &topics)).await.unwrap();
        raw.until_closed().await;
        assert_eq!(reason(&mut events, "peer-lost").await, "limit-reached");
    }
}

#[tokio::test]
async fn a_peer_that_sends_little_else_than_bad_messages_is_cut() {
    let (endpoint, net, url, mut events) = endpoint("bad-messages = 5").await;
    let mut raw = Raw::peer(&net, &url, RAW, &[]).await;
    for _ in 0..5 {
        raw.publish("/t", &[99]).await;
    }
    raw.settle().await;
    assert_eq!(endpoint.peering_stats()[&RAW].malformed, 5);
    // The ping has made up for one.
    raw.publish("/t", &[99]).await;
    raw.publish("/t", &[99]).await;
    raw.until_closed().await;
    let log = log(&mut events, "peer-lost").await;
    assert_eq!((log.reason, log.level.name()), (Some(broker_core::Reason::BadMessages), "warning"));
    assert!(log.description.contains("unknown tag"), "{}", log.description);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_accepts_nothing_is_cut_after_a_while() {
    let change = |config: &mut broker_core::Config| {
        config.overflow_policy = OverflowPolicy::DropOldest;
    };
    let (endpoint, net, url, mut events) = with("stalled-write = 2.5", change).await;
    let mut raw = Raw::peer(&net, &url, RAW, &["/t"]).await;
    raw.settle().await;
    let began = tokio::time::Instant::now();
    let large = "x".repeat(100_000);
    for _ in 0..20 {
        endpoint.publish("/t", large.as_str()).await.unwrap();
    }
    assert_eq!(reason(&mut events, "peer-lost").await, "stalled-write");
    // The time begins anew with every byte, which is looked at whenever it is over.
    assert_eq!(began.elapsed(), Duration::from_millis(5000));
    drop(raw);
}

#[tokio::test]
async fn a_peer_that_causes_answers_and_does_not_read_them_is_cut() {
    let (_endpoint, net, url, mut events) = endpoint("outbox-control-bytes = 4000").await;
    let mut raw = Raw::peer(&net, &url, RAW, &[]).await;
    let ping = ping_frame(RAW, OWN, &[7; 1000]);
    while raw.send(&ping).await.is_ok() {}
    let removed = loop {
        match events.next().await.unwrap() {
            Event::Status(status) if status.code == StatusCode::PeerRemoved => break status,
            _ => {}
        }
    };
    assert!(removed.message.ends_with("(caf::sec::backpressure_overflow)"), "{removed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_acknowledge_the_end_is_not_waited_for() {
    let (endpoint, net, url, mut events) = endpoint("bye = 1.5").await;
    let mut raw = Raw::peer(&net, &url, RAW, &[]).await;
    let began = tokio::time::Instant::now();
    assert!(endpoint.unpeer_id(RAW));
    raw.until_closed().await;
    assert_eq!(began.elapsed(), Duration::from_millis(1500));
    log(&mut events, "bye-timeout").await;
}

#[tokio::test(start_paused = true)]
async fn a_closed_connection_takes_in_bytes_for_a_while_and_no_longer() {
    let (_endpoint, net, url, mut events) = endpoint("linger = 0.5").await;
    let mut raw = Raw::dial(&net, &url).await;
    raw.send(&[0, 0, 0, 1, 99]).await.unwrap();
    assert_eq!(raw.until_closed().await.len(), 2, "probe and drop_conn");
    assert_eq!(reason(&mut events, "handshake-failed").await, "malformed-handshake");
    let began = tokio::time::Instant::now();
    while raw.send(&raw.envelope(EnvelopeType::Ping, "<$>", &[0; 1000])).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let lingered = began.elapsed();
    assert!((490..=520).contains(&lingered.as_millis()), "{lingered:?}");
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_does_not_get_on_ends_the_peering_in_its_time() {
    let (endpoint, net, url, mut events) = endpoint("frame-time = 5").await;
    let mut received = endpoint.subscribe(["/t"]);
    let mut raw = Raw::peer(&net, &url, RAW, &[]).await;
    let began = tokio::time::Instant::now();
    let frame = raw.envelope(EnvelopeType::Data, "/t", &[2, 0, 0, 0, 0, 0, 0, 0, 7]);
    // Frames may each take nearly as long as they may.
    for part in [&frame[..20], &frame[20..], &frame[..20], &[&frame[20..], &frame[..3]].concat()] {
        raw.send(part).await.unwrap();
        tokio::time::sleep(Duration::from_secs(4)).await;
    }
    assert!(received.recv().await.is_some() && received.recv().await.is_some());
    assert_eq!(endpoint.peers().len(), 1);
    // A byte now and then gains no time.
    for byte in &frame[3..] {
        if raw.send(&[*byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    let log = log(&mut events, "peer-lost").await;
    assert_eq!(log.reason, Some(broker_core::Reason::LimitReached));
    assert!(log.description.contains("the limit frame-time"), "{}", log.description);
    assert!(began.elapsed() < Duration::from_secs(4 * 4 + 5));
}

#[tokio::test]
async fn unfinished_frames_that_exceed_the_memory_go_the_largest_first() {
    let (endpoint, net, url, mut events) = endpoint("memory = 4_000_000").await;
    let mut received = endpoint.subscribe(["/t"]);
    let mut honest = Raw::peer(&net, &url, RAW, &[]).await;
    let stalled = |size: usize| [&8_000_000_u32.to_be_bytes()[..], &vec![0; size]].concat();
    let mut first = Raw::peer(&net, &url, raw(0xdd), &[]).await;
    first.send(&stalled(500_000)).await.unwrap();
    // It could be as large as that if it were alone.
    let mut second = Raw::peer(&net, &url, raw(0xde), &[]).await;
    let _ = second.send(&stalled(3_500_000)).await;
    second.until_closed().await;
    let log = log(&mut events, "peer-lost").await;
    assert_eq!(log.reason, Some(broker_core::Reason::LimitReached));
    assert!(log.description.contains("the limit memory"), "{}", log.description);
    assert!(log.description.contains(&raw(0xde).to_string()), "{}", log.description);
    honest.publish("/t", &[0]).await;
    assert!(received.recv().await.is_some());
    first.send(&[0; 1000]).await.unwrap();
    assert_eq!(endpoint.peers().iter().filter(|peer| peer.status.name() == "peered").count(), 2);
}
