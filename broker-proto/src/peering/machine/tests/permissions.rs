//! What the rules for peers allow.

use super::*;
use crate::PeerRule;

fn rig() -> Rig {
    let lists = (Some(vec!["/in".to_owned()]), Some(vec!["/out".to_owned()]));
    let (publish, subscribe) = lists;
    let network = Some("10.0.0.0/8".parse().unwrap());
    let rule = PeerRule { network, publish, subscribe, ..PeerRule::default() };
    let mut rig = Rig::with(Settings { rules: vec![rule], ..settings() });
    let own = topics(&["/in/a", "/out/a", ""]);
    rig.tell(|control, now| control.subscribe(&own, now).unwrap());
    rig
}

#[test]
fn whoever_meets_no_rule_is_refused_by_name_and_told_so() {
    let mut rig = rig();
    rig.accepted_from("192.0.2.1");
    rig.control.handshake_frame(ConnectionId(1), hello_frame(LARGE), rig.now);
    let mut seen = Vec::new();
    while let Some(action) = rig.next_action() {
        if let Action::Report(Fact::HandshakeFailed { failure, .. }) = &action {
            assert_eq!(failure.name(), "not-permitted");
            assert!(failure.to_string().contains("192.0.2.1"), "{failure}");
        }
        seen.push(rig.describe(action));
    }
    assert_eq!(seen, ["send 1 drop_conn(1)", "log handshake-failed", "close 1 flush"]);
    assert_eq!(rig.status(LARGE), None);
    // The one who is told so knows whose rules these are.
    let description = crate::failure::NOT_PERMITTED.into();
    let told = Failure::Refused { code: ErrorCode::Unspecified, description };
    assert_eq!(told.name(), "access-denied");
}

fn hello_frame(from: EndpointId) -> HandshakeFrame {
    let hello = HandshakeMessage::hello(from).to_frame();
    HandshakeFrame::read(&hello[4..], FILTER)
}

#[test]
fn a_peer_is_asked_for_and_given_no_more_than_it_may_publish_and_have() {
    let mut rig = rig();
    rig.accepted_from("10.1.2.3");
    let told = rig.hello(1, LARGE);
    assert_eq!(told[1..], ["send 1 originator_syn [/in]"], "of everything, what it may publish");
    let done = rig.syn_ack(1, &["/"]);
    let log = "log not-permitted";
    assert!(done.contains(&"install 1 large [/out]".to_owned()), "{done:?}");
    assert_eq!(done.iter().filter(|said| *said == log).count(), 1, "{done:?}");
    let filter = topics(&["/secret", "/out/c"]);
    let update = rig.tell(|control, now| control.routing_update(ConnectionId(1), filter, now));
    assert_eq!(update, ["filter large [/out/c]"], "that it asks for too much has been said");
}
