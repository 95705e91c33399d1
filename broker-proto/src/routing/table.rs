use super::index::PrefixIndex;
use crate::EndpointId;
use crate::limits::CACHED_TOPIC_LEN_MAX;
use crate::memory::Holder;
use crate::peering::{ConnectionId, LastActivity};
use crate::queue::BoundedQueue;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// An installed peer as the data path sees it.
#[derive(Debug)]
pub struct Peer {
    /// The id of the peer.
    pub id: EndpointId,
    /// The connection with it.
    pub conn: ConnectionId,
    /// What waits to be written.
    pub queue: Arc<BoundedQueue>,
    /// What has come from it.
    pub counters: PeerCounters,
    /// When it was last heard of.
    pub heard: Arc<LastActivity>,
}

/// What came from a peer. What went to it is counted by its queue.
#[derive(Debug, Default)]
pub struct PeerCounters {
    /// Messages by type, in the order of the numbers on the wire.
    pub messages_in: [AtomicU64; 5],
    /// Bytes of all frames.
    pub bytes_in: AtomicU64,
    /// Frames that are no envelopes, or whose payload is not what their type says.
    pub malformed: AtomicU64,
    /// Envelopes in the name of somebody else.
    pub forged: AtomicU64,
    /// Envelopes on topics that are internal to an endpoint.
    pub internal: AtomicU64,
    /// Envelopes that had no hop left, as in a forwarding loop.
    pub expired: AtomicU64,
}

/// What kind of consumer a sink belongs to; it decides which local messages it sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SinkKind {
    /// Receives what anybody publishes.
    Subscriber,
    /// Receives and publishes, and does not get its own messages.
    Hub,
}

impl PeerCounters {
    /// Messages of every type.
    pub fn messages_in(&self) -> u64 {
        self.messages_in.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }
}

/// The queue of a local consumer.
#[derive(Debug)]
pub struct Sink {
    /// The number of the consumer.
    pub id: u64,
    /// What kind of consumer it is.
    pub kind: SinkKind,
    /// What waits to be received.
    pub queue: BoundedQueue,
}

impl Holder for Sink {
    fn held(&self) -> usize {
        self.queue.held()
    }

    fn give_way(&self, excess: usize) -> usize {
        self.queue.give_way(excess)
    }
}

/// Everyone who wants a topic.
#[derive(Debug, Default)]
pub struct Destinations {
    pub peers: Vec<Arc<Peer>>,
    pub sinks: Vec<Arc<Sink>>,
}

/// Who is at the other end of a number in the index.
#[derive(Debug, Clone)]
pub(super) enum Receiver {
    Peer(Arc<Peer>),
    Sink(Arc<Sink>),
}

/// Everyone who may want something.
#[derive(Debug, Clone, Default)]
pub(super) struct Receivers {
    /// By the numbers they have in the index.
    numbered: Vec<Option<Receiver>>,
    /// Numbers that the index knows nothing of.
    free: Vec<u32>,
    /// In ascending order of their ids.
    peers: Vec<Arc<Peer>>,
}

impl Receivers {
    /// Adds somebody under a number that is free.
    pub(super) fn add(&mut self, receiver: Receiver) -> u32 {
        if let Receiver::Peer(peer) = &receiver
            && let Err(at) = self.peers.binary_search_by_key(&peer.id, |peer| peer.id)
        {
            self.peers.insert(at, Arc::clone(peer));
        }
        let number = self.free.pop().unwrap_or(self.numbered.len() as u32);
        match self.numbered.get_mut(number as usize) {
            Some(place) => *place = Some(receiver),
            None => self.numbered.push(Some(receiver)),
        }
        number
    }

    /// Takes somebody away.
    pub(super) fn remove(&mut self, number: u32) {
        let place = self.numbered.get_mut(number as usize);
        if let Some(Receiver::Peer(peer)) = place.and_then(Option::take) {
            self.peers.retain(|other| other.id != peer.id);
        }
    }

    /// The index does not know the number any more.
    pub(super) fn free(&mut self, number: u32) {
        self.free.push(number);
    }
}

/// A snapshot of all subscriptions. It never changes; a change makes a new one.
#[derive(Debug, Default)]
pub struct RoutingTable {
    receivers: Arc<Receivers>,
    index: PrefixIndex,
    /// The subscriptions of local consumers to internal topics.
    internal: PrefixIndex,
    remembered: RwLock<HashMap<Box<[u8]>, Arc<Destinations>>>,
    remember: usize,
}

impl RoutingTable {
    pub(super) fn new(
        receivers: Arc<Receivers>,
        index: PrefixIndex,
        internal: PrefixIndex,
        remember: usize,
    ) -> Self {
        Self { receivers, index, internal, remembered: RwLock::default(), remember }
    }

    /// Everyone who wants `topic`. The answer is remembered, for a bounded number of topics that
    /// are not very long.
    pub fn destinations(&self, topic: &[u8]) -> Arc<Destinations> {
        if topic.len() > CACHED_TOPIC_LEN_MAX {
            return Arc::new(self.resolve(topic));
        }
        if let Some(known) = self.remembered.read().get(topic) {
            return Arc::clone(known);
        }
        let found = Arc::new(self.resolve(topic));
        let mut remembered = self.remembered.write();
        if remembered.len() >= self.remember {
            // Topics come in families; starting over costs one lookup for each that is still used.
            remembered.clear();
        }
        remembered.insert(topic.into(), Arc::clone(&found));
        found
    }

    /// How many topics are remembered.
    #[cfg(test)]
    pub fn remembered(&self) -> usize {
        self.remembered.read().len()
    }

    fn resolve(&self, topic: &[u8]) -> Destinations {
        self.receivers_of(&self.index, topic)
    }

    /// The local consumers that asked for an internal topic by a prefix that is internal as well.
    pub(super) fn internal_sinks(&self, topic: &[u8]) -> Vec<Arc<Sink>> {
        self.receivers_of(&self.internal, topic).sinks
    }

    fn receivers_of(&self, index: &PrefixIndex, topic: &[u8]) -> Destinations {
        let mut found = Destinations::default();
        for number in index.lookup(topic) {
            match self.receivers.numbered.get(number as usize) {
                Some(Some(Receiver::Peer(peer))) => found.peers.push(Arc::clone(peer)),
                Some(Some(Receiver::Sink(sink))) => found.sinks.push(Arc::clone(sink)),
                _ => {}
            }
        }
        found
    }

    /// All peers, in ascending order of their ids.
    pub fn peers(&self) -> &[Arc<Peer>] {
        &self.receivers.peers
    }

    /// The peer with this id.
    pub fn peer(&self, id: EndpointId) -> Option<&Arc<Peer>> {
        let peers = &self.receivers.peers;
        peers.get(peers.binary_search_by_key(&id, |peer| peer.id).ok()?)
    }
}
