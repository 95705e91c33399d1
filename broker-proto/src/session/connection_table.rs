use crate::fact::Fact;
use crate::peering::{
    Action, Close, ConnectionId, DialId, PeerRecord, PeeringMachine, PendingDial,
};
use crate::queue::{BoundedQueue, Closing, Push};
use crate::routing::{FilterChange, Peer, PeerCounters, Router};
use crate::{Address, EndpointId, Failure};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;

/// The machine that decides about connections, and the connections it decides about.
pub struct ConnectionTable {
    /// The machine.
    pub machine: PeeringMachine,
    /// The connections, by the number that the machine knows them by.
    pub conns: HashMap<ConnectionId, ConnectionHandle>,
}

/// What others may do with a connection.
pub struct ConnectionHandle {
    /// What goes to the other side. Its end tells whoever reads the connection to stop as well.
    pub queue: Arc<BoundedQueue>,
    pub closing: Option<Close>,
    pub peer: Option<Arc<Peer>>,
}

/// The part of the actions that needs more than the connections. Nothing in here waits.
pub trait ActionHandler {
    /// Opens a connection for a request.
    fn dial(&mut self, dial: DialId, url: Address);
    /// Stops opening a connection.
    fn abandon(&mut self, dial: DialId);
    /// A peer has been installed.
    fn installed(&mut self);
    /// A peer has another filter.
    fn filter_changed(&mut self) {}
    /// A peer is no longer installed.
    fn uninstalled(&mut self, peer: Arc<Peer>);
    /// What is known about a peer has changed; without a record it is known no longer.
    fn peer_changed(&mut self, peer: EndpointId, record: Option<PeerRecord>);
    /// What is known about a request without a peering has changed; `None` if it has one now, or
    /// is over.
    fn dial_changed(&mut self, dial: DialId, open: Option<PendingDial>);
    /// Tells everyone who listens.
    fn report(&mut self, fact: Fact);
    /// Tells everyone who waits for a request.
    fn resolve(&mut self, dial: DialId, outcome: Result<EndpointId, Failure>);
    /// Everything has been wound up. The local consumers are still to be told, after the facts
    /// that were reported before ([`Router::close_sinks`]).
    fn stopped(&mut self, router: &Router);
}

impl ConnectionTable {
    /// A table without connections.
    pub fn new(machine: PeeringMachine) -> Self {
        Self { machine, conns: HashMap::new() }
    }

    /// Makes the handle of a connection known that the machine has just taken.
    pub fn register(&mut self, id: ConnectionId, queue: &Arc<BoundedQueue>) {
        let queue = Arc::clone(queue);
        self.conns.insert(id, ConnectionHandle { queue, closing: None, peer: None });
    }

    /// Does what the machine has decided, in its order. Returns whether something has been staged
    /// that takes time: then [`Router::apply_staged`] is to be called when no lock is held.
    pub fn apply_actions(&mut self, router: &Router, outside: &mut impl ActionHandler) -> bool {
        let mut staged = false;
        while let Some(action) = self.machine.next_action() {
            match action {
                Action::Dial { dial, url } => outside.dial(dial, url),
                Action::AbandonDial { dial } => outside.abandon(dial),
                Action::Send { conn, frame } => self.send(conn, &frame),
                Action::Announce { conn, frame } => {
                    if let Some(handle) = self.conns.get(&conn) {
                        handle.queue.push_latest(frame);
                    }
                }
                Action::Close { conn, how } => self.close(conn, how),
                Action::Install { conn, peer, dialect, rights, filter, heard } => {
                    self.install(router, conn, filter, |queue| Peer {
                        id: peer,
                        conn,
                        dialect,
                        rights,
                        queue,
                        counters: PeerCounters::default(),
                        heard,
                    });
                    outside.installed();
                }
                Action::Uninstall { peer } => {
                    staged = true;
                    if let Some(peer) = router.remove_peer(peer) {
                        outside.uninstalled(peer);
                    }
                }
                Action::SetFilter { conn, peer, filter } => {
                    match router.change_peer_filter(peer, conn, filter) {
                        FilterChange::None => {}
                        FilterChange::Done => outside.filter_changed(),
                        FilterChange::Staged => staged = true,
                    }
                }
                Action::ChangeOverlay(change) => {
                    router.change_overlay(change);
                    outside.filter_changed();
                }
                Action::PeerChanged { peer, record } => {
                    outside.peer_changed(peer, record.map(|record| *record));
                }
                Action::DialChanged { dial, open } => {
                    outside.dial_changed(dial, open.map(|open| *open));
                }
                Action::Report(fact) => outside.report(fact),
                Action::Resolve { dial, outcome } => outside.resolve(dial, outcome),
                Action::Stopped => outside.stopped(router),
            }
        }
        staged
    }

    fn send(&mut self, conn: ConnectionId, frame: &[u8]) {
        let handle = self.conns.get(&conn);
        if handle.map(|handle| handle.queue.push_control(frame)) == Some(Push::Overflow) {
            self.machine.control_overflow(conn);
        }
    }

    fn close(&mut self, conn: ConnectionId, how: Close) {
        let Some(handle) = self.conns.get_mut(&conn) else { return };
        if handle.closing != Some(Close::Now) {
            handle.closing = Some(how);
        }
        handle.queue.close(match how {
            Close::Flush => Closing::Flush,
            Close::Now => Closing::Now,
        });
    }

    fn install(
        &mut self,
        router: &Router,
        conn: ConnectionId,
        filter: Vec<Bytes>,
        peer: impl FnOnce(Arc<BoundedQueue>) -> Peer,
    ) {
        let Some(handle) = self.conns.get_mut(&conn) else { return };
        handle.queue.handshake_done();
        let peer = Arc::new(peer(Arc::clone(&handle.queue)));
        handle.peer = Some(Arc::clone(&peer));
        router.add_peer(peer, filter);
    }
}
