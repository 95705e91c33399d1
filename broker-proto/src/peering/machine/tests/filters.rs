//! What is announced, when, and to whom.

use super::*;

fn subscribe(rig: &mut Rig, list: &[&'static str]) -> Vec<String> {
    rig.tell(|control, _| control.subscribe(&topics(list)))
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
    let shrunk = rig.tell(|control, _| control.unsubscribe(&topics(&["/b", "/c"])));
    assert_eq!(shrunk.len(), 2);
    let exchanged = rig.tell(|control, _| control.resubscribe(&topics(&["/d"]), &topics(&["/a"])));
    assert_eq!(exchanged[0], "send 1 routing-update small [/a/x /d]");
    assert_eq!(exchanged.len(), 2, "one announcement for each peer");
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
    rig.accepted();
    rig.accepted();
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
    let told = rig.tell(|control, _| control.routing_update(ConnectionId(1), topics(&["/c"])));
    assert_eq!(told, ["filter large [/c]"]);
    rig.closed(1);
    let told = rig.tell(|control, _| control.routing_update(ConnectionId(1), topics(&["/d"])));
    assert_eq!(told, Vec::<String>::new(), "it is no peer any more");
}

#[test]
fn announcements_go_on_while_a_peering_is_being_removed() {
    let mut rig = Rig::new();
    rig.peered_with("x", RETRY, LARGE);
    rig.unpeer("x");
    assert_eq!(subscribe(&mut rig, &["/a"]), ["send 1 routing-update large [/a]"]);
}
