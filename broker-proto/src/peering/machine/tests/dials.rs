//! Requests: failures, retries, renewal and giving up.

use super::*;
use crate::limits::MAX_DURATION;

#[test]
fn a_retry_time_without_end_is_a_long_time() {
    let mut rig = Rig::with(Settings { retry_max: Some(MAX_DURATION), ..settings() });
    rig.peer("x", Some(Duration::MAX));
    rig.dial_fails(1);
    let next = rig.control.next_deadline().unwrap();
    assert!(next >= MAX_DURATION && next < 3 * MAX_DURATION, "{next:?}");
}

#[test]
fn without_a_retry_the_first_failure_decides() {
    let mut rig = Rig::new();
    assert_eq!(rig.peer("x", None), ["dial 1 x"]);
    assert_eq!(rig.dial_fails(1), ["error peer_unavailable x", "resolve 1 closed"]);
    assert!(rig.control.dials.is_empty());
    assert_eq!(rig.control.next_deadline(), None);
}

#[test]
fn every_failed_attempt_is_reported_and_tried_again_after_the_interval() {
    let mut rig = Rig::new();
    rig.peer("x", RETRY);
    for _ in 0..20 {
        assert_eq!(rig.dial_fails(1), ["error peer_unavailable x"]);
        let almost = RETRY.unwrap() - Duration::from_millis(1);
        assert_eq!(rig.pass(almost), Vec::<String>::new());
        assert_eq!(rig.pass(Duration::from_millis(1)), ["dial 1 x"]);
    }
    let open = &rig.open[&DialId(1)];
    assert_eq!((open.failures, open.retry), (20, RETRY));
}

#[test]
fn jitter_only_adds_and_stays_within_its_fraction() {
    let mut rig = Rig::with(Settings { retry_jitter: 0.5, ..settings() });
    rig.peer("x", RETRY);
    let (retry, mut seen) = (RETRY.unwrap(), Vec::new());
    for _ in 0..50 {
        rig.dial_fails(1);
        let wait = rig.control.next_deadline().unwrap() - rig.now;
        assert!(wait >= retry && wait <= retry.mul_f64(1.5), "{wait:?}");
        seen.push(wait);
        rig.pass(wait);
    }
    seen.sort_unstable();
    seen.dedup();
    assert!(seen.len() > 40, "the pauses differ");
}

#[test]
fn back_off_doubles_up_to_its_limit_and_starts_over_after_a_success() {
    let max = Some(Duration::from_secs(30));
    let mut rig = Rig::with(Settings { retry_max: max, ..settings() });
    rig.peer("x", RETRY);
    for expected in [7, 14, 28, 30, 30] {
        rig.dial_fails(1);
        assert_eq!(rig.control.next_deadline(), Some(rig.now + Duration::from_secs(expected)));
        rig.pass(Duration::from_secs(expected));
    }
    rig.dialled(1, "x");
    rig.shake(1, LARGE);
    rig.closed(1);
    rig.dial_fails(1);
    assert_eq!(rig.control.next_deadline(), Some(rig.now + Duration::from_secs(7)));
}

#[test]
fn there_is_one_request_for_each_address_and_asking_again_makes_it_try_at_once() {
    let mut rig = Rig::new();
    rig.peer("x", RETRY);
    assert_eq!(rig.peer("x", RETRY), Vec::<String>::new(), "it is being tried");
    rig.dial_fails(1);
    assert_eq!(rig.peer("x", None), ["dial 1 x"]);
    assert_eq!(rig.control.next_deadline(), None, "and not once more after the interval");
    assert_eq!(rig.open[&DialId(1)].retry, RETRY, "no retry takes nothing back");
    rig.dialled(1, "x");
    rig.shake(1, LARGE);
    let longer = Some(Duration::from_secs(60));
    assert_eq!(rig.peer("x", longer), ["resolve 1 large"]);
    let network = rig.registry[&LARGE].network.clone();
    assert_eq!(network.retry, longer);
}

#[test]
fn giving_up_a_request_works_in_every_state_it_can_be_in() {
    let cancelled = ["resolve 1 cancelled", "log peering-cancelled"];
    let with = |first: &str| std::iter::once(first.to_owned()).chain(cancelled.map(String::from));
    // While the connection is being opened.
    let mut rig = Rig::new();
    rig.peer("x", RETRY);
    assert_eq!(rig.unpeer("x"), with("abandon 1").collect::<Vec<_>>());
    assert_eq!(rig.dialled(1, "x"), Vec::<String>::new(), "too late");
    assert_eq!(rig.control.connections(), 0);
    // Until the next attempt.
    let mut rig = Rig::new();
    rig.peer("x", RETRY);
    rig.dial_fails(1);
    assert_eq!(rig.unpeer("x"), cancelled);
    assert_eq!(rig.control.next_deadline(), None);
    // During the handshake, in any state.
    for messages in 0..3 {
        let mut rig = Rig::new();
        rig.peer("x", RETRY);
        rig.dialled(1, "x");
        if messages > 0 {
            rig.hello(1, SMALL);
        }
        if messages > 1 {
            rig.select(1, SMALL);
        }
        assert_eq!(rig.unpeer("x"), with("close 1 now").collect::<Vec<_>>());
        assert_eq!(rig.closed(1), Vec::<String>::new());
        assert!(rig.registry.is_empty() && rig.control.pending.is_empty());
        assert_eq!(rig.control.next_deadline(), None);
    }
    // While another handshake with the same peer is open.
    let mut rig = Rig::new();
    rig.peer("x", RETRY);
    rig.dialled(1, "x");
    rig.accepted();
    rig.hello(2, LARGE);
    rig.hello(1, LARGE);
    rig.closed(1);
    assert_eq!(rig.unpeer("x"), cancelled);
    let done = rig.syn_ack(2, &[]);
    assert!(!done.iter().any(|action| action.starts_with("resolve")), "{done:?}");
}

#[test]
fn a_connection_that_nobody_asked_for_is_not_taken() {
    let mut rig = Rig::new();
    assert_eq!(rig.dialled(7, "x"), Vec::<String>::new());
    assert_eq!(rig.control.connections(), 0);
}

#[test]
fn a_lost_peering_is_dialled_at_once_and_only_by_the_side_that_has_an_interval() {
    for retry in [None, RETRY] {
        let mut rig = Rig::new();
        rig.peered_with("x", retry, LARGE);
        let lost = rig.closed(1);
        assert_eq!(lost.contains(&"dial 1 x".to_owned()), retry.is_some(), "{lost:?}");
        assert_eq!(rig.control.dials.iter().count(), usize::from(retry.is_some()));
    }
    let mut rig = Rig::new();
    let conn = rig.peered_by(LARGE);
    assert!(!rig.closed(conn).iter().any(|action| action.starts_with("dial")));
}

#[test]
fn another_endpoint_at_the_same_address_is_accepted_like_the_old_one() {
    let mut rig = Rig::new();
    rig.peered_with("x", RETRY, LARGE);
    rig.closed(1);
    rig.dialled(1, "x");
    rig.hello(2, SMALL);
    rig.select(2, SMALL);
    rig.syn(2, &[]);
    assert!(rig.ack(2).contains(&"peer_added small at x".to_owned()));
    assert_eq!(rig.status(LARGE), Some(PeerStatus::Disconnected));
}
