//! Who is admitted to a handshake: every row of the table of the protocol, for both roles.

use super::*;

/// Lets `peer` ask for admission on a new accepted connection, in the role its id gives it.
fn ask(rig: &mut Rig, peer: EndpointId) -> Vec<String> {
    rig.accepted();
    let conn = rig.control.last_conn;
    if OWN < peer {
        return rig.hello(conn, peer);
    }
    assert_eq!(rig.hello(conn, peer), [format!("send {conn} hello")]);
    rig.select(conn, peer)
}

#[test]
fn a_stranger_is_admitted_and_counts_as_connecting() {
    let mut rig = Rig::new();
    assert_eq!(ask(&mut rig, LARGE), ["send 1 version_select", "send 1 originator_syn []"]);
    assert_eq!(ask(&mut rig, SMALL), Vec::<String>::new());
    assert_eq!(rig.status(LARGE), Some(PeerStatus::Connecting));
    assert_eq!(rig.status(SMALL), Some(PeerStatus::Connecting));
}

#[test]
fn a_former_peer_is_admitted_and_counts_as_reconnecting() {
    for peer in [SMALL, LARGE] {
        let mut rig = Rig::new();
        let conn = rig.peered_by(peer);
        rig.closed(conn);
        assert_eq!(rig.status(peer), Some(PeerStatus::Disconnected));
        ask(&mut rig, peer);
        assert_eq!(rig.status(peer), Some(PeerStatus::Reconnecting));
    }
}

#[test]
fn a_failed_handshake_with_a_former_peer_takes_nothing_away_of_what_is_known_of_it() {
    for peer in [SMALL, LARGE] {
        let mut rig = Rig::new();
        for _ in 0..2 {
            let conn = rig.peered_by(peer);
            rig.closed(conn);
        }
        let known = format!("{:?}", rig.registry[&peer]);
        ask(&mut rig, peer);
        assert_eq!(
            (rig.status(peer), rig.registry[&peer].reconnects),
            (Some(PeerStatus::Reconnecting), 1)
        );
        let conn = rig.control.last_conn;
        rig.closed(conn);
        assert_eq!(format!("{:?}", rig.registry[&peer]), known);
        let conn = rig.peered_by(peer);
        assert_eq!(rig.registry[&peer].reconnects, 2);
        rig.closed(conn);
    }
}

#[test]
fn behind_another_handshake_the_originator_pauses_and_says_nothing() {
    let mut rig = Rig::new();
    for former in [false, true] {
        if former {
            let conn = rig.peered_by(LARGE);
            rig.closed(conn);
        }
        ask(&mut rig, LARGE);
        let owner = rig.control.last_conn;
        assert_eq!(ask(&mut rig, LARGE), Vec::<String>::new());
        let paused = rig.control.pending[&LARGE].paused.clone();
        assert_eq!(paused, [ConnectionId(owner + 1)]);
        assert!(rig.control.is_shaking(ConnectionId(owner + 1)));
        rig.closed(owner + 1);
        rig.closed(owner);
    }
}

#[test]
fn behind_another_handshake_that_was_asked_for_the_responder_refuses() {
    let mut rig = Rig::new();
    rig.peer("small", None);
    rig.dialled(1, "small");
    rig.select(1, SMALL);
    let refused = ["send 2 drop_conn(40)", "log handshake-failed", "close 2 flush"];
    assert_eq!(ask(&mut rig, SMALL), refused);
    assert_eq!(rig.status(SMALL), Some(PeerStatus::Connecting), "the other one goes on");
    rig.syn(1, &[]);
    assert!(rig.ack(1).contains(&"install 1 small []".to_owned()));
}

#[test]
fn a_peer_is_refused_by_the_originator_with_39_and_by_the_responder_with_40() {
    let mut rig = Rig::new();
    rig.peered_by(LARGE);
    assert_eq!(ask(&mut rig, LARGE), ["send 2 drop_conn(39)", "close 2 flush"]);
    let mut rig = Rig::new();
    rig.peered_by(SMALL);
    let refused = ["send 2 drop_conn(40)", "log handshake-failed", "close 2 flush"];
    assert_eq!(ask(&mut rig, SMALL), refused);
    assert_eq!(rig.status(SMALL), Some(PeerStatus::Peered));
}

#[test]
fn two_endpoints_with_one_id_are_told_apart_by_what_they_have_proved() {
    let failure_of = |rig: &mut Rig, name: &str| {
        let protection = Protection::Authenticated(name.to_owned());
        let link = Link { remote: url("host"), protection };
        rig.tell(|control, now| control.opened(Opened::Accepted { began: now }, link, now));
        let conn = ConnectionId(rig.control.last_conn);
        let hello = HandshakeMessage::hello(LARGE).to_frame();
        let frame = HandshakeFrame::read(&hello[4..], crate::Limits::default().filter());
        rig.control.handshake_frame(conn, frame, rig.now);
        std::iter::from_fn(|| rig.next_action()).find_map(|action| match action {
            Action::Report(Fact::HandshakeFailed { failure, .. }) => Some(failure),
            _ => None,
        })
    };
    let mut rig = Rig::new();
    assert!(failure_of(&mut rig, "CN=one").is_none());
    rig.syn_ack(1, &[]);
    assert!(failure_of(&mut rig, "CN=one").is_none(), "one connection too many is no failure");
    let failure = failure_of(&mut rig, "CN=other").unwrap();
    let text = failure.to_string();
    assert!(text.contains("CN=one") && text.contains("CN=other"), "{text}");
    assert_eq!(failure.name(), "same-id");
    assert_eq!(rig.status(LARGE), Some(PeerStatus::Peered));
}

#[test]
fn a_refusal_as_redundant_that_is_none_says_what_may_be_the_case() {
    for code in [ErrorCode::RedundantConnection, ErrorCode::LogicError] {
        let mut rig = Rig::new();
        rig.peer("hub", RETRY);
        rig.dialled(1, "hub");
        let description = "detected redundant connection".into();
        rig.receive(1, &HandshakeMessage::DropConn { sender: SMALL, code, description });
        let told = rig.open[&DialId(1)].last_error.clone().unwrap();
        assert_eq!(told.name(), "redundant");
        assert!(told.to_string().contains(&format!("another endpoint has the id {OWN}")), "{told}");
        assert_eq!(rig.pass(RETRY.unwrap()), ["dial 1 hub"], "it is tried again");
    }
}

#[test]
fn nobody_is_admitted_once_the_endpoint_shuts_down() {
    for peer in [SMALL, LARGE] {
        let mut rig = Rig::new();
        rig.peered_by(if peer == SMALL { LARGE } else { SMALL });
        rig.accepted();
        if peer == SMALL {
            rig.hello(2, peer);
        }
        let told = rig.tell(|control, now| control.shut_down(now));
        assert!(told.contains(&"send 2 drop_conn(28)".to_owned()), "{told:?}");
        assert!(told.contains(&"close 2 flush".to_owned()), "{told:?}");
        // What arrives behind that is of no interest, and new connections are not taken.
        assert_eq!(rig.hello(2, peer), Vec::<String>::new());
        assert_eq!(rig.accepted(), Vec::<String>::new());
        assert_eq!(rig.control.last_conn, 2);
    }
}

#[test]
fn a_failed_handshake_leaves_no_trace_in_the_registry() {
    for peer in [SMALL, LARGE] {
        let mut rig = Rig::new();
        ask(&mut rig, peer);
        assert_eq!(rig.closed(1), ["log handshake-failed"]);
        assert_eq!(rig.status(peer), None);
        assert!(rig.control.pending.is_empty());
        assert_eq!(rig.control.next_deadline(), None);
        assert_eq!(rig.control.connections(), 0);
    }
}

#[test]
fn an_endpoint_that_meets_itself_is_told_so_and_nobody_else() {
    let mut rig = Rig::new();
    rig.peer("self", None);
    rig.dialled(1, "self");
    rig.accepted();
    assert_eq!(rig.hello(2, OWN), ["send 2 hello"]);
    assert_eq!(rig.hello(1, OWN), ["send 1 hello"]);
    // The accepting end is the one that gets the second hello, and the other one sees it go.
    assert_eq!(rig.hello(2, OWN), ["log handshake-failed", "close 2 flush"]);
    let failed = ["error peer_unavailable self", "resolve 1 connected-to-itself"];
    assert_eq!(rig.closed(1), failed);
    assert!(rig.registry.is_empty());
}

#[test]
fn an_endpoint_with_the_same_id_is_told_from_this_one() {
    let mut rig = Rig::new();
    rig.peer("twin", None);
    rig.dialled(1, "twin");
    assert_eq!(rig.hello(1, OWN), ["send 1 hello"]);
    assert_eq!(rig.closed(1), ["error peer_unavailable twin", "resolve 1 same-id"]);
    rig.accepted();
    assert_eq!(rig.hello(2, OWN), ["send 2 hello"]);
    assert_eq!(rig.hello(2, OWN), ["log handshake-failed", "close 2 flush"]);
    assert!(rig.registry.is_empty());
}

#[test]
fn a_connection_that_ends_during_the_handshake_is_not_just_closed() {
    let mut rig = Rig::new();
    rig.peer("host", None);
    rig.dialled(1, "host");
    let failed = ["error peer_unavailable host", "resolve 1 closed-in-handshake"];
    assert_eq!(rig.closed(1), failed);
}
