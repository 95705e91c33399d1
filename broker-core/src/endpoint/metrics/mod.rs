//! What an endpoint tells the `metrics` facade: events as they happen, numbers when asked for.

mod names;
mod series;

pub use names::{METRICS, Metric, MetricKind, QUEUE_SECONDS, queue_seconds_buckets};

use super::client_totals::OUTCOMES;
use super::shared::Shared;
use crate::event::{Event, LogEvent, LogId, RemovalCause};
use crate::{EndpointId, ErrorCode, Reason};
use broker_proto::routing::Peer;
use broker_proto::wire::envelope::EnvelopeType;
use metrics::{counter, gauge};
use parking_lot::Mutex;
use series::{Buffer, Series};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::Ordering::Relaxed;

/// The label of peers that came after the limit.
const OTHER: &str = "other";

/// What has been handed to the recorder, so that the next time only the difference is.
#[derive(Debug)]
pub(super) struct Metrics {
    labels: Mutex<Labels>,
    state: Mutex<State>,
}

/// Who has a label of its own: the first ones, gone or not, so that ever new peers do not make ever
/// new time series.
#[derive(Debug)]
struct Labels {
    limit: usize,
    given: HashSet<EndpointId>,
}

#[derive(Debug, Default)]
struct State {
    described: bool,
    peers: HashMap<EndpointId, Series>,
    /// The gauges of the peers that have no label of their own.
    others: Option<Buffer>,
    /// How many connections there were of each type that there ever was one of.
    connections: BTreeMap<&'static str, usize>,
    published: u64,
}

impl Metrics {
    pub(super) fn new(limit: usize) -> Self {
        let labels = Mutex::new(Labels { limit, given: HashSet::new() });
        Self { labels, state: Mutex::default() }
    }

    /// Counts an event. Events are rare, and their labels come from the program text or are
    /// bounded.
    pub(super) fn count(&self, event: &Event) {
        counter!(names::EVENTS, "event" => event.name()).increment(1);
        match event {
            Event::Status(status) if status.cause == Some(RemovalCause::Overflow) => {
                let id = status.endpoint.id;
                let label = self.labels.lock().label(id).unwrap_or_else(|| OTHER.to_owned());
                counter!(names::BACKPRESSURE, "peer" => label).increment(1);
            }
            Event::Error(error) if error.code == ErrorCode::PeerUnavailable => {
                handshake_failed("dialled", error.reason);
            }
            Event::Status(_) | Event::Error(_) => {}
            Event::Log(LogEvent { level, id, reason, .. }) => {
                counter!(names::LOG_EVENTS, "level" => level.name(), "id" => id.name())
                    .increment(1);
                match *id {
                    LogId::HandshakeFailed => handshake_failed("accepted", *reason),
                    LogId::PeerReconnected => counter!(names::RECONNECTS).increment(1),
                    _ => {}
                }
            }
        }
    }

    /// Hands the numbers of all current peerings to the recorder.
    pub(super) fn record(&self, shared: &Shared) {
        let pending = shared.registry.pending();
        let peers = shared.router.peers();
        let clients = shared.clients.kinds();
        let mut state = self.state.lock();
        if !std::mem::replace(&mut state.described, true) {
            names::describe();
            // A counter that shows up with its first event hides that event from rates.
            counter!(names::RECONNECTS).increment(0);
        }
        gauge!(names::PENDING).set(pending as f64);
        gauge!(names::PEERS).set(peers.len() as f64);
        state.set_connections(peers.len(), clients);
        for (application, totals) in shared.clients.totals(shared.config.limits.metrics_peers) {
            for (outcome, total) in OUTCOMES.into_iter().zip(totals) {
                let application = application.to_string();
                counter!(names::CLIENT_MESSAGES, "application" => application, "outcome" => outcome)
                    .absolute(total);
            }
        }
        let published = shared.router.published.load(Relaxed);
        let new = published.saturating_sub(std::mem::replace(&mut state.published, published));
        processed(EnvelopeType::Data, new);
        state.update_peers(&peers, &self.labels);
    }

    /// Hands the last numbers of a peering to the recorder.
    pub(super) fn ended(&self, peer: std::sync::Arc<Peer>) {
        let peer = &*peer;
        let mut state = self.state.lock();
        state.series(peer, &self.labels).update(peer);
        if let Some(buffer) = state.peers.remove(&peer.id).and_then(|series| series.buffer) {
            buffer.set(series::Level::default());
        }
    }
}

fn handshake_failed(side: &'static str, reason: Option<Reason>) {
    let reason = reason.map_or("unknown", Reason::name);
    counter!(names::HANDSHAKE_FAILURES, "side" => side, "reason" => reason).increment(1);
}

fn processed(kind: EnvelopeType, new: u64) {
    if new > 0 {
        counter!(names::PROCESSED, "type" => kind.name()).increment(new);
    }
}

impl Labels {
    /// The label of a peer, if it has one of its own.
    fn label(&mut self, id: EndpointId) -> Option<String> {
        let own = self.given.contains(&id) || self.given.len() < self.limit;
        if own {
            self.given.insert(id);
        }
        own.then(|| id.to_string())
    }
}

impl State {
    fn series(&mut self, peer: &Peer, labels: &Mutex<Labels>) -> &mut Series {
        self.peers
            .entry(peer.id)
            .or_insert_with(|| Series::new(labels.lock().label(peer.id), peer.queue.policy()))
    }

    fn update_peers(&mut self, peers: &[std::sync::Arc<Peer>], labels: &Mutex<Labels>) {
        let mut others = None;
        for peer in peers {
            let series = self.series(peer, labels);
            let level = series.update(peer);
            if series.buffer.is_none() {
                others = Some(level.and(others.unwrap_or_default()));
            }
        }
        if others.is_some() || self.others.is_some() {
            let buffer = self.others.get_or_insert_with(|| Buffer::new(OTHER));
            buffer.set(others.unwrap_or_default());
        }
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
mod tests;
