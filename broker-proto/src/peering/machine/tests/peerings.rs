//! The life of a peering: its events, its loss, and overflows.

use super::*;

#[test]
fn the_acceptor_with_the_larger_id_gets_through_its_states() {
    let mut rig = Rig::new();
    assert_eq!(rig.accepted(), ["send 1 probe"]);
    assert!(rig.control.is_fresh(ConnectionId(1)));
    assert_eq!(rig.hello(1, SMALL), ["send 1 hello"]);
    assert!(!rig.control.is_fresh(ConnectionId(1)));
    assert_eq!(rig.select(1, SMALL), Vec::<String>::new());
    assert_eq!(rig.syn(1, &["/a"]), ["send 1 responder_syn_ack []"]);
    let done = rig.ack(1);
    let expected =
        ["install 1 small [/a]", "endpoint_discovered small", "peer_added small at client1"];
    assert_eq!(done, expected);
    assert_eq!(rig.control.next_deadline(), None, "the time for the handshake is over");
}

#[test]
fn the_connector_with_the_smaller_id_gets_through_its_states() {
    let mut rig = Rig::new();
    assert_eq!(rig.peer("x", None), ["dial 1 x"]);
    assert_eq!(rig.dialled(1, "x"), ["send 1 hello"]);
    assert_eq!(rig.receive(1, &HandshakeMessage::Probe), Vec::<String>::new());
    assert_eq!(rig.hello(1, LARGE), ["send 1 version_select", "send 1 originator_syn []"]);
    let done = rig.syn_ack(1, &["/a"]);
    let expected = [
        "send 1 originator_ack",
        "install 1 large [/a]",
        "endpoint_discovered large",
        "peer_added large at x",
        "resolve 1 large",
    ];
    assert_eq!(done, expected);
}

#[test]
fn a_lost_peering_is_closed_by_its_two_events() {
    let mut rig = Rig::new();
    rig.peered_by(LARGE);
    let lost = rig.closed(1);
    let expected = [
        "uninstall large",
        "peer_lost large at client1",
        "endpoint_unreachable large",
        "log peer-lost",
    ];
    assert_eq!(lost, expected);
    assert_eq!(rig.closed(1), Vec::<String>::new(), "nothing is reported twice");
    assert_eq!(rig.control.connections(), 0);
}

#[test]
fn an_overflow_removes_the_peer_without_a_bye_and_does_not_bring_it_back() {
    let mut rig = Rig::new();
    rig.peered_with("x", RETRY, LARGE);
    let cut = rig.tell(|control, _| control.overflow(ConnectionId(1)));
    assert_eq!(cut, ["close 1 now"]);
    let record = rig.closed(1);
    let expected = [
        "uninstall large",
        "peer_removed large at x",
        "endpoint_unreachable large",
        "log peer-overflow",
    ];
    assert_eq!(record, expected);
    assert!(rig.control.dials.is_empty());
    let error = rig.registry[&LARGE].last_error.clone().unwrap();
    assert!(error.to_string().contains("caf::sec::backpressure_overflow"), "{error}");
}

#[test]
fn an_overflow_during_the_bye_closes_the_connection_without_its_own_reason() {
    let mut rig = Rig::new();
    rig.peered_with("x", RETRY, LARGE);
    rig.unpeer("x");
    rig.tell(|control, _| control.overflow(ConnectionId(1)));
    let mut first = None;
    rig.control.closed(ConnectionId(1), Failure::Cancelled, rig.now);
    while let Some(action) = rig.next_action() {
        if let Action::Report(Fact::Peer { change, .. }) = action {
            first.get_or_insert(change);
        }
    }
    assert_eq!(first, Some(PeerChange::Removed(RemovalCause::Unpeer)));
    assert_eq!(rig.control.next_deadline(), None);
}

#[test]
fn an_overflow_of_a_connection_that_is_no_peering_is_none() {
    let mut rig = Rig::new();
    rig.accepted();
    assert_eq!(rig.tell(|control, _| control.overflow(ConnectionId(1))), Vec::<String>::new());
    assert_eq!(rig.tell(|control, _| control.overflow(ConnectionId(9))), Vec::<String>::new());
}

#[test]
fn the_same_two_endpoints_can_be_peered_again_and_again() {
    let mut rig = Rig::new();
    for _ in 0..50 {
        for peer in [SMALL, LARGE] {
            let conn = rig.peered_by(peer);
            rig.closed(conn);
        }
    }
    assert_eq!((rig.control.connections(), rig.control.pending.len()), (0, 0));
    assert_eq!(rig.registry.len(), 2);
}

#[test]
fn an_accepted_peer_is_known_under_the_address_it_has_moved_to_and_a_dialled_one_is_not() {
    let mut rig = Rig::new();
    let conn = ConnectionId(rig.peered_by(LARGE));
    rig.tell(|control, _| control.moved(conn, url("elsewhere")));
    assert_eq!(rig.registry[&LARGE].network.url, url("elsewhere"));
    assert_eq!(rig.control.unpeer(&url("client1"), rig.now), Unpeer::Unknown);
    assert_eq!(rig.control.unpeer(&url("elsewhere"), rig.now), Unpeer::Leaving);

    let mut rig = Rig::new();
    let conn = ConnectionId(rig.peered_with("x", RETRY, LARGE));
    rig.tell(|control, _| control.moved(conn, url("elsewhere")));
    assert_eq!(rig.registry[&LARGE].network.url, url("x"));
}
