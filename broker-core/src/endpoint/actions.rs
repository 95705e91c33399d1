use super::shared::{Shared, State};
use super::{dialler, metrics, status_values};
use crate::event::Event;
use crate::peering::{Action, Close, ConnId};
use crate::queue::{Closing, Push};
use crate::routing::{Peer, PeerCounters};
use crate::{EndpointId, Failure};
use bytes::Bytes;
use std::sync::Arc;

impl Shared {
    /// Does what the machine has decided, in its order. Nothing here waits.
    pub(super) fn perform(self: &Arc<Self>, state: &mut State) {
        while let Some(action) = state.control.next_action() {
            match action {
                Action::Dial { dial, url } => {
                    let task = dialler::spawn(self, dial, url);
                    state.dials.entry(dial).or_default().task = Some(task);
                }
                Action::AbandonDial { dial } => {
                    if let Some(task) = state.dials.get_mut(&dial).and_then(|dial| dial.task.take())
                    {
                        task.abort();
                    }
                }
                Action::Send { conn, frame } => {
                    let handle = state.conns.get(&conn);
                    let pushed = handle.map(|handle| handle.queue.push_control(&frame));
                    if pushed == Some(Push::Overflow) {
                        state.control.overflow(conn);
                    }
                }
                Action::Close { conn, how } => close(state, conn, how),
                Action::Install { conn, peer, filter } => {
                    self.install(state, conn, peer, filter);
                }
                Action::Uninstall { peer } => {
                    if let Some(peer) = self.router.remove_peer(peer) {
                        self.metrics.ended(&peer);
                    }
                }
                Action::SetFilter { peer, filter } => self.router.set_peer_filter(peer, filter),
                Action::Emit(event) => self.emit(event),
                Action::Resolve { dial, outcome } => {
                    let handle = state.dials.remove(&dial).unwrap_or_default();
                    for waiter in handle.waiters {
                        // Whoever asked may have lost interest.
                        let _ = waiter.send(outcome.clone());
                    }
                }
                Action::Stopped => {
                    self.router.close_sinks();
                    self.events.close();
                    self.stopped.cancel();
                    self.peers_changed.notify_waiters();
                }
            }
        }
        let next = state.control.next_deadline();
        if next != state.armed {
            state.armed = next;
            self.timer.notify_one();
        }
    }

    fn install(
        self: &Arc<Self>,
        state: &mut State,
        conn: ConnId,
        id: EndpointId,
        filter: Vec<Bytes>,
    ) {
        let Some(handle) = state.conns.get_mut(&conn) else { return };
        let queue = Arc::clone(&handle.queue);
        let peer = Arc::new(Peer { id, conn, queue, counters: PeerCounters::default() });
        handle.peer = Some(Arc::clone(&peer));
        metrics::connection_added();
        self.router.add_peer(peer, filter);
        self.peers_changed.notify_waiters();
    }

    /// Tells the event streams, and local consumers that subscribed to the internal topics.
    pub(super) fn emit(&self, event: Event) {
        if let Some((topic, value)) = status_values::as_message(&event) {
            self.router.publish_internally(topic, &value.encode());
        }
        metrics::count(&event);
        self.events.emit(&event);
    }

    /// Reports that a connection is over, and returns how it was to be closed.
    pub(super) fn connection_closed(
        self: &Arc<Self>,
        conn: ConnId,
        failure: Failure,
    ) -> Option<Close> {
        self.control(|control, now| control.closed(conn, failure, now));
        self.lock().conns.remove(&conn).and_then(|handle| handle.closing)
    }
}

fn close(state: &mut State, conn: ConnId, how: Close) {
    let Some(handle) = state.conns.get_mut(&conn) else { return };
    if handle.closing != Some(Close::Now) {
        handle.closing = Some(how);
    }
    handle.queue.close(match how {
        Close::Flush => Closing::Flush,
        Close::Now => Closing::Now,
    });
    handle.stop.notify_one();
}
