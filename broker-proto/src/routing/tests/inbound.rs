//! Messages of peers.

use super::*;
use std::sync::atomic::Ordering::Relaxed;

#[test]
fn a_message_of_a_peer_reaches_subscribers_hubs_and_other_peers_but_not_its_sender() {
    let rig = Rig::new();
    let subscriber = rig.sink(1, SinkKind::Subscriber, &["/q"]);
    let hub = rig.sink(2, SinkKind::Hub, &["/"]);
    let other = rig.sink(3, SinkKind::Hub, &["/other"]);
    rig.router.set_peer_filter(R, topics(&["/q/x"]));
    assert!(rig.arrive(&rig.q, &[data(Q, NIL, "/q/x", 7)]).is_empty());
    assert_eq!((delivered(&subscriber), delivered(&hub)), (vec![7], vec![7]));
    assert!(delivered(&other).is_empty());
    // The next peer sees this endpoint as the sender, and a hop less.
    assert_eq!(sent(&rig.p), [("/q/x".to_owned(), 7, OWN, 15)]);
    assert_eq!(sent(&rig.r), [("/q/x".to_owned(), 7, OWN, 15)]);
    assert!(sent(&rig.q).is_empty());
}

#[test]
fn consumers_see_who_handed_a_message_over() {
    let rig = Rig::new();
    let sink = rig.sink(1, SinkKind::Subscriber, &["/"]);
    rig.arrive(&rig.q, &[data(Q, NIL, "/x", 7)]);
    let Ok(Piece::Segment { bytes, .. }) = sink.queue.take_piece() else { panic!() };
    assert_eq!(read(&bytes), [("/x".to_owned(), 7, Q, 16)]);
}

#[test]
fn what_is_addressed_to_this_endpoint_is_delivered_and_goes_no_further() {
    let rig = Rig::new();
    let sink = rig.sink(1, SinkKind::Subscriber, &["/"]);
    rig.arrive(&rig.q, &[data(Q, OWN, "/x", 7)]);
    assert_eq!(delivered(&sink), [7]);
    assert!(sent(&rig.p).is_empty());
}

#[test]
fn what_is_addressed_to_another_peer_goes_there_alone_whatever_it_subscribed_to() {
    let rig = Rig::new();
    let sink = rig.sink(1, SinkKind::Hub, &["/"]);
    rig.arrive(&rig.q, &[data(Q, R, "/x", 7), data(Q, STRANGER, "/x", 8), data(Q, Q, "/x", 9)]);
    assert_eq!(numbers(&rig.r), [7]);
    assert!(sent(&rig.p).is_empty() && sent(&rig.q).is_empty() && delivered(&sink).is_empty());
}

#[test]
fn a_leaf_passes_nothing_on() {
    let rig = Rig::with(false, bounds(1000, OverflowPolicy::DropOldest));
    let sink = rig.sink(1, SinkKind::Subscriber, &["/"]);
    rig.arrive(&rig.q, &[data(Q, NIL, "/x", 7), data(Q, R, "/x", 8)]);
    assert_eq!(delivered(&sink), [7]);
    assert!(sent(&rig.p).is_empty() && sent(&rig.r).is_empty());
}

#[test]
fn the_last_hop_delivers_and_counts_what_would_have_gone_further() {
    for (ttl, left) in
        [(u16::MAX, Some(15)), (17, Some(15)), (16, Some(15)), (2, Some(1)), (1, None), (0, None)]
    {
        let rig = Rig::new();
        let sink = rig.sink(1, SinkKind::Subscriber, &["/"]);
        let payload = Value::Count(7).encode();
        rig.arrive(&rig.q, &[data_with(Q, NIL, "/x", &payload, ttl)]);
        assert_eq!(delivered(&sink), [7]);
        let hops: Vec<u16> = sent(&rig.p).into_iter().map(|(.., ttl)| ttl).collect();
        assert_eq!(hops, Vec::from_iter(left));
        assert_eq!(rig.q.counters.expired.load(Relaxed), u64::from(left.is_none()));
    }
    // Without anybody to pass it on to there is nothing to count.
    let rig = Rig::new();
    rig.arrive(&rig.p, &[data_with(P, NIL, "/x", &Value::Count(7).encode(), 1)]);
    assert_eq!(rig.p.counters.expired.load(Relaxed), 0);
}

#[test]
fn a_message_that_circles_ends() {
    let (a, b) = (Rig::new(), Rig::new());
    let mut frames = vec![data(P, NIL, "/q/x", 1)];
    let mut laps = 0;
    while !frames.is_empty() {
        let (rig, from, to) = if laps % 2 == 0 { (&a, &a.p, &a.q) } else { (&b, &b.p, &b.q) };
        for frame in &mut frames {
            // The other endpoint knows this one as P.
            frame[4..20].copy_from_slice(P.as_bytes());
        }
        rig.arrive(from, &frames);
        frames = vec![bytes_for(to)];
        frames.retain(|frame| !frame.is_empty());
        laps += 1;
        assert!(laps <= 16, "it goes round forever");
    }
    assert_eq!(laps, 16);
}

#[test]
fn commands_are_for_peers_only() {
    let rig = Rig::new();
    let sink = rig.sink(1, SinkKind::Hub, &["/"]);
    let mut payload = vec![0; 8 + 24 + 24];
    payload.extend([9, 0, 0, 0, 0, 0, 0, 0, 3]);
    let command = Envelope {
        sender: Q,
        receiver: NIL,
        kind: EnvelopeType::Command,
        ttl: 16,
        topic: b"/x",
        payload: &payload,
    };
    rig.arrive(&rig.q, &[frame(&command)]);
    assert!(delivered(&sink).is_empty());
    assert_eq!(sent(&rig.p).len(), 1);
}

#[test]
fn pings_are_answered_with_their_payload_and_go_no_further() {
    let rig = Rig::new();
    for (receiver, payload, answered) in
        [(OWN, &b"BYE\x07\0\0\0\0\0\0\0"[..], true), (NIL, b"", true), (R, b"x", false)]
    {
        let mut ping = wire::envelope::ping_frame(Q, receiver, payload);
        assert!(rig.arrive(&rig.q, &[std::mem::take(&mut ping)]).is_empty());
        let answer = bytes_for(&rig.q);
        let expected = wire::envelope::pong_frame(OWN, Q, payload);
        assert_eq!(answer, if answered { expected } else { Vec::new() });
    }
    assert!(bytes_for(&rig.p).is_empty() && bytes_for(&rig.r).is_empty());
}

#[test]
fn routing_updates_and_pongs_for_this_endpoint_are_passed_to_those_who_decide() {
    let rig = Rig::new();
    let update = |to| wire::envelope::routing_update_frame(Q, to, &topics(&["/a", "/a"]));
    let pong = |to| wire::envelope::pong_frame(Q, to, b"token");
    let seen = rig.arrive(&rig.q, &[update(OWN), pong(NIL), update(R), pong(R)]);
    let [Progress::Notice(Notice::RoutingUpdate(filter)), Progress::Notice(Notice::Pong(payload))] =
        &seen[..]
    else {
        panic!("{seen:?}")
    };
    assert_eq!((filter, &payload[..]), (&topics(&["/a"]), &b"token"[..]));
    assert!(bytes_for(&rig.p).is_empty() && bytes_for(&rig.r).is_empty());
}

#[test]
fn a_full_waiting_consumer_stops_the_input_before_anything_is_delivered_or_counted() {
    let rig = Rig::new();
    let eager = rig.sink(1, SinkKind::Subscriber, &["/"]);
    let waiting = rig.sink_with(2, SinkKind::Subscriber, &["/"], bounds(1, OverflowPolicy::Wait));
    rig.arrive(&rig.q, &[data(Q, NIL, "/x", 1)]);
    let seen = rig.arrive(&rig.q, &[data(Q, NIL, "/x", 2)]);
    assert!(matches!(&seen[..], [Progress::Wait(sink)] if sink.id == 2), "{seen:?}");
    assert_eq!((delivered(&eager), numbers(&rig.p)), (vec![1], vec![1]));
    assert_eq!(rig.q.counters.messages_in(), 1);
    // Other topics, and peers, do not depend on that consumer.
    assert!(rig.arrive(&rig.q, &[data(Q, NIL, "x", 3)]).is_empty());
    assert_eq!(delivered(&waiting), [1]);
    rig.arrive(&rig.q, &[data(Q, NIL, "/x", 2)]);
    assert_eq!((delivered(&eager), delivered(&waiting)), (vec![2], vec![2]));
}
