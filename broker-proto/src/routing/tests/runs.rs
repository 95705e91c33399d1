//! Neighbours that go the same way are handled together, and nobody can tell.

use super::*;
use crate::limits::SHARED_FRAME_MIN;
use std::sync::atomic::Ordering::Relaxed;

fn large(sender: EndpointId, topic: &str, number: u8) -> Vec<u8> {
    let payload = Value::from(vec![number; SHARED_FRAME_MIN]).encode();
    data_with(sender, NIL, topic, &payload, 16)
}

#[test]
fn order_is_kept_whatever_the_runs_are_made_of() {
    let rig = Rig::new();
    let sink = rig.sink(1, SinkKind::Subscriber, &["/"]);
    let mut random = fastrand::Rng::with_seed(7);
    let mut frames = Vec::new();
    for number in 1..=500 {
        let topic = ["/a", "/a", "/b", "/q"][random.usize(..4)];
        let ttl = if random.u8(..10) == 0 { 9 } else { 16 };
        frames.push(data_with(Q, NIL, topic, &Value::Count(number).encode(), ttl));
        if random.u8(..20) == 0 {
            frames.push(wire::envelope::ping_frame(Q, OWN, b""));
            frames.push(vec![0; 4]);
        }
    }
    rig.arrive(&rig.q, &frames);
    assert_eq!(delivered(&sink), Vec::from_iter(1..=500));
    assert_eq!(numbers(&rig.p), Vec::from_iter(1..=500));
}

#[test]
fn it_makes_no_difference_where_the_reads_end() {
    let frames: Vec<_> = (1..=20).map(|number| data(Q, NIL, "/a", number)).collect();
    for size in 1..=20 {
        let rig = Rig::new();
        let sink = rig.sink(1, SinkKind::Subscriber, &["/"]);
        let mut inbound = Inbound::new(Arc::clone(&rig.q), limits(100));
        for part in frames.chunks(size) {
            rig.arrive_at(&mut inbound, part);
        }
        assert_eq!(delivered(&sink), Vec::from_iter(1..=20));
        assert_eq!(rig.q.counters.messages_in(), 20);
        assert_eq!(rig.q.counters.bytes_in.load(Relaxed), frames.concat().len() as u64);
    }
}

#[test]
fn an_incomplete_frame_at_the_end_is_left_alone() {
    let rig = Rig::new();
    let mut region = [data(Q, NIL, "/a", 1), data(Q, NIL, "/a", 2)].concat();
    let whole = region.len() / 2;
    region.pop();
    let mut inbound = Inbound::new(Arc::clone(&rig.q), limits(100));
    let (done, progress) = inbound.step(&rig.router, &mut region);
    assert!(matches!(progress, Progress::Done));
    assert_eq!((done, numbers(&rig.p)), (whole, vec![1]));
}

#[test]
fn a_malformed_message_ends_a_run_without_its_neighbours() {
    let rig = Rig::new();
    let sink = rig.sink(1, SinkKind::Subscriber, &["/"]);
    let bad = data_with(Q, NIL, "/a", &[99], 16);
    let forged = data(P, NIL, "/a", 9);
    let frames = [data(Q, NIL, "/a", 1), bad, data(Q, NIL, "/a", 2), forged, data(Q, NIL, "/a", 3)];
    rig.arrive(&rig.q, &frames);
    assert_eq!((delivered(&sink), numbers(&rig.p)), (vec![1, 2, 3], vec![1, 2, 3]));
}

#[test]
fn a_filter_that_changes_between_two_runs_counts_for_the_second() {
    let rig = Rig::new();
    let mut inbound = Inbound::new(Arc::clone(&rig.q), limits(100));
    rig.arrive_at(&mut inbound, &[data(Q, NIL, "/a", 1)]);
    rig.router.set_peer_filter(R, topics(&["/a"]));
    rig.arrive_at(&mut inbound, &[data(Q, NIL, "/a", 2)]);
    rig.router.remove_peer(R);
    rig.arrive_at(&mut inbound, &[data(Q, NIL, "/a", 3)]);
    assert_eq!((numbers(&rig.r), numbers(&rig.p)), (vec![2], vec![1, 2, 3]));
}

#[test]
fn large_messages_are_runs_of_their_own_and_shared_by_those_who_get_the_same_bytes() {
    let rig = Rig::new();
    rig.router.set_peer_filter(R, topics(&["/a"]));
    let sinks = [1, 2].map(|id| rig.sink(id, SinkKind::Subscriber, &["/"]));
    let frames = [data(Q, NIL, "/a", 1), large(Q, "/a", 2), data(Q, NIL, "/a", 3)];
    rig.arrive(&rig.q, &frames);
    let second = |queue: &BoundedQueue| {
        assert!(matches!(queue.take_piece(), Ok(Piece::Segment { frames: 1, .. })));
        let Ok(Piece::Shared(frame)) = queue.take_piece() else { panic!("it is not shared") };
        assert!(matches!(queue.take_piece(), Ok(Piece::Segment { frames: 1, .. })));
        frame.as_ptr()
    };
    assert_eq!(second(&sinks[0].queue), second(&sinks[1].queue));
    assert_eq!(second(&rig.p.queue), second(&rig.r.queue));
}

#[test]
fn a_large_message_with_memory_of_its_own_is_copied_only_for_those_who_get_other_bytes() {
    // Where it is delivered, who wants it, and whether its memory is used.
    for (local, forwarded, used) in
        [(true, false, true), (false, true, true), (true, true, true), (false, false, false)]
    {
        let rig = Rig::with(forwarded, bounds(10, OverflowPolicy::DropOldest));
        let sink = rig.sink(1, SinkKind::Subscriber, if local { &["/"] } else { &["/other"] });
        let mut frame = large(Q, "/x", 2);
        let at = frame.as_ptr();
        let mut inbound = Inbound::new(Arc::clone(&rig.q), limits(100));
        let (done, progress) = inbound.step(&rig.router, &mut frame);
        assert!(done > SHARED_FRAME_MIN && matches!(progress, Progress::Done));
        assert_eq!(frame.is_empty(), used);
        let shared = |queue: &BoundedQueue| match queue.take_piece() {
            Ok(Piece::Shared(frame)) => Some(frame),
            _ => None,
        };
        let (here, there) = (shared(&sink.queue), shared(&rig.p.queue));
        assert_eq!((here.is_some(), there.is_some()), (local, forwarded));
        let is_same = |frame: &Bytes| frame.as_ptr() == at;
        let owned = here.iter().chain(&there).filter(|frame| is_same(frame)).count();
        assert_eq!(owned, usize::from(used), "one of them has the memory");
        let sender = |frame: &Bytes| Envelope::decode(&frame[4..]).unwrap().sender;
        assert!(here.iter().all(|frame| sender(frame) == Q));
        assert!(there.iter().all(|frame| sender(frame) == OWN));
    }
}

#[test]
fn a_run_keeps_the_bound_of_every_queue() {
    for policy in [OverflowPolicy::DropNewest, OverflowPolicy::DropOldest] {
        let rig = Rig::with(true, bounds(10, policy));
        let sink = rig.sink_with(1, SinkKind::Subscriber, &["/"], bounds(3, policy));
        let frames: Vec<_> = (1..=50).map(|number| data(Q, NIL, "/a", number)).collect();
        rig.arrive(&rig.q, &frames);
        let oldest = policy == OverflowPolicy::DropOldest;
        let kept = |count: u64| if oldest { 51 - count..=50 } else { 1..=count };
        assert_eq!(delivered(&sink), Vec::from_iter(kept(3)));
        assert_eq!(numbers(&rig.p), Vec::from_iter(kept(10)));
        assert_eq!((sink.queue.stats().dropped, rig.p.queue.stats().dropped), (47, 40));
    }
}

#[test]
fn a_run_does_not_overfill_a_consumer_that_makes_its_sources_wait() {
    let rig = Rig::new();
    let sink = rig.sink_with(1, SinkKind::Subscriber, &["/"], bounds(3, OverflowPolicy::Wait));
    let mut inbound = Inbound::new(Arc::clone(&rig.q), limits(100));
    let mut region: Vec<u8> = (1..=10).flat_map(|number| data(Q, NIL, "/a", number)).collect();
    let (mut at, mut got) = (0, Vec::new());
    while at < region.len() {
        let (done, _) = inbound.step(&rig.router, &mut region[at..]);
        at += done;
        assert!(sink.queue.stats().queued <= 3);
        got.extend(delivered(&sink));
    }
    assert_eq!((got, sink.queue.stats().dropped), (Vec::from_iter(1..=10), 0));
    assert_eq!(numbers(&rig.p), Vec::from_iter(1..=10));
}

#[test]
fn an_overflow_of_a_peer_is_reported_once_and_everything_offered_is_counted() {
    let rig = Rig::with(true, bounds(4, OverflowPolicy::Disconnect));
    let mut inbound = Inbound::new(Arc::clone(&rig.q), limits(100));
    let frames: Vec<_> = (1..=9).map(|number| data(Q, NIL, "/a", number)).collect();
    rig.arrive_at(&mut inbound, &frames);
    rig.arrive_at(&mut inbound, &frames);
    assert_eq!(inbound.cut, [rig.p.conn]);
    assert_eq!(rig.p.queue.stats().dropped, 9);
}

#[test]
fn a_peer_that_has_become_silent_keeps_no_outdated_table() {
    let rig = Rig::new();
    let mut inbound = Inbound::new(Arc::clone(&rig.q), limits(100));
    rig.arrive_at(&mut inbound, &[data(Q, NIL, "/a", 1)]);
    let old = Arc::downgrade(&rig.router.table());
    rig.router.set_peer_filter(R, topics(&["/a"]));
    drop(rig.router.table());
    assert!(old.upgrade().is_none());
}

#[test]
fn an_update_that_changes_nothing_makes_no_new_table() {
    let rig = Rig::new();
    let old = Arc::downgrade(&rig.router.table());
    rig.router.set_peer_filter(P, topics(&[""]));
    rig.router.set_peer_filter(STRANGER, topics(&["/a"]));
    assert!(rig.router.is_current(&old));
    rig.router.set_peer_filter(P, topics(&["/p"]));
    assert!(!rig.router.is_current(&old));
}

#[test]
fn destinations_are_remembered_for_so_many_topics_and_not_for_very_long_ones() {
    let rig = Rig::new();
    let table = Arc::clone(&rig.router.table());
    for number in 0..100_u32 {
        table.destinations(format!("/{number}").as_bytes(), Scope::default());
        table.destinations("/long".repeat(60 + number as usize).as_bytes(), Scope::default());
        assert!(table.remembered() <= 8);
    }
    let before = table.remembered();
    assert_eq!(
        table
            .destinations(&b"x".repeat(crate::limits::CACHED_TOPIC_LEN_MAX + 1), Scope::default())
            .peers
            .len(),
        1
    );
    assert_eq!(table.remembered(), before);
}

#[test]
fn large_filters_are_put_into_force_in_their_order_and_only_for_their_connection() {
    let rig = Rig::new();
    let conn = rig.q.conn;
    let large = |start: usize| -> Vec<Bytes> {
        (start..start + 5000).map(|number| format!("/{number:05}").into()).collect()
    };
    let change = |filter| rig.router.change_peer_filter(Q, conn, filter);
    let wants = |topic: &str| {
        rig.router.table().destinations(topic.as_bytes(), Scope::default()).peers.len() == 2
    };
    assert_eq!(change(topics(&["/q", "/small"])), FilterChange::Done);
    assert_eq!(change(topics(&["/small", "/q"])), FilterChange::None);
    assert_eq!(change(large(0)), FilterChange::Staged);
    assert!(wants("/small") && !wants("/00001"), "not yet");
    // Behind a large one even a small one has to wait.
    assert_eq!(change(topics(&["/last"])), FilterChange::Staged);
    assert!(rig.router.apply_staged());
    assert!(wants("/last") && !wants("/small") && !wants("/00001"));
    assert_eq!(change(large(4000)), FilterChange::Staged);
    assert!(rig.router.apply_staged() && wants("/04000") && wants("/08999") && !wants("/last"));
    assert_eq!(change(large(6000)), FilterChange::Staged);
    let gone = rig.router.remove_peer(Q).unwrap();
    assert!(!wants("/04000") && !wants("/06000"), "at once");
    let number = 7;
    let again = Peer { conn: ConnectionId(number), ..peer_like(&gone) };
    rig.router.add_peer(Arc::new(again), topics(&["/again"]));
    assert!(!rig.router.apply_staged(), "that was for another peering");
    assert!(wants("/again") && !wants("/04000") && !wants("/06000"));
    assert_eq!(rig.router.peer_filter(Q), Some(topics(&["/again"])));
}

fn peer_like(peer: &Peer) -> Peer {
    let (queue, heard) = (Arc::clone(&peer.queue), Arc::clone(&peer.heard));
    let (id, conn, dialect) = (peer.id, peer.conn, peer.dialect);
    let rights = Arc::clone(&peer.rights);
    Peer { id, conn, dialect, rights, queue, counters: PeerCounters::default(), heard }
}
