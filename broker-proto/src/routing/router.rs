use super::is_internal;
use super::table::{Peer, Sink, Table};
use crate::EndpointId;
use crate::queue::Closing;
use crate::sync::{ArcSwap, AtomicBool, AtomicUsize, Guard, Mutex};
use crate::wire::DEFAULT_TTL;
use crate::wire::envelope::{Envelope, EnvelopeType};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

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
    remember: usize,
    routes: Mutex<Routes>,
    table: ArcSwap<Table>,
    /// Where the table is, for those who only want to know whether it still is theirs.
    address: AtomicUsize,
    /// Set when the table no longer says what the routes say. The next reader makes a new one, so
    /// that a storm of changes without traffic costs one table.
    outdated: AtomicBool,
}

#[derive(Debug, Default)]
struct Routes {
    peers: BTreeMap<EndpointId, (Arc<Peer>, Vec<Bytes>)>,
    sinks: BTreeMap<u64, (Arc<Sink>, Vec<Bytes>)>,
}

impl Router {
    /// A router without peers and consumers. `data_depth` bounds how deep values may be nested,
    /// `remember` for how many topics the destinations are remembered.
    pub fn new(id: EndpointId, forwarding: bool, data_depth: usize, remember: usize) -> Self {
        let router = Self {
            id,
            forwarding,
            data_depth,
            published: AtomicU64::new(0),
            remember,
            routes: Mutex::default(),
            table: ArcSwap::default(),
            address: AtomicUsize::new(0),
            outdated: AtomicBool::new(false),
        };
        router.install(Arc::default());
        router
    }

    /// The current table.
    pub fn table(&self) -> Guard<Arc<Table>> {
        if self.outdated.load(Ordering::Acquire) {
            self.rebuild();
        }
        self.table.load()
    }

    /// Whether `table` is still the current one. Who holds on to a table that is gone keeps its
    /// address from being that of another one.
    #[inline]
    pub fn is_current(&self, table: &Weak<Table>) -> bool {
        !self.outdated.load(Ordering::Acquire)
            && self.address.load(Ordering::Acquire) == table.as_ptr().addr()
    }

    fn install(&self, table: Arc<Table>) {
        let address = Arc::as_ptr(&table).addr();
        self.table.store(table);
        self.address.store(address, Ordering::Release);
    }

    fn rebuild(&self) {
        let routes = self.routes.lock();
        if self.outdated.load(Ordering::Acquire) {
            let peers = routes.peers.values().map(|(peer, filter)| (peer, filter.as_slice()));
            let sinks = routes.sinks.values().map(|(sink, filter)| (sink, filter.as_slice()));
            self.install(Arc::new(Table::new(peers, sinks, self.remember)));
            // Not before: whoever sees this takes the table for the current one.
            self.outdated.store(false, Ordering::Release);
        }
    }

    fn change<R>(&self, change: impl FnOnce(&mut Routes) -> R) -> R {
        let mut routes = self.routes.lock();
        let result = change(&mut routes);
        self.outdated.store(true, Ordering::Release);
        result
    }

    /// Lets messages flow to a peer that wants those on topics below `filter`.
    pub fn add_peer(&self, peer: Arc<Peer>, filter: Vec<Bytes>) {
        self.change(|routes| routes.peers.insert(peer.id, (peer, filter)));
    }

    /// Replaces the filter of a peer; a peer that is not installed has none.
    pub fn set_peer_filter(&self, id: EndpointId, filter: Vec<Bytes>) {
        let mut routes = self.routes.lock();
        let Some((_, current)) = routes.peers.get_mut(&id) else { return };
        // What changes nothing is for free, for all others too.
        if *current != filter {
            *current = filter;
            self.outdated.store(true, Ordering::Release);
        }
    }

    /// Lets no more messages flow to a peer.
    pub fn remove_peer(&self, id: EndpointId) -> Option<Arc<Peer>> {
        self.change(|routes| routes.peers.remove(&id)).map(|(peer, _)| peer)
    }

    /// The filter that a peer has announced.
    pub fn peer_filter(&self, id: EndpointId) -> Option<Vec<Bytes>> {
        self.routes.lock().peers.get(&id).map(|(_, filter)| filter.clone())
    }

    /// An installed peer.
    pub fn peer(&self, id: EndpointId) -> Option<Arc<Peer>> {
        self.routes.lock().peers.get(&id).map(|(peer, _)| Arc::clone(peer))
    }

    /// All installed peers.
    pub fn peers(&self) -> Vec<Arc<Peer>> {
        self.routes.lock().peers.values().map(|(peer, _)| Arc::clone(peer)).collect()
    }

    /// Adds a local consumer, or gives it another filter.
    pub fn set_sink(&self, sink: &Arc<Sink>, filter: Vec<Bytes>) {
        self.change(|routes| routes.sinks.insert(sink.id, (Arc::clone(sink), filter)));
    }

    /// Takes a local consumer out.
    pub fn remove_sink(&self, id: u64) {
        self.change(|routes| routes.sinks.remove(&id));
    }

    /// Delivers a message of the endpoint about itself to the local consumers that asked for it by
    /// a prefix below the internal topics; a subscription to everything does not.
    pub fn publish_internally(&self, topic: &[u8], payload: &[u8]) {
        let routes = self.routes.lock();
        let wants = |filter: &[Bytes]| {
            filter.iter().any(|prefix| is_internal(prefix) && topic.starts_with(prefix))
        };
        let mut frame = Vec::new();
        for (sink, _) in routes.sinks.values().filter(|(_, filter)| wants(filter)) {
            if frame.is_empty() {
                let envelope = Envelope {
                    sender: self.id,
                    receiver: self.id,
                    kind: EnvelopeType::Data,
                    ttl: DEFAULT_TTL,
                    topic,
                    payload,
                };
                if envelope.put_frame(&mut frame).is_err() {
                    return;
                }
            }
            sink.queue.push(&frame, 1, false);
        }
    }

    /// Ends every local consumer after what it has not read yet.
    pub fn close_sinks(&self) {
        for (sink, _) in self.routes.lock().sinks.values() {
            sink.queue.close(Closing::Flush);
        }
    }
}

#[cfg(all(test, shuttle))]
mod models;
