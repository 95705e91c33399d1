//! What is announced, when, and to whom.

use super::*;

/// Long enough for anything to be said at once.
const QUIET: Duration = Duration::from_secs(2);

fn unsubscribe(rig: &mut Rig, list: &[&'static str]) -> Vec<String> {
    rig.tell(|control, now| control.unsubscribe(&topics(list), now))
}

fn subscribe(rig: &mut Rig, list: &[&'static str]) -> Vec<String> {
    rig.tell(|control, now| control.subscribe(&topics(list), now).unwrap())
}

#[test]
fn a_change_is_announced_once_to_every_peer_with_the_complete_filter() {
    let mut rig = Rig::new();
    assert_eq!(subscribe(&mut rig, &["/a"]), Vec::<String>::new(), "nobody is there");
    rig.peered_by(SMALL);
    rig.peered_by(LARGE);
    let announced = subscribe(&mut rig, &["/b", "/c"]);
    let both = ["send 1 routing-update small [/a /b /c]", "send 2 routing-update large [/a /b /c]"];
    assert_eq!(announced, both);
    assert_eq!(subscribe(&mut rig, &["/a/x", "<$>/local/x"]), Vec::<String>::new());
    rig.pass(QUIET);
    let shrunk = rig.tell(|control, now| control.unsubscribe(&topics(&["/b", "/c"]), now));
    assert_eq!(shrunk[0], "send 1 routing-update small [/a]");
    assert_eq!(shrunk.len(), 2, "one announcement for each peer");
}

#[test]
fn changes_that_keep_coming_are_announced_as_one_now_and_then() {
    let mut rig = Rig::new();
    rig.peered_by(LARGE);
    let mut told = Vec::new();
    for _ in 0..100 {
        told.extend(subscribe(&mut rig, &["/a"]));
        told.extend(unsubscribe(&mut rig, &["/a"]));
    }
    assert_eq!(told.len(), 10, "at once");
    subscribe(&mut rig, &["/c"]);
    // Whoever comes in the meantime is told what holds then, and once.
    rig.peered_by(SMALL);
    assert_eq!(rig.pass(QUIET), ["send 1 routing-update large [/c]"]);
    assert_eq!(rig.pass(QUIET), Vec::<String>::new());
    assert_eq!(unsubscribe(&mut rig, &["/c"]).len(), 2, "after a quiet time at once");
    let mut told = 0;
    for _ in 0..1000 {
        told += subscribe(&mut rig, &["/b"]).len() + unsubscribe(&mut rig, &["/b"]).len();
        told += rig.pass(Duration::from_millis(10)).len();
    }
    let seconds = 10;
    assert!((2 * 10 * seconds..=2 * (10 * seconds + 11)).contains(&told), "{told}");
}

#[test]
fn updates_that_keep_coming_from_a_peer_take_effect_as_one_now_and_then() {
    let mut rig = Rig::new();
    rig.peered_by(LARGE);
    let update = |rig: &mut Rig, list: &[&'static str]| {
        rig.tell(|control, now| control.routing_update(ConnectionId(1), topics(list), now))
    };
    assert_eq!(update(&mut rig, &["/a"]), ["filter large [/a]"]);
    let flood: Vec<_> = (0..100).flat_map(|_| update(&mut rig, &["/flood"])).collect();
    assert_eq!(flood.len(), 19, "at once, twice as many as this side announces at once");
    update(&mut rig, &["/last"]);
    assert_eq!(rig.pass(QUIET), ["filter large [/last]"]);
    assert_eq!(rig.pass(QUIET), Vec::<String>::new());
    assert_eq!(update(&mut rig, &["/b"]), ["filter large [/b]"]);
    // What waits when the peering ends is for nobody.
    (0..100).for_each(|_| drop(update(&mut rig, &["/c"])));
    rig.closed(1);
    assert_eq!(rig.pass(QUIET), Vec::<String>::new());
}

#[test]
fn a_subscription_that_peers_would_not_accept_is_refused_and_nobody_is_told() {
    let mut rig =
        Rig::with(Settings { filter: FilterLimits { entries: 2, ..FILTER }, ..settings() });
    rig.peered_by(LARGE);
    subscribe(&mut rig, &["/a", "/b/1"]);
    rig.pass(QUIET);
    let told = rig.tell(|control, now| {
        assert!(control.subscribe(&topics(&["/c"]), now).is_err());
    });
    assert_eq!(told, Vec::<String>::new());
    assert_eq!(subscribe(&mut rig, &["/b", "/a/x"]), ["send 1 routing-update large [/a /b]"]);
}

#[test]
fn a_change_during_the_handshake_is_announced_again_after_it() {
    // As originator: the filter went out with the greeting.
    let mut rig = Rig::new();
    rig.accepted();
    assert_eq!(rig.hello(1, LARGE)[1], "send 1 originator_syn []");
    assert_eq!(subscribe(&mut rig, &["/late"]), Vec::<String>::new());
    let done = rig.syn_ack(1, &[]);
    assert_eq!(done[1], "install 1 large []");
    assert_eq!(done.last().unwrap(), "send 1 routing-update large [/late]");
    // As responder: it goes out with the answer.
    let mut rig = Rig::new();
    rig.accepted();
    rig.hello(1, SMALL);
    rig.select(1, SMALL);
    subscribe(&mut rig, &["/early"]);
    assert_eq!(rig.syn(1, &[]), ["send 1 responder_syn_ack [/early]"]);
    subscribe(&mut rig, &["/late"]);
    assert_eq!(rig.ack(1).last().unwrap(), "send 1 routing-update small [/early /late]");
}

#[test]
fn a_filter_that_did_not_change_is_not_announced_again() {
    let mut rig = Rig::new();
    subscribe(&mut rig, &["/a"]);
    rig.accepted();
    rig.hello(1, LARGE);
    let done = rig.syn_ack(1, &[]);
    assert!(!done.iter().any(|action| action.contains("routing-update")), "{done:?}");
}

#[test]
fn a_resumed_handshake_announces_what_holds_then() {
    let mut rig = Rig::new();
    rig.accepted_from("here");
    rig.accepted_from("here");
    rig.hello(1, LARGE);
    rig.hello(2, LARGE);
    subscribe(&mut rig, &["/a"]);
    assert_eq!(rig.closed(1)[1], "send 2 originator_syn [/a]");
    let done = rig.syn_ack(2, &[]);
    assert!(!done.iter().any(|action| action.contains("routing-update")), "{done:?}");
}

#[test]
fn the_filter_of_a_peer_is_replaced_by_what_it_announces() {
    let mut rig = Rig::new();
    rig.accepted();
    rig.hello(1, LARGE);
    assert!(rig.syn_ack(1, &["/b", "/a"]).contains(&"install 1 large [/a /b]".to_owned()));
    let told =
        rig.tell(|control, now| control.routing_update(ConnectionId(1), topics(&["/c"]), now));
    assert_eq!(told, ["filter large [/c]"]);
    rig.closed(1);
    let told =
        rig.tell(|control, now| control.routing_update(ConnectionId(1), topics(&["/d"]), now));
    assert_eq!(told, Vec::<String>::new(), "it is no peer any more");
}

#[test]
fn announcements_go_on_while_a_peering_is_being_removed() {
    let mut rig = Rig::new();
    rig.peered_with("x", RETRY, LARGE);
    rig.unpeer("x");
    assert_eq!(subscribe(&mut rig, &["/a"]), ["send 1 routing-update large [/a]"]);
}
