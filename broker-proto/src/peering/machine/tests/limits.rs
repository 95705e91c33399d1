//! What is bounded: the time of a handshake, the number of peers, the size of a filter, and what is
//! remembered.

use super::*;
use crate::limits::FilterLimits;

#[test]
fn a_handshake_has_its_time_in_every_state_and_says_what_was_missing() {
    let mut rig = Rig::new();
    for (messages, missing) in [
        (0, "its hello"),
        (1, "its version_select"),
        (2, "its originator_syn"),
        (3, "its originator_ack"),
    ] {
        rig.accepted();
        let conn = rig.control.last_conn;
        if messages > 0 {
            rig.hello(conn, SMALL);
        }
        if messages > 1 {
            rig.select(conn, SMALL);
        }
        if messages > 2 {
            rig.syn(conn, &[]);
        }
        rig.now += HANDSHAKE;
        rig.control.tick(rig.now);
        let Some(Action::Report(Fact::HandshakeFailed { failure, .. })) = rig.next_action() else {
            panic!("the time-out is not logged");
        };
        let text = failure.to_string();
        assert!(text.ends_with(&format!("waited for {missing}")), "{text}");
        assert_eq!(rig.tell(|_, _| ()), [format!("close {conn} flush")]);
        rig.closed(conn);
        assert!(rig.registry.is_empty() && rig.control.pending.is_empty());
    }
}

#[test]
fn the_time_of_an_accepted_connection_began_before_the_transport_was_done() {
    let mut rig = Rig::new();
    let link = Link { remote: url("slow"), protection: Protection::InProcess };
    let began = rig.now - HANDSHAKE / 2;
    rig.tell(|control, now| control.opened(Opened::Accepted { began }, link, now));
    assert_eq!(rig.control.next_deadline(), Some(began + HANDSHAKE));
}

#[test]
fn a_dialled_handshake_that_takes_too_long_is_a_failed_attempt() {
    let mut rig = Rig::new();
    rig.peer("x", RETRY);
    rig.dialled(1, "x");
    assert_eq!(rig.pass(HANDSHAKE), ["error peer_unavailable x", "close 1 flush"]);
    rig.closed(1);
    assert_eq!(rig.pass(RETRY.unwrap()), ["dial 1 x"]);
}

#[test]
fn a_filter_that_is_too_large_makes_no_peer_in_either_role() {
    let limits = FilterLimits { entries: 2, entry: 15, bytes: 20 };
    for filter in [&["/a", "/b", "/c"][..], &["/a/topic/of/16/b"], &["/a/11/bytes", "/b/10bytes"]] {
        let mut rig = Rig::with(Settings { filter: limits, ..settings() });
        let refused = |conn| {
            let close = format!("close {conn} flush");
            [format!("send {conn} drop_conn(1)"), "log handshake-failed".into(), close]
        };
        rig.accepted();
        rig.hello(1, LARGE);
        assert_eq!(rig.syn_ack(1, filter), refused(1));
        assert_eq!(rig.status(LARGE), None);
        rig.accepted();
        rig.hello(2, SMALL);
        rig.select(2, SMALL);
        assert_eq!(rig.syn(2, filter), refused(2));
        assert_eq!(rig.status(SMALL), None);
        assert!(rig.control.pending.is_empty());
    }
}

#[test]
fn one_peer_too_many_is_refused_in_both_roles() {
    for (first, second) in [(SMALL, LARGE), (LARGE, SMALL)] {
        let mut rig = Rig::with(Settings { peers: 1, ..settings() });
        rig.peered_by(first);
        rig.accepted();
        let mut told = rig.hello(2, second);
        if second < OWN {
            told = rig.select(2, second);
        }
        assert_eq!(told, ["send 2 drop_conn(1)", "log handshake-failed", "close 2 flush"]);
        assert_eq!(rig.status(second), None);
    }
}

/// Two handshakes for one place: with LARGE on 1, which is led from here, and with SMALL on 2.
fn two_for_one_place() -> Rig {
    let mut rig = Rig::with(Settings { peers: 1, ..settings() });
    rig.accepted();
    rig.accepted();
    rig.hello(1, LARGE);
    rig.hello(2, SMALL);
    assert_eq!(rig.select(2, SMALL), Vec::<String>::new(), "nobody has the place yet");
    rig
}

#[test]
fn handshakes_that_are_not_done_keep_nobody_out() {
    let mut rig = two_for_one_place();
    rig.syn(2, &[]);
    assert!(rig.ack(2).contains(&"install 2 small []".to_owned()));
    let refused = ["send 1 drop_conn(1)", "log handshake-failed", "close 1 flush"];
    assert_eq!(rig.syn_ack(1, &[]), refused);
}

#[test]
fn handshakes_that_run_at_the_same_time_cannot_exceed_the_number_of_peers() {
    let mut rig = two_for_one_place();
    rig.syn(2, &[]);
    assert!(rig.syn_ack(1, &[]).contains(&"install 1 large []".to_owned()));
    // For the peer the handshake is done, so it would not understand a refusal.
    assert_eq!(rig.ack(2), ["log handshake-failed", "close 2 flush"]);
    let mut rig = two_for_one_place();
    rig.syn_ack(1, &[]);
    let refused = ["send 2 drop_conn(1)", "log handshake-failed", "close 2 flush"];
    assert_eq!(rig.syn(2, &[]), refused);
}

/// Says hello on a new connection from an address, and returns what that leads to and how the rest
/// of the handshake goes.
fn peer_from(rig: &mut Rig, host: &str, number: u8) -> (Vec<String>, Vec<String>) {
    let link = Link { remote: url(host), protection: Protection::InProcess };
    rig.tell(|control, now| control.opened(Opened::Accepted { began: now }, link, now));
    let conn = rig.control.last_conn;
    let told = rig.hello(conn, EndpointId::from_bytes([0xa0 + number; 16]));
    (told, rig.syn_ack(conn, &[]))
}

#[test]
fn where_all_places_are_taken_an_address_that_has_more_than_half_of_them_gives_some_to_others() {
    let mut rig = Rig::with(Settings { peers: 4, ..settings() });
    for (number, host) in ["busy", "honest", "busy", "busy"].into_iter().enumerate() {
        peer_from(&mut rig, host, number as u8);
    }
    let (_, done) = peer_from(&mut rig, "late", 5);
    // The newest from there goes, and says so.
    assert_eq!(done[..2], ["send 5 originator_ack", "uninstall other"], "{done:?}");
    assert!(done.iter().any(|action| action.starts_with("log peer-lost")), "{done:?}");
    assert!(done.contains(&"close 4 now".to_owned()), "{done:?}");
    assert!(done.iter().any(|action| action.starts_with("install 5")), "{done:?}");
    rig.closed(4);
    // Nobody has more than half now, and existing peerings are safe.
    for (number, host) in [(6, "busy"), (7, "later")] {
        let (told, _) = peer_from(&mut rig, host, number);
        assert!(told.iter().any(|action| action.ends_with("drop_conn(1)")), "{told:?}");
    }
}

#[test]
fn who_comes_from_the_busiest_address_gets_no_place_from_it() {
    let mut rig = Rig::with(Settings { peers: 4, ..settings() });
    for number in 0..4 {
        peer_from(&mut rig, "busy", number);
    }
    let (told, _) = peer_from(&mut rig, "busy", 4);
    assert!(told.contains(&"send 5 drop_conn(1)".to_owned()), "{told:?}");
    // An address of IPv4 that is mapped into IPv6 is the same.
    let mut rig = Rig::with(Settings { peers: 2, ..settings() });
    peer_from(&mut rig, "10.0.0.1", 0);
    peer_from(&mut rig, "::ffff:10.0.0.1", 1);
    let (told, _) = peer_from(&mut rig, "10.0.0.1", 2);
    assert!(told.contains(&"send 3 drop_conn(1)".to_owned()), "{told:?}");
    let (_, done) = peer_from(&mut rig, "10.0.0.2", 3);
    assert!(done.iter().any(|action| action.starts_with("install 4")), "{done:?}");
}

#[test]
fn ended_peers_are_remembered_up_to_a_number_the_oldest_go_first() {
    let mut rig = Rig::with(Settings { remembered_peers: 3, ..settings() });
    let peer = |number: u8| EndpointId::from_bytes([0xa0 + number; 16]);
    for number in 0..8 {
        let conn = rig.peered_by(peer(number));
        rig.now += Duration::from_secs(1);
        rig.closed(conn);
    }
    let known: Vec<EndpointId> = rig.registry.keys().copied().collect();
    assert_eq!(known, [peer(5), peer(6), peer(7)]);
}
