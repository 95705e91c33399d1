use super::shared::Shared;
use super::table::{PeeringStats, peer_stats};
use crate::event::{Event, StatusCode};
use crate::routing::Peer;
use crate::wire::envelope::EnvelopeType;
use crate::{EndpointId, ErrorCode, OverflowPolicy};
use metrics::{Counter, Gauge, counter, gauge};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering::Relaxed;

/// The label of peers that came after the limit.
const OTHER: &str = "other";

/// Counts an event. Events are rare, and their labels come from the program text.
pub(super) fn count(event: &Event) {
    counter!("broker_events_total", "event" => event.name()).increment(1);
    match event {
        Event::Status(status) => match status.code {
            StatusCode::PeerLost | StatusCode::PeerRemoved => {
                let kind = status.client.as_ref().map_or("native", |client| client.kind);
                gauge!("broker_connections", "type" => kind).decrement(1.0);
                if status.client.is_none() && status.message.contains("backpressure_overflow") {
                    counter!("zeek_broker_backpressure_disconnects_total").increment(1);
                }
            }
            _ => {}
        },
        Event::Error(error) if error.code == ErrorCode::PeerUnavailable => {
            let reason = error.reason.unwrap_or("unknown");
            counter!("broker_handshake_failures_total", "side" => "dialled", "reason" => reason)
                .increment(1);
        }
        Event::Error(_) => {}
        Event::Log(log) => {
            counter!("broker_log_events_total", "level" => log.level.name(), "id" => log.id)
                .increment(1);
            if log.id == "handshake-failed" {
                let reason = log.reason.unwrap_or("unknown");
                counter!("broker_handshake_failures_total", "side" => "accepted", "reason" => reason)
                    .increment(1);
            }
        }
    }
}

/// A peering, or the session of a client, has begun. Its end is counted with the event.
pub(super) fn connection_added(kind: &'static str) {
    gauge!("broker_connections", "type" => kind).increment(1.0);
}

/// What has been handed to the recorder, so that the next time only the difference is.
#[derive(Debug)]
pub(super) struct Metrics {
    limit: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    peers: HashMap<EndpointId, Series>,
    /// Every peer that has a label of its own, gone or not.
    labels: HashSet<EndpointId>,
    published: u64,
}

/// The time series of one peer.
#[derive(Debug)]
struct Series {
    queued: Gauge,
    queued_bytes: Gauge,
    high_water: Gauge,
    overflows: Counter,
    dropped: Counter,
    messages_out: Counter,
    messages_in: Counter,
    bytes_out: Counter,
    bytes_in: Counter,
    refused: Counter,
    seen: Seen,
}

/// What the recorder knows of one peering.
#[derive(Debug, Default)]
struct Seen {
    queue: [u64; 5],
    bytes_in: u64,
    refused: u64,
    by_type: [u64; 5],
}

impl Metrics {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default() }
    }

    /// Hands the numbers of all current peerings to the recorder.
    pub(super) fn record(&self, shared: &Shared) {
        let mut state = self.state.lock();
        let published = shared.router.published.load(Relaxed);
        let new = published.saturating_sub(std::mem::replace(&mut state.published, published));
        processed(EnvelopeType::Data, new);
        for peer in shared.router.peers() {
            state.series(&peer, self.limit).update(&peer);
        }
    }

    /// Hands the last numbers of a peering to the recorder.
    pub(super) fn ended(&self, peer: &Peer) {
        let mut state = self.state.lock();
        state.series(peer, self.limit).update(peer);
        if let Some(series) = state.peers.remove(&peer.id) {
            for gauge in [series.queued, series.queued_bytes, series.high_water] {
                gauge.set(0.0);
            }
        }
    }
}

fn processed(kind: EnvelopeType, new: u64) {
    if new > 0 {
        counter!("broker_processed_messages_total", "type" => kind.name()).increment(new);
    }
}

impl State {
    fn series(&mut self, peer: &Peer, limit: usize) -> &mut Series {
        let own_label = self.labels.contains(&peer.id) || self.labels.len() < limit;
        if own_label {
            self.labels.insert(peer.id);
        }
        self.peers.entry(peer.id).or_insert_with(|| {
            let label = if own_label { peer.id.to_string() } else { OTHER.to_owned() };
            Series::new(label, peer.queue.policy())
        })
    }
}

impl Series {
    fn new(peer: String, policy: OverflowPolicy) -> Self {
        let p = || peer.clone();
        Self {
            queued: gauge!("zeek_broker_peer_buffer_messages", "peer" => p()),
            queued_bytes: gauge!("broker_peer_queued_bytes", "peer" => p()),
            high_water: gauge!("zeek_broker_peer_buffer_recent_max_messages", "peer" => p()),
            overflows: counter!("zeek_broker_peer_buffer_overflows_total", "peer" => p()),
            dropped: counter!("broker_peer_dropped_messages_total",
                "peer" => p(), "policy" => policy.name()),
            messages_out: counter!("broker_peer_messages_total",
                "peer" => p(), "direction" => "out"),
            messages_in: counter!("broker_peer_messages_total",
                "peer" => p(), "direction" => "in"),
            bytes_out: counter!("broker_peer_bytes_total", "peer" => p(), "direction" => "out"),
            bytes_in: counter!("broker_peer_bytes_total", "peer" => p(), "direction" => "in"),
            refused: counter!("broker_peer_refused_messages_total", "peer" => peer),
            seen: Seen::default(),
        }
    }

    fn update(&mut self, peer: &Peer) {
        let stats = peer_stats(peer);
        self.queued.set(stats.num_queued as f64);
        self.queued_bytes.set(stats.queued_bytes as f64);
        self.high_water.set(stats.max_queued_recently as f64);
        let by_type: [u64; 5] = std::array::from_fn(|at| {
            peer.counters.messages_in.get(at).map_or(0, |c| c.load(Relaxed))
        });
        let (seen, stats): (&mut Seen, &PeeringStats) = (&mut self.seen, &stats);
        let refused = stats.malformed + stats.forged + stats.internal + stats.expired;
        let now = [
            stats.num_overflows,
            stats.dropped,
            stats.messages_out,
            stats.messages_in,
            stats.bytes_out,
        ];
        let counters = [
            &self.overflows,
            &self.dropped,
            &self.messages_out,
            &self.messages_in,
            &self.bytes_out,
        ];
        for ((counter, now), seen) in counters.into_iter().zip(now).zip(&mut seen.queue) {
            counter.increment(now.saturating_sub(std::mem::replace(seen, now)));
        }
        let bytes_in = std::mem::replace(&mut seen.bytes_in, stats.bytes_in);
        self.bytes_in.increment(stats.bytes_in.saturating_sub(bytes_in));
        self.refused
            .increment(refused.saturating_sub(std::mem::replace(&mut seen.refused, refused)));
        for ((at, now), seen) in by_type.into_iter().enumerate().zip(&mut seen.by_type) {
            if let Some(kind) = EnvelopeType::from_number(at as u8 + 1) {
                processed(kind, now.saturating_sub(std::mem::replace(seen, now)));
            }
        }
    }
}
