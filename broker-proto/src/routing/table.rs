use super::index::PrefixIndex;
use crate::EndpointId;
use crate::limits::CACHED_TOPIC_LEN_MAX;
use crate::peering::{ConnectionId, LastActivity};
use crate::queue::BoundedQueue;
use bytes::Bytes;
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

/// Everyone who wants a topic.
#[derive(Debug, Default)]
pub struct Destinations {
    pub peers: Vec<Arc<Peer>>,
    pub sinks: Vec<Arc<Sink>>,
}

/// A snapshot of all subscriptions. It never changes; a change makes a new one.
#[derive(Debug, Default)]
pub struct Table {
    peers: Vec<Arc<Peer>>,
    sinks: Vec<Arc<Sink>>,
    index: PrefixIndex,
    remembered: RwLock<HashMap<Box<[u8]>, Arc<Destinations>>>,
    remember: usize,
}

impl Table {
    /// A table over all peers and local consumers with their filters.
    pub fn new<'a>(
        peers: impl Iterator<Item = (&'a Arc<Peer>, &'a [Bytes])>,
        sinks: impl Iterator<Item = (&'a Arc<Sink>, &'a [Bytes])>,
        remember: usize,
    ) -> Self {
        let mut table = Self { remember, ..Self::default() };
        let mut pairs = Vec::new();
        for (peer, filter) in peers {
            let at = table.peers.len() as u32;
            pairs.extend(filter.iter().map(|prefix| (prefix.clone(), at)));
            table.peers.push(Arc::clone(peer));
        }
        for (sink, filter) in sinks {
            let at = (table.peers.len() + table.sinks.len()) as u32;
            pairs.extend(filter.iter().map(|prefix| (prefix.clone(), at)));
            table.sinks.push(Arc::clone(sink));
        }
        table.index = PrefixIndex::new(pairs);
        table
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
        let mut found = Destinations::default();
        for at in self.index.lookup(topic) {
            let at = at as usize;
            if let Some(peer) = self.peers.get(at) {
                found.peers.push(Arc::clone(peer));
            } else if let Some(sink) = self.sinks.get(at - self.peers.len()) {
                found.sinks.push(Arc::clone(sink));
            }
        }
        found
    }

    /// The peer with this id.
    pub fn peer(&self, id: EndpointId) -> Option<&Arc<Peer>> {
        self.peers.iter().find(|peer| peer.id == id)
    }
}
