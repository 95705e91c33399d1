use super::index::PrefixIndex;
use super::is_internal;
use super::loops::{LoopPolicy, Loops};
use super::reach::Remote;
use super::table::{Peer, Receiver, Receivers, RoutingTable, Sink};
use super::tally::Tally;
use crate::EndpointId;
use crate::overlay::{OverlayChange, RemoteChange, Streams};
use crate::peering::ConnectionId;
use crate::queue::Closing;
use crate::sync::{ArcSwap, AtomicUsize, Guard, Mutex};
use crate::wire::DEFAULT_TTL;
use crate::wire::envelope::{Envelope, EnvelopeType, Passage};
use crate::wire::routing_update::merged;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// What has become of a new filter of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterChange {
    /// It is the same as before, or the peer is gone.
    None,
    /// It is in force.
    Done,
    /// It is in force after [`Router::apply_staged`].
    Staged,
}

/// Holds the routes of an endpoint: changes go in on one side, snapshots come out on the other.
#[derive(Debug)]
pub struct Router {
    /// The id of the endpoint.
    pub id: EndpointId,
    /// Whether messages of peers are passed on to other peers.
    pub forwarding: bool,
    /// The deepest nesting that a payload may have to be passed on.
    pub data_depth: usize,
    /// Messages published here.
    pub published: AtomicU64,
    /// Messages for this endpoint that peers say they have dropped.
    pub missed: AtomicU64,
    /// Which messages of others have been here.
    pub streams: Streams,
    /// Which messages come back from peers of version 1.
    pub(super) loops: Loops,
    /// The name of the stream of messages that this endpoint numbers.
    stream: u32,
    numbers: AtomicU64,
    /// Whether a peer was there that has a use for passages.
    passages: AtomicBool,
    remember: usize,
    /// What is counted by topic.
    tallies: Arc<[Arc<Tally>]>,
    routes: Mutex<Routes>,
    /// What is still to be done, in its order.
    staged: Mutex<VecDeque<Staged>>,
    /// Held by the one who does it.
    applying: Mutex<()>,
    table: ArcSwap<RoutingTable>,
    /// Where the table is, for those who only want to know whether it still is theirs.
    address: AtomicUsize,
}

/// Changes of filters that are smaller are made at once.
const LARGE: usize = 512;

/// Streams that are remembered by default.
const STREAMS: usize = 4096;

/// How many entries are changed before others may go on.
const CHUNK: usize = 256;

/// Work on the index that takes time and that nobody waits for.
#[derive(Debug)]
enum Staged {
    /// A new filter of the peer that is on this connection.
    Filter(EndpointId, ConnectionId, Vec<Bytes>),
    /// What a peer that is gone wanted, and its number in the index.
    Forget(u32, Arc<Vec<Bytes>>),
}

/// Whoever changes something brings everything here up to date, so that readers of the table never
/// wait for anybody.
#[derive(Debug, Default)]
struct Routes {
    peers: BTreeMap<EndpointId, PeerRoutes>,
    sinks: BTreeMap<u64, SinkRoutes>,
    receivers: Arc<Receivers>,
    index: PrefixIndex,
    /// The subscriptions of local consumers to internal topics.
    internal: PrefixIndex,
}

#[derive(Debug)]
struct PeerRoutes {
    peer: Arc<Peer>,
    number: u32,
    filter: Arc<Vec<Bytes>>,
    /// Filters that are staged.
    staged: usize,
}

#[derive(Debug)]
struct SinkRoutes {
    sink: Arc<Sink>,
    number: u32,
    topics: BTreeSet<Bytes>,
}

impl Routes {
    fn add_peer(&mut self, peer: Arc<Peer>, filter: Vec<Bytes>) {
        let filter = Arc::new(merged(filter));
        let receiver = Receiver::Peer(Arc::clone(&peer));
        let number = Arc::make_mut(&mut self.receivers).add(receiver);
        self.insert(number, filter.iter());
        self.peers.insert(peer.id, PeerRoutes { peer, number, filter, staged: 0 });
    }

    /// Takes a peer away. Its number is still in the index, where nothing is found under it.
    fn remove_peer(&mut self, id: EndpointId) -> Option<(Arc<Peer>, Staged)> {
        let PeerRoutes { peer, number, filter, .. } = self.peers.remove(&id)?;
        Arc::make_mut(&mut self.receivers).remove(number);
        Some((peer, Staged::Forget(number, filter)))
    }

    /// The peer with this id, if it is on this connection.
    fn peer_on(&mut self, id: EndpointId, conn: ConnectionId) -> Option<&mut PeerRoutes> {
        self.peers.get_mut(&id).filter(|routes| routes.peer.conn == conn)
    }

    fn insert<'a>(&mut self, number: u32, entries: impl IntoIterator<Item = &'a Bytes>) {
        entries.into_iter().for_each(|prefix| self.index.insert(prefix, number));
    }

    fn remove<'a>(&mut self, number: u32, entries: impl IntoIterator<Item = &'a Bytes>) {
        entries.into_iter().for_each(|prefix| self.index.remove(prefix, number));
    }

    /// Returns whether the filter is another one than before.
    fn set_filter(&mut self, id: EndpointId, new: Vec<Bytes>) -> bool {
        let Some(PeerRoutes { number, filter, .. }) = self.peers.get_mut(&id) else { return false };
        // What changes nothing is for free, for all others too.
        if **filter == new {
            return false;
        }
        let new = Arc::new(new);
        let (number, old) = (*number, mem::replace(filter, Arc::clone(&new)));
        self.insert(number, only_in(&new, &old));
        self.remove(number, only_in(&old, &new));
        true
    }

    fn change_overlay(&mut self, change: OverlayChange) {
        let OverlayChange { graph, remotes } = change;
        if let Some(graph) = graph {
            Arc::make_mut(&mut self.receivers).set_graph(graph);
        }
        for (id, change) in remotes {
            self.change_remote(id, change);
        }
    }

    fn change_remote(&mut self, id: EndpointId, change: RemoteChange) {
        let receivers = Arc::make_mut(&mut self.receivers);
        let number = match receivers.remotes.get(&id) {
            Some(remote) => remote.number,
            None if change.there => receivers.add(Receiver::Remote(id)),
            None => return,
        };
        if change.there {
            receivers.remotes.insert(id, Remote { number, homes: change.homes.into() });
        }
        self.insert(number, &change.added);
        self.remove(number, &change.removed);
        if !change.there {
            let receivers = Arc::make_mut(&mut self.receivers);
            receivers.remotes.remove(&id);
            receivers.remove(number);
            receivers.free(number);
        }
    }

    fn add_sink(&mut self, sink: Arc<Sink>) {
        let receiver = Receiver::Sink(Arc::clone(&sink));
        let number = Arc::make_mut(&mut self.receivers).add(receiver);
        self.sinks.insert(sink.id, SinkRoutes { sink, number, topics: BTreeSet::new() });
    }

    fn change_sink(&mut self, id: u64, add: &[Bytes], remove: &[Bytes]) {
        let Some(SinkRoutes { number, topics, .. }) = self.sinks.get_mut(&id) else { return };
        for topic in add.iter().filter(|topic| topics.insert(Bytes::clone(topic))) {
            self.index.insert(topic, *number);
            if is_internal(topic) {
                self.internal.insert(topic, *number);
            }
        }
        for topic in remove.iter().filter(|topic| topics.remove(*topic)) {
            self.index.remove(topic, *number);
            if is_internal(topic) {
                self.internal.remove(topic, *number);
            }
        }
    }

    fn remove_sink(&mut self, id: u64) {
        let topics = self.sinks.get_mut(&id).map(|routes| mem::take(&mut routes.topics));
        let topics: Vec<Bytes> = topics.unwrap_or_default().into_iter().collect();
        let Some(SinkRoutes { number, .. }) = self.sinks.remove(&id) else { return };
        for topic in topics {
            self.index.remove(&topic, number);
            if is_internal(&topic) {
                self.internal.remove(&topic, number);
            }
        }
        let receivers = Arc::make_mut(&mut self.receivers);
        receivers.remove(number);
        receivers.free(number);
    }
}

/// What is in one sorted list and not in another one.
fn only_in<'a>(list: &'a [Bytes], other: &'a [Bytes]) -> impl Iterator<Item = &'a Bytes> {
    let mut other = other.iter().peekable();
    list.iter().filter(move |entry| {
        while other.next_if(|next| next < entry).is_some() {}
        other.peek() != Some(entry)
    })
}

impl Router {
    /// A router without peers and consumers. `data_depth` bounds how deep values may be nested,
    /// `remember` for how many topics the destinations are remembered.
    pub fn new(id: EndpointId, forwarding: bool, data_depth: usize, remember: usize) -> Self {
        let receivers = Receivers { own: id, ..Receivers::default() };
        let routes = Routes { receivers: Arc::new(receivers), ..Routes::default() };
        let router = Self {
            id,
            forwarding,
            data_depth,
            published: AtomicU64::new(0),
            missed: AtomicU64::new(0),
            streams: Streams::new(STREAMS),
            loops: Loops::default(),
            stream: 0,
            numbers: AtomicU64::new(1),
            passages: AtomicBool::new(false),
            remember,
            tallies: Arc::default(),
            routes: Mutex::new(routes),
            staged: Mutex::default(),
            applying: Mutex::default(),
            table: ArcSwap::default(),
            address: AtomicUsize::new(0),
        };
        router.install(&router.routes.lock());
        router
    }

    /// The same in a certain life of the endpoint, whose messages are told apart from those of
    /// other lives by the number, and which remembers so many streams of messages of others.
    #[must_use]
    pub fn in_life(self, stream: u32, streams: usize) -> Self {
        Self { stream, streams: Streams::new(streams), ..self }
    }

    /// The same with another policy for messages that come back from peers of version 1.
    #[must_use]
    pub fn with_loops(self, policy: LoopPolicy) -> Self {
        Self { loops: Loops::new(policy), ..self }
    }

    /// The same, which counts what passes on topics with each of these prefixes.
    #[must_use]
    pub fn with_tallies(self, prefixes: impl IntoIterator<Item = String>) -> Self {
        let tallies = prefixes.into_iter().map(|prefix| Arc::new(Tally::new(prefix))).collect();
        let router = Self { tallies, ..self };
        router.install(&router.routes.lock());
        router
    }

    /// What is counted by topic.
    pub fn tallies(&self) -> &[Arc<Tally>] {
        &self.tallies
    }

    /// The first of the numbers of the next `count` messages that this endpoint publishes, or
    /// brings into the overlay.
    pub fn next_numbers(&self, count: u64) -> u64 {
        self.numbers.fetch_add(count, Ordering::Relaxed)
    }

    /// Whether messages have passages when they are encoded. Those who want another form get that,
    /// for the price of a copy.
    pub fn has_passages(&self) -> bool {
        self.passages.load(Ordering::Relaxed)
    }

    /// The passage of a message with this number.
    pub fn own_passage(&self, number: u64) -> Passage {
        let entry = if self.forwarding { self.id } else { EndpointId::NIL };
        Passage { stream: self.stream, number, entry }
    }

    /// Takes in what has changed behind the relays that are peers.
    pub fn change_overlay(&self, change: OverlayChange) {
        self.change(|routes| routes.change_overlay(change));
    }

    /// The current table.
    #[inline]
    pub fn table(&self) -> Guard<Arc<RoutingTable>> {
        self.table.load()
    }

    /// Whether `table` is still the current one. Who holds on to a table that is gone keeps its
    /// address from being that of another one.
    #[inline]
    pub fn is_current(&self, table: &Weak<RoutingTable>) -> bool {
        self.address.load(Ordering::Acquire) == table.as_ptr().addr()
    }

    /// Shows everyone how things are.
    fn install(&self, routes: &Routes) {
        let Routes { receivers, index, internal, .. } = routes;
        let (index, internal) = (index.clone(), internal.clone());
        let (receivers, tallies) = (Arc::clone(receivers), Arc::clone(&self.tallies));
        let table = RoutingTable::new(receivers, index, internal, tallies, self.remember);
        let table = Arc::new(table);
        let address = Arc::as_ptr(&table).addr();
        self.table.store(table);
        self.address.store(address, Ordering::Release);
    }

    fn change<R>(&self, change: impl FnOnce(&mut Routes) -> R) -> R {
        let mut routes = self.routes.lock();
        let result = change(&mut routes);
        self.install(&routes);
        result
    }

    /// Adds a peer; the one with the same id, if there was one, has been removed before.
    pub fn add_peer(&self, peer: Arc<Peer>, filter: Vec<Bytes>) {
        self.passages.fetch_or(peer.has_passages(), Ordering::Relaxed);
        self.change(|routes| routes.add_peer(peer, filter));
    }

    /// Replaces the filter of a peer if that is soon done, and stages it otherwise. It is for one
    /// connection: a peering that follows has its own. Returns what has become of it.
    pub fn change_peer_filter(
        &self,
        id: EndpointId,
        conn: ConnectionId,
        filter: Vec<Bytes>,
    ) -> FilterChange {
        let filter = merged(filter);
        let mut routes = self.routes.lock();
        let Some(peer) = routes.peer_on(id, conn) else { return FilterChange::None };
        if peer.staged > 0 || peer.filter.len() + filter.len() > LARGE {
            peer.staged += 1;
            self.staged.lock().push_back(Staged::Filter(id, conn, filter));
            return FilterChange::Staged;
        }
        if !routes.set_filter(id, filter) {
            return FilterChange::None;
        }
        self.install(&routes);
        FilterChange::Done
    }

    /// Does what has been staged, unless somebody else is about to, and returns whether a peer has
    /// another filter now. It takes time for everything that has changed, so it is for those who
    /// hold no other lock.
    pub fn apply_staged(&self) -> bool {
        let mut changed = false;
        loop {
            let Some(turn) = self.applying.try_lock() else { return changed };
            loop {
                let next = self.staged.lock().pop_front();
                match next {
                    Some(Staged::Filter(id, conn, filter)) => {
                        changed |= self.apply_filter(id, conn, filter);
                    }
                    Some(Staged::Forget(number, filter)) => self.forget(number, &filter),
                    None => break,
                }
            }
            drop(turn);
            // What has been staged in between was left to this one.
            if self.staged.lock().is_empty() {
                return changed;
            }
        }
    }

    /// Until it is done, the peer gets what it wanted before, and some of what it wants now. What
    /// it wants in both cases it never misses.
    fn apply_filter(&self, id: EndpointId, conn: ConnectionId, new: Vec<Bytes>) -> bool {
        let old = match self.routes.lock().peer_on(id, conn) {
            Some(peer) => (peer.number, Arc::clone(&peer.filter)),
            None => return false,
        };
        let (number, old) = old;
        let added: Vec<Bytes> = only_in(&new, &old).cloned().collect();
        let removed: Vec<Bytes> = only_in(&old, &new).cloned().collect();
        for (at, chunk) in added.chunks(CHUNK).enumerate() {
            let mut routes = self.routes.lock();
            if routes.peer_on(id, conn).is_none() {
                drop(routes);
                self.unindex(number, added.get(..at * CHUNK).unwrap_or_default());
                return false;
            }
            routes.insert(number, chunk);
        }
        self.unindex(number, &removed);
        let mut routes = self.routes.lock();
        let Some(peer) = routes.peer_on(id, conn) else {
            drop(routes);
            self.unindex(number, &added);
            return false;
        };
        peer.filter = Arc::new(new);
        peer.staged -= 1;
        self.install(&routes);
        !(added.is_empty() && removed.is_empty())
    }

    fn unindex(&self, number: u32, entries: &[Bytes]) {
        for chunk in entries.chunks(CHUNK) {
            self.routes.lock().remove(number, chunk);
        }
    }

    fn forget(&self, number: u32, filter: &[Bytes]) {
        self.unindex(number, filter);
        self.change(|routes| Arc::make_mut(&mut routes.receivers).free(number));
    }

    /// Replaces the filter of a peer; for tests.
    #[cfg(test)]
    pub fn set_peer_filter(&self, id: EndpointId, filter: Vec<Bytes>) {
        if let Some(conn) = self.peer(id).map(|peer| peer.conn) {
            self.change_peer_filter(id, conn, filter);
            self.apply_staged();
        }
    }

    /// Takes a peer away at once, and stages the rest.
    pub fn remove_peer(&self, id: EndpointId) -> Option<Arc<Peer>> {
        let (peer, rest) = self.change(|routes| routes.remove_peer(id))?;
        self.staged.lock().push_back(rest);
        Some(peer)
    }

    /// The filter that a peer has announced, in ascending order and without entries that another
    /// one covers.
    pub fn peer_filter(&self, id: EndpointId) -> Option<Vec<Bytes>> {
        self.routes.lock().peers.get(&id).map(|routes| routes.filter.to_vec())
    }

    /// An installed peer.
    pub fn peer(&self, id: EndpointId) -> Option<Arc<Peer>> {
        self.table().peer(id).cloned()
    }

    /// The endpoints that are known to be behind other relays; some of them may be peers too.
    pub fn endpoints_behind(&self) -> BTreeSet<EndpointId> {
        self.routes.lock().receivers.remotes.keys().copied().collect()
    }

    /// All installed peers.
    pub fn peers(&self) -> Vec<Arc<Peer>> {
        self.table().peers().to_vec()
    }

    /// Adds a local consumer, which wants nothing else than these topics from now on.
    pub fn set_sink(&self, sink: &Arc<Sink>, topics: Vec<Bytes>) {
        self.change(|routes| {
            routes.remove_sink(sink.id);
            routes.add_sink(Arc::clone(sink));
            routes.change_sink(sink.id, &topics, &[]);
        });
    }

    /// Changes what a local consumer wants.
    pub fn change_sink(&self, id: u64, add: &[Bytes], remove: &[Bytes]) {
        self.change(|routes| routes.change_sink(id, add, remove));
    }

    /// Takes a local consumer out.
    pub fn remove_sink(&self, id: u64) {
        self.change(|routes| routes.remove_sink(id));
    }

    /// Delivers a message of the endpoint about itself to the local consumers that asked for it by
    /// a prefix below the internal topics; a subscription to everything does not.
    pub fn publish_internally(&self, topic: &[u8], payload: &[u8]) {
        let sinks = self.table().internal_sinks(topic);
        if sinks.is_empty() {
            return;
        }
        let envelope = Envelope {
            sender: self.id,
            receiver: self.id,
            kind: EnvelopeType::Data,
            ttl: DEFAULT_TTL,
            topic,
            payload,
        };
        let mut frame = Vec::new();
        if envelope.put_frame(&mut frame).is_ok() {
            sinks.iter().for_each(|sink| {
                sink.queue.push(&frame, 1, false);
            });
        }
    }

    /// Ends every local consumer after what it has not read yet.
    pub fn close_sinks(&self) {
        for routes in self.routes.lock().sinks.values() {
            routes.sink.queue.close(Closing::Flush);
        }
    }
}

#[cfg(all(test, shuttle))]
mod models;
