use super::index::PrefixIndex;
use super::is_internal;
use super::table::{Peer, Receiver, Receivers, Sink, Table};
use crate::EndpointId;
use crate::peering::ConnectionId;
use crate::queue::Closing;
use crate::sync::{ArcSwap, AtomicUsize, Guard, Mutex};
use crate::wire::DEFAULT_TTL;
use crate::wire::envelope::{Envelope, EnvelopeType};
use crate::wire::routing_update::merged;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// Holds the routes of an endpoint: changes go in on one side, snapshots come out on the other.
#[derive(Debug)]
pub struct Router {
    pub id: EndpointId,
    /// Whether messages of peers are passed on to other peers.
    pub forwarding: bool,
    /// The deepest nesting that a payload may have to be passed on.
    pub data_depth: usize,
    /// Messages published here.
    pub published: AtomicU64,
    remember: usize,
    routes: Mutex<Routes>,
    /// Filters of peers that are still to be put into force, in their order.
    staged: Mutex<VecDeque<(EndpointId, ConnectionId, Vec<Bytes>)>>,
    table: ArcSwap<Table>,
    /// Where the table is, for those who only want to know whether it still is theirs.
    address: AtomicUsize,
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
    filter: Vec<Bytes>,
}

#[derive(Debug)]
struct SinkRoutes {
    sink: Arc<Sink>,
    number: u32,
    topics: BTreeSet<Bytes>,
}

impl Routes {
    fn add_peer(&mut self, peer: Arc<Peer>, filter: Vec<Bytes>) {
        self.remove_peer(peer.id);
        let filter = merged(filter);
        let receiver = Receiver::Peer(Arc::clone(&peer));
        let number = Arc::make_mut(&mut self.receivers).add(receiver);
        filter.iter().for_each(|prefix| self.index.insert(prefix, number));
        self.peers.insert(peer.id, PeerRoutes { peer, number, filter });
    }

    fn remove_peer(&mut self, id: EndpointId) -> Option<Arc<Peer>> {
        let PeerRoutes { peer, number, filter } = self.peers.remove(&id)?;
        filter.iter().for_each(|prefix| self.index.remove(prefix, number));
        Arc::make_mut(&mut self.receivers).remove(number);
        Some(peer)
    }

    /// Returns whether the filter is another one than before.
    fn set_filter(&mut self, id: EndpointId, filter: Vec<Bytes>) -> bool {
        let Some(PeerRoutes { number, filter: old, .. }) = self.peers.get_mut(&id) else {
            return false;
        };
        let new = merged(filter);
        if *old == new {
            return false;
        }
        only_in(&new, old).for_each(|prefix| self.index.insert(prefix, *number));
        only_in(old, &new).for_each(|prefix| self.index.remove(prefix, *number));
        *old = new;
        true
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
        Arc::make_mut(&mut self.receivers).remove(number);
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
    pub fn new(id: EndpointId, forwarding: bool, data_depth: usize, remember: usize) -> Self {
        let router = Self {
            id,
            forwarding,
            data_depth,
            published: AtomicU64::new(0),
            remember,
            routes: Mutex::default(),
            staged: Mutex::default(),
            table: ArcSwap::default(),
            address: AtomicUsize::new(0),
        };
        router.install(&Routes::default());
        router
    }

    /// The current table.
    #[inline]
    pub fn table(&self) -> Guard<Arc<Table>> {
        self.table.load()
    }

    /// Whether `table` is still the current one. Who holds on to a table that is gone keeps its
    /// address from being that of another one.
    #[inline]
    pub fn is_current(&self, table: &Weak<Table>) -> bool {
        self.address.load(Ordering::Acquire) == table.as_ptr().addr()
    }

    /// Shows everyone how things are.
    fn install(&self, routes: &Routes) {
        let Routes { receivers, index, internal, .. } = routes;
        let (index, internal) = (index.clone(), internal.clone());
        let table = Arc::new(Table::new(Arc::clone(receivers), index, internal, self.remember));
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

    pub fn add_peer(&self, peer: Arc<Peer>, filter: Vec<Bytes>) {
        self.change(|routes| routes.add_peer(peer, filter));
    }

    /// Takes note of a new filter of a peer, to be put into force by [`Self::apply_staged`]. It is
    /// for one connection: a peering that follows has its own.
    pub fn stage_peer_filter(&self, id: EndpointId, conn: ConnectionId, filter: Vec<Bytes>) {
        self.staged.lock().push_back((id, conn, filter));
    }

    /// Puts the filters into force that have been staged, and returns whether that changed
    /// anything. It takes time for everything that has changed, so it is for those who hold no
    /// other lock.
    pub fn apply_staged(&self) -> bool {
        let mut changed = false;
        loop {
            // The order of filters is that in which this lock is taken.
            let mut routes = self.routes.lock();
            let Some((id, conn, filter)) = self.staged.lock().pop_front() else { return changed };
            if routes.peers.get(&id).is_some_and(|routes| routes.peer.conn == conn)
                && routes.set_filter(id, filter)
            {
                self.install(&routes);
                changed = true;
            }
        }
    }

    /// Replaces the filter of a peer; a peer that is not installed has none.
    pub fn set_peer_filter(&self, id: EndpointId, filter: Vec<Bytes>) {
        let mut routes = self.routes.lock();
        // What changes nothing is for free, for all others too.
        if routes.set_filter(id, filter) {
            self.install(&routes);
        }
    }

    pub fn remove_peer(&self, id: EndpointId) -> Option<Arc<Peer>> {
        self.change(|routes| routes.remove_peer(id))
    }

    /// The filter that a peer has announced, in ascending order and without entries that another
    /// one covers.
    pub fn peer_filter(&self, id: EndpointId) -> Option<Vec<Bytes>> {
        self.routes.lock().peers.get(&id).map(|routes| routes.filter.clone())
    }

    /// An installed peer.
    pub fn peer(&self, id: EndpointId) -> Option<Arc<Peer>> {
        self.table().peer(id).cloned()
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
