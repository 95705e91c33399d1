//! Messages between endpoints of version 2.

use super::*;
use crate::limits::SHARED_FRAME_MIN;
use crate::wire::envelope::{Passage, passage, put_with_passage};
use crate::wire::handshake::Role;
use std::sync::atomic::Ordering::Relaxed;

/// The peers P of version 1, Q a leaf of version 2 and R a relay; all of them want everything.
fn rig() -> Rig {
    let router = Router::new(OWN, true, 64, 8).in_life(77, 8);
    let dialects = [Dialect::One, Dialect::Two(Role::Leaf), Dialect::Two(Role::Relay)];
    let [p, q, r] = [(P, dialects[0]), (Q, dialects[1]), (R, dialects[2])].map(|(id, dialect)| {
        let plain = peer(id, bounds(1000, OverflowPolicy::DropOldest));
        let plain = Arc::into_inner(plain).unwrap();
        Arc::new(Peer { dialect, ..plain })
    });
    for peer in [&p, &q, &r] {
        router.add_peer(Arc::clone(peer), topics(&[""]));
    }
    Rig { router, p, q, r }
}

/// A message of somebody with a passage.
fn numbered(publisher: EndpointId, number: u64, entry: EndpointId) -> Vec<u8> {
    let mut out = Vec::new();
    let passage = Passage { stream: 5, number, entry };
    put_with_passage(&mut out, &data(publisher, NIL, "/x", number), passage, 16);
    out
}

fn passages(peer: &Peer) -> Vec<(EndpointId, Option<Passage>)> {
    let bytes = bytes_for(peer);
    let read = |payload| (Envelope::decode(payload).unwrap().sender, passage(payload));
    payloads(&bytes).map(read).collect()
}

#[test]
fn what_has_been_here_goes_no_further() {
    let rig = rig();
    let sink = rig.sink(1, SinkKind::Subscriber, &["/x"]);
    let frames = [1, 2, 2, 1, 3].map(|number| numbered(STRANGER, number, STRANGER));
    assert!(rig.arrive(&rig.r, &frames).is_empty());
    assert_eq!((numbers(&rig.p), delivered(&sink)), (vec![1, 2, 3], vec![1, 2, 3]));
    assert_eq!(rig.r.counters.duplicates.load(Relaxed), 2);
    // The number counts in its own stream.
    rig.arrive(&rig.q, &[numbered(Q, 1, NIL)]);
    assert_eq!(delivered(&sink), [1]);
}

#[test]
fn the_own_messages_that_come_back_are_dropped() {
    let rig = rig();
    rig.arrive(&rig.r, &[numbered(OWN, 1, R), numbered(P, 1, OWN)]);
    assert_eq!((numbers(&rig.p), numbers(&rig.q)), (vec![], vec![]));
    assert_eq!(rig.r.counters.duplicates.load(Relaxed), 2);
}

#[test]
fn each_peer_gets_the_form_that_it_understands() {
    let rig = rig();
    rig.publish(Origin::Endpoint, NIL, "/x", 1);
    let own = |number| Some(Passage { stream: 77, number, entry: OWN });
    assert_eq!(passages(&rig.p), [(OWN, None)]);
    assert_eq!(passages(&rig.q), [(OWN, own(1))]);
    assert_eq!(passages(&rig.r), [(OWN, own(1))]);
    rig.arrive(&rig.p, &[data(P, NIL, "/x", 2), data(P, NIL, "/x", 3)]);
    assert_eq!(passages(&rig.q), [(P, own(2)), (P, own(3))], "brought into the overlay");
    rig.arrive(&rig.q, &[numbered(Q, 4, NIL)]);
    assert_eq!(passages(&rig.p), [(OWN, None)]);
    let entered = Passage { stream: 5, number: 4, entry: OWN };
    assert_eq!(
        passages(&rig.r)[2..],
        [(Q, Some(entered))],
        "with its number, and where it entered"
    );
}

#[test]
fn only_relays_bring_messages_of_others_and_nobody_those_of_another_version() {
    let rig = rig();
    rig.arrive(&rig.q, &[numbered(STRANGER, 1, NIL)]);
    assert_eq!(rig.q.counters.forged.load(Relaxed), 1);
    rig.arrive(&rig.q, &[data(Q, NIL, "/x", 1)]);
    rig.arrive(&rig.p, &[numbered(P, 1, NIL)]);
    let malformed = [&rig.p, &rig.q].map(|peer| peer.counters.malformed.load(Relaxed));
    assert_eq!(malformed, [1, 1]);
    assert_eq!(numbers(&rig.r), Vec::<u64>::new());
}

#[test]
fn a_large_message_is_shared_in_each_form() {
    let rig = rig();
    // The second one is large with its passage only.
    for (number, size) in [(1, 10_000), (2, SHARED_FRAME_MIN - 60)] {
        let payload = Value::from("x".repeat(size).as_str()).encode();
        let mut large = Vec::new();
        let passage = Passage { stream: 5, number, entry: R };
        put_with_passage(&mut large, &data_with(R, NIL, "/x", &payload, 16), passage, 16);
        assert!(large.len() >= SHARED_FRAME_MIN);
        rig.arrive(&rig.r, &[large]);
        assert_eq!(passages(&rig.p), [(OWN, None)]);
        assert_eq!(passages(&rig.q), [(R, Some(passage))]);
    }
}
