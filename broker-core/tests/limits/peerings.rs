//! What a peer may send, and how a peering ends.

use super::raw::{OWN, RAW, Raw, raw};
use super::{TOO_LONG, endpoint, log, reason, with};
use broker_core::data::Value;
use broker_core::endpoint::SubscriberOptions;
use broker_core::event::{Event, StatusCode};
use broker_core::wire::envelope::{Envelope, EnvelopeType, ping_frame, routing_update_frame};
use broker_core::wire::routing_update;
use broker_core::{Limits, OverflowPolicy};
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
        ("filter-entry = 10", &["/11/bytes/x"]),
        ("", &[TOO_LONG]),
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

#[tokio::test]
async fn a_local_consumer_cannot_make_the_filter_larger_than_peers_accept() {
    let limits = "filter-entries = 3\nfilter-entry = 10\nfilter-bytes = 15";
    let (endpoint, net, url, mut events) = endpoint(limits).await;
    let mut raw = Raw::peer(&net, &url, RAW, &[]).await;
    let mut first = endpoint.subscribe(["/a/1", "/a/2", "/b"]);
    let options = SubscriberOptions::default;
    for (topics, limit) in [
        (&["/c"][..], "filter-entries is 3"),
        (&["/d/10bytes"], "filter-entries is 3"),
        (&["/b/11/bytes"], "filter-entry is 10"),
    ] {
        let refused = endpoint.try_subscribe(topics, options()).map(drop).unwrap_err();
        assert!(refused.to_string().ends_with(limit), "{refused}");
        assert_eq!(endpoint.try_hub(topics, options()).map(drop), Err(refused));
        assert_eq!(endpoint.forward(topics), Err(refused));
        assert_eq!(first.add(topics), Err(refused));
    }
    first.remove(["/b"]);
    let refused = endpoint.try_hub(["/c/10bytes", "/a/"], options()).map(drop);
    assert_eq!(refused, Ok(()), "it covers what is there");
    let refused = first.add(["/d/10bytes"]).unwrap_err();
    assert!(refused.to_string().ends_with("filter-bytes is 15"), "{refused}");
    // Who cannot be told so ends, and the log says why.
    let mut ended = endpoint.subscribe(["/too/long/a/topic"]);
    assert!(ended.recv().await.is_none());
    assert_eq!(reason(&mut events, "subscription-refused").await, "limit-reached");
    assert_eq!(endpoint.filter(), ["/a/1", "/a/2"]);
    // What was accepted still works, and the peer has heard of nothing else.
    raw.publish("/a/1", &[0]).await;
    assert!(first.recv().await.is_some());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_joins_and_leaves_never_costs_a_slow_peer_its_peering() {
    let (endpoint, net, url, _events) = endpoint("outbox-control-bytes = 4000").await;
    let mut raw = Raw::peer(&net, &url, RAW, &[]).await;
    raw.settle().await;
    // The peer reads nothing of this, and there is much more of it than may wait.
    for _ in 0..100 {
        let topics: Vec<_> = (0..100).map(|number| format!("/client/{number}")).collect();
        drop(endpoint.subscribe(topics));
        tokio::task::yield_now().await;
    }
    let _last = endpoint.subscribe(["/last"]);
    let mut updates = 0;
    loop {
        let frame = raw.frame().await.expect("the peering stays");
        let update = Envelope::decode(&frame).unwrap();
        assert_eq!(update.kind, EnvelopeType::RoutingUpdate);
        updates += 1;
        if routing_update::decode(update.payload, Limits::default().filter()).unwrap() == ["/last"]
        {
            break;
        }
    }
    assert!(updates <= 11, "{updates} announcements of changes that came all at once");
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
