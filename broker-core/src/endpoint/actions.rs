use super::reporting::Notice;
use super::requests;
use super::shared::{DialWaiters, Shared, State};
use crate::{Address, EndpointId, Failure};
use broker_proto::fact::Fact;
use broker_proto::peering::{DialId, PeerRecord, PendingDial, Time};
use broker_proto::routing::{Peer, Router};
use broker_proto::session::{ActionHandler, ConnectionTable, EndpointContext};
use std::collections::HashMap;
use std::sync::Arc;

impl Shared {
    /// Tells the machine and its connections something, does what is decided, in its order, and
    /// hands out what there is to say once the lock is released, but before it returns.
    pub(super) fn decide<R>(self: &Arc<Self>, tell: impl FnOnce(&mut State, Time) -> R) -> R {
        let mut state = self.lock();
        let result = tell(&mut state, self.tasks.now());
        let (said, staged) = self.perform(&mut state);
        drop(state);
        // What a peer wants may be a lot, and nobody has to wait for it but those who ask for it.
        if staged && self.router.apply_staged() {
            self.reporting.peers_changed.notify_waiters();
        }
        if said {
            self.deliver();
        }
        result
    }

    /// Does what the machine has decided. Returns whether there is something to hand out, and
    /// whether changes of the routes have been staged.
    fn perform(self: &Arc<Self>, state: &mut State) -> (bool, bool) {
        let State { table, dials, armed } = state;
        let mut actions = Actions { shared: self, dials, notices: Vec::new() };
        let staged = table.apply_actions(&self.router, &mut actions);
        let notices = actions.notices;
        let next = table.machine.next_deadline();
        if next != *armed {
            *armed = next;
            self.tasks.rearm();
        }
        // Under the control lock, so that their order is that of the decisions.
        (self.reporting.extend(notices), staged)
    }
}

struct Actions<'a> {
    shared: &'a Arc<Shared>,
    dials: &'a mut HashMap<DialId, DialWaiters>,
    notices: Vec<Notice>,
}

impl ActionHandler for Actions<'_> {
    fn dial(&mut self, dial: DialId, url: Address) {
        let task = requests::dial(self.shared, dial, url);
        self.dials.entry(dial).or_default().task = Some(task);
    }

    fn abandon(&mut self, dial: DialId) {
        if let Some(task) = self.dials.get_mut(&dial).and_then(|dial| dial.task.take()) {
            task.abort();
        }
    }

    fn uninstalled(&mut self, peer: Arc<Peer>) {
        self.notices.push(Notice::Ended(peer));
    }

    fn installed(&mut self) {
        self.notices.push(Notice::PeersChanged);
    }

    fn filter_changed(&mut self) {
        self.notices.push(Notice::PeersChanged);
    }

    fn peer_changed(&mut self, peer: EndpointId, record: Option<PeerRecord>) {
        self.shared.registry.set_peer(peer, record);
    }

    fn dial_changed(&mut self, dial: DialId, open: Option<PendingDial>) {
        self.shared.registry.set_dial(dial, open);
    }

    fn report(&mut self, fact: Fact) {
        self.notices.push(Notice::Event(fact.into()));
    }

    fn resolve(&mut self, dial: DialId, outcome: Result<EndpointId, Failure>) {
        let DialWaiters { waiters, .. } = self.dials.remove(&dial).unwrap_or_default();
        self.notices.push(Notice::Resolved(waiters, outcome));
    }

    fn stopped(&mut self, _: &Router) {
        self.notices.push(Notice::Stopped);
    }
}

/// The endpoint as its connections see it.
pub(super) struct OwnEndpoint<'a>(pub(super) &'a Arc<Shared>);

impl EndpointContext for OwnEndpoint<'_> {
    fn router(&self) -> &Router {
        &self.0.router
    }

    fn now(&self) -> Time {
        self.0.tasks.now()
    }

    fn with_machine<R>(&self, tell: impl FnOnce(&mut ConnectionTable, Time) -> R) -> R {
        self.0.with_machine(tell)
    }

    fn read_machine<R>(&self, look: impl FnOnce(&ConnectionTable) -> R) -> R {
        look(&self.0.lock().table)
    }

    fn report(&self, fact: Fact) {
        self.0.emit(fact.into());
    }

    fn answered(&self, peer: &Peer, pong: &[u8]) -> bool {
        self.0.reporting.pings.answered(peer, pong)
    }
}
