use super::shared::{DialWaiters, Shared, State};
use super::{requests, status_values};
use crate::event::Event;
use crate::{EndpointId, Failure, Url};
use broker_proto::fact::Fact;
use broker_proto::peering::{DialId, PeerRecord, PendingDial, Time};
use broker_proto::routing::{Peer, Router};
use broker_proto::session::{ActionHandler, ConnectionTable, EndpointContext};
use std::collections::HashMap;
use std::sync::Arc;

impl Shared {
    /// Does what the machine has decided, in its order. Nothing here waits.
    pub(super) fn perform(self: &Arc<Self>, state: &mut State) {
        let State { table, dials, armed } = state;
        table.apply_actions(&self.router, &mut Actions { shared: self, dials });
        let next = table.machine.next_deadline();
        if next != *armed {
            *armed = next;
            self.timer.notify_one();
        }
    }

    /// Tells the event streams, and local consumers that subscribed to the internal topics. An
    /// error is an entry of the log as well.
    pub(super) fn emit(&self, event: Event) {
        let entry = match &event {
            Event::Error(error) => Some(Event::Log(error.log_entry())),
            _ => None,
        };
        std::iter::once(event).chain(entry).for_each(|event| self.tell_all(&event));
    }

    fn tell_all(&self, event: &Event) {
        if let Some((topic, value)) = status_values::as_message(event) {
            self.router.publish_internally(topic, &value.encode());
        }
        self.metrics.count(event);
        if self.events.emit(event, self.now()) {
            self.timer.notify_one();
        }
    }
}

struct Actions<'a> {
    shared: &'a Arc<Shared>,
    dials: &'a mut HashMap<DialId, DialWaiters>,
}

impl ActionHandler for Actions<'_> {
    fn dial(&mut self, dial: DialId, url: Url) {
        let task = requests::dial(self.shared, dial, url);
        self.dials.entry(dial).or_default().task = Some(task);
    }

    fn abandon(&mut self, dial: DialId) {
        if let Some(task) = self.dials.get_mut(&dial).and_then(|dial| dial.task.take()) {
            task.abort();
        }
    }

    fn uninstalled(&mut self, peer: &Peer) {
        self.shared.drops.ended(self.shared, peer);
        self.shared.metrics.ended(peer);
        self.shared.pings.ended(peer);
    }

    fn installed(&mut self) {
        self.shared.peers_changed.notify_waiters();
    }

    fn filter_changed(&mut self) {
        self.shared.peers_changed.notify_waiters();
    }

    fn peer_changed(&mut self, peer: EndpointId, record: Option<PeerRecord>) {
        self.shared.registry.set_peer(peer, record);
    }

    fn dial_changed(&mut self, dial: DialId, open: Option<PendingDial>) {
        self.shared.registry.set_dial(dial, open);
    }

    fn report(&mut self, fact: Fact) {
        self.shared.emit(fact.into());
    }

    fn resolve(&mut self, dial: DialId, outcome: Result<EndpointId, Failure>) {
        let handle = self.dials.remove(&dial).unwrap_or_default();
        for waiter in handle.waiters {
            // Whoever asked may have lost interest.
            let _ = waiter.send(outcome.clone());
        }
    }

    fn stopped(&mut self) {
        self.shared.events.close();
        self.shared.stopped.cancel();
        self.shared.peers_changed.notify_waiters();
    }
}

/// The endpoint as its connections see it.
pub(super) struct OwnEndpoint<'a>(pub(super) &'a Arc<Shared>);

impl EndpointContext for OwnEndpoint<'_> {
    fn router(&self) -> &Router {
        &self.0.router
    }

    fn now(&self) -> Time {
        self.0.now()
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

    fn answered(&self, pong: &[u8]) -> bool {
        self.0.pings.answered(pong)
    }
}
