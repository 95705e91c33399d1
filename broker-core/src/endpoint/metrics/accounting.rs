//! What `/metrics` says of peers adds up, whatever happens to their messages.

use super::super::drops::Drops;
use super::tests::Recorder;
use super::{Metrics, State};
use crate::EndpointId;
use crate::OverflowPolicy;
use broker_proto::WriteBatch;
use broker_proto::peering::{ConnectionId, Dialect, LastActivity};
use broker_proto::queue::{BoundedQueue, Bounds, Closing};
use broker_proto::routing::{Peer, PeerCounters, Router};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

const POLICIES: [OverflowPolicy; 4] = [
    OverflowPolicy::DropNewest,
    OverflowPolicy::DropOldest,
    OverflowPolicy::Disconnect,
    OverflowPolicy::Wait,
];

fn id(number: u8) -> EndpointId {
    EndpointId::from_bytes([number; 16])
}

/// A peer whose queue has room for four messages.
fn peer(number: u8, conn: u64, policy: OverflowPolicy) -> Arc<Peer> {
    let bounds = Bounds { messages: 4, memory: 1 << 20, control: 1 << 10, policy };
    Arc::new(Peer {
        id: id(number),
        conn: ConnectionId(conn),
        dialect: Dialect::One,
        rights: Arc::default(),
        queue: Arc::new(BoundedQueue::new(bounds)),
        counters: PeerCounters::default(),
        heard: Arc::new(LastActivity::new(broker_proto::peering::Time::ZERO)),
    })
}

fn router() -> Router {
    Router::new(id(99), true, 100, 100)
}

fn recorder() -> Recorder {
    let recorder = Recorder::install();
    super::names::describe();
    recorder
}

fn record(metrics: &Metrics, router: &Router) {
    metrics.record_peers(&mut metrics.state.lock(), || router.peers());
}

/// Waits until a call in another thread has ended, or waits itself for what this thread holds.
fn ended_or_waits(thread: &std::thread::ScopedJoinHandle<'_, ()>, held: impl Fn() -> bool) {
    while !thread.is_finished() && !held() {
        std::thread::yield_now();
    }
}

#[test]
fn a_peer_that_ends_while_the_numbers_are_asked_for_is_counted_once() {
    let recorder = recorder();
    let (metrics, router) = (Metrics::new(10), router());
    let peer = peer(1, 1, OverflowPolicy::DropOldest);
    router.add_peer(Arc::clone(&peer), Vec::new());
    peer.counters.messages_in[0].store(1000, Relaxed);
    metrics.record_peers(&mut metrics.state.lock(), || {
        let installed = router.peers();
        metrics.ended(router.remove_peer(id(1)).unwrap());
        installed
    });
    drop(peer);
    record(&metrics, &router);
    let numbers = recorder.numbers();
    let key = format!("broker_peer_messages_total{{peer={},direction=in}}", id(1));
    assert_eq!(numbers[&key], 1000.0);
    assert_eq!(numbers[&format!("zeek_broker_peer_buffer_messages{{peer={}}}", id(1))], 0.0);
    let State { peers, ending, buffers, .. } = &*metrics.state.lock();
    assert!(peers.is_empty() && ending.is_empty() && buffers.is_empty());
}

#[test]
fn what_has_been_said_of_a_peer_is_forgotten_with_it_even_if_it_ends_during_a_report() {
    let (drops, router) = (Drops::default(), router());
    let lossy = peer(1, 1, OverflowPolicy::DropNewest);
    lossy.queue.push(&frames(10), 10, false);
    router.add_peer(Arc::clone(&lossy), Vec::new());
    std::thread::scope(|scope| {
        let said = drops.report(|| {
            let installed = router.peers();
            let gone = router.remove_peer(id(1)).unwrap();
            let drops = &drops;
            let ending = scope.spawn(move || drop(drops.ended(&gone)));
            ended_or_waits(&ending, || drops.is_locked());
            installed
        });
        assert_eq!(said.len(), 1);
    });
    assert!(drops.is_empty());
}

#[test]
fn a_peer_that_comes_back_while_the_old_connection_ends_is_counted_from_its_own_beginning() {
    let recorder = recorder();
    let (metrics, router) = (Metrics::new(10), router());
    for conn in 1..=2 {
        let peer = peer(1, conn, OverflowPolicy::DropNewest);
        let writer = Arc::clone(&peer.queue);
        peer.queue.push(&frames(3), 3, false);
        metrics.ended.lock().extend(router.remove_peer(id(1)));
        router.add_peer(peer, Vec::new());
        record(&metrics, &router);
        writer.close(Closing::Flush);
    }
    record(&metrics, &router);
    let totals = Totals::of(&[recorder.numbers()]);
    assert_eq!((totals.offered, totals.dropped, totals.queued), (6.0, 3.0, 3.0));
}

#[test]
fn a_peer_that_is_there_has_a_label_of_its_own_however_many_have_been_there() {
    let recorder = recorder();
    let (metrics, router) = (Metrics::new(2), router());
    for number in 1..=20 {
        router.add_peer(peer(number, number.into(), OverflowPolicy::DropNewest), Vec::new());
        // Every other one is there when the numbers are asked for.
        if number % 2 == 0 {
            record(&metrics, &router);
        }
        metrics.ended(router.remove_peer(id(number)).unwrap());
    }
    recorder.numbers();
    let good = peer(21, 21, OverflowPolicy::DropNewest);
    good.queue.push(&frames(3), 3, false);
    router.add_peer(good, Vec::new());
    record(&metrics, &router);
    let key = format!("broker_peer_offered_messages_total{{peer={}}}", id(21));
    assert_eq!(recorder.numbers()[&key], 3.0);
}

/// What happens to the peers of an endpoint.
#[derive(Debug, Clone)]
enum Step {
    Push {
        peer: usize,
        count: usize,
        waited: bool,
    },
    PushControl {
        peer: usize,
    },
    Take {
        peer: usize,
    },
    /// The connection is told to end.
    Close {
        peer: usize,
        how: Closing,
    },
    /// The machine has let go of the peer.
    Remove {
        peer: usize,
    },
    /// Its tasks have ended.
    Over {
        peer: usize,
    },
    Record,
}

fn step() -> impl Strategy<Value = Step> {
    let peer = 0..POLICIES.len();
    prop_oneof![
        4 => (peer.clone(), 1..8usize, any::<bool>())
            .prop_map(|(peer, count, waited)| Step::Push { peer, count, waited }),
        1 => peer.clone().prop_map(|peer| Step::PushControl { peer }),
        3 => peer.clone().prop_map(|peer| Step::Take { peer }),
        1 => (peer.clone(), prop_oneof![Just(Closing::Flush), Just(Closing::Now)])
            .prop_map(|(peer, how)| Step::Close { peer, how }),
        1 => peer.clone().prop_map(|peer| Step::Remove { peer }),
        1 => peer.prop_map(|peer| Step::Over { peer }),
        2 => Just(Step::Record),
    ]
}

/// Whole frames of one byte.
fn frames(count: usize) -> Vec<u8> {
    (0..count).flat_map(|_| frame()).collect()
}

fn frame() -> [u8; 5] {
    [0, 0, 0, 1, 7]
}

/// A peer and what its connection holds of it.
struct Link {
    peer: Option<Arc<Peer>>,
    queue: Option<Arc<BoundedQueue>>,
    offered: usize,
    taken: usize,
}

impl Link {
    fn new(at: usize, policy: OverflowPolicy, handshake: usize) -> Self {
        let peer = peer(at as u8 + 1, at as u64, policy);
        for _ in 0..handshake {
            peer.queue.push_control(&frame());
        }
        peer.queue.handshake_done();
        Self { queue: Some(Arc::clone(&peer.queue)), peer: Some(peer), offered: 0, taken: 0 }
    }

    fn push(&mut self, count: usize, push: impl FnOnce(&BoundedQueue)) {
        // What comes when all tasks have ended is known to nobody.
        if let Some(queue) = &self.queue {
            push(queue);
            self.offered += count;
        }
    }

    fn take(&mut self) {
        if let Some(queue) = &self.queue {
            let mut batch = WriteBatch::new();
            queue.take(&mut batch);
            self.taken += batch.remaining() / frame().len();
        }
    }
}

#[derive(Default)]
struct Totals {
    offered: f64,
    delivered: f64,
    dropped: f64,
    queued: f64,
}

impl Totals {
    /// The numbers of all peers, from what has been counted between one time and the next. Gauges
    /// are those of the last time.
    fn of(times: &[BTreeMap<String, f64>]) -> Self {
        let counted = |name: &str| {
            let values = times.iter().flatten().filter(|(key, _)| key.starts_with(name));
            values.map(|(_, value)| value).sum()
        };
        let queued = times.last().into_iter().flatten();
        Self {
            offered: counted("broker_peer_offered_messages_total{"),
            delivered: counted("broker_peer_delivered_messages_total{"),
            dropped: counted("broker_peer_dropped_messages_total{"),
            queued: queued
                .filter(|(key, _)| key.starts_with("zeek_broker_peer_buffer_messages{"))
                .map(|(_, value)| value)
                .sum(),
        }
    }
}

proptest! {
    #[test]
    fn offered_is_delivered_and_dropped_and_queued_under_every_policy(
        handshake in 0..3usize,
        limit in 0..5usize,
        steps in proptest::collection::vec(step(), 0..60),
    ) {
        let recorder = recorder();
        let (metrics, router) = (Metrics::new(limit), router());
        let mut links: Vec<Link> = Vec::new();
        for (at, policy) in POLICIES.into_iter().enumerate() {
            let link = Link::new(at, policy, handshake);
            router.add_peer(link.peer.clone().unwrap(), Vec::new());
            links.push(link);
        }
        let mut times = Vec::new();
        for step in steps.into_iter().chain([Step::Record]) {
            match step {
                Step::Push { peer, count, waited } => links[peer].push(count, |queue| {
                    queue.push(&frames(count), count, waited);
                }),
                Step::PushControl { peer } => links[peer].push(1, |queue| {
                    queue.push_control(&frame());
                }),
                Step::Take { peer } => links[peer].take(),
                Step::Close { peer, how } => {
                    links[peer].queue.iter().for_each(|queue| queue.close(how));
                }
                Step::Remove { peer } => {
                    if let Some(peer) = links[peer].peer.take() {
                        router.remove_peer(peer.id);
                        metrics.ended(peer);
                    }
                }
                // A connection ends after the machine has let go of it.
                Step::Over { peer } if links[peer].peer.is_none() => links[peer].queue = None,
                Step::Over { .. } => {}
                Step::Record => {
                    record(&metrics, &router);
                    times.push(recorder.numbers());
                    let totals = Totals::of(&times);
                    let offered: usize = links.iter().map(|link| link.offered).sum();
                    prop_assert_eq!(totals.offered, offered as f64);
                    let gone = totals.delivered + totals.dropped + totals.queued;
                    prop_assert_eq!(totals.offered, gone);
                    let taken: usize =
                        links.iter().map(|link| link.taken.saturating_sub(handshake)).sum();
                    prop_assert_eq!(totals.delivered, taken as f64);
                }
            }
        }
    }
}
