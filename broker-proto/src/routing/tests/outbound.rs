//! Messages of this endpoint.

use super::*;
use crate::limits::SHARED_FRAME_MIN;

struct Local {
    rig: Rig,
    subscriber: Arc<Sink>,
    hub: Arc<Sink>,
    other_hub: Arc<Sink>,
}

const HUB: u64 = 2;

fn local() -> Local {
    let rig = Rig::new();
    let subscriber = rig.sink(1, SinkKind::Subscriber, &["/"]);
    let hub = rig.sink(HUB, SinkKind::Hub, &["/"]);
    let other_hub = rig.sink(3, SinkKind::Hub, &["/"]);
    Local { rig, subscriber, hub, other_hub }
}

impl Local {
    /// Publishes once and says who got it, how often.
    fn reached(&self, origin: Origin, receiver: EndpointId, topic: &str) -> Vec<&'static str> {
        let published = self.rig.publish(origin, receiver, topic, 7);
        let counts = [
            ("p", numbers(&self.rig.p)),
            ("q", numbers(&self.rig.q)),
            ("r", numbers(&self.rig.r)),
            ("subscriber", delivered(&self.subscriber)),
            ("hub", delivered(&self.hub)),
            ("other hub", delivered(&self.other_hub)),
        ];
        let takers: Vec<_> = counts
            .into_iter()
            .flat_map(|(name, numbers)| numbers.into_iter().map(move |_| name))
            .collect();
        assert_eq!(published.peers + published.local, takers.len());
        takers
    }
}

#[test]
fn what_the_endpoint_publishes_goes_to_peers_by_filter_and_to_hubs() {
    let local = local();
    assert_eq!(local.reached(Origin::Endpoint, NIL, "/x"), ["p", "hub", "other hub"]);
    assert_eq!(local.reached(Origin::Endpoint, NIL, "/q/x"), ["p", "q", "hub", "other hub"]);
    assert_eq!(local.reached(Origin::Endpoint, NIL, "x"), ["p"]);
}

#[test]
fn what_a_hub_publishes_goes_to_subscribers_as_well_but_not_back() {
    let local = local();
    let takers = ["p", "subscriber", "other hub"];
    assert_eq!(local.reached(Origin::Hub(HUB), NIL, "/x"), takers);
}

#[test]
fn what_is_addressed_to_a_peer_goes_there_whatever_it_subscribed_to_and_to_hubs() {
    let local = local();
    assert_eq!(local.reached(Origin::Endpoint, R, "/x"), ["r", "hub", "other hub"]);
    assert_eq!(local.reached(Origin::Endpoint, P, "/x"), ["p", "hub", "other hub"]);
}

#[test]
fn what_is_addressed_to_the_endpoint_itself_reaches_every_consumer_once() {
    let local = local();
    assert_eq!(local.reached(Origin::Endpoint, OWN, "/x"), ["subscriber", "hub", "other hub"]);
    assert_eq!(local.reached(Origin::Hub(HUB), OWN, "/x"), ["subscriber", "other hub"]);
}

#[test]
fn what_is_addressed_to_somebody_unknown_goes_to_hubs_only() {
    let local = local();
    assert_eq!(local.reached(Origin::Endpoint, STRANGER, "/x"), ["hub", "other hub"]);
}

#[test]
fn a_consumer_with_several_matching_prefixes_gets_a_message_once() {
    let rig = Rig::new();
    let hub = rig.sink(1, SinkKind::Hub, &["", "/", "/a", "/a/b"]);
    rig.router.set_peer_filter(Q, topics(&["/a", "", "/a/b/c"]));
    assert_eq!(rig.publish(Origin::Endpoint, NIL, "/a/b/c", 1), Published { peers: 2, local: 1 });
    assert_eq!((delivered(&hub), numbers(&rig.q)), (vec![1], vec![1]));
}

#[test]
fn changes_of_filters_and_peers_count_from_the_next_message_on() {
    let rig = Rig::new();
    rig.publish(Origin::Endpoint, NIL, "/x", 1);
    rig.router.set_peer_filter(R, topics(&["/x"]));
    rig.publish(Origin::Endpoint, NIL, "/x", 2);
    rig.router.remove_peer(P);
    rig.publish(Origin::Endpoint, NIL, "/x", 3);
    rig.router.set_peer_filter(P, topics(&["/x"]));
    rig.publish(Origin::Endpoint, NIL, "/x", 4);
    assert_eq!((numbers(&rig.p), numbers(&rig.r)), (vec![1, 2], vec![2, 3, 4]));
}

#[test]
fn messages_carry_the_own_id_and_all_hops() {
    let rig = Rig::new();
    rig.publish(Origin::Endpoint, NIL, "/x", 5);
    assert_eq!(sent(&rig.p), [("/x".to_owned(), 5, OWN, 16)]);
}

#[test]
fn internal_topics_long_topics_and_large_messages_are_refused() {
    let rig = Rig::new();
    let new = |topic: &[u8], size: usize| {
        let write = |out: &mut Vec<u8>| out.resize(out.len() + size, 0);
        Frames::default().add_on(&rig.router, topic, NIL, 1000, write)
    };
    assert_eq!(new(b"<$>/local/data/errors", 1), Err(PublishError::InternalTopic));
    assert!(matches!(new(&[b'x'; 65536], 1), Err(PublishError::TopicTooLong(_))));
    let size = 37 + 2 + 962;
    assert_eq!(new(b"/x", 962), Err(PublishError::TooLarge { size, limit: 1000 }));
    assert_eq!((new(b"/x", 961), new(b"<$>/local", 1)), (Ok(()), Ok(())));
    assert!(sent(&rig.p).is_empty());
}

#[test]
fn a_large_message_is_encoded_once_and_shared_by_all_its_destinations() {
    let rig = Rig::new();
    rig.router.set_peer_filter(Q, topics(&["/x"]));
    let hub = rig.sink(1, SinkKind::Hub, &["/x"]);
    let payload = Value::from(vec![7_u8; SHARED_FRAME_MIN]).encode();
    rig.publish_payload(Origin::Endpoint, NIL, "/x", &payload, &mut Vec::new());
    let shared = |piece: Result<Piece, Taken>| match piece {
        Ok(Piece::Shared(frame)) => frame.as_ptr(),
        other => panic!("{other:?}"),
    };
    let at = shared(hub.queue.take_piece());
    assert_eq!(shared(rig.p.queue.take_piece()), at);
    assert_eq!(shared(rig.q.queue.take_piece()), at);
}

#[test]
fn a_peer_that_overflows_for_good_is_named_once() {
    let rig = Rig::with(true, bounds(2, OverflowPolicy::Disconnect));
    let mut cut = Vec::new();
    for number in 0..6 {
        let payload = Value::Count(number).encode();
        rig.publish_payload(Origin::Endpoint, NIL, "/x", &payload, &mut cut);
    }
    assert_eq!(cut, [rig.p.conn]);
}

#[test]
fn events_of_the_endpoint_reach_only_those_who_asked_for_internal_topics() {
    let rig = Rig::new();
    let asked = rig.sink(1, SinkKind::Subscriber, &["<$>/local/data/statuses"]);
    let below = rig.sink(2, SinkKind::Hub, &["<$>/local/"]);
    let everything = rig.sink(3, SinkKind::Subscriber, &["", "<$>"]);
    let payload = Value::Count(1).encode();
    rig.router.publish_internally(b"<$>/local/data/statuses", &payload);
    assert_eq!((delivered(&asked), delivered(&below)), (vec![1], vec![1]));
    assert!(delivered(&everything).is_empty() && sent(&rig.p).is_empty());
}

/// Messages with these numbers on one topic.
fn numbered(router: &Router, topic: &FixedTopic, numbers: std::ops::Range<u64>) -> Frames {
    let mut frames = Frames::default();
    for number in numbers {
        let payload = Value::Count(number).encode();
        frames.add(router, topic, 1000, |out| out.extend_from_slice(&payload)).unwrap();
    }
    frames
}

#[test]
fn a_batch_gets_to_everybody_in_order_and_is_used_up() {
    let rig = Rig::new();
    let hub = rig.sink(1, SinkKind::Hub, &["/x"]);
    let topic = FixedTopic::new(&rig.router, "/x".into());
    let mut frames = numbered(&rig.router, &topic, 0..5);
    let to = Targets::of(&rig.router, Origin::Endpoint, &topic).send(
        &rig.router,
        &mut frames,
        &mut Vec::new(),
    );
    assert_eq!((to.peers, to.local, frames.count(), frames.bytes()), (1, 1, 0, 0));
    assert_eq!(numbers(&rig.p), [0, 1, 2, 3, 4]);
    assert_eq!(delivered(&hub), [0, 1, 2, 3, 4]);
}

#[test]
fn a_large_batch_for_one_becomes_a_segment_of_its_queue_behind_what_is_there() {
    let rig = Rig::with(true, bounds(100_000, OverflowPolicy::Wait));
    let topic = FixedTopic::new(&rig.router, "/x".into());
    let targets = Targets::of(&rig.router, Origin::Endpoint, &topic);
    let (mut few, mut many) =
        (numbered(&rig.router, &topic, 0..2), numbered(&rig.router, &topic, 2..1000));
    targets.send(&rig.router, &mut few, &mut Vec::new());
    let at = many.as_ptr();
    targets.send(&rig.router, &mut many, &mut Vec::new());
    assert_ne!(many.as_ptr(), at, "its memory belongs to the queue now");
    targets.send(&rig.router, &mut numbered(&rig.router, &topic, 1000..1002), &mut Vec::new());
    assert_eq!(numbers(&rig.p), (0..1002).collect::<Vec<_>>());
}

#[test]
fn a_batch_waits_with_what_a_queue_has_no_room_for() {
    let rig = Rig::with(true, bounds(4, OverflowPolicy::Wait));
    let topic = FixedTopic::new(&rig.router, "/x".into());
    let targets = Targets::of(&rig.router, Origin::Endpoint, &topic);
    let mut frames = numbered(&rig.router, &topic, 0..6);
    targets.send(&rig.router, &mut frames, &mut Vec::new());
    assert_eq!(frames.count(), 2);
    assert!(targets.has_to_wait());
    assert_eq!(numbers(&rig.p), [0, 1, 2, 3]);
    targets.send(&rig.router, &mut frames, &mut Vec::new());
    assert!(frames.is_empty());
    assert_eq!(numbers(&rig.p), [4, 5]);
}

#[test]
fn what_is_wrong_with_a_message_of_a_batch_leaves_the_others_alone() {
    let rig = Rig::new();
    let topic = FixedTopic::new(&rig.router, "/x".into());
    let mut frames = numbered(&rig.router, &topic, 0..1);
    let large = frames.add(&rig.router, &topic, 100, |out| out.resize(out.len() + 200, 0));
    assert!(matches!(large, Err(PublishError::TooLarge { .. })));
    let panics = std::panic::AssertUnwindSafe(|| {
        let _ = frames.add(&rig.router, &topic, 100, |out| {
            out.push(1);
            std::panic::panic_any("an encoder that does not get far");
        });
    });
    assert!(std::panic::catch_unwind(panics).is_err());
    let payload = Value::Count(1).encode();
    frames.add(&rig.router, &topic, 100, |out| out.extend_from_slice(&payload)).unwrap();
    Targets::of(&rig.router, Origin::Endpoint, &topic).send(
        &rig.router,
        &mut frames,
        &mut Vec::new(),
    );
    assert_eq!(numbers(&rig.p), [0, 1]);
}
