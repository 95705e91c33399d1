//! The end of peerings that this side wants: the bye, and the shutdown of the endpoint.

use super::*;

fn shut_down(rig: &mut Rig) -> Vec<String> {
    rig.tell(|control, now| control.shut_down(now))
}

#[test]
fn unpeering_pings_and_closes_when_the_pong_is_there() {
    let mut rig = Rig::new();
    rig.peered_with("x", RETRY, LARGE);
    assert_eq!(rig.unpeer("x"), ["send 1 ping large"]);
    assert_eq!((&rig.token[..3], rig.token.len()), (&b"BYE"[..], 11));
    assert_eq!(rig.unpeer("x"), Vec::<String>::new(), "it is told once");
    assert_eq!(rig.status(LARGE), Some(PeerStatus::Peered));
    assert!(!rig.control.is_outbound(&url("x")));
    assert_eq!(rig.pong(1), ["close 1 flush"]);
    assert_eq!(rig.control.next_deadline(), None);
    let ended = ["uninstall large", "peer_removed large at x", "endpoint_unreachable large"];
    assert_eq!(rig.closed(1), ended);
    assert!(rig.control.dials.is_empty(), "it does not come back");
}

#[test]
fn only_the_pong_of_the_whole_token_ends_the_peering() {
    let mut rig = Rig::new();
    rig.peered_with("x", None, LARGE);
    rig.peered_by(SMALL);
    let told =
        rig.tell(|control, now| control.pong(ConnectionId(1), b"BYE\x01\0\0\0\0\0\0\0", now));
    assert_eq!(told, Vec::<String>::new(), "nothing was asked");
    rig.unpeer("x");
    let token = rig.token.clone();
    for payload in [&b""[..], b"BYE", &token[..10], &[&token[..], b"x"].concat()] {
        let told = rig.tell(|control, now| control.pong(ConnectionId(1), payload, now));
        assert_eq!(told, Vec::<String>::new());
    }
    let told = rig.tell(|control, now| control.pong(ConnectionId(2), &token, now));
    assert_eq!(told, Vec::<String>::new(), "another peer's pong");
    assert_eq!(rig.pong(1), ["close 1 flush"]);
    assert_eq!(rig.pong(1), Vec::<String>::new());
}

#[test]
fn a_peer_that_does_not_answer_is_cut_after_the_time_for_the_bye() {
    let mut rig = Rig::new();
    rig.peered_with("x", RETRY, LARGE);
    rig.unpeer("x");
    assert_eq!(rig.pass(BYE - Duration::from_millis(1)), Vec::<String>::new());
    assert_eq!(rig.pass(Duration::from_millis(1)), ["log bye-timeout", "close 1 now"]);
    assert_eq!(rig.pong(1), Vec::<String>::new());
    assert!(rig.closed(1).contains(&"peer_removed large at x".to_owned()));
}

#[test]
fn a_connection_that_breaks_during_the_bye_still_counts_as_removed() {
    let mut rig = Rig::new();
    rig.peered_with("x", RETRY, LARGE);
    rig.unpeer("x");
    let ended = rig.closed(1);
    let expected = ["uninstall large", "peer_removed large at x", "endpoint_unreachable large"];
    assert_eq!(ended, expected);
    assert_eq!(rig.control.next_deadline(), None);
}

#[test]
fn peers_are_unpeered_by_the_address_they_are_known_under_or_by_id() {
    let mut rig = Rig::new();
    let conn = rig.peered_by(LARGE);
    assert_eq!(rig.unpeer("large"), ["error peer_invalid large"]);
    let told = rig.tell(|control, now| control.unpeer_id(SMALL, now));
    assert_eq!(told, ["error peer_invalid"]);
    let told = rig.tell(|control, now| control.unpeer_id(LARGE, now));
    assert_eq!(told, [format!("send {conn} ping large")]);
    rig.closed(conn);
    let conn = rig.peered_by(LARGE);
    assert_eq!(rig.unpeer("client2"), [format!("send {conn} ping large")]);
    rig.closed(conn);
    assert_eq!(rig.unpeer("client2"), ["error peer_invalid client2"]);
}

#[test]
fn asking_again_while_the_peering_is_being_removed_brings_it_back_afterwards() {
    let mut rig = Rig::new();
    rig.peered_with("x", RETRY, LARGE);
    rig.unpeer("x");
    assert_eq!(rig.peer("x", RETRY), Vec::<String>::new());
    rig.pong(1);
    let ended = rig.closed(1);
    assert!(ended.contains(&"peer_removed large at x".to_owned()), "{ended:?}");
    assert_eq!(ended.last().unwrap(), "dial 1 x");
}

#[test]
fn the_last_word_counts_while_the_peering_is_being_removed() {
    let mut rig = Rig::new();
    rig.peered_with("x", RETRY, LARGE);
    for by_id in [false, true] {
        rig.unpeer("x");
        rig.peer("x", RETRY);
        assert!(rig.control.is_outbound(&url("x")));
        let again = if by_id {
            rig.tell(|control, now| control.unpeer_id(LARGE, now))
        } else {
            rig.unpeer("x")
        };
        assert_eq!(again, ["resolve 1 cancelled"]);
        assert!(!rig.control.is_outbound(&url("x")));
    }
    let ended = rig.closed(1);
    assert!(!ended.contains(&"dial 1 x".to_owned()), "{ended:?}");
    assert!(rig.control.dials.is_empty());
}

#[test]
fn asking_for_another_address_of_a_peer_that_is_being_removed_brings_it_back_afterwards() {
    let mut rig = Rig::new();
    let conn = rig.peered_by(LARGE);
    rig.tell(|control, now| control.unpeer_id(LARGE, now));
    rig.peer("x", RETRY);
    rig.dialled(1, "x");
    assert_eq!(rig.hello(2, LARGE), ["send 2 drop_conn(39)", "close 2 flush"]);
    rig.closed(2);
    rig.pong(conn);
    let ended = rig.closed(conn);
    assert_eq!(ended.last().unwrap(), "dial 1 x");
    // The same when the other side calls it redundant.
    let mut rig = Rig::new();
    let conn = rig.peered_by(SMALL);
    rig.tell(|control, now| control.unpeer_id(SMALL, now));
    rig.peer("x", None);
    rig.dialled(1, "x");
    let told = rig.dropped(2, SMALL, ErrorCode::RedundantConnection);
    assert_eq!(told, ["close 2 flush"]);
    assert_eq!(rig.closed(conn).last().unwrap(), "dial 1 x");
}

#[test]
fn shutting_down_tells_everyone_and_stops_when_the_last_peering_has_ended() {
    let mut rig = Rig::new();
    rig.peered_with("x", RETRY, LARGE);
    rig.peered_by(SMALL);
    rig.accepted();
    rig.peer("dialling", RETRY);
    rig.peer("waiting", RETRY);
    rig.dial_fails(3);
    let told = shut_down(&mut rig);
    let expected = [
        "resolve 1 shutting-down",
        "abandon 2",
        "resolve 2 shutting-down",
        "resolve 3 shutting-down",
        "send 1 ping large",
        "send 2 ping small",
        "log handshake-failed",
        "send 3 drop_conn(28)",
        "close 3 flush",
    ];
    assert_eq!(told, expected);
    assert_eq!(shut_down(&mut rig), Vec::<String>::new(), "once");
    rig.closed(3);
    let ended = ["uninstall small", "peer_removed small at client1", "endpoint_unreachable small"];
    assert_eq!(rig.closed(2), ended);
    let last = rig.closed(1);
    assert_eq!(last.last().unwrap(), "stopped");
    assert!(last.contains(&"peer_removed large at x".to_owned()), "{last:?}");
    assert_eq!((rig.control.connections(), rig.control.dials.iter().count()), (0, 0));
    assert_eq!(rig.control.next_deadline(), None, "no timer is left");
}

#[test]
fn shutting_down_without_peers_stops_at_once() {
    let mut rig = Rig::new();
    assert_eq!(shut_down(&mut rig), ["stopped"]);
    assert_eq!(rig.control.next_deadline(), None, "no timer is left");
    assert_eq!(rig.peer("x", RETRY), ["resolve 1 shutting-down"]);
    assert!(rig.control.dials.is_empty());
}

#[test]
fn what_does_not_end_in_the_time_for_the_bye_is_cut_at_shutdown() {
    let mut rig = Rig::new();
    rig.peered_by(LARGE);
    rig.peered_by(SMALL);
    shut_down(&mut rig);
    let cut = rig.pass(BYE);
    for conn in ["close 1 now", "close 2 now"] {
        assert!(cut.contains(&conn.to_owned()), "{cut:?}");
    }
    rig.closed(1);
    assert_eq!(rig.closed(2).last().unwrap(), "stopped");
    assert_eq!(rig.control.next_deadline(), None);
}

#[test]
fn a_handshake_cannot_finish_during_a_shutdown() {
    for peer in [SMALL, LARGE] {
        let mut rig = Rig::new();
        rig.accepted();
        rig.hello(1, peer);
        rig.select(1, peer);
        rig.syn(1, &[]);
        let told = shut_down(&mut rig);
        assert_eq!(told.last().unwrap(), "stopped", "{told:?}");
        assert_eq!(rig.ack(1), Vec::<String>::new());
        assert_eq!(rig.syn_ack(1, &[]), Vec::<String>::new());
        assert_eq!(rig.closed(1), Vec::<String>::new());
        assert!(rig.registry.is_empty());
    }
}

#[test]
fn a_shutdown_sends_no_handshake_message_to_who_may_be_peered_by_now() {
    let mut rig = Rig::new();
    rig.accepted();
    rig.hello(1, SMALL);
    rig.select(1, SMALL);
    rig.syn(1, &[]);
    assert_eq!(shut_down(&mut rig), ["log handshake-failed", "close 1 flush", "stopped"]);
}
