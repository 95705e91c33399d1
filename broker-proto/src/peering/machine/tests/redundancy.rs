//! Several connections with one peer, and several addresses of one peer.

use super::*;

#[test]
fn the_first_hello_wins_and_the_paused_connection_is_dropped_as_redundant() {
    let mut rig = Rig::new();
    rig.peer("large", RETRY);
    rig.dialled(1, "large");
    rig.accepted();
    // The connection that the peer opened is ahead of the own one.
    rig.hello(2, LARGE);
    assert_eq!(rig.hello(1, LARGE), Vec::<String>::new());
    let done = rig.syn_ack(2, &["/x"]);
    let expected = [
        "send 2 originator_ack",
        "install 2 large [/x]",
        "endpoint_discovered large",
        "peer_added large at client1",
        "send 1 drop_conn(39)",
        "close 1 flush",
        "resolve 1 large",
    ];
    assert_eq!(done, expected);
    // The address that the user gave wins over the one of the accepted connection.
    rig.closed(1);
    assert!(rig.control.is_outbound(&url("large")));
    let lost = rig.closed(2);
    assert_eq!(
        lost,
        [
            "uninstall large",
            "peer_lost large at large",
            "endpoint_unreachable large",
            "log peer-lost",
            "dial 1 large"
        ]
    );
}

#[test]
fn the_next_paused_connection_goes_on_where_the_first_one_failed() {
    let mut rig = Rig::new();
    for _ in 0..3 {
        rig.accepted();
    }
    rig.hello(1, LARGE);
    rig.hello(2, LARGE);
    rig.hello(3, LARGE);
    let next = ["send 2 version_select", "send 2 originator_syn []", "log handshake-failed"];
    assert_eq!(rig.closed(1), next);
    assert_eq!(rig.control.pending[&LARGE].active, [ConnectionId(2)]);
    let done = rig.syn_ack(2, &[]);
    assert!(done.contains(&"send 3 drop_conn(39)".to_owned()), "{done:?}");
    assert!(rig.control.pending.is_empty());
}

#[test]
fn a_paused_connection_that_ends_waits_for_the_outcome_of_the_other_one() {
    let mut rig = Rig::new();
    rig.peer("large", RETRY);
    rig.dialled(1, "large");
    rig.accepted();
    rig.hello(2, LARGE);
    rig.hello(1, LARGE);
    assert_eq!(rig.closed(1), Vec::<String>::new(), "this is no failure");
    let done = rig.syn_ack(2, &[]);
    assert!(done.contains(&"resolve 1 large".to_owned()), "{done:?}");
}

#[test]
fn a_request_that_waits_for_another_handshake_tries_again_when_that_one_fails() {
    let mut rig = Rig::new();
    rig.peer("large", RETRY);
    rig.dialled(1, "large");
    rig.accepted();
    rig.hello(2, LARGE);
    rig.hello(1, LARGE);
    rig.closed(1);
    assert_eq!(rig.closed(2), ["dial 1 large", "log handshake-failed"]);
}

#[test]
fn the_responder_takes_the_word_of_the_originator_while_another_handshake_is_open() {
    let mut rig = Rig::new();
    rig.accepted();
    rig.hello(1, SMALL);
    rig.select(1, SMALL);
    rig.peer("small", RETRY);
    rig.dialled(1, "small");
    assert_eq!(rig.dropped(2, SMALL, ErrorCode::RedundantConnection), ["close 2 flush"]);
    rig.closed(2);
    rig.syn(1, &[]);
    let done = rig.ack(1);
    assert!(done.contains(&"resolve 1 small".to_owned()), "{done:?}");
    assert!(rig.control.is_outbound(&url("small")));
}

#[test]
fn a_redundancy_after_a_loss_that_the_peer_has_not_noticed_is_retried() {
    for reconnecting in [false, true] {
        let mut rig = Rig::new();
        let conn = rig.peered_by(SMALL);
        rig.closed(conn);
        if reconnecting {
            rig.accepted();
            rig.hello(2, SMALL);
            rig.select(2, SMALL);
        }
        rig.peer("small", RETRY);
        rig.dialled(1, "small");
        let conn = rig.control.last_conn;
        let told = rig.dropped(conn, SMALL, ErrorCode::RedundantConnection);
        let close = format!("close {conn} flush");
        assert_eq!(told, ["error peer_unavailable small".to_owned(), close]);
        assert_eq!(rig.pass(RETRY.unwrap()), ["dial 1 small"]);
    }
}

#[test]
fn other_reasons_to_drop_a_connection_are_failures() {
    let mut rig = Rig::new();
    rig.peered_by(LARGE);
    rig.peer("large", None);
    rig.dialled(1, "large");
    let told = rig.dropped(2, LARGE, ErrorCode::LogicError);
    let failed = ["error peer_unavailable large", "resolve 1 refused-by-peer", "close 2 flush"];
    assert_eq!(told, failed);
}

#[test]
fn an_address_with_a_retry_time_replaces_one_without() {
    let mut rig = Rig::new();
    rig.peered_with("first", None, LARGE);
    rig.peer("second", RETRY);
    rig.dialled(2, "second");
    let told = rig.hello(2, LARGE);
    assert_eq!(told, ["send 2 drop_conn(39)", "resolve 2 large", "close 2 flush"]);
    assert_eq!(rig.control.dials.iter().count(), 1, "the replaced request is forgotten");
    assert_eq!(rig.unpeer("first"), ["error peer_invalid first"]);
    assert_eq!(rig.unpeer("second"), ["send 1 ping large"]);
    let ended = rig.pong(1);
    assert_eq!(ended, ["close 1 flush"]);
    assert!(rig.closed(1).contains(&"peer_removed large at second".to_owned()));
}

#[test]
fn an_address_with_a_retry_time_is_never_replaced_and_one_without_replaces_nothing() {
    for (first, second) in [(RETRY, RETRY), (RETRY, None), (None, None)] {
        let mut rig = Rig::new();
        rig.peered_with("first", first, LARGE);
        rig.peer("second", second);
        rig.dialled(2, "second");
        let told = rig.hello(2, LARGE);
        assert!(told.contains(&"resolve 2 large".to_owned()), "the request has succeeded");
        rig.closed(2);
        assert_eq!(rig.control.dials.iter().count(), 1, "and is done");
        let lost = rig.closed(1);
        assert!(lost.contains(&"peer_lost large at first".to_owned()), "{lost:?}");
        assert_eq!(lost.contains(&"dial 1 first".to_owned()), first.is_some());
    }
}

/// A tenth of the time for a handshake.
const PATIENCE: Duration = Duration::from_secs(1);

#[test]
fn who_says_hello_in_the_name_of_another_and_nothing_more_keeps_nobody_out() {
    let mut rig = Rig::new();
    rig.accepted();
    rig.hello(1, LARGE);
    for conn in [2, 3] {
        rig.accepted();
        assert_eq!(rig.hello(conn, LARGE), Vec::<String>::new());
    }
    let all = ["version_select", "originator_syn []"];
    let on = |conn: u64| all.iter().map(move |message| format!("send {conn} {message}"));
    assert_eq!(rig.pass(PATIENCE), on(2).chain(on(3)).collect::<Vec<_>>());
    // Whoever comes later need not wait at all.
    rig.accepted();
    assert_eq!(rig.hello(4, LARGE), on(4).collect::<Vec<_>>());
    let done = rig.syn_ack(4, &["/x"]);
    assert!(done.contains(&"peer_added large at client4".to_owned()), "{done:?}");
    for conn in [1, 2, 3] {
        assert!(done.contains(&format!("send {conn} drop_conn(39)")), "{done:?}");
        assert!(done.contains(&format!("close {conn} flush")), "{done:?}");
    }
    assert!(rig.control.pending.is_empty());
    assert_eq!(rig.registry[&LARGE].conn, ConnectionId(4));
}

#[test]
fn who_leads_is_not_refused_because_of_others_who_say_hello_in_its_name() {
    let mut rig = Rig::new();
    for conn in [1, 2] {
        rig.accepted();
        rig.hello(conn, SMALL);
        assert_eq!(rig.select(conn, SMALL), Vec::<String>::new());
    }
    // One goes as far as it can without having to be there.
    assert_eq!(rig.syn(1, &[]), ["send 1 responder_syn_ack []"]);
    rig.syn(2, &["/x"]);
    let done = rig.ack(2);
    assert!(done.contains(&"peer_added small at client2".to_owned()), "{done:?}");
    assert!(done.contains(&"close 1 flush".to_owned()), "{done:?}");
    assert!(!done.iter().any(|action| action.starts_with("send 1")), "{done:?}");
}

#[test]
fn those_that_come_and_go_in_the_name_of_another_do_not_make_it_wait_ever_longer() {
    let mut rig = Rig::new();
    for _ in 0..4 {
        rig.accepted();
        let conn = rig.control.last_conn;
        rig.hello(conn, LARGE);
    }
    rig.pass(PATIENCE - Duration::from_millis(1));
    rig.closed(1);
    let on = rig.pass(Duration::from_millis(1));
    assert!(on.contains(&"send 4 originator_syn []".to_owned()), "{on:?}");
    rig.closed(2);
    assert_eq!(rig.registry[&LARGE].conn, ConnectionId(3));
    rig.syn_ack(4, &[]);
    assert_eq!(rig.registry[&LARGE].conn, ConnectionId(4));
}
