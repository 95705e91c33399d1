use super::index::PrefixIndex;
use super::reach::{Remote, Scope};
use super::tally::Tally;
use crate::EndpointId;
use crate::Rights;
use crate::limits::CACHED_TOPIC_LEN_MAX;
use crate::memory::Holder;
use crate::overlay::Graph;
use crate::peering::{ConnectionId, Dialect, LastActivity};
use crate::queue::BoundedQueue;
use crate::wire::drops;
use crate::wire::envelope::ping_frame;
use crate::wire::handshake::Role;
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// An installed peer as the data path sees it.
#[derive(Debug)]
pub struct Peer {
    /// The id of the peer.
    pub id: EndpointId,
    /// The connection with it.
    pub conn: ConnectionId,
    /// What is spoken with it.
    pub dialect: Dialect,
    /// What it may publish and receive.
    pub rights: Arc<Rights>,
    /// What waits to be written.
    pub queue: Arc<BoundedQueue>,
    /// What has come from it.
    pub counters: PeerCounters,
    /// When it was last heard of.
    pub heard: Arc<LastActivity>,
}

impl Peer {
    /// Whether messages to and from it have a passage.
    pub fn has_passages(&self) -> bool {
        self.dialect != Dialect::One
    }

    /// Tells a peer of version 2 how many messages for it have found no room, unless it was told
    /// that last. Peers of version 1 would not know what to do with it.
    pub fn tell_drops(&self, own: EndpointId) {
        if !self.has_passages() {
            return;
        }
        let stats = self.queue.stats();
        let dropped = stats.dropped - stats.discarded;
        if self.counters.told_drops.swap(dropped, Ordering::Relaxed) != dropped {
            self.queue.push_control(&ping_frame(own, self.id, &drops::payload(dropped)));
        }
    }

    /// Whether it is known to pass messages on.
    pub fn is_relay(&self) -> bool {
        self.dialect == Dialect::Two(Role::Relay)
    }
}

/// What came from a peer. What went to it is counted by its queue.
#[derive(Debug, Default)]
pub struct PeerCounters {
    /// Messages by type, in the order of the numbers on the wire.
    pub messages_in: [AtomicU64; 6],
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
    /// Envelopes that had been here before, by another path or the same.
    pub duplicates: AtomicU64,
    /// Envelopes of a peer of version 1 that had been here before, with more hops left.
    pub looped: AtomicU64,
    /// From whom the last of these had come before.
    pub looped_from: Mutex<Option<EndpointId>>,
    /// Envelopes that the peer may not send.
    pub not_permitted: AtomicU64,
    /// Messages for this endpoint that the peer says it has dropped.
    pub missed: AtomicU64,
    /// How many messages for it the peer was told to have been dropped here.
    told_drops: AtomicU64,
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
    /// Another relay has got the messages as well and passes them on.
    pub elsewhere: bool,
    pub peers: Vec<Arc<Peer>>,
    pub sinks: Vec<Arc<Sink>>,
    /// Where messages on the topic are counted.
    pub(super) tallies: Vec<Arc<Tally>>,
}

impl Destinations {
    /// Counts messages of which so many peers got a copy.
    #[inline]
    pub(super) fn count(&self, messages: usize, bytes: usize, peers: usize) {
        self.tallies.iter().for_each(|tally| tally.count(messages, bytes, peers));
    }
}

/// Who is at the other end of a number in the index.
#[derive(Debug, Clone)]
pub(super) enum Receiver {
    Peer(Arc<Peer>),
    Sink(Arc<Sink>),
    /// Behind another relay.
    Remote(EndpointId),
}

/// Everyone who may want something.
#[derive(Debug, Clone, Default)]
pub(super) struct Receivers {
    pub(super) own: EndpointId,
    pub(super) graph: Arc<Graph>,
    /// Endpoints behind other relays; some of them are peers as well.
    pub(super) remotes: BTreeMap<EndpointId, Remote>,
    /// By the numbers they have in the index.
    pub(super) numbered: Vec<Option<Receiver>>,
    /// Numbers that the index knows nothing of.
    pub(super) free: Vec<u32>,
    /// In ascending order of their ids.
    pub(super) peers: Vec<Arc<Peer>>,
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

    /// The peer with this id.
    pub(super) fn peer(&self, id: EndpointId) -> Option<&Arc<Peer>> {
        self.peers.get(self.peers.binary_search_by_key(&id, |peer| peer.id).ok()?)
    }

    /// The index does not know the number any more.
    pub(super) fn free(&mut self, number: u32) {
        self.free.push(number);
    }
}

/// Answers, by where messages come from and by topic.
#[derive(Debug, Default)]
struct Remembered {
    count: usize,
    /// Those where it does not matter where a message comes from: all, if this endpoint knows of no
    /// other relay.
    from_anywhere: Topics,
    answers: HashMap<Scope, Topics>,
}

type Topics = HashMap<Box<[u8]>, Arc<Destinations>>;

impl Remembered {
    fn get(&self, scope: Scope) -> Option<&Topics> {
        match scope == Scope::default() {
            true => Some(&self.from_anywhere),
            false => self.answers.get(&scope),
        }
    }

    fn get_mut(&mut self, scope: Scope) -> &mut Topics {
        match scope == Scope::default() {
            true => &mut self.from_anywhere,
            false => self.answers.entry(scope).or_default(),
        }
    }
}

/// A snapshot of all subscriptions. It never changes; a change makes a new one.
#[derive(Debug, Default)]
pub struct RoutingTable {
    receivers: Arc<Receivers>,
    index: PrefixIndex,
    /// The subscriptions of local consumers to internal topics.
    internal: PrefixIndex,
    tallies: Arc<[Arc<Tally>]>,
    remembered: RwLock<Remembered>,
    remember: usize,
}

impl RoutingTable {
    pub(super) fn new(
        receivers: Arc<Receivers>,
        index: PrefixIndex,
        internal: PrefixIndex,
        tallies: Arc<[Arc<Tally>]>,
        remember: usize,
    ) -> Self {
        Self { receivers, index, internal, tallies, remembered: RwLock::default(), remember }
    }

    /// What matters of the way that a message has come.
    pub fn scope(&self, entry: EndpointId, publisher: EndpointId, hop: EndpointId) -> Scope {
        self.receivers.scope(entry, publisher, hop)
    }

    /// Everyone who wants `topic`, and the peers that lead there, for a message from there. The
    /// answer is remembered, for a bounded number of topics that are not very long.
    pub fn destinations(&self, topic: &[u8], scope: Scope) -> Arc<Destinations> {
        if topic.len() > CACHED_TOPIC_LEN_MAX {
            return Arc::new(self.resolve(topic, scope));
        }
        if let Some(known) = self.remembered.read().get(scope).and_then(|topics| topics.get(topic))
        {
            return Arc::clone(known);
        }
        let found = Arc::new(self.resolve(topic, scope));
        let mut remembered = self.remembered.write();
        if remembered.count >= self.remember {
            // Topics come in families; starting over costs one lookup for each that is still used.
            *remembered = Remembered::default();
        }
        remembered.count += 1;
        remembered.get_mut(scope).insert(topic.into(), Arc::clone(&found));
        found
    }

    /// How many topics are remembered.
    #[cfg(test)]
    pub fn remembered(&self) -> usize {
        let remembered = self.remembered.read();
        remembered.answers.values().chain([&remembered.from_anywhere]).map(HashMap::len).sum()
    }

    fn resolve(&self, topic: &[u8], scope: Scope) -> Destinations {
        let mut found = self.receivers.destinations(&self.index.lookup(topic), scope);
        found.peers.retain(|peer| peer.rights.may_subscribe(topic));
        if !self.tallies.is_empty() {
            let counts = |tally: &&Arc<Tally>| topic.starts_with(tally.prefix.as_bytes());
            found.tallies = self.tallies.iter().filter(counts).cloned().collect();
        }
        found
    }

    /// The local consumers that asked for an internal topic by a prefix that is internal as well.
    pub(super) fn internal_sinks(&self, topic: &[u8]) -> Vec<Arc<Sink>> {
        self.receivers.destinations(&self.internal.lookup(topic), Scope::default()).sinks
    }

    /// The peers that lead to an endpoint, for a message on a topic that is addressed to it.
    pub fn ways_to(
        &self,
        id: EndpointId,
        topic: &[u8],
        scope: Scope,
        forwarding: bool,
    ) -> Vec<Arc<Peer>> {
        let may = |peer: &&Arc<Peer>| peer.rights.may_subscribe(topic);
        if forwarding || self.peer(id).is_some() {
            return self.receivers.way_to(scope, id).into_iter().filter(may).cloned().collect();
        }
        // Relays know where it is, if it is anywhere.
        self.peers().iter().filter(|peer| peer.is_relay()).filter(may).cloned().collect()
    }

    /// All peers, in ascending order of their ids.
    pub fn peers(&self) -> &[Arc<Peer>] {
        &self.receivers.peers
    }

    /// The peer with this id.
    pub fn peer(&self, id: EndpointId) -> Option<&Arc<Peer>> {
        self.receivers.peer(id)
    }
}
