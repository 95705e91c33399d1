//! Messages that a conforming peer does not send: they go nowhere, are counted one by one, and are
//! reported once.

use super::*;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// Lets frames arrive from Q, between two good messages, and returns the kinds of the reports.
fn reports(rig: &Rig, frames: &[Vec<u8>]) -> Vec<&'static str> {
    let sink = rig.sink(1, SinkKind::Hub, &[""]);
    let mut inbound = Inbound::new(Arc::clone(&rig.q), limits(2));
    let mut all = vec![data(Q, NIL, "/x", 1)];
    all.extend_from_slice(frames);
    all.push(data(Q, NIL, "/x", 2));
    let seen = rig.arrive_at(&mut inbound, &all);
    assert_eq!(delivered(&sink), [1, 2], "the connection goes on, and nothing bad gets through");
    assert_eq!(numbers(&rig.p), [1, 2]);
    seen.into_iter()
        .map(|progress| match progress {
            Progress::Notice(Notice::Misbehaved { reason, .. }) => reason.name(),
            other => panic!("{other:?}"),
        })
        .collect()
}

fn count(counter: &AtomicU64) -> u64 {
    counter.load(Relaxed)
}

#[test]
fn senders_other_than_the_peer_are_forged() {
    let rig = Rig::new();
    let forged: Vec<_> = [P, OWN, NIL, STRANGER].map(|sender| data(sender, NIL, "/x", 9)).to_vec();
    assert_eq!(reports(&rig, &forged), ["forged-sender"]);
    assert_eq!(count(&rig.q.counters.forged), 4);
}

#[test]
fn pings_updates_and_pongs_in_the_name_of_others_have_no_effect() {
    let rig = Rig::new();
    let forged = [
        wire::envelope::ping_frame(P, OWN, b"x"),
        wire::envelope::routing_update_frame(P, OWN, &topics(&["/stolen"])),
        wire::envelope::pong_frame(P, OWN, b"x"),
    ];
    assert_eq!(reports(&rig, &forged), ["forged-sender"]);
    assert!(bytes_for(&rig.q).is_empty());
    assert_eq!(rig.router.peer_filter(P), Some(topics(&[""])));
}

#[test]
fn internal_topics_of_others_are_none_of_our_business() {
    let rig = Rig::new();
    let statuses = rig.sink(5, SinkKind::Subscriber, &["<$>/local/data/statuses"]);
    let fake = vec![data(Q, OWN, "<$>/local/data/statuses", 9); 3];
    assert_eq!(reports(&rig, &fake), ["internal-topic"]);
    assert_eq!(count(&rig.q.counters.internal), 3);
    assert!(delivered(&statuses).is_empty());
}

#[test]
fn frames_that_are_no_envelopes_are_malformed_and_empty_ones_are_nothing() {
    let rig = Rig::new();
    let mut unknown_type = data(Q, NIL, "/x", 9);
    unknown_type[4 + 32] = 6;
    let mut long_topic = data(Q, NIL, "/x", 9);
    long_topic[4 + 35..4 + 37].fill(0xff);
    let bad = [vec![0, 0, 0, 2, 1, 2], unknown_type, long_topic, vec![0; 4], vec![0; 4]];
    assert_eq!(reports(&rig, &bad), ["malformed-message"]);
    assert_eq!(count(&rig.q.counters.malformed), 3);
}

#[test]
fn payloads_that_are_not_what_their_type_says_are_malformed() {
    let rig = Rig::new();
    let nested = [[14, 1].repeat(65), vec![0]].concat();
    let with = |payload: &[u8]| data_with(Q, NIL, "/x", payload, 16);
    let command = Envelope {
        sender: Q,
        receiver: NIL,
        kind: EnvelopeType::Command,
        ttl: 16,
        topic: b"/x",
        payload: b"no command",
    };
    let update = |payload: &'static [u8]| {
        frame(&Envelope {
            kind: EnvelopeType::RoutingUpdate,
            receiver: OWN,
            topic: wire::CONTROL_TOPIC,
            payload,
            ..command
        })
    };
    let bad = [
        with(&[]),
        with(&[99]),
        with(&[0, 0]),
        with(&[14, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        with(&nested),
        frame(&command),
        update(&[1, 200, b'x']),
    ];
    assert_eq!(reports(&rig, &bad), ["malformed-message"]);
    assert_eq!(count(&rig.q.counters.malformed), bad.len() as u64);
    assert_eq!(rig.router.peer_filter(Q), Some(topics(&["/q"])), "no update got through");
}

#[test]
fn each_kind_of_misbehaviour_is_reported_on_its_own() {
    let rig = Rig::new();
    let bad = [data(P, NIL, "/x", 9), data(Q, NIL, "<$>/local/x", 9), vec![0, 0, 0, 1, 0]].concat();
    let all = ["forged-sender", "internal-topic", "malformed-message"];
    assert_eq!(reports(&rig, &[bad.clone(), bad]), all);
}

/// Lets frames arrive from Q until it is cut; returns how many did, and why it was cut.
fn until_cut(frames: impl Iterator<Item = Vec<u8>>) -> (usize, String) {
    let rig = Rig::new();
    let mut inbound = Inbound::new(Arc::clone(&rig.q), limits(2));
    for (number, frame) in frames.enumerate() {
        for progress in rig.arrive_at(&mut inbound, &[frame]) {
            if let Progress::Notice(Notice::Cut(failure)) = progress {
                return (number, format!("{}: {failure}", failure.name()));
            }
        }
    }
    panic!("never cut")
}

#[test]
fn a_peer_that_sends_mostly_bad_messages_is_cut_with_the_last_one_as_the_reason() {
    let forged = data(P, NIL, "/x", 9);
    let internal = data(Q, NIL, "<$>/local/x", 9);
    let malformed = vec![0, 0, 0, 1, 0];
    let all = [forged, internal, malformed].into_iter().cycle();
    let (number, reason) = until_cut(all);
    assert_eq!(number, 10);
    let last = "at last it sent a message on a topic below <$>/local/";
    assert!(reason.starts_with("bad-messages: ") && reason.ends_with(last), "{reason}");
}

#[test]
fn good_messages_make_up_for_bad_ones() {
    let rig = Rig::new();
    let mut inbound = Inbound::new(Arc::clone(&rig.q), limits(2));
    for _ in 0..20 {
        let mut frames = vec![data(P, NIL, "/x", 9); 10];
        frames.extend(vec![data(Q, NIL, "/x", 1); 10]);
        let seen = rig.arrive_at(&mut inbound, &frames);
        let cut = seen.iter().any(|seen| matches!(seen, Progress::Notice(Notice::Cut(_))));
        assert!(!cut, "{seen:?}");
    }
}

#[test]
fn payloads_that_are_empty_are_dropped_without_a_word() {
    let rig = Rig::new();
    assert!(reports(&rig, &vec![data_with(Q, NIL, "/x", &[], 16); 50]).is_empty());
    assert_eq!(count(&rig.q.counters.malformed), 50);
}

#[test]
fn a_filter_that_is_too_large_cuts_the_peer() {
    let update =
        |filter: &[&'static str]| wire::envelope::routing_update_frame(Q, OWN, &topics(filter));
    let long = "/".repeat(101).leak();
    for (filter, reason) in [
        (&["/a", "/b", "/c"][..], "more than 2 entries, the limit filter-entries"),
        (&[long], "101 bytes, the limit filter-entry is 100"),
    ] {
        let (number, text) = until_cut([update(&["/a"]), update(filter)].into_iter());
        assert_eq!(number, 1);
        assert!(text.starts_with("limit-reached: ") && text.ends_with(reason), "{text}");
    }
}

#[test]
fn a_peer_that_pings_without_reading_is_reported_before_its_answers_pile_up() {
    let rig = Rig::new();
    let ping = wire::envelope::ping_frame(Q, OWN, b"x");
    let seen = rig.arrive(&rig.q, &vec![ping.clone(); 20]);
    assert!(matches!(seen[0], Progress::Notice(Notice::ControlOverflow)), "{seen:?}");
    assert_eq!(seen.len(), 1, "once");
    assert_eq!(rig.q.queue.stats().queued, 0);
    assert_eq!(rig.q.queue.take(&mut WriteBatch::new()), Taken::Closed);
}
