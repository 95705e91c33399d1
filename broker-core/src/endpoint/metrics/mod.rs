//! What an endpoint tells the `metrics` facade: events as they happen, numbers when asked for.

mod kept;
mod names;
mod places;
mod series;

pub use names::{METRICS, Metric, MetricKind, QUEUE_SECONDS, queue_seconds_buckets};

use super::client_totals::{OUTCOMES, Totals};
use super::clients::Clients;
use super::registry::PeerRegistry;
use super::table::PrefixCount;
use crate::event::{Event, LogEvent, LogId, RemovalCause};
use crate::{EndpointId, ErrorCode, Reason};
use broker_proto::peering::ConnectionId;
use broker_proto::queue::Closing;
use broker_proto::routing::{Peer, Router};
use broker_proto::wire::envelope::EnvelopeType;
use kept::Kept;
use metrics::{Label, SharedString, counter, gauge};
use parking_lot::Mutex;
pub(super) use places::{OTHER, Places};
use series::{Buffer, Level, Series};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// What has been handed to the recorder, so that the next time only the difference is.
#[derive(Debug)]
pub(super) struct Metrics {
    places: Mutex<Places<EndpointId>>,
    kept: Kept,
    /// Peers that are no longer installed and not yet among those that are [`State::ending`].
    ended: Mutex<Vec<Arc<Peer>>>,
    /// Held while the recorder gets the numbers; those that change meanwhile are asked for under
    /// it, so that none is counted twice.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    described: bool,
    peers: HashMap<ConnectionId, Series>,
    /// Peers that are no longer installed and whose connection may still be writing.
    ending: Vec<Arc<Peer>>,
    /// The gauges by the label of the peers.
    buffers: HashMap<Arc<str>, Buffer>,
    /// How many connections there were of each type that there ever was one of.
    connections: BTreeMap<&'static str, usize>,
    clients: BTreeMap<Arc<str>, Totals>,
    published: u64,
}

impl Metrics {
    pub(super) fn new(limit: usize) -> Self {
        let places = Mutex::new(Places::new(limit));
        Self { places, kept: Kept::default(), ended: Mutex::default(), state: Mutex::default() }
    }

    /// Counts an event. Events are rare, and their labels come from the program text or are
    /// bounded.
    pub(super) fn count(&self, event: &Event) {
        self.kept.count(names::EVENTS, &[("event", event.name())], 1);
        match event {
            Event::Status(status) if status.cause == Some(RemovalCause::Overflow) => {
                let id = status.endpoint.id;
                let label = label(id, self.places.lock().find(&id));
                counter!(names::BACKPRESSURE, "peer" => SharedString::from(label)).increment(1);
            }
            Event::Error(error) if error.code == ErrorCode::PeerUnavailable => {
                self.handshake_failed("dialled", error.reason);
            }
            Event::Status(_) | Event::Error(_) => {}
            Event::Log(LogEvent { level, id, reason, .. }) => {
                let labels = [("level", level.name()), ("id", id.name())];
                self.kept.count(names::LOG_EVENTS, &labels, 1);
                match *id {
                    LogId::HandshakeFailed => self.handshake_failed("accepted", *reason),
                    LogId::PeerReconnected => self.kept.count(names::RECONNECTS, &[], 1),
                    _ => {}
                }
            }
        }
    }

    fn handshake_failed(&self, side: &'static str, reason: Option<Reason>) {
        let reason = reason.map_or("unknown", Reason::name);
        self.kept.count(names::HANDSHAKE_FAILURES, &[("side", side), ("reason", reason)], 1);
    }

    /// Hands the numbers of all current peerings and clients to the recorder.
    pub(super) fn record(&self, registry: &PeerRegistry, router: &Router, clients: &Clients) {
        let mut state = self.state.lock();
        if !std::mem::replace(&mut state.described, true) {
            names::describe();
            // A counter that shows up with its first event hides that event from rates.
            self.kept.count(names::RECONNECTS, &[], 0);
        }
        gauge!(names::PENDING).set(registry.pending() as f64);
        let published = router.published.load(Relaxed);
        let new = published.saturating_sub(std::mem::replace(&mut state.published, published));
        self.kept.processed(EnvelopeType::Data, new);
        state.update_clients(clients.totals());
        super::table::prefix_counts(router).into_iter().for_each(record_prefix);
        let peers = self.record_peers(&mut state, || router.peers());
        gauge!(names::PEERS).set(peers as f64);
        state.set_connections(peers, clients.kinds());
        self.kept.refresh();
    }

    /// Hands the numbers of peers to the recorder, and returns how many are installed.
    fn record_peers(&self, state: &mut State, installed: impl FnOnce() -> Vec<Arc<Peer>>) -> usize {
        // In this order, so that nobody is among both.
        let mut levels = self.sweep(state);
        let installed = installed();
        for peer in &installed {
            let series = state.peers.entry(peer.conn).or_insert_with(|| {
                Series::new(label(peer.id, self.places.lock().enter(&peer.id)), peer.queue.policy())
            });
            let level = series.update(peer, &self.kept);
            levels.entry(Arc::clone(&series.label)).or_default().add(level);
        }
        state.set_buffers(&levels);
        installed.len()
    }

    /// Takes note of a peer that is no longer installed. Never waits for [`Self::record`], which
    /// then does the rest.
    pub(super) fn ended(&self, peer: Arc<Peer>) {
        self.ended.lock().push(peer);
        if let Some(mut state) = self.state.try_lock() {
            self.sweep(&mut state);
        }
    }

    /// Hands the numbers of the peers that have ended to the recorder, the last ones if nothing is
    /// written to them any more, and returns how full their queues are.
    fn sweep(&self, state: &mut State) -> HashMap<Arc<str>, Level> {
        let State { peers, ending, .. } = state;
        ending.append(&mut self.ended.lock());
        let mut levels: HashMap<Arc<str>, Level> = HashMap::new();
        ending.retain(|peer| {
            // The connection has ended, writer and all, when nobody else has its queue.
            let over = Arc::strong_count(&peer.queue) == 1;
            if over {
                peer.queue.close(Closing::Now);
            }
            let series = peers.entry(peer.conn).or_insert_with(|| {
                Series::new(
                    label(peer.id, self.places.lock().enter_late(&peer.id)),
                    peer.queue.policy(),
                )
            });
            let level = series.update(peer, &self.kept);
            if over {
                if &*series.label != OTHER {
                    self.places.lock().leave(&peer.id);
                }
                peers.remove(&peer.conn);
            } else {
                levels.entry(Arc::clone(&series.label)).or_default().add(level);
            }
            !over
        });
        levels
    }
}

/// The prefixes come from the configuration.
fn record_prefix(count: PrefixCount) {
    let prefix = SharedString::from(count.prefix);
    for (direction, messages, bytes) in
        [("in", count.messages_in, count.bytes_in), ("out", count.messages_out, count.bytes_out)]
    {
        let labels = [
            Label::new("prefix", prefix.clone()),
            Label::from_static_parts("direction", direction),
        ];
        counter!(names::PREFIX_MESSAGES, labels.iter()).absolute(messages);
        counter!(names::PREFIX_BYTES, labels.iter()).absolute(bytes);
    }
}

fn label(id: EndpointId, own: bool) -> Arc<str> {
    if own { id.to_string().into() } else { OTHER.into() }
}

impl State {
    fn set_buffers(&mut self, levels: &HashMap<Arc<str>, Level>) {
        for label in levels.keys() {
            self.buffers.entry(Arc::clone(label)).or_insert_with(|| Buffer::new(label));
        }
        self.buffers.retain(|label, buffer| {
            let level = levels.get(label).copied();
            buffer.set(level.unwrap_or_default());
            level.is_some()
        });
    }

    fn update_clients(&mut self, clients: BTreeMap<Arc<str>, Totals>) {
        for (application, totals) in &clients {
            let seen = self.clients.get(application).copied().unwrap_or_default();
            for ((outcome, now), seen) in OUTCOMES.into_iter().zip(totals).zip(seen) {
                let application = SharedString::from(Arc::clone(application));
                counter!(names::CLIENT_MESSAGES, "application" => application, "outcome" => outcome)
                    .increment(now.saturating_sub(seen));
            }
        }
        self.clients = clients;
    }

    fn set_connections(&mut self, peers: usize, clients: BTreeMap<&'static str, usize>) {
        self.connections.values_mut().for_each(|count| *count = 0);
        self.connections.insert("native", peers);
        self.connections.extend(clients);
        for (kind, count) in &self.connections {
            gauge!(names::CONNECTIONS, "type" => *kind).set(*count as f64);
        }
    }
}

#[cfg(test)]
mod accounting;
#[cfg(test)]
mod tests;
