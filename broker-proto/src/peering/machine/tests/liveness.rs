//! Peers that vanished without a word and come back under the same id.

use super::*;

/// Lets another connection claim to be the peer, and returns what happens beside its refusal.
fn claim(rig: &mut Rig, peer: EndpointId) -> Vec<String> {
    rig.accepted();
    let conn = rig.control.last_conn;
    let mut told = rig.hello(conn, peer);
    if peer < OWN {
        told = rig.select(conn, peer);
    }
    let refused = told.iter().any(|action| action.starts_with(&format!("send {conn} drop_conn")));
    assert!(refused, "{told:?}");
    rig.closed(conn);
    told.into_iter().filter(|action| action.starts_with("send 1 ")).collect()
}

#[test]
fn a_silent_peer_that_shows_no_sign_of_life_is_lost_and_gets_in_again() {
    for peer in [SMALL, LARGE] {
        let mut rig = Rig::new();
        rig.peered_by(peer);
        rig.pass(LIVENESS);
        assert_eq!(claim(&mut rig, peer), [format!("send 1 ping {}", name(peer))]);
        assert_eq!(rig.pass(BYE), ["close 1 now"]);
        let lost = rig.closed(1);
        assert_eq!(lost[1], format!("peer_lost {} at client1", name(peer)));
        let error = rig.registry[&peer].last_error.clone().unwrap();
        assert!(error.to_string().contains("was silent for 23 s"), "{error}");
        rig.peered_by(peer);
    }
}

#[test]
fn the_side_that_dialled_a_vanished_peer_dials_again() {
    let mut rig = Rig::new();
    rig.peered_with("x", RETRY, LARGE);
    rig.pass(LIVENESS);
    claim(&mut rig, LARGE);
    rig.pass(BYE);
    assert_eq!(rig.closed(1).last().unwrap(), "dial 1 x");
}

#[test]
fn a_peer_that_was_heard_of_is_not_asked() {
    let mut rig = Rig::new();
    rig.peered_by(LARGE);
    rig.pass(LIVENESS - Duration::from_millis(1));
    assert_eq!(claim(&mut rig, LARGE), Vec::<String>::new());
    rig.heard[&1].note(rig.now);
    rig.pass(LIVENESS - Duration::from_millis(1));
    assert_eq!(claim(&mut rig, LARGE), Vec::<String>::new());
    rig.pass(Duration::from_millis(1));
    assert_eq!(claim(&mut rig, LARGE).len(), 1);
}

#[test]
fn anything_that_arrives_in_time_is_a_sign_of_life() {
    let mut rig = Rig::new();
    rig.peered_by(LARGE);
    rig.pass(LIVENESS);
    assert_eq!(claim(&mut rig, LARGE).len(), 1);
    assert_eq!(claim(&mut rig, LARGE).len(), 0, "it is asked once at a time");
    rig.pass(BYE / 2);
    rig.heard[&1].note(rig.now);
    assert_eq!(rig.pass(BYE), Vec::<String>::new());
    assert_eq!(rig.control.next_deadline(), None);
    rig.pass(LIVENESS);
    assert_eq!(claim(&mut rig, LARGE).len(), 1, "and asked again after the next silence");
}

#[test]
fn a_peer_that_this_side_does_not_listen_to_is_not_suspected() {
    let mut rig = Rig::new();
    rig.peered_by(LARGE);
    rig.heard[&1].suspend();
    rig.pass(LIVENESS * 2);
    assert_eq!(claim(&mut rig, LARGE), Vec::<String>::new());
    // Not even if this begins while it has been asked.
    rig.heard[&1].note(rig.now);
    rig.pass(LIVENESS);
    assert_eq!(claim(&mut rig, LARGE).len(), 1);
    rig.heard[&1].suspend();
    assert_eq!(rig.pass(BYE), Vec::<String>::new());
}

#[test]
fn a_peer_that_is_being_removed_or_lost_is_not_asked() {
    let mut rig = Rig::new();
    rig.peered_by(LARGE);
    rig.pass(LIVENESS);
    rig.unpeer("client1");
    assert_eq!(claim(&mut rig, LARGE), Vec::<String>::new());
    rig.closed(1);
    let mut rig = Rig::new();
    rig.peered_by(LARGE);
    rig.pass(LIVENESS);
    claim(&mut rig, LARGE);
    rig.closed(1);
    assert_eq!(rig.control.next_deadline(), None, "the check ends with the peering");
}
