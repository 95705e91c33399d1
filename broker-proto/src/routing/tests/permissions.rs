//! What a peer may do by the rules for peers, and what comes back from peers of version 1.

use super::*;
use crate::Rights;
use crate::wire::envelope::{Passage, put_with_passage};
use crate::wire::handshake::Role;
use std::sync::atomic::Ordering::Relaxed;

/// The peers P and Q of version 1 and R, a relay of version 2, with these rights. All of them want
/// everything.
fn rig(rights: &Rights, policy: LoopPolicy) -> Rig {
    let router = Router::new(OWN, true, 64, 8).with_loops(policy);
    let dialects = [(P, Dialect::One), (Q, Dialect::One), (R, Dialect::Two(Role::Relay))];
    let [p, q, r] = dialects.map(|(id, dialect)| {
        let plain = peer(id, bounds(1000, OverflowPolicy::DropOldest));
        let plain = Arc::into_inner(plain).unwrap();
        Arc::new(Peer { dialect, rights: rights.clone().into(), ..plain })
    });
    for peer in [&p, &q, &r] {
        router.add_peer(Arc::clone(peer), topics(&[""]));
    }
    Rig { router, p, q, r }
}

fn reasons(seen: &[Progress]) -> Vec<&'static str> {
    let name = |progress: &Progress| match progress {
        Progress::Notice(Notice::Misbehaved { reason, .. }) => reason.name(),
        other => panic!("{other:?}"),
    };
    seen.iter().map(name).collect()
}

fn with_hops(sender: EndpointId, topic: &str, number: u64, ttl: u16) -> Vec<u8> {
    data_with(sender, NIL, topic, &Value::Count(number).encode(), ttl)
}

fn numbered(publisher: EndpointId, number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let passage = Passage { stream: 5, number, entry: R };
    put_with_passage(&mut out, &data(publisher, NIL, "/a", number), passage, 15);
    out
}

#[test]
fn what_a_peer_may_not_publish_goes_nowhere_and_is_said_once() {
    let rights = Rights::new(Some(&["/a".to_owned()]), None, true);
    let rig = rig(&rights, LoopPolicy::Warn);
    let frames = ["/b", "/a", "/b", "/a/b", ""].map(|topic| data(P, NIL, topic, 1));
    assert_eq!(reasons(&rig.arrive(&rig.p, &frames)), ["not-permitted"]);
    let got: Vec<_> = sent(&rig.q).into_iter().map(|(topic, ..)| topic).collect();
    assert_eq!(got, ["/a", "/a/b"]);
    assert_eq!(rig.p.counters.not_permitted.load(Relaxed), 3);
    let command = frame(&Envelope {
        sender: P,
        receiver: Q,
        kind: EnvelopeType::Command,
        ttl: 16,
        topic: b"/b",
        payload: &[],
    });
    assert_eq!(rig.arrive(&rig.p, &[command]).len(), 1);
    assert!(sent(&rig.q).is_empty());
}

#[test]
fn a_peer_that_publishes_much_that_it_may_not_is_not_cut() {
    let rights = Rights::new(Some(&[]), None, true);
    let rig = rig(&rights, LoopPolicy::Warn);
    let frames: Vec<_> = (0..500).map(|number| data(P, NIL, "/b", number)).collect();
    assert_eq!(reasons(&rig.arrive(&rig.p, &frames)), ["not-permitted"]);
}

#[test]
fn nobody_gets_what_it_may_not_subscribe_to_whatever_it_has_announced() {
    let rights = Rights::new(None, Some(&["/a".to_owned()]), true);
    let rig = rig(&rights, LoopPolicy::Warn);
    for topic in ["/a/x", "/b"] {
        rig.publish(Origin::Endpoint, NIL, topic, 1);
        rig.arrive(&rig.p, &[data(P, NIL, topic, 2)]);
    }
    rig.publish(Origin::Endpoint, Q, "/b", 3);
    rig.arrive(&rig.p, &[data(P, Q, "/b", 4)]);
    for peer in [&rig.q, &rig.r] {
        assert_eq!(numbers(peer), [1, 2]);
    }
}

#[test]
fn messages_of_others_may_be_refused_in_both_versions() {
    let rights = Rights::new(None, None, false);
    let rig = rig(&rights, LoopPolicy::Warn);
    rig.arrive(&rig.p, &[with_hops(P, "/a", 1, 16), with_hops(P, "/a", 2, 15)]);
    assert_eq!(numbers(&rig.q), [1]);
    rig.arrive(&rig.r, &[numbered(R, 1), numbered(STRANGER, 2)]);
    assert_eq!(numbers(&rig.q), [1]);
    let refused = [&rig.p, &rig.r].map(|peer| peer.counters.not_permitted.load(Relaxed));
    assert_eq!(refused, [1, 1]);
}

#[test]
fn a_message_that_comes_back_with_fewer_hops_tells_of_a_circle() {
    let rig = rig(&Rights::default(), LoopPolicy::Warn);
    rig.arrive(&rig.p, &[with_hops(P, "/a", 1, 15)]);
    let seen = rig.arrive(&rig.q, &[with_hops(Q, "/a", 1, 13), with_hops(Q, "/a", 2, 15)]);
    let [Progress::Notice(Notice::Misbehaved { what, .. })] = &seen[..] else { panic!("{seen:?}") };
    assert!(what.contains(&P.to_string()) && what.contains("13 hops left"), "{what}");
    assert_eq!(numbers(&rig.p), [1, 2], "it goes on");
    assert_eq!(rig.q.counters.looped.load(Relaxed), 1);
}

#[test]
fn a_message_that_comes_back_can_be_dropped_wherever_it_has_come_from_first() {
    let rig = rig(&Rights::default(), LoopPolicy::Drop);
    // One that comes over relays of version 1 is what makes the endpoint look.
    rig.arrive(&rig.p, &[with_hops(P, "/a", 0, 15)]);
    rig.arrive(&rig.r, &[numbered(STRANGER, 1)]);
    for peer in [&rig.p, &rig.q, &rig.r] {
        numbers(peer);
    }
    let back = [with_hops(Q, "/a", 1, 13), with_hops(Q, "/a", 0, 12), with_hops(Q, "/a", 2, 15)];
    let mut inbound = Inbound::new(Arc::clone(&rig.q), limits(100));
    let seen = rig.arrive_at(&mut inbound, &back);
    assert_eq!(reasons(&seen), ["loop-detected"; 2], "with each neighbour once");
    assert_eq!((numbers(&rig.p), numbers(&rig.r)), (vec![2], vec![2]));
    assert_eq!(rig.q.counters.looped.load(Relaxed), 2);
    assert!(rig.arrive_at(&mut inbound, &back).is_empty());
}

#[test]
fn the_same_again_over_the_same_path_or_much_later_is_no_circle() {
    let rig = rig(&Rights::default(), LoopPolicy::Drop);
    let [once, later] = [15, 14].map(|ttl| with_hops(P, "/a", 1, ttl));
    rig.arrive(&rig.p, &[once.clone(), once]);
    assert_eq!(numbers(&rig.q), [1, 1]);
    rig.p.heard.note(Duration::from_secs(11));
    rig.arrive(&rig.p, &[later]);
    assert_eq!(numbers(&rig.q), [1]);
    assert_eq!(rig.p.counters.looped.load(Relaxed), 0);
}

#[test]
fn publishers_that_are_peers_are_never_taken_for_a_circle() {
    let rig = rig(&Rights::default(), LoopPolicy::Drop);
    rig.arrive(&rig.p, &[data(P, NIL, "/a", 1)]);
    rig.arrive(&rig.q, &[data(Q, NIL, "/a", 1)]);
    assert!(!rig.router.loops.is_watching());
    assert_eq!((numbers(&rig.p), numbers(&rig.q)), (vec![1], vec![1]));
}
