//! What an endpoint shows of itself: its listeners, its peers and their statistics.

use super::registry::PeerRegistry;
use crate::event::NetworkInfo;
use crate::transport::{ListenerProtection, Protection};
use crate::{Address, EndpointId, Failure, OverflowPolicy, Reason};
use broker_proto::peering::{Direction, PeerStatus, Time};
use broker_proto::routing::{Peer, Router, Tally};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// An address at which an endpoint listens.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenerInfo {
    /// The address with the port it really has, as [`Endpoint::listen`](super::Endpoint::listen)
    /// returned it.
    pub url: Address,
    /// What protects the links that are accepted there.
    pub protection: ListenerProtection,
}

/// A peer, or an address that is being tried (`Broker::PeerInfo`).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PeerInfo {
    /// The peer's id; `None` as long as nobody has answered at the address.
    pub id: Option<EndpointId>,
    /// The address it is known under.
    pub network: NetworkInfo,
    /// Where the relation stands.
    pub status: PeerStatus,
    /// Which side opened the connection.
    pub direction: Direction,
    /// What protects the link; `None` while there is none.
    pub protection: Option<Protection>,
    /// For how long the status has been what it is.
    pub age: Duration,
    /// Failed attempts in a row.
    pub failures: u32,
    /// What went wrong last: why there is no peering yet, or why the one before ended.
    pub last_error: Option<String>,
    /// The same in a word that says whose business it is and what to do.
    pub last_reason: Option<Reason>,
    /// How often the peering was made again after it had ended.
    pub reconnects: u64,
}

impl PeerInfo {
    /// Whether this endpoint opened the connection.
    #[must_use]
    pub fn is_outbound(&self) -> bool {
        self.direction == Direction::Outbound
    }
}

/// The statistics of one peering. The first three are those of `BrokerPeeringStats`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PeeringStats {
    /// Messages that wait for the peer now. `offered = delivered + dropped + num_queued`, under
    /// every policy.
    pub num_queued: u64,
    /// The most messages that waited at once, in the current window.
    pub max_queued_recently: u64,
    /// Messages that met a full queue.
    pub num_overflows: u64,
    /// Bytes of memory that wait for the peer now.
    pub queued_bytes: u64,
    /// Messages for the peer, whatever became of them. Like all counters of messages here it
    /// counts what follows the handshake, control messages included.
    pub offered: u64,
    /// Messages that have left the queue to be written.
    pub delivered: u64,
    /// Messages that were dropped: the sum of [`Self::drops`].
    pub dropped: u64,
    /// The same by cause.
    pub drops: DropCauses,
    /// The policy.
    pub policy: OverflowPolicy,
    /// Messages queued for the peer so far.
    pub messages_out: u64,
    /// Bytes queued for the peer so far.
    pub bytes_out: u64,
    /// Messages received from the peer.
    pub messages_in: u64,
    /// Bytes received from the peer.
    pub bytes_in: u64,
    /// Received messages that were dropped because they were malformed.
    pub malformed: u64,
    /// Received messages that were dropped because they claimed another sender.
    pub forged: u64,
    /// Received messages that were dropped because their topic is internal to an endpoint.
    pub internal: u64,
    /// Received messages that were not passed on because they had no hop left.
    pub expired: u64,
    /// Received messages that were dropped because they had come before, by another path.
    pub duplicates: u64,
    /// Received messages that had come before, with more hops left, as in a circle through
    /// endpoints of version 1.
    pub looped: u64,
    /// From whom the last of these had come before: the other end of the circle.
    pub looped_from: Option<EndpointId>,
    /// Received messages that were dropped because the peer may not send them.
    pub not_permitted: u64,
    /// Messages for this endpoint that the peer has dropped as they found no room, as far as it
    /// has said so: peers of version 2 do every few seconds and when the peering ends.
    pub missed: u64,
    /// How long messages wait for the peer.
    pub waiting: TimeInQueue,
}

/// What has passed on topics with one prefix, of those that `count-prefixes` names.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PrefixCount {
    /// The prefix.
    pub prefix: String,
    /// Messages that came from peers and could pass, and those that were published here.
    pub messages_in: u64,
    /// Bytes of their frames.
    pub bytes_in: u64,
    /// Copies of them for peers, whatever became of these.
    pub messages_out: u64,
    /// Bytes of the copies.
    pub bytes_out: u64,
}

/// Why messages for a peer were dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct DropCauses {
    /// There was no room.
    pub full: u64,
    /// They had to make room for newer ones.
    pub displaced: u64,
    /// They waited when the peering ended.
    pub discarded: u64,
    /// They came when the peering was ending.
    pub late: u64,
}

impl DropCauses {
    /// The causes by name.
    #[must_use]
    pub fn by_cause(&self) -> [(&'static str, u64); 4] {
        [
            ("full", self.full),
            ("displaced", self.displaced),
            ("discarded", self.discarded),
            ("late", self.late),
        ]
    }

    /// Whatever the cause.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_cause().iter().map(|(_, count)| count).sum()
    }
}

/// How long messages have waited in a queue until they were written. Messages are followed one at
/// a time, so under load this is a sample; those that were dropped do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TimeInQueue {
    /// How many messages were followed.
    pub samples: u64,
    /// How long they have waited together.
    pub total: Duration,
    /// How long the last of them has waited.
    pub last: Option<Duration>,
    /// About how long the oldest message has waited that is in the queue now.
    pub oldest: Duration,
}

/// The statistics of all peerings, by the id of the peer (`Broker::peering_stats`).
pub type PeeringStatsTable = BTreeMap<EndpointId, PeeringStats>;

/// What is known about peers and requests at this time.
pub(super) fn peers(registry: &PeerRegistry, now: Time) -> Vec<PeerInfo> {
    let known = registry.peers().into_iter().map(|(id, record)| PeerInfo {
        id: Some(id),
        network: record.network,
        status: record.status,
        direction: record.direction,
        protection: (record.status != PeerStatus::Disconnected).then_some(record.protection),
        age: now.saturating_sub(record.since),
        failures: 0,
        last_reason: record.last_error.as_ref().map(Failure::reason),
        last_error: record.last_error.map(|failure| failure.to_string()),
        reconnects: record.reconnects,
    });
    let tried = registry.dials().into_iter().map(|(_, dial)| PeerInfo {
        id: None,
        network: NetworkInfo { url: dial.url, retry: dial.retry },
        status: PeerStatus::Connecting,
        direction: Direction::Outbound,
        protection: None,
        age: now.saturating_sub(dial.since),
        failures: dial.failures,
        last_reason: dial.last_error.as_ref().map(Failure::reason),
        last_error: dial.last_error.map(|failure| failure.to_string()),
        reconnects: 0,
    });
    known.chain(tried).collect()
}

pub(super) fn prefix_counts(router: &Router) -> Vec<PrefixCount> {
    let count = |tally: &Arc<Tally>| PrefixCount {
        prefix: tally.prefix.clone(),
        messages_in: tally.messages_in.load(Relaxed),
        bytes_in: tally.bytes_in.load(Relaxed),
        messages_out: tally.messages_out.load(Relaxed),
        bytes_out: tally.bytes_out.load(Relaxed),
    };
    router.tallies().iter().map(count).collect()
}

pub(super) fn stats(router: &Router) -> PeeringStatsTable {
    router.peers().iter().map(|peer| (peer.id, peer_stats(peer))).collect()
}

/// The statistics of one peering.
pub(super) fn peer_stats(peer: &Peer) -> PeeringStats {
    let (queue, waits) = (peer.queue.stats(), peer.queue.waits());
    let counters = &peer.counters;
    let queued = queue.queued as u64;
    // What is left of the handshake comes first in the queue, so it is there or was discarded.
    let handshake = queue.handshake.saturating_sub(queue.taken);
    let waiting = handshake.min(queued);
    let drops = DropCauses {
        full: queue.refused,
        displaced: queue.dropped - queue.refused - queue.discarded,
        discarded: queue.discarded.saturating_sub(handshake - waiting),
        late: queue.late,
    };
    PeeringStats {
        num_queued: queued - waiting,
        max_queued_recently: queue.high_water as u64,
        num_overflows: queue.overflows,
        queued_bytes: queue.memory as u64,
        offered: queue.pushed - queue.handshake + queue.refused + queue.late,
        delivered: queue.taken.saturating_sub(queue.handshake),
        dropped: drops.total(),
        drops,
        policy: peer.queue.policy(),
        messages_out: queue.pushed - queue.handshake,
        bytes_out: queue.pushed_bytes - queue.handshake_bytes,
        messages_in: counters.messages_in(),
        bytes_in: counters.bytes_in.load(Relaxed),
        malformed: counters.malformed.load(Relaxed),
        forged: counters.forged.load(Relaxed),
        internal: counters.internal.load(Relaxed),
        expired: counters.expired.load(Relaxed),
        duplicates: counters.duplicates.load(Relaxed),
        looped: counters.looped.load(Relaxed),
        looped_from: *counters.looped_from.lock(),
        not_permitted: counters.not_permitted.load(Relaxed),
        missed: counters.missed.load(Relaxed),
        waiting: TimeInQueue {
            samples: waits.count(),
            total: waits.total(),
            last: waits.last,
            oldest: waits.waiting,
        },
    }
}
